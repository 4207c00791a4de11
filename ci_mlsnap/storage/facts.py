"""What is remembered of files, so that unchanged ones need not be read again. Caches: losing them costs time only.

Being caches, they are not made durable: what a power cut leaves of one is not what its reader expects, and is
forgotten. Two of them: the *stat cache* of a tree, by path, and the *objects* of the store, by inode. A file
whose size, times and inode are still those remembered is taken to have the remembered content. There may be 10^5
files, so what is remembered of one is 48 bytes: 16 that stand for its facts, and the SHA-256 of its content.
"""

from __future__ import annotations

import hashlib
import os
import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from ci_mlsnap.domain.manifest import Inventory
from ci_mlsnap.durable.atomic import make_folder, write_atomically
from ci_mlsnap.trees.listing import KnownFile
from ci_mlsnap.trees.walk import walk

TICK_SECONDS = 0.02
"""More than a kernel's clock tick: two changes further apart than this have different times."""

Remembered = Mapping[bytes, bytes]
"""What is remembered, by path."""

Objects = Mapping[int, bytes]
"""What is remembered, by inode."""

_FACTS = struct.Struct("<QqqQ")


def line_of(facts: os.stat_result, sha256: str) -> bytes:
    """Remember a file's content with its facts."""
    return _line(facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino, sha256)


def lines_in(tree: Path, inventory: Inventory) -> Iterator[tuple[int, bytes, bytes]]:
    """Give of each file of a tree that holds what the inventory says its inode, path, and what is remembered."""
    digests = {entry.path: entry.sha256 for entry in inventory.entries if entry.kind == "file"}
    for found in walk(tree):
        if found.kind == "file":
            yield found.stat.st_ino, found.path, line_of(found.stat, digests[found.path])


def content_of(line: bytes | None, facts: os.stat_result) -> str:
    """Give the SHA-256 of a file that is as remembered; empty when it is not, or nothing is remembered."""
    if line is None:
        return ""
    sha256 = line[16:].hex()
    return sha256 if line == line_of(facts, sha256) else ""


def _line(size: int, mtime_ns: int, ctime_ns: int, inode: int, sha256: str) -> bytes:
    facts = hashlib.blake2b(_FACTS.pack(size, mtime_ns, ctime_ns, inode), digest_size=16)
    return facts.digest() + bytes.fromhex(sha256)


# -- the stat cache ------------------------------------------------------------------------------------


def remembered(state: Path, tree: Path) -> Remembered:
    """Give what is remembered of a tree; a cache that is missing or damaged remembers nothing."""
    try:
        return msgspec.msgpack.decode(_cache_file(state, tree).read_bytes(), type=dict[bytes, bytes])
    except (OSError, msgspec.MsgspecError, UnicodeError):
        return {}


def remember(state: Path, tree: Path, files: Mapping[bytes, KnownFile], *, youngest: int) -> None:
    """Write a tree's stat cache anew; see `lines_of`."""
    remember_lines(state, tree, lines_of(files, youngest=youngest))


def remember_lines(state: Path, tree: Path, lines: Remembered) -> None:
    """Write a tree's stat cache anew."""
    file = _cache_file(state, tree)
    make_folder(file.parent)
    write_atomically(file, msgspec.msgpack.encode(lines), fsync=False)


def lines_of(files: Mapping[bytes, KnownFile], *, youngest: int) -> Remembered:
    """Give what is to be remembered of the files that were last changed at `youngest` (ns) or before.

    One that was changed shortly before it was read may have changed again with the same times, where these are
    coarse.
    """
    return {
        path: _line(known.size, known.mtime_ns, known.ctime_ns, known.inode, known.sha256)
        for path, known in files.items()
        if max(known.mtime_ns, known.ctime_ns) <= youngest
    }


def _cache_file(state: Path, tree: Path) -> Path:
    return state / "stat-cache" / hashlib.sha256(os.fsencode(os.path.realpath(tree))).hexdigest()[:32]


# -- the store's objects -------------------------------------------------------------------------------


def read_objects(state: Path) -> dict[int, bytes]:
    """Give the store's files by inode; empty when nothing, or nothing readable, is remembered."""
    try:
        return msgspec.msgpack.decode((state / "objects").read_bytes(), type=dict[int, bytes])
    except (OSError, msgspec.MsgspecError, UnicodeError):
        return {}


def update_objects(state: Path, changed: Objects, gone: Iterable[int] = ()) -> None:
    """Remember these files and forget those; whoever calls holds the store lock."""
    objects = read_objects(state)
    for inode in gone:
        objects.pop(inode, None)
    objects.update(changed)
    write_atomically(state / "objects", msgspec.msgpack.encode(objects), fsync=False)


def let_the_clock_move() -> None:
    """Wait until a later change of any file gets a later time than the changes up to now have."""
    time.sleep(TICK_SECONDS)
