import org.mlsnap.Answers
import org.mlsnap.Defaults
import org.mlsnap.Step

/** What this step takes, and what holds when it is not given. */
Map defaults() {
    return [
        plan: '',  // The `plan` that `mlsnapBegin` gave; empty: the one open run of this workspace, and the record says that the plan was not checked.
        run: '',  // The `run` that `mlsnapBegin` gave, where that was on another agent or in another workspace.
        gateMissed: 'unstable',  // What the build is when a gate was missed: `unstable` or `failure`.
        report: '',  // A folder on the agent for the pages of all versions; empty: a temporary one, whose files are archived.
        archive: true,  // Archive the run's record, metrics and summary and the version's page as `mlsnap/`; never the model. Not with `report`.
        junit: false,  // Show the training and each gate as a test of the build. Needs the JUnit plug-in.
        description: true,  // Put a line with commit, snapshot and main metric into the build's description.
    ] + Defaults.servers() + Defaults.secrets() + Defaults.tool()
}

/** Makes the version of what was trained, judges it, and posts the final status. Gives what mlsnap answered. */
Map call(Map given = [:]) {
    def step = new Step(script: this, name: 'mlsnapConclude', known: defaults(), given: given)
    int code = step.run(true, { sh(label: 'mlsnap conclude', returnStatus: true, script: 'exec "$MLSNAP" conclude') }) { int ended ->
        describe(step)
        keep(step)
    }
    judge(step, code)
    return step.answers
}

void describe(Step step) {
    if (step.args().description && step.answers.description) {
        currentBuild.description = Answers.described(currentBuild.description, step.answers.description)
    }
}

/** Keeps the files of the report with the build: not those of other versions, which their own builds have. */
void keep(Step step) {
    if (step.args().report) {
        return
    }
    String version = step.answers['snapshot-name']
    dir(step.folder) {
        if (step.args().archive) {
            archiveArtifacts(artifacts: 'mlsnap/*' + (version ? ',mlsnap/' + version + '/**' : ''), allowEmptyArchive: true, fingerprint: true)
        }
        if (step.args().junit) {
            junit(testResults: 'mlsnap/junit.xml', allowEmptyResults: true, skipMarkingBuildUnstable: true)
        }
    }
}

void judge(Step step, int code) {
    if (code == 30) {
        catchError(buildResult: 'SUCCESS', stageResult: 'UNSTABLE', message: 'mlsnap: ' + Answers.meaning(code)) {
            error('mlsnap: the next run, or `mlsnap publish`, sends the status')
        }
    } else if (code == 12 && step.args().gateMissed == 'unstable') {
        unstable('mlsnap: ' + Answers.meaning(code))
    } else {
        step.require(code)
    }
}
