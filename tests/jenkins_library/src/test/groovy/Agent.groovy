import com.lesfurets.jenkins.unit.BasePipelineTest
import com.lesfurets.jenkins.unit.PipelineTestHelper
import com.lesfurets.jenkins.unit.cps.PipelineTestHelperCPS
import com.lesfurets.jenkins.unit.global.lib.SourceRetriever
import hudson.AbortException
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException
import java.nio.file.Files
import org.junit.AfterClass
import org.junit.Before

import static com.lesfurets.jenkins.unit.global.lib.LibraryConfiguration.library

/** An agent with files and an environment, and the steps of Jenkins that the library calls. */
abstract class Agent extends BasePipelineTest {

    String tmp = '/agent/workspace/a b@tmp'

    /** A call of `sh`: the text, and the environment it had. */
    static class Shell {
        String text
        Map environment
        boolean status
    }

    List<Shell> shells = []
    Map<String, String> files = [:]
    List<String> deleted = []
    List<Map> unstable = []
    List<Map> archived = []
    List<Map> tests = []
    List<String> stageResults = []
    /** How each command of mlsnap ends: a number, an exception, or a closure that is called; 0 when not given. */
    Map<String, Object> ends = [:]
    /** What each command writes into the file of outputs. */
    Map<String, String> outputs = [:]
    /** The kind of each credential that there is: `login` or `text`. */
    Map<String, String> credentials = [:]
    boolean isUnix = true
    boolean runIsOpen = true
    int installations = 0

    static final Map READY = [:]
    static final File SCRIPTS = Files.createTempDirectory('jenkinsfiles').toFile()
    static int texts = 0

    final List<String> folders = []

    /** Whether the library runs in the form that Jenkins runs: it can stop at each step, be saved, and go on. */
    boolean isContinued() {
        return false
    }

    @Override
    @Before
    void setUp() {
        Map ready = READY[continued]
        if (ready) {
            helper = ready.helper
            binding = ready.binding
        } else {
            READY[continued] = [helper: loaded(), binding: binding]
        }
        helper.clearCallStack()
        prepare()
    }

    /** Compiles the library, which takes longer than all tests together: once for each form. */
    PipelineTestHelper loaded() {
        helper = continued ? new PipelineTestHelperCPS() : new PipelineTestHelper()
        baseScriptRoot = ''
        scriptRoots = [SCRIPTS.path] as String[]
        scriptExtension = ''
        super.setUp()
        String path = System.getProperty('library')
        helper.registerSharedLibrary(library()
            .name('mlsnap').defaultVersion('v1').allowOverride(true).implicit(true).targetPath('unused')
            .retriever({ String repository, String branch, String target -> [new File(path).toURI().toURL()] } as SourceRetriever)
            .build())
        return helper
    }

    void prepare() {
        binding.setVariable('env', [WORKSPACE_TMP: tmp, NODE_NAME: 'ml-' + texts, BRANCH_NAME: 'main'])
        binding.setVariable('currentBuild', [description: null])
        registerSteps()
    }

    @AfterClass
    static void removeScripts() {
        SCRIPTS.listFiles().each { it.delete() }
    }

    /** Runs a text as a Jenkinsfile, and gives its value. */
    Object pipeline(String text) {
        String name = 'Jenkinsfile' + texts++
        new File(SCRIPTS, name).text = text
        return runScript(name)
    }

    /** The shells that called a command of mlsnap. */
    List<Shell> of(String command) {
        return shells.findAll { it.text == 'exec "$MLSNAP" ' + command }
    }

    List<String> commands() {
        return shells.findAll { it.text.startsWith('exec "$MLSNAP" ') }.collect { it.text - 'exec "$MLSNAP" ' }
    }

    Map getEnvironment() {
        return binding.getVariable('env')
    }

