package org.mlsnap

import hudson.AbortException

/**
 * One call of a step: mlsnap with its arguments, its secrets and a folder of its own, and what it answered.
 *
 * Nothing here is private: closures of a pipeline do not find private methods.
 */
class Step implements Serializable {
    private static final long serialVersionUID = 1

    /** The step's script: through it the steps of Jenkins are called. */
    def script
    String name
    Map known
    Map given
    /** A folder on the agent that is gone with the call. */
    String folder = ''
    /** What mlsnap answered: strings. */
    Map answers = [:]

    Map args() {
        return known + given
    }

    /**
     * Runs one command of mlsnap, which `body` calls, and gives its exit code; `afterwards` still finds the folder.
     * With `secrets` it gets the credentials. Without, it does not even see those that somebody bound around the step.
     */
    int run(boolean secrets, Closure body, Closure afterwards = null) {
        refuse()
        int code = -1
        String tool = script.mlsnapTool(Arguments.of(Defaults.tool(), args()))
        folder = script.env.WORKSPACE_TMP + '/mlsnap-' + UUID.randomUUID().toString()
        try {
            script.writeFile(file: folder + '/outputs', text: '')
            script.withEnv(Arguments.environment(args()) + own(tool)) {
                if (secrets) {
                    withGitHub { withStorage { code = body() } }
                } else {
                    script.withEnv(Arguments.noSecrets()) { code = body() }
                }
            }
            answers = Answers.parsed(script.readFile(file: folder + '/outputs', encoding: 'UTF-8'))
            if (afterwards) {
                afterwards(code)
            }
        } finally {
            script.dir(folder) { script.deleteDir() }
        }
        return code
    }

    /** What the step itself hands over: the program, where it answers, and where its report goes that is kept. */
    List own(String tool) {
        List variables = ['MLSNAP=' + tool, 'MLSNAP_OUTPUT=' + folder + '/outputs']
        if ((args().archive || args().junit) && !args().report) {
            variables << 'MLSNAP_INPUT_REPORT=' + folder + '/mlsnap'
        }
        return variables
    }

    /** Ends the step with an error unless the command ended well. */
    void require(int code) {
        if (code != 0) {
            script.error('mlsnap: ' + Answers.meaning(code))
        }
    }

    void refuse() {
        String complaint = Arguments.complaint(name, known, given)
        if (complaint) {
            script.error('mlsnap: ' + complaint)
        }
        if (!script.isUnix()) {
            script.error('mlsnap: this agent runs Windows, and mlsnap needs Linux: choose another agent by its label')
        }
        if (!script.env.WORKSPACE_TMP) {
            script.error('mlsnap: no WORKSPACE_TMP: call this inside `node`, or in a stage that has an agent')
        }
    }

    void withGitHub(Closure body) {
        withCredential(args().credentialsId, 'MLSNAP_GITHUB_USER', 'MLSNAP_GITHUB_TOKEN', 'MLSNAP_GITHUB_TOKEN', body)
    }

    void withStorage(Closure body) {
        withCredential(args().storageCredentialsId, 'MLSNAP_INPUT_ONTAP_USER', 'MLSNAP_ONTAP_PASSWORD', 'MLSNAP_ONTAP_TOKEN', body)
    }

    /**
     * Binds a credential, a login or else a secret text, for the body alone: each call asks anew, since the token
     * of a GitHub App ends after an hour. A change request from a fork gets none.
     */
    void withCredential(String id, String user, String password, String token, Closure body) {
        if (!id || script.env.CHANGE_FORK) {
            body()
            return
        }
        boolean bound = false
        try {
            script.withCredentials([script.usernamePassword(credentialsId: id, usernameVariable: user, passwordVariable: password)]) {
                bound = true
                body()
            }
            return
        } catch (AbortException notALogin) {
            if (bound) {
                throw notALogin
            }
        }
        script.withCredentials([script.string(credentialsId: id, variable: token)]) { body() }
    }
}
