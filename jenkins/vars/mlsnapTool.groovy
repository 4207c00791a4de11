import groovy.transform.Field

// By agent and temporary folder: where this build installed mlsnap, and the digest of what was there then. It is kept
// on the controller, where training cannot write: what training may have changed is not run with secrets.
@Field Map installed = [:]

/** Gives the program to start as mlsnap on this agent, and installs it where it is not there as it was installed. */
String call(Map args) {
    if (args.install == 'skip') {
        return 'mlsnap'
    }
    String folder = env.WORKSPACE_TMP + '/mlsnap-tool'
    writeFile(file: folder + '/install.sh', text: libraryResource('org/mlsnap/install.sh'))
    writeFile(file: folder + '/requirements.txt', text: libraryResource('org/mlsnap/requirements.txt'))
    String said = ''
    withEnv([
        'MLSNAP_TOOL=' + folder,
        'MLSNAP_TOOL_PYTHON=' + args.pythonPath,
        'MLSNAP_TOOL_REQUIREMENT=' + args.requirement,
        'MLSNAP_TOOL_KNOWN=' + (installed[place()] ?: ''),
    ]) {
        said = sh(label: 'mlsnap: install', returnStdout: true, script: 'exec /bin/sh "$MLSNAP_TOOL/install.sh"').trim()
    }
    installed[place()] = said
    return said.substring(said.indexOf(' ') + 1) + '/mlsnap'
}

/** Removes what this build installed on this agent. */
void forget() {
    String said = installed.remove(place())
    if (said) {
        dir(said.substring(said.indexOf(' ') + 1)) { deleteDir() }
    }
}

String place() {
    return env.NODE_NAME + ' ' + env.WORKSPACE_TMP
}