    void registerSteps() {
        helper.registerAllowedMethod('sh', [Map]) { Map how -> this.shell(how) }
        helper.registerAllowedMethod('isUnix', []) { isUnix }
        helper.registerAllowedMethod('libraryResource', [String]) { String name ->
            assert new File(System.getProperty('library') + '/resources/' + name).isFile()
            return 'the text of ' + name
        }
        helper.registerAllowedMethod('writeFile', [Map]) { Map how -> files[how.file] = how.text }
        helper.registerAllowedMethod('readFile', [Map]) { Map how -> files[how.file] }
        helper.registerAllowedMethod('fileExists', [String]) { String name -> files.containsKey(name) }
        helper.registerAllowedMethod('dir', [String, Closure]) { String folder, Closure body ->
            folders << folder
            try { helper.callClosure(body) } finally { folders.pop() }
        }
        helper.registerAllowedMethod('deleteDir', []) {
            String folder = folders.last()
            deleted << folder
            files.keySet().removeAll { it.startsWith(folder + '/') }
        }
        helper.registerAllowedMethod('withEnv', [List, Closure]) { List given, Closure body -> this.within(this.variables(given), body) }
        helper.registerAllowedMethod('usernamePassword', [Map]) { Map how -> [kind: 'login'] + how }
        helper.registerAllowedMethod('string', [Map]) { Map how -> [kind: 'text'] + how }
        helper.registerAllowedMethod('withCredentials', [List, Closure]) { List asked, Closure body -> this.within(this.secrets(asked), body) }
        helper.registerAllowedMethod('error', [String]) { String text -> throw new AbortException(text) }
        helper.registerAllowedMethod('echo', [String]) { String text -> }
        helper.registerAllowedMethod('unstable', [String]) { String text -> unstable << [message: text] }
        helper.registerAllowedMethod('archiveArtifacts', [Map]) { Map how -> archived << ([in: folders.last()] + how) }
        helper.registerAllowedMethod('junit', [Map]) { Map how -> tests << ([in: folders.last()] + how) }
        helper.registerAllowedMethod('catchError', [Map, Closure]) { Map how, Closure body -> this.caught(how, body) }
    }

    Map variables(List given) {
        return given.collectEntries { String pair ->
            int at = pair.indexOf('=')
            [(pair.substring(0, at)): pair.substring(at + 1)]
        }
    }

    Map secrets(List asked) {
        Map bound = [:]
        for (one in asked) {
            if (credentials[one.credentialsId] != one.kind) {
                throw new AbortException("Credentials '${one.credentialsId}' is of another type")
            }
            if (one.kind == 'login') {
                bound += [(one.usernameVariable): 'robot', (one.passwordVariable): 'canary-' + one.credentialsId]
            } else {
                bound += [(one.variable): 'canary-' + one.credentialsId]
            }
        }
        return bound
    }

    /** An empty value unsets a variable, as it does on Jenkins. */
    Object within(Map more, Closure body) {
        Map before = new HashMap(environment)
        environment.putAll(more)
        environment.keySet().removeAll(more.findAll { it.value == '' }.keySet())
        try {
            return helper.callClosure(body)
        } finally {
            environment.clear()
            environment.putAll(before)
        }
    }

    Object caught(Map how, Closure body) {
        try {
            return helper.callClosure(body)
        } catch (FlowInterruptedException interrupted) {
            if (how.catchInterruptions == false) {
                throw interrupted
            }
        } catch (Exception error) {
            stageResults << how.stageResult
        }
        return null
    }

    Object shell(Map how) {
        shells << new Shell(text: how.script, environment: new HashMap(environment), status: how.returnStatus as boolean)
        if (how.script.contains('install.sh')) {
            return environment.MLSNAP_TOOL_KNOWN ?: 'digest' + ++installations + ' ' + environment.MLSNAP_TOOL + '/made' + installations + '\n'
        }
        if (how.script.startsWith('exec ls')) {
            return runIsOpen ? 0 : 2
        }
        String command = how.script - 'exec "$MLSNAP" '
        if (outputs[command]) {
            files[environment.MLSNAP_OUTPUT] = outputs[command]
        }
        return ended(ends[command] ?: 0)
    }

    Object ended(Object end) {
        if (end instanceof Throwable) {
            throw end
        }
        return end
    }
}
