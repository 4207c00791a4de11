import org.mlsnap.Defaults
import org.mlsnap.Step

/** What this step takes, and what holds when it is not given. */
Map defaults() {
    return [
        fork: false,  // Tell a change of a fork what becomes of it; for a job with secrets that runs after its own.
        rollUp: false,  // Post `mlsnap`, one status for all models of the commit.
    ] + Defaults.place() + Defaults.posts() + Defaults.servers() + Defaults.secrets() + Defaults.tool()
}

/** Sends the statuses and comments that wait; with `rollUp`, posts one status for all models of the commit. */
void call(Map given = [:]) {
    def step = new Step(script: this, name: 'mlsnapReport', known: defaults(), given: given)
    step.require(step.run(true) { sh(label: 'mlsnap publish', returnStatus: true, script: 'exec "$MLSNAP" publish') })
}
