"""Starts one command where it sees no processes but its own: in new PID and mount namespaces, with own `/proc`.

It is started by its path, with `-I -S`, so it imports nothing but the standard library. Its arguments are a
descriptor and the command; what happens goes to that descriptor as reports of nine bytes. Without arguments it
only tries, and ends with 0 where all of it works, else with the kernel's errno.

Three processes: this one waits outside; its child is number 1 inside, without which there is no such namespace,
and reaps until all have ended; the grandchild becomes the command. When number 1 is killed, the kernel kills the
rest.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

REPORT = struct.Struct("<cq")
"""What happened, and a number."""
INIT, RUNNING, ENDED = b"i", b"r", b"e"
"""Number 1 was made, with this number outside; the command runs; the command ended, with this wait status."""
NO_COMMAND, NO_NAMESPACE = b"c", b"n"
"""The command cannot be executed, the namespace cannot be made: with this errno."""

_NEW_MOUNTS, _NEW_USER, _NEW_PROCESSES = 0x20000, 0x10000000, 0x20000000
_NOSUID, _NODEV, _NOEXEC, _READ_ONLY = 2, 4, 8, 1
_REMOUNT, _BIND, _RECURSIVE, _FOLLOW_HOST = 32, 4096, 16384, 1 << 19
_DUMPABLE, _DROP_CAPABILITY, _NO_NEW_PRIVILEGES = 4, 24, 38
_CAPABILITIES_VERSION = 0x20080522
_CAPABILITIES_AT_MOST = 64
# Of root's: to own, read and change files, to become another user, to signal, to open low ports, to lock memory,
# to set priorities. Not: to trace, to mount, to make devices, to load modules, to read the kernel's memory.
_KEPT = sum(1 << number for number in (0, 1, 3, 4, 5, 6, 7, 10, 14, 23))
_OCTAL = re.compile(rb"\\([0-7]{3})")

_libc = ctypes.CDLL(None, use_errno=True)


def main(arguments: Sequence[str]) -> int:
    """Report to the descriptor that the first argument names how the command of the others goes."""
    if not arguments:
        return _tried()
    report = int(arguments[0])
    os.set_inheritable(report, False)  # noqa: FBT003 - the standard library takes it in no other way
    # The interpreter may have added to its environment; the command gets what we were given.
    with open("/proc/self/environ", "rb") as file:
        environment = dict(it.split(b"=", 1) for it in file.read().split(b"\0") if b"=" in it)
    try:
        _unshare()
    except OSError as error:
        return _tell(report, NO_NAMESPACE, error.errno or 0)
    held, go = os.pipe()
    init = os.fork()
    if init == 0:
        os.close(go)
        os.read(held, 1)
        os.close(held)
        _be_init(report, arguments[1:], environment)
    # Whoever signals all that a build left running means the command; we end when it has.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _tell(report, INIT, init)
    os.close(report)
    os.close(go)
    os.waitpid(init, 0)
    return 0


def _tried() -> int:
    try:
        _unshare()
        init = os.fork()
        if init:
            return os.waitstatus_to_exitcode(os.waitpid(init, 0)[1])
        _enter()
    except OSError as error:
        return error.errno or 1
    return 0


def _unshare() -> None:
    """Let the next child be number 1 of new namespaces; an ordinary user needs one of users for that."""
    _prctl(_NO_NEW_PRIVILEGES, 1)
    user, group = os.geteuid(), os.getegid()
    wanted = _NEW_MOUNTS | _NEW_PROCESSES
    if _libc.unshare(wanted) == 0:
        return
    _done(_libc.unshare(wanted | _NEW_USER))
    # Everybody is who they were. Only one's own numbers may be mapped, and groups then may not be changed.
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _enter() -> None:
    """As number 1: put the namespace's own `/proc` over each that shows the whole machine, and lose rights."""
    # What the machine mounts later, an automounter above all, is still seen here; nothing goes the other way.
    _mount(None, b"/", None, _FOLLOW_HOST | _RECURSIVE)
    for place in _proc_mounts():
        _mount(b"proc", place, b"proc", _NOSUID | _NODEV | _NOEXEC)
    if os.readlink("/proc/self") != "1":
        raise OSError(1, "this is another namespace's /proc")
    # The settings of the kernel belong to user 0, rights or not; one of them names a program that it starts.
    _mount(b"/proc/sys", b"/proc/sys", None, _BIND)
    _mount(None, b"/proc/sys", None, _REMOUNT | _BIND | _READ_ONLY | _NOSUID | _NODEV | _NOEXEC)
    _drop_capabilities()


