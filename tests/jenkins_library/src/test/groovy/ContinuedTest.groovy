import hudson.AbortException
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException
import org.junit.Test

import static org.junit.Assert.assertEquals
import static org.junit.Assert.assertTrue
import static org.junit.Assert.fail

/** Each step in the form that Jenkins runs, where all that is alive at a call must be such that it can be saved. */
class ContinuedTest extends Agent {

    @Override
    boolean isContinued() {
        return true
    }

    @Override
    void setUp() {
        super.setUp()
        credentials = [github: 'text', ontap: 'login']
        outputs = [begin: 'plan=abc\naction=train\n', conclude: 'conclusion=good\ndescription=mlsnap ab12cd3\n']
    }

    @Test
    void 'mlsnap runs its phases with and without secrets'() {
        def answers = pipeline("return mlsnap(train: ['python', 'train.py'], credentialsId: 'github', storageCredentialsId: 'ontap')")
        assertEquals('good', answers.conclusion)
        assertEquals(['begin', 'train', 'conclude', 'finish'], commands())
        assertEquals('canary-github', of('conclude')[0].environment.MLSNAP_GITHUB_TOKEN)
        assertEquals('canary-ontap', of('conclude')[0].environment.MLSNAP_ONTAP_PASSWORD)
        assertTrue(!of('train')[0].environment.toString().contains('canary'))
        assertEquals('mlsnap ab12cd3', binding.getVariable('currentBuild').description)
        assertEquals([:], files)
    }

    @Test
    void 'an abort passes on after finish'() {
        ends = [train: new FlowInterruptedException()]
        try {
            pipeline("mlsnap(credentialsId: 'github')")
            fail('the abort was swallowed')
        } catch (FlowInterruptedException expected) {
            assertEquals(['begin', 'train', 'finish'], commands())
        }
    }

    @Test
    void 'training that failed is the error of the build'() {
        ends = [train: 10, conclude: 10]
        try {
            pipeline('mlsnap()')
            fail('the error was swallowed')
        } catch (AbortException error) {
            assertTrue(error.message, error.message.contains('exit code 10'))
        }
        assertEquals(['begin', 'train', 'conclude', 'finish'], commands())
    }

    @Test
    void 'a missed gate and a status that waits are no errors'() {
        ends = [conclude: 12]
        pipeline('mlsnapConclude()')
        ends = [conclude: 30]
        pipeline('mlsnapConclude()')
        assertEquals(1, unstable.size())
        assertEquals(['UNSTABLE'], stageResults)
    }

    @Test
    void 'steps of their own run one after the other'() {
        pipeline("""
            def begun = mlsnapBegin(credentialsId: 'ontap')
            mlsnapTrain(plan: begun.plan)
            mlsnapConclude(plan: begun.plan)
            mlsnapFinish()
        """)
        assertEquals('abc', of('conclude')[0].environment.MLSNAP_INPUT_PLAN)
        assertEquals(1, installations)
    }

    @Test
    void 'steps on versions that are there run too'() {
        pipeline("""
            mlsnapRestore(to: 'copy')
            mlsnapCompare(before: 'main')
            mlsnapPromote(channel: 'production')
            mlsnapPrune(dryRun: true)
            mlsnapReport(rollUp: true)
        """)
        assertEquals(['restore', 'diff --md', 'promote', 'prune', 'publish'], commands())
        assertEquals('HEAD', of('promote')[0].environment.MLSNAP_INPUT_REVISION)
    }
}
