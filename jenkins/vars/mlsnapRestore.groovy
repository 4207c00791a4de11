import org.mlsnap.Defaults
import org.mlsnap.Step

/** What this step takes, and what holds when it is not given. */
Map defaults() {
    return [
        revision: 'HEAD',  // The commit, tag or branch whose version is meant.
        to: '',  // A new folder for a copy to write to; empty: the live tree or the view is brought back.
        nearest: false,  // Take the nearest ancestor's version when there is no other.
    ] + Defaults.place() + Defaults.servers() + Defaults.secrets() + Defaults.tool()
}

/** Brings a version of the model back. */
void call(Map given = [:]) {
    def step = new Step(script: this, name: 'mlsnapRestore', known: defaults(), given: given)
    step.require(step.run(true) { sh(label: 'mlsnap restore', returnStatus: true, script: 'exec "$MLSNAP" restore') })
}
