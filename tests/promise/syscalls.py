"""Watches every system call by which a process changes something, and decides what comes of each.

The process that is watched puts a seccomp filter on itself that asks a supervisor (`SECCOMP_RET_USER_NOTIF`)
about each call that writes, makes, renames, removes or makes durable. The call waits until it is answered: done,
done as if, or refused with an error; or its process is killed first, and then it never happens.

Why this way. An audit hook does not see `write`, `fsync`, `ioctl`, nor what goes through ctypes. `strace` counts
its injections for each thread by itself, cannot act at a point (cut the power, send a signal), and needs a new
process, whose imports take longer than the work. ptrace stops at signals and forks too and differs by processor.
Here one descriptor tells of all threads, in one order, and what is not asked about costs nothing.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal["write", "make", "name", "remove", "facts", "sync", "open", "ioctl", "net"]
"""What a call does. `make` needs space, `name` too; `open` makes nothing; `net` leaves the machine."""


class _Known(NamedTuple):
    kind: Kind
    x86: int
    """The call's number on x86_64; 0 where there is none."""
    arm: int
    paths: str
    """Its first arguments: f a descriptor, d a folder's descriptor, p a path below it (or the current folder)."""


_KNOWN = {
    "open": _Known("open", 2, 0, "p"),
    "creat": _Known("make", 85, 0, "p"),
    "openat": _Known("open", 257, 56, "dp"),
    "write": _Known("write", 1, 64, "f"),
    "pwrite64": _Known("write", 18, 68, "f"),
    "writev": _Known("write", 20, 66, "f"),
    "pwritev": _Known("write", 296, 70, "f"),
    "pwritev2": _Known("write", 328, 287, "f"),
    "sendfile": _Known("write", 40, 71, "f"),
    "copy_file_range": _Known("write", 326, 285, "--f"),
    "truncate": _Known("facts", 76, 45, "p"),
    "ftruncate": _Known("facts", 77, 46, "f"),
    "fallocate": _Known("write", 285, 47, "f"),
    "rename": _Known("name", 82, 0, "pp"),
    "renameat": _Known("name", 264, 38, "dpdp"),
    "renameat2": _Known("name", 316, 276, "dpdp"),
    "link": _Known("name", 86, 0, "pp"),
    "linkat": _Known("name", 265, 37, "dpdp"),
    "symlink": _Known("make", 88, 0, "-p"),
    "symlinkat": _Known("make", 266, 36, "-dp"),
    "unlink": _Known("remove", 87, 0, "p"),
    "unlinkat": _Known("remove", 263, 35, "dp"),
    "rmdir": _Known("remove", 84, 0, "p"),
    "mkdir": _Known("make", 83, 0, "p"),
    "mkdirat": _Known("make", 258, 34, "dp"),
    "mknodat": _Known("make", 259, 33, "dp"),
    "chmod": _Known("facts", 90, 0, "p"),
    "fchmod": _Known("facts", 91, 52, "f"),
    "fchmodat": _Known("facts", 268, 53, "dp"),
    "fchmodat2": _Known("facts", 452, 452, "dp"),
    "chown": _Known("facts", 92, 0, "p"),
    "lchown": _Known("facts", 94, 0, "p"),
    "fchown": _Known("facts", 93, 55, "f"),
    "fchownat": _Known("facts", 260, 54, "dp"),
    "utimensat": _Known("facts", 280, 88, "dp"),
    "setxattr": _Known("facts", 188, 5, "p"),
    "lsetxattr": _Known("facts", 189, 6, "p"),
    "fsetxattr": _Known("facts", 190, 7, "f"),
    "removexattr": _Known("facts", 197, 14, "p"),
    "lremovexattr": _Known("facts", 198, 15, "p"),
    "fremovexattr": _Known("facts", 199, 16, "f"),
    "fsync": _Known("sync", 74, 82, "f"),
    "fdatasync": _Known("sync", 75, 83, "f"),
    "sync": _Known("sync", 162, 81, ""),
    "syncfs": _Known("sync", 306, 267, "f"),
    "msync": _Known("sync", 26, 227, ""),
    "ioctl": _Known("ioctl", 16, 29, "f"),
    "connect": _Known("net", 42, 203, ""),
    "sendto": _Known("net", 44, 206, ""),
}
_ARCHITECTURES = {"x86_64": (0xC000003E, 317, 1), "aarch64": (0xC00000B7, 277, 2)}
"""For each processor: its name for the kernel, the number of `seccomp`, the column in `_KNOWN`."""

_CREATING = os.O_CREAT | os.O_TRUNC
_WRITING = os.O_WRONLY | os.O_RDWR | _CREATING
_CLONING_IOCTLS = 0x94
"""The letter of all ioctls that share extents or handle subvolumes."""
_READS = 1 << 31
"""The bit of those that give an answer: they only look."""
_HERE = -100
_SHOWN = 120
_STATELESS = ("pipe:", "anon_inode:", "socket:", "/dev/null", "/dev/tty", "/dev/pts/")

_RECEIVE, _ANSWER = 0xC0502100, 0xC0182101
_ASKED, _REPLY = struct.Struct("<QIIiIQ6Q"), struct.Struct("<QqiI")
_GO_ON = 1
_NEW_LISTENER, _WAIT_KILLABLE = 1 << 3, 1 << 5


def works_here() -> bool:
    """Tell whether this kernel and processor can do it."""
    release = tuple(int(number) for number in platform.release().split(".")[:2])
    return platform.machine() in _ARCHITECTURES and release >= (5, 19)


# -- the watched side ----------------------------------------------------------------------------------


