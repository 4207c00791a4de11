"""What is remembered of files, so that unchanged ones need not be read again. Caches: losing them costs time only.

Two of them: the *stat cache* of a live tree, by path, and the *objects* of the store, by inode. A file whose size,
times and inode are still those remembered is taken to have the remembered digest.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from ci_mlsnap.durable.atomic import make_folder, write_atomically
from ci_mlsnap.trees.listing import KnownFile

TICK_SECONDS = 0.02
"""More than a kernel's clock tick: two changes further apart than this have different times."""

Objects = Mapping[int, KnownFile]


class _Line(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A `KnownFile` as it is stored: without its field names, and the digest as bytes."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    sha256: bytes


class _Cache(msgspec.Struct, frozen=True, array_like=True):
    written_ns: int
    files: dict[bytes, _Line]


# -- the stat cache ------------------------------------------------------------------------------------


def remembered(state: Path, tree: Path, *, racy_seconds: float) -> dict[bytes, KnownFile]:
    """Give what is remembered of a tree; a cache that is missing or damaged remembers nothing.

    A file that was changed within `racy_seconds` before the cache was written may have changed again with the
    same times, on file systems with coarse ones: it is left out.
    """
    try:
        cache = msgspec.msgpack.decode(_cache_file(state, tree).read_bytes(), type=_Cache)
    except (OSError, msgspec.MsgspecError, UnicodeError):
        return {}
    youngest = cache.written_ns - int(racy_seconds * 1e9)
    return {
        path: _known(line) for path, line in cache.files.items() if max(line.mtime_ns, line.ctime_ns) <= youngest
    }


def remember(state: Path, tree: Path, files: Mapping[bytes, KnownFile]) -> None:
    """Write a tree's stat cache anew."""
    file = _cache_file(state, tree)
    make_folder(file.parent)
    lines = {path: _line(known) for path, known in files.items()}
    write_atomically(file, msgspec.msgpack.encode(_Cache(time.time_ns(), lines)))


def _cache_file(state: Path, tree: Path) -> Path:
    return state / "stat-cache" / hashlib.sha256(os.fsencode(os.path.realpath(tree))).hexdigest()[:32]


# -- the store's objects -------------------------------------------------------------------------------


def read_objects(state: Path) -> dict[int, KnownFile]:
    """Give the store's files by inode; empty when nothing, or nothing readable, is remembered."""
    try:
        lines = msgspec.msgpack.decode((state / "objects").read_bytes(), type=list[_Line])
    except (OSError, msgspec.MsgspecError, UnicodeError):
        return {}
    return {line.inode: _known(line) for line in lines}


def update_objects(state: Path, changed: Iterable[KnownFile], gone: Iterable[int] = ()) -> None:
    """Remember these files and forget those; whoever calls holds the store lock."""
    objects = read_objects(state)
    for inode in gone:
        objects.pop(inode, None)
    objects.update((known.inode, known) for known in changed)
    write_atomically(state / "objects", msgspec.msgpack.encode([_line(known) for known in objects.values()]))


def let_the_clock_move() -> None:
    """Wait until a later change of any file gets a later time than the changes up to now have."""
    time.sleep(TICK_SECONDS)


# -- one file ------------------------------------------------------------------------------------------


def known_file(facts: os.stat_result, sha256: str) -> KnownFile:
    """Remember a file's digest with its facts."""
    return KnownFile(
        size=facts.st_size,
        mtime_ns=facts.st_mtime_ns,
        ctime_ns=facts.st_ctime_ns,
        inode=facts.st_ino,
        sha256=sha256,
    )


def _line(known: KnownFile) -> _Line:
    return _Line(known.size, known.mtime_ns, known.ctime_ns, known.inode, bytes.fromhex(known.sha256))


def _known(line: _Line) -> KnownFile:
    return KnownFile(
        size=line.size,
        mtime_ns=line.mtime_ns,
        ctime_ns=line.ctime_ns,
        inode=line.inode,
        sha256=line.sha256.hex(),
    )
