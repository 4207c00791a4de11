"""Late writers: processes that hold a file of the volume open for writing."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from ci_mlsnap.domain.status import cut, one_line

_PROC = Path("/proc")
_OCTAL = re.compile(rb"\\([0-7]{3})")
_DELETED = b" (deleted)"
_COMMAND_LENGTH = 200


class Writer(msgspec.Struct, frozen=True, kw_only=True):
    """A process with a file open for writing. `command` is its own text, made one harmless line."""

    pid: int
    command: str
    path: Path


def open_writers(folder: Path) -> list[Writer]:
    """Give the processes that can still write below `folder`, one file of each, by number.

    Seen are the processes whose descriptors and mappings this user may look at, itself not. A descriptor on its
    way between processes, or on another machine, is not seen: the storage's own comparison finds what that writes.
    """
    below = os.fsencode(os.path.realpath(folder)) + b"/"
    writers = []
    for pid in sorted(int(name) for name in os.listdir(_PROC) if name.isdecimal()):
        if pid == os.getpid():
            continue
        path = next((path for path in _written(_PROC / str(pid)) if path.startswith(below)), None)
        if path is not None:
            writers.append(Writer(pid=pid, command=_command(pid), path=Path(os.fsdecode(path))))
    return writers


def _written(process: Path) -> Iterator[bytes]:
    """Give the paths that a process has open, or mapped, for writing; none when we may not look or it ended."""
    with suppress(OSError):
        for name in os.listdir(process / "fd"):
            with suppress(OSError):
                path = os.fsencode(os.readlink(process / "fd" / name))
                if path.startswith(b"/") and _writable((process / "fdinfo" / name).read_bytes()):
                    yield path.removesuffix(_DELETED)
    with suppress(OSError):
        yield from _mapped((process / "maps").read_bytes())


def _writable(facts: bytes) -> bool:
    flags = re.search(rb"^flags:\s*([0-7]+)", facts, re.MULTILINE)
    return flags is not None and int(flags[1], 8) & os.O_ACCMODE in (os.O_WRONLY, os.O_RDWR)


def _mapped(maps: bytes) -> Iterator[bytes]:
    """Give the files of mappings whose changes reach the file: shared and writable."""
    for line in maps.splitlines():
        fields = line.split(None, 5)
        if len(fields) == 6 and fields[1][1:2] == b"w" and fields[1][3:4] == b"s":
            path = _OCTAL.sub(lambda found: bytes((int(found[1], 8),)), fields[5])
            yield path.removesuffix(_DELETED)


def _command(pid: int) -> str:
    try:
        text = (_PROC / str(pid) / "cmdline").read_bytes()[: 4 * _COMMAND_LENGTH]
    except OSError:
        return "?"
    return cut(one_line(text.replace(b"\0", b" ").decode("utf-8", "backslashreplace")), _COMMAND_LENGTH)
