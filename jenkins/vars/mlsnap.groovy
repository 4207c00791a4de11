import org.mlsnap.Arguments

/** What this step takes, and what holds when it is not given. */
Map defaults() {
    Map known = mlsnapBegin.defaults() + mlsnapTrain.defaults() + mlsnapConclude.defaults() + mlsnapFinish.defaults()
    // These go from step to step by themselves.
    known.remove('plan')
    known.remove('run')
    return known
}

/** Trains the commit, makes a version of the model under its SHA, and posts the status. Gives what mlsnap answered. */
Map call(Map given = [:]) {
    def step = new org.mlsnap.Step(script: this, name: 'mlsnap', known: defaults(), given: given)
    step.refuse()
    String folder = env.WORKSPACE_TMP + '/mlsnap-run-' + UUID.randomUUID().toString()
    Map answers = [:]
    // A folder of its own, so that branches of `parallel` in one workspace do not see each other's runs.
    withEnv(['WORKSPACE_TMP=' + folder]) {
        try {
            answers = phases(given)
        } finally {
            // What failed before is the error to show, also when this fails too.
            catchError(buildResult: 'SUCCESS', stageResult: 'UNSTABLE', catchInterruptions: false, message: 'mlsnap finish failed') {
                mlsnapFinish(Arguments.of(mlsnapFinish.defaults(), given))
            }
            dir(folder) { deleteDir() }
        }
    }
    return answers
}

Map phases(Map given) {
    Map begun = mlsnapBegin(Arguments.of(mlsnapBegin.defaults(), given))
    if (begun.action == 'nothing') {
        return [conclusion: 'nothing'] + begun
    }
    Map plan = [plan: begun.plan]
    int trained = begun.action == 'train' ? mlsnapTrain.status(Arguments.of(mlsnapTrain.defaults(), given) + plan) : 0
    Map answers = mlsnapConclude(Arguments.of(mlsnapConclude.defaults(), given) + plan)
    if (trained != 0) {
        error('mlsnap: ' + org.mlsnap.Answers.meaning(trained))
    }
    return begun + answers
}