def be_watched() -> int:
    """Filter this process and all that it will start; give the descriptor on which a supervisor is asked.

    From now on each such call waits for its answer; `sendmsg` does not, so that the descriptor can be handed over.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0:
        libc.prctl(38, *(ctypes.c_ulong(number) for number in (1, 0, 0, 0)))
    code = b"".join(_program())
    steps = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("<HxxxxxxQ", len(code) // 8, ctypes.addressof(steps))
    number = ctypes.c_long(_ARCHITECTURES[platform.machine()][1])
    flags = ctypes.c_ulong(_NEW_LISTENER | _WAIT_KILLABLE)
    listener = libc.syscall(number, ctypes.c_ulong(1), flags, ctypes.c_char_p(header))
    if listener < 0:
        raise OSError(ctypes.get_errno(), "this process cannot be watched")
    return int(listener)


def _program() -> Iterator[bytes]:
    """Give the filter: allow what is not known; of opens and ioctls ask only about those that change something."""
    allow, ask = _step(0x06, 0x7FFF0000), _step(0x06, 0x7FC00000)
    yield _step(0x20, 4)
    yield _step(0x15, _ARCHITECTURES[platform.machine()][0], 1, 0)
    yield allow
    yield _step(0x20, 0)
    for name, number in _numbers():
        if name in ("open", "openat"):
            yield _step(0x15, number, 0, 4)
            yield _step(0x20, 16 + 8 * (1 if name == "open" else 2))
            yield _step(0x45, _WRITING, 0, 1)
            yield ask
            yield allow
        elif name == "ioctl":
            yield _step(0x15, number, 0, 6)
            yield _step(0x20, 16 + 8)
            yield _step(0x54, _READS | 0xFF00)
            yield _step(0x15, _CLONING_IOCTLS << 8, 0, 1)
            yield ask
            yield allow
            yield allow
        else:
            yield _step(0x15, number, 0, 1)
            yield ask
    yield allow


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)


def _numbers() -> Iterator[tuple[str, int]]:
    column = _ARCHITECTURES[platform.machine()][2]
    for name, known in _KNOWN.items():
        if known[column]:
            yield name, int(known[column])


# -- the supervisor's side -----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call that waits for its answer. `stateless` when it writes to what no crash could leave half done."""

    id: int
    thread: int
    name: str
    kind: Kind
    places: tuple[str, ...]
    stateless: bool
    content: str = ""
    """How what is written begins."""

    def __str__(self) -> str:
        return " ".join((self.name, *self.places, self.content)).rstrip()


class Listener:
    """The descriptor on which all threads and descendants of a watched process ask."""

    def __init__(self, descriptor: int, process: int) -> None:
        self._descriptor = descriptor
        self._process = process
        self._names = {number: name for name, number in _numbers()}

    def fileno(self) -> int:
        return self._descriptor

    def next(self) -> Call | None:
        """Give what is asked; None when it was the call of another process, or of one that died."""
        asked = bytearray(_ASKED.size)
        try:
            fcntl.ioctl(self._descriptor, _RECEIVE, asked)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINTR):
                return None
            raise
        number, thread, _, call, _, _, *arguments = _ASKED.unpack(asked)
        if not os.path.exists(f"/proc/{self._process}/task/{thread}"):
            self.do(number)
            return None
        name = self._names[call]
        places = tuple(_places(thread, _KNOWN[name].paths, arguments))
        kind = _KNOWN[name].kind
        if kind == "open" and arguments[1 if name == "open" else 2] & _CREATING:
            kind = "make"
        stateless = bool(places) and places[0].startswith(_STATELESS)
        content = repr(_bytes(thread, arguments[1], min(arguments[2], _SHOWN))) if name == "write" else ""
        return Call(
            id=number,
            thread=thread,
            name=name,
            kind=kind,
            places=places,
            stateless=stateless,
            content=content,
        )

    def do(self, call: int) -> None:
        """Let the call happen."""
        self._answer(_REPLY.pack(call, 0, 0, _GO_ON))

    def pretend(self, call: int) -> None:
        """Say that the call was done, and do nothing."""
        self._answer(_REPLY.pack(call, 0, 0, 0))

    def refuse(self, call: int, number: int) -> None:
        """Let the call fail with this error number."""
        self._answer(_REPLY.pack(call, 0, -number, 0))

    def _answer(self, reply: bytes) -> None:
        try:
            fcntl.ioctl(self._descriptor, _ANSWER, reply)
        except OSError as error:
            if error.errno != errno.ENOENT:  # who asked was killed meanwhile
                raise


def _places(thread: int, shape: str, arguments: list[int]) -> Iterator[str]:
    folder = _HERE
    for kind, value in zip(shape, arguments, strict=False):
        number = ctypes.c_int(value).value
        if kind == "f":
            yield _descriptor(thread, number)
        elif kind == "d":
            folder = number
        elif kind == "p":
            path = _text(thread, value)
            above = "" if path.startswith("/") or folder == _HERE else _descriptor(thread, folder) + "/"
            yield above + path
            folder = _HERE


def _descriptor(thread: int, number: int) -> str:
    try:
        return os.readlink(f"/proc/{thread}/fd/{number}")
    except OSError:
        return f"descriptor {number}"


def _text(thread: int, address: int) -> str:
    return os.fsdecode(_bytes(thread, address, 4096).partition(b"\0")[0])


def _bytes(thread: int, address: int, count: int) -> bytes:
    with suppress(OSError, OverflowError), open(f"/proc/{thread}/mem", "rb", buffering=0) as memory:
        return os.pread(memory.fileno(), count, address)
    return b"?"
