package org.mlsnap

import com.cloudbees.groovy.cps.NonCPS

/** What mlsnap says to the step that called it. */
class Answers implements Serializable {
    private static final long serialVersionUID = 1
    private static final int LONGEST = 200

    /** Reads `name=value` lines, in which per cent signs and line ends are written as `%25`, `%0A` and `%0D`. */
    @NonCPS
    static Map parsed(String text) {
        Map answers = [:]
        for (line in text.split('\n')) {
            int at = line.indexOf('=')
            if (at > 0) {
                String value = line.substring(at + 1)
                answers[line.substring(0, at)] = value.replace('%0A', '\n').replace('%0D', '\r').replace('%25', '%')
            }
        }
        return answers
    }

    /** Puts a line under the description that a build has. No markup formatter makes anything else of it than text. */
    @NonCPS
    static String described(String before, String line) {
        String plain = line.replace('<', '\u2039').replace('>', '\u203a').replaceAll('\\p{Cntrl}', ' ')
        String cut = plain.length() > LONGEST ? plain.substring(0, LONGEST) + '\u2026' : plain
        return before ? before + '\n' + cut : cut
    }

    /** Says what an exit code means, and where that is explained. */
    @NonCPS
    static String meaning(int code) {
        Map meanings = [
            1: 'a fault of mlsnap itself',
            2: 'wrong usage or configuration',
            3: 'the two are different',
            10: 'training failed',
            11: 'no or invalid model or metrics, or a late writer',
            12: 'a gate was missed',
            20: 'the storage failed, nothing was made',
            21: 'it is not known whether the storage did it',
            30: 'the version is good, its status waits to be sent',
            40: 'a rule forbids it',
            44: 'there is no such version',
            50: 'another run holds the lease',
            60: 'something stored is damaged',
            130: 'stopped by SIGINT',
            143: 'stopped by SIGTERM',
        ]
        return 'exit code ' + code + ': ' + (meanings[code] ?: 'not one of mlsnap') + ' (docs/exit-codes.md)'
    }
}
