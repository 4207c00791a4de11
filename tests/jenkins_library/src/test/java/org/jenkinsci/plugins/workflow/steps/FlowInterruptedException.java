package org.jenkinsci.plugins.workflow.steps;

/** What `sh` throws when the build is aborted, also with `returnStatus`, as Jenkins has it. */
public class FlowInterruptedException extends InterruptedException {
    private static final long serialVersionUID = 1L;
}
