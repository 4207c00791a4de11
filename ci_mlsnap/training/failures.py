"""How training ended, and the error that this is."""

from __future__ import annotations

import signal

import msgspec

from ci_mlsnap.domain.texts import duration
from ci_mlsnap.errors import (
    Cancelled,
    CommandMissing,
    LateWriter,
    MlsnapError,
    Terminated,
    TrainingFailed,
    TrainingTimeout,
)

_CANNOT_EXECUTE, _NOT_FOUND = 126, 127
_NOTHING_MADE = "no snapshot was made"


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """How training ended, after `seconds`.

    `exit_code` is what a shell would say: 128 more than the `signal` when it died of one. `tail` is the end of its
    output; `unshown` says why some of that was not shown. `leftovers` counts descendants that still ran when the
    command had ended by itself, `survivors` those that could not be ended at all.
    """

    exit_code: int
    signal: int = 0
    seconds: float
    timed_out: bool = False
    tail: bytes = b""
    unshown: str = ""
    leftovers: int = 0
    survivors: int = 0


def failure_of(trained: Trained, *, stopped: int | None) -> MlsnapError | None:
    """Give the error that this end of training is, or None. `stopped` is the signal that we got ourselves."""
    after = f"after {duration(trained.seconds)}"
    if trained.survivors:
        return LateWriter(
            f"{trained.survivors} of training's processes could not be ended",
            why="not even by SIGKILL: it waits for a disk, or belongs to another user",
            safe=_NOTHING_MADE,
            hint="find it with `ps`, end it, then run again",
        )
    if stopped:
        kind = Cancelled if stopped == signal.SIGINT else Terminated
        why = f"{signal.Signals(stopped).name} came {after}"
        return kind("training was stopped", why=why, safe=_NOTHING_MADE, hint="run again to train this commit")
    if trained.timed_out:
        return TrainingTimeout(
            f"training ran into its timeout {after}",
            why="it and all that it started were stopped",
            safe=_NOTHING_MADE,
            hint="raise train.timeout, or train less",
        )
    return _killed(trained.signal, after) if trained.signal else _ended(trained.exit_code, after)


def _ended(exit_code: int, after: str) -> TrainingFailed | None:
    if exit_code in (_CANNOT_EXECUTE, _NOT_FOUND):
        how = "found" if exit_code == _NOT_FOUND else "executed"
        return CommandMissing(
            f"training ended with code {exit_code} {after}: a command cannot be {how}",
            why="its own output above names it",
            safe=_NOTHING_MADE,
            hint="check train.command, and that PATH leads to it in the CI",
        )
    if exit_code:
        what = f"training ended with code {exit_code} {after}"
        # A shell says so of a program that was killed.
        return TrainingFailed(what, safe=_NOTHING_MADE, hint=_hint(exit_code - 128))
    return None


def _killed(number: int, after: str) -> TrainingFailed:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return TrainingFailed(f"training was killed by {name} {after}", safe=_NOTHING_MADE, hint=_hint(number))


def _hint(number: int) -> str:
    if number == signal.SIGKILL:
        return "often the kernel kills so for want of memory: see `dmesg`; give it more, or train smaller batches"
    return "its own output above says why"
