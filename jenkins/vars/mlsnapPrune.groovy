import org.mlsnap.Defaults
import org.mlsnap.Step

/** What this step takes, and what holds when it is not given. */
Map defaults() {
    return [
        dryRun: false,  // Say what would be kept and removed, and why; change nothing.
    ] + Defaults.place() + Defaults.servers() + Defaults.secrets() + Defaults.tool()
}

/** Removes the versions that no rule of `[retention]` keeps. It needs all branches and tags: no shallow clone. */
void call(Map given = [:]) {
    def step = new Step(script: this, name: 'mlsnapPrune', known: defaults(), given: given)
    step.require(step.run(true) { sh(label: 'mlsnap prune', returnStatus: true, script: 'exec "$MLSNAP" prune') })
}
