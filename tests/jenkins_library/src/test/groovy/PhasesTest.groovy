import hudson.AbortException
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException
import org.junit.Test

import static org.junit.Assert.assertEquals
import static org.junit.Assert.assertFalse
import static org.junit.Assert.assertNull
import static org.junit.Assert.assertTrue
import static org.junit.Assert.fail

/** `mlsnap` and the four steps that it is made of. */
class PhasesTest extends Agent {

    @Override
    void setUp() {
        super.setUp()
        credentials = [github: 'text', ontap: 'login']
        outputs = [
            begin: 'plan=abc\naction=train\n',
            conclude: 'conclusion=good\nsha=ab12\ndescription=mlsnap ab12cd3 \u2192 snapshot, accuracy 0.97\n',
        ]
    }

    @Test
    void 'begin and conclude and finish get secrets and train gets none'() {
        pipeline("mlsnap(train: 'python train.py', credentialsId: 'github', storageCredentialsId: 'ontap')")
        assertEquals(['begin', 'train', 'conclude', 'finish'], commands())
        for (command in ['begin', 'conclude', 'finish']) {
            Map seen = of(command)[0].environment
            assertEquals('canary-github', seen.MLSNAP_GITHUB_TOKEN)
            assertEquals('canary-ontap', seen.MLSNAP_ONTAP_PASSWORD)
            assertEquals('robot', seen.MLSNAP_INPUT_ONTAP_USER)
        }
        assertFalse(of('train')[0].environment.toString().contains('canary'))
    }

    @Test
    void 'train does not see secrets either that were bound around it'() {
        environment.MLSNAP_GITHUB_TOKEN = 'canary'
        environment.GITHUB_TOKEN = 'canary'
        environment.MLSNAP_ONTAP_PASSWORD = 'canary'
        environment.MLSNAP_ONTAP_TOKEN = 'canary'
        pipeline("mlsnap(train: 'python train.py')")
        assertFalse(of('train')[0].environment.toString().contains('canary'))
        assertEquals('canary', of('conclude')[0].environment.MLSNAP_GITHUB_TOKEN)
    }

    @Test
    void 'the login of a GitHub App is taken as well'() {
        credentials = [app: 'login']
        pipeline("mlsnap(credentialsId: 'app')")
        assertEquals('canary-app', of('conclude')[0].environment.MLSNAP_GITHUB_TOKEN)
    }

    @Test
    void 'a credential that is not there is an error before anything runs'() {
        refused("mlsnap(credentialsId: 'nobody')") { String text -> text.contains('nobody') }
        assertEquals([], commands())
    }

    @Test
    void 'a change request from a fork gets no secrets'() {
        environment.CHANGE_FORK = 'mallory'
        pipeline("mlsnap(credentialsId: 'github', storageCredentialsId: 'ontap')")
        assertFalse(shells*.environment.toString().contains('canary'))
    }

    @Test
    void 'the plan goes from begin to the others'() {
        pipeline('mlsnap()')
        assertNull(of('begin')[0].environment.MLSNAP_INPUT_PLAN)
        assertEquals('abc', of('train')[0].environment.MLSNAP_INPUT_PLAN)
        assertEquals('abc', of('conclude')[0].environment.MLSNAP_INPUT_PLAN)
    }

    @Test
    void 'what mlsnap answers is returned as strings'() {
        def answers = pipeline('return mlsnap()')
        assertEquals('good', answers.conclusion)
        assertEquals('ab12', answers.sha)
        assertEquals('abc', answers.plan)
        assertTrue(answers.every { it.key instanceof String && it.value instanceof String })
    }

    @Test
    void 'nothing to do ends after begin'() {
        outputs.begin = 'plan=\naction=nothing\n'
        runIsOpen = false
        def answers = pipeline('return mlsnap()')
        assertEquals('nothing', answers.conclusion)
        assertEquals(['begin'], commands())
    }

