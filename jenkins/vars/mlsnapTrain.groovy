import org.mlsnap.Defaults
import org.mlsnap.Step

/** What this step takes, and what holds when it is not given. */
Map defaults() {
    return [
        plan: '',  // The `plan` that `mlsnapBegin` gave; empty: the one open run of this workspace.
        run: '',  // The `run` that `mlsnapBegin` gave, where that was on another agent or in another workspace.
    ] + Defaults.tool()
}

/** Runs the training command of the open run, without any secret. */
void call(Map given = [:]) {
    def step = new Step(script: this, name: 'mlsnapTrain', known: defaults(), given: given)
    step.require(status(given))
}

/** The same, but gives the exit code: `mlsnapConclude` says on the commit what went wrong. */
int status(Map given = [:]) {
    def step = new Step(script: this, name: 'mlsnapTrain', known: defaults(), given: given)
    return step.run(false) { sh(label: 'mlsnap train', returnStatus: true, script: 'exec "$MLSNAP" train') }
}
