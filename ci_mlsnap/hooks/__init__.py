"""What git calls after it moved the work tree: a shell script, and a small process that never waits long."""