    @Test
    void 'a version that is there is announced without training'() {
        outputs.begin = 'plan=abc\naction=announce\n'
        pipeline('mlsnap()')
        assertEquals(['begin', 'conclude', 'finish'], commands())
    }

    @Test
    void 'training that failed is concluded and is the error of the build'() {
        ends = [train: 10, conclude: 10]
        refused('mlsnap()') { String text -> text.contains('exit code 10: training failed') }
        assertEquals(['begin', 'train', 'conclude', 'finish'], commands())
    }

    @Test
    void 'an abort passes on after finish was run with secrets'() {
        ends = [train: new FlowInterruptedException()]
        try {
            pipeline("mlsnap(credentialsId: 'github')")
            fail('the abort was swallowed')
        } catch (FlowInterruptedException expected) {
            assertEquals(['begin', 'train', 'finish'], commands())
            assertEquals('canary-github', of('finish')[0].environment.MLSNAP_GITHUB_TOKEN)
        }
    }

    @Test
    void 'a finish that fails hides neither the error nor the abort before it'() {
        ends = [train: new FlowInterruptedException(), finish: 20]
        try {
            pipeline('mlsnap()')
            fail('the abort was swallowed')
        } catch (FlowInterruptedException expected) {
            assertEquals(['UNSTABLE'], stageResults)
        }
        ends = [conclude: 60, finish: 20]
        refused('mlsnap()') { String text -> text.contains('exit code 60') }
    }

    @Test
    void 'an abort during finish is an abort'() {
        ends = [finish: new FlowInterruptedException()]
        try {
            pipeline('mlsnap()')
            fail('the abort was swallowed')
        } catch (FlowInterruptedException expected) {
            assertEquals([], stageResults)
        }
    }

    @Test
    void 'a missed gate makes the build unstable or failed by choice'() {
        ends = [conclude: 12]
        pipeline('mlsnap()')
        assertTrue(unstable[0].message.contains('a gate was missed'))
        refused("mlsnap(gateMissed: 'failure')") { String text -> text.contains('exit code 12') }
        assertEquals(1, unstable.size())
    }

    @Test
    void 'a status that waits makes the stage unstable and the build goes on'() {
        ends = [conclude: 30]
        def answers = pipeline('return mlsnap()')
        assertEquals(['UNSTABLE'], stageResults)
        assertEquals('good', answers.conclusion)
    }

    @Test
    void 'each other exit code is an error that says what it means'() {
        for (code in [1, 2, 10, 11, 20, 21, 40, 44, 50, 60, 130, 137, 143]) {
            ends = [conclude: code]
            refused('mlsnapConclude()') { String text -> text.contains('exit code ' + code + ': ') }
        }
        for (code in [1, 2, 20, 40, 50, 143]) {
            ends = [begin: code]
            refused('mlsnapBegin()') { String text -> text.contains('exit code ' + code + ': ') }
        }
        assertEquals([], unstable)
    }

    @Test
    void 'unknown arguments are refused with those that are known'() {
        refused("mlsnap(trian: 'python train.py')") { String text ->
            text.contains('mlsnap does not know trian; it knows ') && text.contains('train, ') && text.contains('credentialsId')
        }
        refused("mlsnapTrain(credentialsId: 'github')") { String text -> text.contains('mlsnapTrain does not know credentialsId') }
        assertEquals([], commands())
    }

    @Test
    void 'a choice that there is not is refused'() {
        refused("mlsnap(gateMissed: 'maybe')") { String text -> text.contains('gateMissed is one of unstable, failure, not maybe') }
        refused("mlsnap(install: 'pipx')") { String text -> text.contains('install is one of own, skip, not pipx') }
    }

    @Test
    void 'a Windows agent and a place without a workspace are refused'() {
        isUnix = false
        refused('mlsnap()') { String text -> text.contains('Windows') }
        isUnix = true
        environment.remove('WORKSPACE_TMP')
        refused('mlsnapFinish()') { String text -> text.contains('node') }
        assertEquals([], shells)
    }

