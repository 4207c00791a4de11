"""Every process that training started, also those that left its session: found, ended, reaped."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

import msgspec

from ci_mlsnap.training.harden import adopting_orphans

_PROC = Path("/proc")
_PAUSE = 0.005
_KILL_WAIT = 5.0
"""Seconds after SIGKILL: a process that waits for a disk ends only when the disk answers."""


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """A process as the kernel lists it. `started` tells it from a later one of the same number."""

    pid: int
    parent: int
    state: str
    threads: int
    started: int

    @property
    def ended(self) -> bool:
        """Tell whether only its exit status is left."""
        # Where the first thread alone has ended the kernel says Z too, while the others run on.
        return self.state in "ZX" and self.threads <= 1


class Descendants:
    """What this process starts during the block, at any depth.

    During the block this process adopts orphans, so that a daemon is still found. Whatever becomes its child then
    counts, so nothing else may be started meanwhile.
    """

    def __init__(self) -> None:
        self._before: frozenset[tuple[int, int]] = frozenset()
        self._reaped_elsewhere = 0
        self._starters: frozenset[int] = frozenset()
        self._doomed: AbstractSet[int] = frozenset()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._before = frozenset((it.pid, it.started) for it in processes() if it.parent == os.getpid())
        self._stack.enter_context(adopting_orphans())
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def reaped_elsewhere(self, pid: int, *, starters: frozenset[int] = frozenset()) -> None:
        """Leave this one's exit status to whoever started it.

        `starters` only start others and end after them: they are told to end only by SIGKILL. The last of them to
        reap counts for as long as it runs, since a list of processes can miss one that is forked meanwhile, and
        its reaper cannot.
        """
        self._reaped_elsewhere = pid
        self._starters = starters

    def alive(self) -> set[int]:
        """Give the numbers of those that run; adopted ones that ended are reaped."""
        alive, ended = self._look()
        # One that ended while we looked may have left a child behind that was not yet there to be listed.
        while ended and not alive:
            alive, ended = self._look()
        return alive

    def _look(self) -> tuple[set[int], int]:
        """Give those that run, and how many were reaped."""
        listed = {it.pid: it for it in processes()}
        children = (it for it in listed.values() if it.parent == os.getpid())
        ours = [it for it in children if (it.pid, it.started) not in self._before]
        waiting = [it.pid for it in ours if it.ended and it.pid != self._reaped_elsewhere]
        reaped = sum(map(_reap, waiting))
        found = with_descendants((it.pid for it in ours), listed)
        self._doomed = found & self._starters
        running = {pid for pid in found if not listed[pid].ended}
        return running - self._starters or running - {self._reaped_elsewhere}, reaped

    def settle(self, seconds: float) -> int:
        """Wait at most `seconds` for the last ones to end by themselves; give how many still run."""
        deadline = time.monotonic() + seconds
        while (alive := self.alive()) and time.monotonic() < deadline:
            time.sleep(_PAUSE)
        return len(alive)

    def end(self, *, first: int, grace_seconds: float) -> int:
        """Send the signal `first`, after the grace SIGKILL; give how many could not be ended."""
        return end(self.alive, first=first, grace_seconds=grace_seconds, doomed=lambda: self._doomed)

    def kill(self) -> int:
        """End all without grace; give how many could not be ended."""
        return self.end(first=signal.SIGKILL, grace_seconds=0)


def end(
    alive: Callable[[], AbstractSet[int]],
    *,
    first: int,
    grace_seconds: float,
    doomed: Callable[[], AbstractSet[int]] = frozenset,
) -> int:
    """End all that `alive` names, also those that appear meanwhile; give how many are left.

    Where that takes SIGKILL, the `doomed` get it too.
    """
    told: set[int] = set()
    left: AbstractSet[int] = alive()
    deadline = time.monotonic() + grace_seconds
    while left and time.monotonic() < deadline:
        for pid in left - told:
            _send(pid, first)
            # A stopped process acts on no signal but this.
            _send(pid, signal.SIGCONT)
        told |= left
        time.sleep(_PAUSE)
        left = alive()
    deadline = time.monotonic() + _KILL_WAIT
    while left and time.monotonic() < deadline:
        for pid in (*doomed(), *left):
            _send(pid, signal.SIGKILL)
        time.sleep(_PAUSE)
        left = alive()
    return len(left)


def end_leftovers(run_id: str, *, grace_seconds: float) -> int:
    """End what a killed run of mlsnap left running, found by the run's id in its environment; give how many.

    Never this process, nor one above it.
    """
    assert run_id, "an empty id would name every process"
    found = len(_of_run(run_id))
    end(lambda: _of_run(run_id), first=signal.SIGTERM, grace_seconds=grace_seconds)
    return found


def processes() -> Iterator[Process]:
    """Give every process that can be seen."""
    for name in os.listdir(_PROC):
        if name.isdecimal():
            try:
                text = (_PROC / name / "stat").read_bytes()
            except OSError:
                continue
            # The name in brackets is the process's own and may hold anything, brackets too.
            fields = text[text.rindex(b")") + 2 :].split()
            yield Process(
                pid=int(name),
                parent=int(fields[1]),
                state=fields[0].decode(),
                threads=int(fields[17]),
                started=int(fields[19]),
            )


def with_descendants(pids: Iterable[int], listed: Mapping[int, Process]) -> set[int]:
    """Give these processes and all below them."""
    children: dict[int, list[int]] = {}
    for process in listed.values():
        children.setdefault(process.parent, []).append(process.pid)
    found: set[int] = set()
    waiting = list(pids)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting.extend(children.get(pid, ()))
    return found


def _of_run(run_id: str) -> set[int]:
    listed = {it.pid: it for it in processes()}
    marked = (pid for pid, it in listed.items() if not it.ended and _carries(pid, run_id.encode()))
    found = with_descendants(marked, listed) - _above(os.getpid(), listed)
    return {pid for pid in found if not listed[pid].ended}


def _above(pid: int, listed: Mapping[int, Process]) -> set[int]:
    found: set[int] = set()
    while pid in listed and pid not in found:
        found.add(pid)
        pid = listed[pid].parent
    return found


def _carries(pid: int, run_id: bytes) -> bool:
    try:
        variables = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(it.startswith(b"MLSNAP_") and run_id in it.partition(b"=")[2] for it in variables)


def _reap(pid: int) -> bool:
    with suppress(ChildProcessError):
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    return False


def _send(pid: int, number: int) -> None:
    # Gone meanwhile, or another user's: whoever is left is counted by the caller.
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