def _be_init(report: int, command: Sequence[str], environment: dict[bytes, bytes]) -> NoReturn:
    try:
        _enter()
    except OSError as error:
        os._exit(_tell(report, NO_NAMESPACE, error.errno or 0))
    # The command is of the same user; without this it could open our descriptors, and report what did not happen.
    _prctl(_DUMPABLE, 0)
    failed, fails = os.pipe()
    child = os.fork()
    if child == 0:
        _become(command, environment, fails)
    os.close(fails)
    number = os.read(failed, 16)
    _tell(report, NO_COMMAND if number else RUNNING, int(number or 0))
    with suppress(ChildProcessError):
        while True:
            pid, status = os.wait()
            if pid == child and not number:
                _tell(report, ENDED, status)
    os._exit(0)


def _become(command: Sequence[str], environment: dict[bytes, bytes], fails: int) -> NoReturn:
    # What this interpreter ignores, the command must not.
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored, signal.SIG_DFL)
    try:
        os.setsid()
        os.execvpe(command[0], list(command), environment)  # noqa: S606 - no shell is wanted
    except OSError as error:
        os.write(fails, str(error.errno).encode())
    os._exit(127)


def _proc_mounts() -> list[bytes]:
    """Give where a `/proc` is mounted, without what is mounted below one."""
    with open("/proc/self/mountinfo", "rb") as file:
        rows = [line.split(b" - ", 1) for line in file.read().splitlines()]
    places = {
        _OCTAL.sub(lambda found: bytes((int(found[1], 8),)), left.split()[4])
        for left, right in rows
        if right.split()[0] == b"proc"
    }
    return [it for it in sorted(places) if not any(it.startswith(other + b"/") for other in places)]


def _drop_capabilities() -> None:
    """Keep the harmless part of root's rights, also over an exec; anybody else has none afterwards."""
    kept = _KEPT if os.geteuid() == 0 else 0
    for number in range(_CAPABILITIES_AT_MOST):
        # Beyond the last one that this kernel knows it answers EINVAL.
        if not kept >> number & 1 and _libc.prctl(_DROP_CAPABILITY, number, 0, 0, 0) and ctypes.get_errno() != 22:
            raise OSError(ctypes.get_errno(), "a capability cannot be dropped")
    header = struct.pack("<Ii", _CAPABILITIES_VERSION, 0)
    now = ctypes.create_string_buffer(24)
    _done(_libc.capget(header, now))
    # Twice effective, permitted, inheritable: the lower and the upper half of the set.
    halves = (kept & 0xFFFFFFFF,) * 3 + (kept >> 32,) * 3
    words = [word & half for word, half in zip(struct.unpack("<6I", now), halves, strict=True)]
    _done(_libc.capset(header, struct.pack("<6I", *words)))


def _mount(source: bytes | None, place: bytes, kind: bytes | None, flags: int) -> None:
    _done(_libc.mount(source, place, kind, ctypes.c_ulong(flags), None))


def _prctl(option: int, value: int) -> None:
    _done(_libc.prctl(option, *(ctypes.c_ulong(it) for it in (value, 0, 0, 0))))


def _done(answer: int) -> None:
    if answer:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _tell(report: int, what: bytes, number: int) -> int:
    os.write(report, REPORT.pack(what, number))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