    @Test
    void 'inputs are handed over as they are and never in the text of a shell'() {
        String hostile = 'x"; touch /tmp/owned; $(id) `id` ${HOME}\n%0A \u00fc'
        binding.setVariable('hostile', hostile)
        pipeline("mlsnap(train: hostile, volume: hostile, project: hostile, retrain: true, ephemeral: false, timeout: '6h')")
        Map seen = of('begin')[0].environment
        assertEquals(hostile, seen.MLSNAP_INPUT_TRAIN)
        assertEquals(hostile, seen.MLSNAP_INPUT_VOLUME)
        assertEquals('true', seen.MLSNAP_INPUT_RETRAIN)
        assertEquals('false', seen.MLSNAP_INPUT_EPHEMERAL)
        assertEquals('6h', seen.MLSNAP_INPUT_TIMEOUT)
        assertTrue(shells.every { !it.text.contains('owned') })
    }

    @Test
    void 'a list is an array that no shell takes apart'() {
        pipeline('''mlsnapBegin(train: ['python', 'train.py', 'a "b" \\\\ c'], trainEnv: ['HF_TOKEN'])''')
        Map seen = of('begin')[0].environment
        assertEquals('["python", "train.py", "a \\"b\\" \\\\ c"]', seen.MLSNAP_INPUT_TRAIN)
        assertEquals('["HF_TOKEN"]', seen.MLSNAP_INPUT_TRAIN_ENV)
    }

    @Test
    void 'a commit is named by its SHA or by the map of checkout'() {
        pipeline("mlsnapBegin(sha: 'f' * 40, checkout: [GIT_COMMIT: 'e' * 40, GIT_BRANCH: 'origin/main', GIT_URL: 'u', OTHER: 'x'])")
        Map seen = of('begin')[0].environment
        assertEquals('f' * 40, seen.MLSNAP_SHA)
        assertEquals('e' * 40, seen.GIT_COMMIT)
        assertEquals('origin/main', seen.GIT_BRANCH)
        assertNull(seen.OTHER)
        assertNull(seen.MLSNAP_INPUT_CHECKOUT)
    }

    @Test
    void 'the description gets a line and stays text'() {
        binding.getVariable('currentBuild').description = 'nightly'
        outputs.conclude = 'description=mlsnap ab12cd3 <script>alert(1)</script>\n'
        pipeline('mlsnap()')
        assertEquals('nightly\nmlsnap ab12cd3 \u2039script\u203aalert(1)\u2039/script\u203a', binding.getVariable('currentBuild').description)
    }

    @Test
    void 'the description is left alone when asked'() {
        pipeline('mlsnap(description: false)')
        assertNull(binding.getVariable('currentBuild').description)
    }

    @Test
    void 'the description is there also when a gate was missed'() {
        ends = [conclude: 12]
        pipeline('mlsnap()')
        assertTrue(binding.getVariable('currentBuild').description.startsWith('mlsnap ab12cd3'))
    }

    @Test
    void 'the report is archived without the pages of other versions'() {
        outputs.conclude = 'snapshot-name=ab12\n'
        pipeline('mlsnap(junit: true)')
        assertEquals('mlsnap/*,mlsnap/ab12/**', archived[0].artifacts)
        assertTrue(archived[0].allowEmptyArchive)
        assertEquals(archived[0].in + '/mlsnap', of('conclude')[0].environment.MLSNAP_INPUT_REPORT)
        assertEquals('mlsnap/junit.xml', tests[0].testResults)
        assertTrue(tests[0].skipMarkingBuildUnstable)
        assertEquals(1, archived.size())
    }

    @Test
    void 'a run without a version archives what it wrote'() {
        ends = [conclude: 11]
        outputs.conclude = 'snapshot-name=\n'
        refused('mlsnapConclude()') { true }
        assertEquals('mlsnap/*', archived[0].artifacts)
        assertEquals([], tests)
    }

