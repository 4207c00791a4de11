import org.junit.Test

import static org.junit.Assert.assertEquals
import static org.junit.Assert.assertTrue

/** The Jenkinsfiles that people copy run as they are; the directives of declarative pipelines only run their blocks. */
class ExamplesTest extends Agent {

    @Override
    void setUp() {
        super.setUp()
        credentials = [github: 'text']
        outputs = [begin: 'plan=abc\naction=train\n', conclude: 'conclusion=good\nsnapshot-path=/srv/ml/x\n']
        for (name in ['pipeline', 'agent', 'options', 'stages', 'steps', 'post', 'triggers', 'when', 'parallel', 'docker', 'always', 'cleanup']) {
            helper.registerAllowedMethod(name, [Closure]) { Closure body -> helper.callClosure(body) }
        }
        for (name in ['stage', 'node']) {
            helper.registerAllowedMethod(name, [String, Closure]) { String title, Closure body -> helper.callClosure(body) }
        }
        for (name in ['label', 'image', 'args', 'branch', 'cron']) {
            helper.registerAllowedMethod(name, [String]) { String text -> }
        }
        for (name in ['disableConcurrentBuilds', 'timeout', 'logRotator']) {
            helper.registerAllowedMethod(name, [Map]) { Map how -> how }
        }
        helper.registerAllowedMethod('buildDiscarder', [Object]) { Object how -> }
        helper.registerAllowedMethod('timestamps', []) { }
        helper.registerAllowedMethod('checkout', [Object]) { Object scm -> [GIT_COMMIT: 'e' * 40] }
        binding.setVariable('scm', 'scm')
    }

    @Test
    void 'the example trains with its credentials'() {
        pipeline(textOf('Jenkinsfile.example'))
        assertEquals(['begin', 'train', 'conclude', 'finish'], commands())
        assertEquals('canary-github', of('begin')[0].environment.MLSNAP_GITHUB_TOKEN)
    }

    @Test
    void 'the other examples call what they are for'() {
        Map expected = [
            stages: ['begin', 'train', 'conclude', 'finish'],
            scripted: ['begin', 'train', 'conclude', 'finish'],
            parallel: ['begin', 'train', 'conclude', 'finish'] * 2 + ['publish'],
            docker: ['begin', 'train', 'conclude', 'finish'],
            'pull-requests': ['begin', 'train', 'conclude', 'finish', 'promote'],
            nightly: ['begin', 'train', 'conclude', 'finish'],
            prune: ['prune'],
        ]
        for (one in expected) {
            shells.clear()
            pipeline(textOf('examples/jenkins/' + one.key + '.Jenkinsfile'))
            assertEquals(one.key, one.value, commands())
        }
    }

    @Test
    void 'the scripted example says which commit was checked out'() {
        pipeline(textOf('examples/jenkins/scripted.Jenkinsfile'))
        assertEquals('e' * 40, of('begin')[0].environment.GIT_COMMIT)
        assertTrue(of('begin')[0].environment.MLSNAP_INPUT_TRAIN.startsWith('["python", '))
    }

    private String textOf(String name) {
        return new File(System.getProperty('library') + '/../' + name).getText('UTF-8')
    }
}
