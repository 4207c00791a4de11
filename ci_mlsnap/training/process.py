"""The training command: started, watched, and ended with everything that it started."""

from __future__ import annotations

import math
import select
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from ci_mlsnap.training.child import Child
from ci_mlsnap.training.descendants import Descendants, end_leftovers
from ci_mlsnap.training.failures import Trained, failure_of
from ci_mlsnap.training.output import Output
from ci_mlsnap.training.signals import StopSignal

__all__ = ["Trained", "end_leftovers", "failure_of", "run_training"]

_TURN_SECONDS = 3600.0
"""How long is slept at most; what is waited for wakes us before."""


def run_training(
    command: Sequence[str] | str,
    *,
    folder: Path,
    environment: Mapping[str, str],
    timeout: float | None,
    sink: BinaryIO,
    stop: StopSignal,
    heartbeat: Callable[[float], None] | None = None,
    heartbeat_seconds: float = 60.0,
    grace_seconds: float = 3.0,
    settle_seconds: float = 0.5,
    own_signal_wait: float = 0.0,
    tail_bytes: int = 65536,
    namespace: bool = False,
) -> Trained:
    """Run the command to its end, to the timeout or to a stop; then no process that it started runs any more.

    A list is executed, a text goes to `/bin/sh -c`; in a `namespace` it sees no processes but its own. `heartbeat`
    is called with the seconds since the start. `own_signal_wait` is for Jenkins, which signals children before us:
    so long a death by SIGTERM waits for our own signal. Raises `CommandMissing` or `TrainingFailed` when it cannot
    be started. Times in seconds.
    """
    began = time.monotonic()
    with (
        Descendants() as descendants,
        Output(sink, tail_bytes=tail_bytes) as output,
        Child(command, folder, environment, output=output.fileno(), namespace=namespace) as child,
        stop.at_once(descendants.kill),
    ):
        descendants.reaped_elsewhere(child.pid, starters=child.starters)
        leftovers = survivors = 0
        try:
            timed_out = _watch(child, stop, timeout, heartbeat, heartbeat_seconds)
            if not (timed_out or stop.received):
                leftovers = descendants.settle(settle_seconds)
        finally:
            first = stop.received or signal.SIGTERM
            survivors = descendants.end(first=first, grace_seconds=grace_seconds)
        seconds = time.monotonic() - began
        if child.exit_code == 128 + signal.SIGTERM and not timed_out:
            stop.wait(own_signal_wait)
    return Trained(
        exit_code=child.exit_code,
        signal=child.signal,
        seconds=seconds,
        timed_out=timed_out,
        tail=output.tail,
        unshown=output.unshown,
        leftovers=leftovers,
        survivors=survivors,
    )


def _watch(
    child: Child,
    stop: StopSignal,
    timeout: float | None,
    heartbeat: Callable[[float], None] | None,
    heartbeat_seconds: float,
) -> bool:
    """Wait for the child's end or a stop; tell whether the timeout came first."""
    began = time.monotonic()
    deadline = began + timeout if timeout is not None else math.inf
    beat = began + heartbeat_seconds if heartbeat else math.inf
    poll = select.poll()
    poll.register(child.fileno(), select.POLLIN)
    poll.register(stop.fileno(), select.POLLIN)
    ended = False
    while not ended and not stop.received:
        now = time.monotonic()
        if now >= deadline:
            return True
        if heartbeat and now >= beat:
            heartbeat(now - began)
            beat = now + heartbeat_seconds
        wait = min(deadline, beat, now + _TURN_SECONDS) - now
        ended = child.fileno() in dict(poll.poll(math.ceil(wait * 1000)))
    return False