    @Test
    void 'a report of the users own is left where it is'() {
        pipeline("mlsnap(report: '/srv/www/digits')")
        assertEquals('/srv/www/digits', of('conclude')[0].environment.MLSNAP_INPUT_REPORT)
        assertEquals([], archived)
        pipeline('mlsnap(archive: false)')
        assertNull(of('conclude')[1].environment.MLSNAP_INPUT_REPORT)
        assertEquals([], archived)
    }

    @Test
    void 'branches in one workspace do not share the folder of runs'() {
        pipeline("mlsnap(project: 'a'); mlsnap(project: 'b')")
        List places = of('begin')*.environment*.WORKSPACE_TMP
        assertEquals(2, places.unique(false).size())
        assertTrue(places.every { it.startsWith(tmp + '/mlsnap-run-') })
        assertEquals(places, of('finish')*.environment*.WORKSPACE_TMP)
    }

    @Test
    void 'a folder of its own is gone at the end also after an error'() {
        ends = [conclude: 60]
        refused('mlsnap()') { true }
        String place = of('begin')[0].environment.WORKSPACE_TMP
        assertTrue(deleted.contains(place))
        assertEquals([], files.keySet().findAll { it.startsWith(place) } as List)
    }

    @Test
    void 'steps of their own leave no answers behind'() {
        pipeline('mlsnapBegin(); mlsnapTrain(); mlsnapConclude()')
        assertEquals([], files.keySet().findAll { it.endsWith('/outputs') } as List)
        assertEquals(of('begin').size() + 2, deleted.size())
    }

    @Test
    void 'steps of their own need nothing of an earlier stage'() {
        pipeline('mlsnapConclude()')
        assertNull(of('conclude')[0].environment.MLSNAP_INPUT_PLAN)
        assertEquals(tmp, of('conclude')[0].environment.WORKSPACE_TMP)
    }

    @Test
    void 'finish installs nothing where no run is open'() {
        runIsOpen = false
        pipeline("mlsnapFinish(credentialsId: 'github')")
        assertEquals([], commands())
        assertEquals(0, installations)
    }

    @Test
    void 'finish of its own ends what is open'() {
        pipeline("mlsnapFinish(credentialsId: 'github')")
        assertEquals('canary-github', of('finish')[0].environment.MLSNAP_GITHUB_TOKEN)
        ends = [finish: 20]
        refused('mlsnapFinish()') { String text -> text.contains('exit code 20') }
    }

    @Test
    void 'mlsnap is installed once and looked at before each command'() {
        pipeline('mlsnap()')
        List known = shells.findAll { it.text.contains('install.sh') }.collect { it.environment.MLSNAP_TOOL_KNOWN ?: '' }
        assertEquals('', known.head())
        assertTrue(known.tail().every { it.startsWith('digest1 ') })
        assertEquals(1, installations)
        assertTrue(of('conclude')[0].environment.MLSNAP.endsWith('/mlsnap-tool/made1/mlsnap'))
    }

    @Test
    void 'mlsnap of the agent is taken when asked'() {
        pipeline("mlsnap(install: 'skip')")
        assertEquals(0, installations)
        assertEquals(['mlsnap'], shells.findAll { it.text.contains('$MLSNAP"') }*.environment*.MLSNAP.unique())
    }

    @Test
    void 'finish removes what was installed for steps of their own'() {
        pipeline('mlsnapBegin(); mlsnapFinish()')
        assertTrue(deleted.contains(tmp + '/mlsnap-tool/made1'))
        pipeline('mlsnapBegin()')
        assertEquals('', shells.findAll { it.text.contains('install.sh') }.last().environment.MLSNAP_TOOL_KNOWN ?: '')
    }

    private void refused(String text, Closure expected) {
        try {
            pipeline(text)
        } catch (AbortException error) {
            assertTrue(error.message, expected(error.message) as boolean)
            return
        }
        fail(text + ' was not refused')
    }
}
