package hudson;

import java.io.IOException;

/** What a step of Jenkins throws when it fails, as Jenkins has it. */
public class AbortException extends IOException {
    private static final long serialVersionUID = 1L;

    public AbortException(String message) {
        super(message);
    }
}
