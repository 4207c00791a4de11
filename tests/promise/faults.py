"""Faults that strike at one point of a process: it is killed, a call fails, the power goes, a signal comes.

A point is the number of an effect: a call that changes something, counted over all threads of the process.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import re
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from tests.promise.syscalls import Call, Kind, Listener, be_watched

HANGS = 60.0
"""Seconds after which a process is taken as hanging and killed; none needs so long when all is well."""

Cut = Literal["nothing", "names", "image"]
"""What is on the disk after the power went: of what was not made durable `nothing`; the `names` but not the
content, as a file system leaves it whose log was written and whose data was not; or what the `image` holds."""

_SPACE: frozenset[Kind] = frozenset(("write", "make", "name", "sync", "ioctl"))
_ALL: frozenset[Kind] = frozenset((*_SPACE, "open", "remove", "facts"))
FAILING: dict[str, frozenset[Kind]] = {"ENOSPC": _SPACE, "EDQUOT": _SPACE, "EIO": _ALL, "EROFS": _ALL}
"""Which calls can fail so."""

_SHUTDOWN = 0x8004587D
"""XFS_IOC_GOINGDOWN, which ext4 knows by the same number."""
_LOG_FLUSHED, _LOG_LOST = 1, 2


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What happens at effect number `at`, counted from 1; at 0 nothing does.

    An `error` that is `sticky` is that of all calls from there on. `signals` are pairs of seconds after the point
    and the signal's number. A cut needs the `disk`: the mounted folder, and for an image where it is and goes.
    What is made durable and matches `forgotten` is not: so a driver would be that forgets it.
    """

    at: int = 0
    kind: Literal["none", "kill", "error", "cut", "signal"] = "none"
    error: str = ""
    sticky: bool = False
    signals: tuple[tuple[float, int], ...] = ()
    cut: Cut = "nothing"
    disk: tuple[str, ...] = ()
    forgotten: str = ""

    def told(self) -> dict[str, Any]:
        """Give it as JSON can carry it."""
        return asdict(self)


@dataclass(kw_only=True)
class Outcome:
    """How a watched process ended, the effects it had, what it said, and whether the fault struck."""

    code: int = 0
    effects: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    struck: bool = False
    first: int = 0
    """The number of the effect at which the fault struck first."""
    hung: bool = False

    def points(self, error: str) -> list[int]:
        """Give the effects that can fail with this error."""
        return [
            number
            for number, effect in enumerate(self.effects, start=1)
            if effect.partition(":")[0] in FAILING[error]
        ]


Work = Callable[[Callable[[str], None]], int]
"""What a watched process does: it is given a way to say things, and gives its exit code."""


def strike(work: Work, fault: Fault, *, durable: bool, report: int) -> None:
    """Do the work in a watched child, have the fault strike, write the outcome to `report`; serve what is left.

    Unless all is to be `durable`, what asks for that is told that it is: only a power cut tells the difference.
    Processes that the work started outlive it, as they do elsewhere, and wait for answers: whoever calls this is a
    process of its own, which ends with the last of them.
    """
    if fault.kind == "cut":
        _prctl(36, 1)  # the power goes for descendants too, so they must be known
    ours, theirs = socket.socketpair()
    heard, saying = os.pipe()
    child = os.fork()
    if child == 0:
        ours.close()
        os.close(heard)
        os.close(report)
        os._exit(_be_struck(work, theirs, saying))
    theirs.close()
    os.close(saying)
    _, descriptors, _, _ = socket.recv_fds(ours, 8, 1)
    listener = Listener(descriptors[0], child)
    strikes = _Strikes(child=child, listener=listener, fault=fault, durable=durable)
    outcome = strikes.serve()
    with os.fdopen(heard, "rb") as stream:
        os.set_blocking(heard, False)
        outcome.said = (stream.read() or b"").decode().splitlines()
    with os.fdopen(report, "w") as answer:
        answer.write(json.dumps(asdict(outcome)) + "\n")
    strikes.serve_others()


def _be_struck(work: Work, theirs: socket.socket, saying: int) -> int:
    listener = be_watched()
    socket.send_fds(theirs, [b"here"], [listener])
    os.close(listener)
    theirs.close()
    return work(lambda text: _say(saying, text))


def _say(saying: int, text: str) -> None:
    os.write(saying, text.encode() + b"\n")


