package org.mlsnap

import com.cloudbees.groovy.cps.NonCPS
import groovy.json.JsonOutput

/** What a step was given: held against what it knows, and as environment variables. */
class Arguments implements Serializable {
    private static final long serialVersionUID = 1

    /** What the steps themselves act on. All else is an input of mlsnap. */
    @NonCPS
    static List own() {
        return Defaults.tool().keySet() + Defaults.secrets().keySet() +
            ['checkout', 'gateMissed', 'description', 'archive', 'junit'] as List
    }

    /** Says what is wrong with what was given; nothing when all is well. */
    @NonCPS
    static String complaint(String step, Map known, Map given) {
        List strange = []
        for (key in given.keySet()) {
            if (!known.containsKey(key.toString())) {
                strange << key.toString()
            }
        }
        if (strange) {
            return "${step} does not know ${strange.join(', ')}; it knows ${known.keySet().join(', ')}".toString()
        }
        return wrongChoice(known + given)
    }

    @NonCPS
    static String wrongChoice(Map args) {
        Map choices = [install: ['own', 'skip'], gateMissed: ['unstable', 'failure']]
        for (choice in choices) {
            if (args.containsKey(choice.key) && !choice.value.contains(text(args[choice.key]))) {
                return "${choice.key} is one of ${choice.value.join(', ')}, not ${text(args[choice.key])}".toString()
            }
        }
        return ''
    }

    /** Gives those of the arguments that a step knows: what one step takes of what another was given. */
    @NonCPS
    static Map of(Map known, Map given) {
        Map picked = [:]
        for (entry in given) {
            if (known.containsKey(entry.key)) {
                picked[entry.key] = entry.value
            }
        }
        return picked
    }

    /** Gives the inputs as `NAME=value`. What is empty is not given. */
    @NonCPS
    static List environment(Map args) {
        List variables = []
        for (entry in args) {
            if (!own().contains(entry.key) && text(entry.value)) {
                variables << variable(entry.key) + '=' + text(entry.value)
            }
        }
        for (name in ['GIT_COMMIT', 'GIT_BRANCH', 'GIT_URL']) {
            if (args.checkout && args.checkout[name]) {
                variables << name + '=' + text(args.checkout[name])
            }
        }
        return variables
    }

    /** Gives what hides from training the secrets that somebody bound around the step. */
    @NonCPS
    static List noSecrets() {
        return ['MLSNAP_GITHUB_TOKEN=', 'GITHUB_TOKEN=', 'MLSNAP_ONTAP_PASSWORD=', 'MLSNAP_ONTAP_TOKEN=']
    }

    /** Gives the environment variable by which mlsnap takes an argument. */
    @NonCPS
    static String variable(String name) {
        return name == 'sha' ? 'MLSNAP_SHA' : 'MLSNAP_INPUT_' + name.replaceAll('([A-Z])', '_$1').toUpperCase(Locale.ROOT)
    }

    /** Gives a value as mlsnap reads it. A list is an array of strings: no shell takes it apart. */
    @NonCPS
    static String text(value) {
        if (value == null) {
            return ''
        }
        if (value instanceof List) {
            List quoted = []
            for (one in value) {
                quoted << JsonOutput.toJson(one.toString())
            }
            return '[' + quoted.join(', ') + ']'
        }
        return value.toString()
    }
}
