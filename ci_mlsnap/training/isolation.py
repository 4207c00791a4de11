"""How far training is kept from this process and its secrets, and what is refused where that is not far enough."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from ci_mlsnap.errors import TrainingUnisolated
from ci_mlsnap.training.environment import own_secrets
from ci_mlsnap.training.harden import forbid_reading_this_process

_STARTER = Path(__file__).with_name("namespace.py")
_TRIAL_SECONDS = 10.0


class Isolation(StrEnum):
    """What stands between training and our secrets."""

    NAMESPACE = "own process namespace"
    """Training sees no process but its own."""
    CLOSED = "non-dumpable parent"
    """Training sees the processes of this user, and cannot read this one."""
    NONE = "none"


def choose_isolation(environ: Mapping[str, str], *, trusted: bool) -> Isolation | None:
    """Give the strongest isolation that works here; None without secrets of ours, which need none.

    From here on nobody but root can read this process. Who says that training is `trusted` wants no other
    isolation. Raises `TrainingUnisolated` where what is left would not keep training out.
    """
    secrets = own_secrets(environ)
    if not secrets:
        return None
    closed = _is_closed()
    if trusted:
        return Isolation.NONE
    why = why_no_namespace()
    if not why:
        return Isolation.NAMESPACE
    if not closed or os.geteuid() == 0:
        raise TrainingUnisolated(
            f"training could read mlsnap's secrets ({', '.join(secrets)}) in this process",
            why=f"{'root may read every process' if closed else 'it cannot be closed'}, and {why}",
            safe="nothing was run, and no status was posted",
            hint="give secrets to `mlsnap begin` and `conclude` only, best in a job without `train`,\n"
            "or run as an ordinary user; --trust-training runs it as it is",
        )
    return Isolation.CLOSED


def why_no_namespace() -> str:
    """Say why training can have no process namespace of its own, found out by trying; empty when it can."""
    try:
        done = subprocess.run(
            starter(), env={}, cwd="/", stdin=subprocess.DEVNULL, timeout=_TRIAL_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"a process namespace cannot be tried: {type(error).__name__}"
    number = done.returncode
    return f"the kernel grants no process namespace: {os.strerror(number)}" if number > 0 else ""


def starter() -> list[str]:
    """Give the command that starts the command after it in a namespace, see `training.namespace`."""
    return [sys.executable, "-I", "-S", str(_STARTER)]


def _is_closed() -> bool:
    try:
        forbid_reading_this_process()
    except OSError:
        return False
    return True
