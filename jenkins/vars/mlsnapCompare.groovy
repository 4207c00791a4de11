import org.mlsnap.Defaults
import org.mlsnap.Step

/** What this step takes, and what holds when it is not given. */
Map defaults() {
    return [
        before: '',  // The version to compare with; empty: the baseline of the other.
        after: '',  // The version that is compared; empty: that of the commit that is checked out.
    ] + Defaults.place() + Defaults.servers() + Defaults.secrets() + Defaults.tool()
}

/** Says what differs between two versions. Gives it as `markdown`, and writes it to the log. */
Map call(Map given = [:]) {
    def step = new Step(script: this, name: 'mlsnapCompare', known: defaults(), given: given)
    String markdown = ''
    step.run(true) {
        markdown = sh(label: 'mlsnap diff', returnStdout: true, script: 'exec "$MLSNAP" diff --md')
        return 0
    }
    echo(markdown)
    return [markdown: markdown]
}
