"""Which process holds something, on which machine, and the proof that it is dead."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec

_PROC = Path("/proc")


class Holder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A process that is told from every other one, also from a later one with the same number.

    `machine` is a digest of the machine's id and empty where there is none; `started` is the kernel's start
    time of the process, in clock ticks since `boot`.
    """

    host: str
    machine: str
    boot: str
    namespace: str
    pid: int
    started: int


def this_process() -> Holder:
    """Describe the process that asks."""
    pid = os.getpid()
    return Holder(
        host=os.uname().nodename,
        machine=_machine(),
        boot=_line(_PROC / "sys/kernel/random/boot_id"),
        namespace=_namespace(),
        pid=pid,
        started=_start_time(pid) or 0,
    )


def proven_dead(other: Holder, here: Holder) -> bool:
    """Tell whether it is certain that the process runs no more; False whenever it cannot be known.

    Its machine was started anew since, or on this very boot and in this process's namespace the number is free
    or belongs to a process that started at another time.
    """
    if (other.host, other.machine) != (here.host, here.machine):
        return False
    if other.boot != here.boot:
        # Without a machine id two machines of one name cannot be told apart, so a boot proves nothing.
        return bool(here.machine and here.boot and other.boot)
    return bool(here.boot) and other.namespace == here.namespace and _is_gone(other.pid, other.started)


def _is_gone(pid: int, started: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass  # it is there and another user's
    try:
        found = _start_time(pid)
    except ProcessLookupError:
        return True
    # None: /proc hides other users' processes here. It is there, and nothing more is known.
    return found is not None and found != started


def _start_time(pid: int) -> int | None:
    """Give when a process started; None when /proc does not show it. Raises `ProcessLookupError` for a zombie."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    # The command's name may hold spaces and parentheses: fields are counted from the last one.
    fields = text.rpartition(")")[2].split()
    if fields[0] in ("Z", "X"):
        raise ProcessLookupError(pid)
    return int(fields[19])


def _namespace() -> str:
    try:
        return os.readlink(_PROC / "self/ns/pid")
    except OSError:
        return ""


def _machine() -> str:
    # The id itself is meant to stay on its machine (machine-id(5)); a digest tells machines apart as well.
    found = _line(Path("/etc/machine-id"))
    return hashlib.sha256(b"mlsnap " + found.encode()).hexdigest()[:16] if found else ""


def _line(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