@dataclass(kw_only=True)
class _Strikes:
    child: int
    listener: Listener
    fault: Fault
    durable: bool
    outcome: Outcome = field(default_factory=Outcome)
    _due: list[tuple[float, int]] = field(default_factory=list)

    def serve(self) -> Outcome:
        """Answer until the child has ended."""
        poll = select.poll()
        ended = os.pidfd_open(self.child)
        poll.register(self.listener, select.POLLIN)
        poll.register(ended, select.POLLIN)
        deadline = time.monotonic() + HANGS
        while True:
            next_due = min((at for at, _ in self._due), default=deadline)
            ready = dict(poll.poll(max(0.0, min(deadline, next_due) - time.monotonic()) * 1000))
            if ended in ready:
                break
            if ready:
                self._take()
            self._signal_what_is_due()
            if time.monotonic() > deadline:
                self.outcome.hung = True
                os.kill(self.child, signal.SIGKILL)
        os.close(ended)
        _, status = os.waitpid(self.child, 0)
        self.outcome.code = os.waitstatus_to_exitcode(status)
        if self.fault.kind == "cut":
            if not self.outcome.struck:
                cut_power(self.fault.cut, self.fault.disk)  # at the latest when all was said
            self._end_descendants()
        return self.outcome

    def serve_others(self) -> None:
        """Answer to the processes that are left, until there are none."""
        poll = select.poll()
        poll.register(self.listener, select.POLLIN)
        while not dict(poll.poll())[self.listener.fileno()] & select.POLLHUP:
            if call := self.listener.next():
                self.listener.do(call.id)

    def _take(self) -> None:
        call = self.listener.next()
        if call is None:
            return
        if call.stateless:
            self.listener.do(call.id)
            return
        self.outcome.effects.append(f"{call.kind}: {call}"[:600])
        if self._strikes_at(call):
            self.outcome.struck = True
            self.outcome.first = self.outcome.first or len(self.outcome.effects)
            self._strike(call)
        else:
            self._go_on(call)

    def _strikes_at(self, call: Call) -> bool:
        number, fault = len(self.outcome.effects), self.fault
        if fault.kind == "none" or not fault.at or number < fault.at:
            return False
        if fault.kind == "error":
            return call.kind in FAILING[fault.error] and (fault.sticky or not self.outcome.struck)
        return number == fault.at

    def _strike(self, call: Call) -> None:
        match self.fault.kind:
            case "error":
                self.listener.refuse(call.id, getattr(errno, self.fault.error))
            case "kill":
                os.kill(self.child, signal.SIGKILL)
            case "cut":
                cut_power(self.fault.cut, self.fault.disk)
                os.kill(self.child, signal.SIGKILL)
            case "signal":
                now = time.monotonic()
                self._due = [(now + after, number) for after, number in self.fault.signals]
                self._signal_what_is_due()
                self._go_on(call)
            case "none":
                raise AssertionError("nothing strikes")

    def _go_on(self, call: Call) -> None:
        forgotten = self.fault.forgotten and re.search(self.fault.forgotten, str(call))
        if call.kind == "sync" and (forgotten or not self.durable):
            self.listener.pretend(call.id)
        else:
            self.listener.do(call.id)

    def _signal_what_is_due(self) -> None:
        now = time.monotonic()
        for at, number in [due for due in self._due if due[0] <= now]:
            self._due.remove((at, number))
            os.kill(self.child, number)

    def _end_descendants(self) -> None:
        """Kill all that the child left: they are ours by now."""
        while True:
            children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
            if not children:
                return
            for child in map(int, children):
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(-1, 0)


# -- power ---------------------------------------------------------------------------------------------


def cut_power(cut: Cut, disk: tuple[str, ...]) -> None:
    """Let nothing more reach the disk."""
    if cut == "image":
        copy_sparse(Path(disk[1]), Path(disk[2]))
        return
    folder = os.open(disk[0], os.O_RDONLY)
    try:
        fcntl.ioctl(folder, _SHUTDOWN, struct.pack("I", _LOG_FLUSHED if cut == "names" else _LOG_LOST))
    finally:
        os.close(folder)


def copy_sparse(source: Path, destination: Path) -> None:
    """Copy a file, holes as holes."""
    with source.open("rb") as one, destination.open("wb") as other:
        size = os.fstat(one.fileno()).st_size
        os.truncate(other.fileno(), size)
        position = 0
        while position < size:
            try:
                start = os.lseek(one.fileno(), position, os.SEEK_DATA)
            except OSError:  # only a hole is left
                return
            end = os.lseek(one.fileno(), start, os.SEEK_HOLE)
            os.lseek(other.fileno(), start, os.SEEK_SET)
            while start < end:
                start += os.sendfile(other.fileno(), one.fileno(), start, end - start)
            position = end


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(ctypes.c_int(option), *(ctypes.c_ulong(number) for number in (value, 0, 0, 0)))


def struck_alone(work: Work, fault: Fault, *, durable: bool) -> Outcome:
    """Do the work in a process of its own that a fault strikes, and give the outcome."""
    readable, writable = os.pipe()
    supervisor = os.fork()
    if supervisor == 0:
        code = 1
        try:
            os.close(readable)
            strike(work, fault, durable=durable, report=writable)
            code = 0
        except BaseException:  # noqa: BLE001 - the forked process must end here whatever happened in it
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)
    os.close(writable)
    with os.fdopen(readable) as answer:
        line = answer.readline()
    assert line, "the supervisor ended without an outcome"
    return Outcome(**json.loads(line))
