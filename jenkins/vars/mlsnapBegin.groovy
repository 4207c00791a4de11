import org.mlsnap.Defaults
import org.mlsnap.Step

/** What this step takes, and what holds when it is not given. */
Map defaults() {
    return [
        train: '',  // The training command: a string for `/bin/sh -c`, or a list that no shell takes apart; empty: `train` of `mlsnap.toml`.
        metrics: '',  // The file with the metrics of training.
        timeout: '',  // How long training may run, such as `6h`.
        trainEnv: '',  // A list of names of more environment variables that training gets.
        leaseWait: '',  // How long to wait for another run that uses the same volume.
        onFork: '',  // What to do for a change request from a fork, which gets no secrets: `skip` or `fail`.
        sha: '',  // The full SHA of the commit to train, whatever Jenkins says.
        checkout: [:],  // The map that `checkout scm` gave, in scripted pipelines: it says which commit is meant.
        retrain: false,  // Train again a commit that has a version: the next attempt.
        dryRun: false,  // Print what would be done, and do nothing.
        ephemeral: false,  // Accept a store that ends with this machine.
        breakLease: false,  // Take the volume from a run that is known to be dead.
        handOn: false,  // Put the code beside the model, for agents without a checkout that go on with the run.
        report: '',  // A folder on the agent for the pages of all versions; empty: a temporary one, whose files are archived.
        reportUrl: '',  // Where that folder is published: statuses then link to the version's page there.
    ] + Defaults.place() + Defaults.posts() + Defaults.servers() + Defaults.secrets() + Defaults.tool()
}

/** Plans a run, checks it, posts `pending`, and prepares it. Gives `plan`, `run` and `action` (`train`, `announce`, `nothing`). */
Map call(Map given = [:]) {
    def step = new Step(script: this, name: 'mlsnapBegin', known: defaults(), given: given)
    int code = step.run(true) { sh(label: 'mlsnap begin', returnStatus: true, script: 'exec "$MLSNAP" begin') }
    step.require(code)
    return [plan: '', action: 'nothing'] + step.answers
}
