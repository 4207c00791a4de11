"""An append-only log of JSON lines, numbered and chained by their digests.

A line is `{"n":7,"prev":"<16 hex>","v":{…}}`: its number from 1, the start of the SHA-256 of the line before
(zeros for the first), and what was written. A line without an end is what a crash left behind.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from ci_mlsnap.durable.atomic import fsync_folder, open_shared
from ci_mlsnap.durable.faults import shown, storage_errors
from ci_mlsnap.durable.locks import wait_for_lock
from ci_mlsnap.errors import IntegrityDamage

LOCK_WAIT = 30.0
"""Seconds that `append` waits for another writer of the same log."""

_BLOCK = 65536


class Damage(msgspec.Struct, frozen=True, kw_only=True):
    """The torn end of a log: the number that its line would have had, and its length in bytes."""

    line: int
    torn_bytes: int


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    n: int
    prev: str
    v: dict[str, Any]


_DECODER = msgspec.json.Decoder(_Line)
_START = "0" * 16


def append(path: Path, payload: dict[str, Any], *, fsync: bool = True) -> int:
    """Add a line and give its number; a torn end is cut off first.

    After an error the log is as it was. Raises `IntegrityDamage` when the last line is damaged, `Busy`,
    `StorageFull`, `StorageReadOnly`, `StorageFailed`.
    """
    with storage_errors("a log cannot be written"):
        file = open_shared(path, os.O_RDWR | os.O_APPEND)
        try:
            wait_for_lock(file, path, wait=LOCK_WAIT)
            number, previous, end = _last(file, path)
            line = msgspec.json.encode(_Line(n=number + 1, prev=previous, v=payload)) + b"\n"
            _add(file, line, end, fsync=fsync)
        finally:
            os.close(file)
    if fsync and number == 0:
        fsync_folder(path.parent)
    return number + 1


def read(path: Path) -> tuple[list[dict[str, Any]], Damage | None]:
    """Give all payloads in order, and what is torn at the end; a missing log is empty.

    Raises `IntegrityDamage` with the number of the first line that is not what was written, `StorageFailed`.
    """
    with storage_errors("a log cannot be read"):
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return [], None
    *lines, torn = content.split(b"\n")
    payloads, previous = [], _START
    for number, line in enumerate(lines, 1):
        payloads.append(_checked(path, line, number, previous).v)
        previous = _link(line)
    return payloads, Damage(line=len(lines) + 1, torn_bytes=len(torn)) if torn else None


def salvage(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Give the payloads of all lines that can be read by themselves, whatever the chain says, and how many cannot.

    For repair only: nothing vouches for what such lines say. A missing log is empty. Raises `StorageFailed`.
    """
    with storage_errors("a log cannot be read"):
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return [], 0
    payloads, unreadable = [], 0
    for line in content.split(b"\n")[:-1]:
        try:
            payloads.append(_DECODER.decode(line).v)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            unreadable += 1
    return payloads, unreadable


def chained(payloads: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """Give the lines of a whole log that says this, to be written in place of one that cannot be read."""
    previous = _START
    for number, payload in enumerate(payloads, 1):
        line = msgspec.json.encode(_Line(n=number, prev=previous, v=payload))
        yield line + b"\n"
        previous = _link(line)


def _link(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()[:16]


def _checked(path: Path, line: bytes, number: int | None, previous: str | None) -> _Line:
    try:
        found = _DECODER.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise _damaged(path, number, "it is no line of a log") from None
    if number is not None and found.n != number:
        raise _damaged(path, number, f"it says that it is line {found.n}")
    if previous is not None and found.prev != previous:
        raise _damaged(path, number, "it does not follow the line before")
    return found


def _damaged(path: Path, number: int | None, why: str) -> IntegrityDamage:
    where = "the last line" if number is None else f"line {number}"
    return IntegrityDamage(
        f"{where} of {shown(os.fsencode(path))} is damaged",
        why=why,
        safe="nothing was changed",
        hint="bring the file back from a copy of the store",
    )


def _last(file: int, path: Path) -> tuple[int, str, int]:
    """Give the last whole line's number and link, and where it ends."""
    position = size = os.fstat(file).st_size
    tail = b""
    while position > 0 and tail.count(b"\n") < 2:
        start = max(0, position - _BLOCK)
        tail = os.pread(file, position - start, start) + tail
        position = start
    whole, newline, torn = tail.rpartition(b"\n")
    if not newline:
        return 0, _START, 0
    line = whole.rpartition(b"\n")[2]
    return _checked(path, line, None, None).n, _link(line), size - len(torn)


def _add(file: int, line: bytes, end: int, *, fsync: bool) -> None:
    """Write at `end`, where anything behind it is torn; undo a half-written line."""
    if os.fstat(file).st_size > end:
        os.ftruncate(file, end)
    try:
        written = os.write(file, line)
        while written < len(line):
            written += os.write(file, line[written:])
        if fsync:
            os.fsync(file)
    except OSError:
        os.ftruncate(file, end)
        raise
