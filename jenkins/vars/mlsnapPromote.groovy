import org.mlsnap.Defaults
import org.mlsnap.Step

/** What this step takes, and what holds when it is not given. */
Map defaults() {
    return [
        revision: 'HEAD',  // The commit, tag or branch whose version is meant.
        channel: '',  // The channel, such as `production`.
        deployments: '',  // `true` notes on GitHub what is live as a deployment to an environment of the channel's name.
        reason: '',  // Why; it is written to the ledger.
    ] + Defaults.place() + Defaults.servers() + Defaults.secrets() + Defaults.tool()
}

/** Lets a channel lead to a version. */
void call(Map given = [:]) {
    def step = new Step(script: this, name: 'mlsnapPromote', known: defaults(), given: given)
    step.require(step.run(true) { sh(label: 'mlsnap promote', returnStatus: true, script: 'exec "$MLSNAP" promote') })
}
