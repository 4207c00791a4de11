import org.junit.Test

import static org.junit.Assert.assertEquals
import static org.junit.Assert.assertTrue

/** The classes of `src/`, which call no step. */
class PureTest extends Agent {

    @Test
    void 'outputs are read back exactly'() {
        assertEquals([a: '1', b: 'x=y\nz\r %0A \u00fc', c: ''],
            pipeline('return org.mlsnap.Answers.parsed("""a=1\nb=x=y%0Az%0D %250A \u00fc\nc=\nnonsense\n""")'))
        assertEquals([:], pipeline("return org.mlsnap.Answers.parsed('')"))
    }

    @Test
    void 'a description is cut and has no control characters'() {
        String long_ = pipeline("return org.mlsnap.Answers.described('', 'x' * 1000)")
        assertEquals(201, long_.length())
        assertEquals('a b \u2039', pipeline("return org.mlsnap.Answers.described(null, 'a\\u001bb\\n<')").replace('  ', ' '))
    }

    @Test
    void 'names become those of environment variables in every language'() {
        Locale before = Locale.default
        Locale.default = new Locale('tr', 'TR')
        try {
            assertEquals('MLSNAP_INPUT_ONTAP_FINGERPRINT', pipeline("return org.mlsnap.Arguments.variable('ontapFingerprint')"))
            assertEquals('MLSNAP_SHA', pipeline("return org.mlsnap.Arguments.variable('sha')"))
        } finally {
            Locale.default = before
        }
    }

    @Test
    void 'classes and results can be saved by the controller'() {
        for (name in ['Answers', 'Arguments', 'Defaults', 'Step']) {
            assertTrue(name, Serializable.isAssignableFrom(pipeline("return org.mlsnap." + name) as Class))
        }
        def bytes = new ByteArrayOutputStream()
        new ObjectOutputStream(bytes).writeObject(pipeline("return org.mlsnap.Answers.parsed('a=1')"))
        assertTrue(bytes.size() > 0)
    }
}
