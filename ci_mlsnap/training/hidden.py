"""Secrets out of the environment that the kernel shows: the same process once more, and they come by a descriptor.

`/proc/<pid>/environ` shows what a process was started with, whatever it removes later. So a command that has
secrets replaces itself, by exec, with itself under an environment that has none; its number stays the same.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from ci_mlsnap.training.environment import shows_secrets, training_environment
from ci_mlsnap.training.harden import forbid_reading_this_process

VARIABLE = "MLSNAP_HIDDEN"
"""Names the descriptor by which the rest of the environment comes."""


def hide_environment() -> None:
    """Start this program again where the kernel shows a secret in its environment; else, and afterwards, return.

    What training may have stays in the environment; all else, secrets among it, comes back with `take_back`.
    """
    if not shows_secrets(_shown()):
        return
    # Where that cannot be, this process is still closed for all but root.
    with suppress(OSError):
        forbid_reading_this_process()
        _start_again()


def take_back() -> None:
    """Put back into `os.environ` what was hidden, after closing this process for others. Raises `OSError`."""
    forbid_reading_this_process()
    descriptor = int(os.environ.pop(VARIABLE))
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        for pair in file.read().split(b"\0"):
            name, _, value = pair.partition(b"=")
            os.environb[name] = value


def _start_again() -> None:
    hidden = os.memfd_create("environment", 0)
    try:
        os.write(hidden, b"\0".join(b"=".join(pair) for pair in os.environb.items()))
        environment, _ = training_environment(os.environ, passed=(), own={VARIABLE: str(hidden)})
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)  # noqa: S606
    finally:
        os.close(hidden)


def _shown() -> dict[str, str]:
    try:
        with open("/proc/self/environ", "rb") as file:
            shown = os.fsdecode(file.read()).split("\0")
    except OSError:
        return {}
    return {name: value for name, _, value in (pair.partition("=") for pair in shown)}
