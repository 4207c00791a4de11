import org.mlsnap.Defaults
import org.mlsnap.Step

/** What this step takes, and what holds when it is not given. */
Map defaults() {
    return [
        plan: '',  // The `plan` that `mlsnapBegin` gave; empty: all open runs of this workspace.
        run: '',  // The `run` that `mlsnapBegin` gave, where that was on another agent or in another workspace.
        report: '',  // A folder on the agent for the pages of all versions; empty: none are written.
    ] + Defaults.servers() + Defaults.secrets() + Defaults.tool()
}

/** Brings to rest what an aborted build left over, and makes its last status final. Does nothing else. */
void call(Map given = [:]) {
    def step = new Step(script: this, name: 'mlsnapFinish', known: defaults(), given: given)
    step.refuse()
    if (anyOpen()) {
        step.require(step.run(true) { sh(label: 'mlsnap finish', returnStatus: true, script: 'exec "$MLSNAP" finish') })
    }
    mlsnapTool.forget()
}

/** Tells whether a run was begun here: without one there is no need to install anything. */
boolean anyOpen() {
    return 0 == sh(label: 'mlsnap: is a run open?', returnStatus: true, script: 'exec ls "$WORKSPACE_TMP"/mlsnap/*.json >/dev/null 2>&1')
}
