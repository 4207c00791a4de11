"""One regular file: opened as the one that was found, read, hashed, copied with its holes."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator

from ci_mlsnap.durable.faults import shown
from ci_mlsnap.errors import TreeUnsupported
from ci_mlsnap.trees.folders import changed
from ci_mlsnap.trees.walk import Found, reading_error

BLOCK = 1 << 20
"""Bytes that are read at once."""

Attributes = tuple[tuple[str, bytes], ...]

_ZEROS = memoryview(bytes(BLOCK))
_NO_ATTRIBUTES = {errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


def open_found(found: Found) -> int:
    """Open the very file that the walk found, and nothing that was put in its place.

    Raises `LateWriter`, `StorageFailed`.
    """
    try:
        # Without O_NONBLOCK a FIFO in the file's place would hold us for ever.
        file = os.open(found.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=found.parent)
    except OSError as error:
        raise reading_error(found.path, error) from error
    try:
        require_unchanged(found.path, found.stat, file)
    except BaseException:
        os.close(file)
        raise
    return file


def require_unchanged(path: bytes, before: os.stat_result, file: int) -> None:
    """Raise `LateWriter` when the open file has other facts than `before`."""
    now = os.fstat(file)
    for fact in ("st_ino", "st_size", "st_mtime_ns", "st_ctime_ns"):
        if getattr(now, fact) != getattr(before, fact):
            raise changed(path, f"its {fact.removeprefix('st_').removesuffix('_ns')} is not what it was")


def attributes(path: bytes, file: int) -> Attributes:
    """Give the `user.*` attributes of an open file or folder. Raises `TreeUnsupported`, `StorageFailed`."""
    try:
        names = sorted(name for name in map(os.fsencode, os.listxattr(file)) if name.startswith(b"user."))
        return tuple((_text(path, name), os.getxattr(file, name)) for name in names)
    except OSError as error:
        if error.errno in _NO_ATTRIBUTES:
            return ()
        raise reading_error(path, error) from error


def digest(file: int, size: int, go_on: Callable[[], None]) -> str:
    """Give the SHA-256 of the first `size` bytes of an open file. Raises `OSError`."""
    result = hashlib.sha256()
    for part in _parts(file, size):
        result.update(part)
        go_on()
    return result.hexdigest()


def copy_content(
    source: int, destination: int, facts: os.stat_result, go_on: Callable[[], None], *, hashed: bool
) -> tuple[str, int]:
    """Copy an open file's content, holes as holes; give its SHA-256 (empty unless `hashed`) and bytes written.

    Raises `OSError`.
    """
    result, written, position = hashlib.sha256(), 0, 0
    for start, end in _data(source, facts):
        if hashed:
            _hash_hole(result, start - position, go_on)
        os.lseek(source, start, os.SEEK_SET)
        os.lseek(destination, start, os.SEEK_SET)
        for part in _parts(source, end - start):
            if hashed:
                result.update(part)
            _write(destination, part)
            written += len(part)
            go_on()
        position = end
    if hashed:
        _hash_hole(result, facts.st_size - position, go_on)
    if position < facts.st_size:
        os.ftruncate(destination, facts.st_size)
    return result.hexdigest() if hashed else "", written


def _parts(file: int, size: int) -> Iterator[memoryview]:
    """Read `size` bytes from where the file stands; fewer when it has become shorter. Parts share a buffer."""
    buffer = memoryview(bytearray(min(size, BLOCK)))
    while size > 0:
        count = os.readv(file, [buffer[: min(size, BLOCK)]])
        if count == 0:
            return
        size -= count
        yield buffer[:count]


def _data(file: int, facts: os.stat_result) -> Iterator[tuple[int, int]]:
    """Give the parts of a file that are no holes."""
    if facts.st_blocks * 512 >= facts.st_size:
        yield 0, facts.st_size
        return
    position = 0
    while position < facts.st_size:
        try:
            start = os.lseek(file, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        position = min(os.lseek(file, start, os.SEEK_HOLE), facts.st_size)
        if start < position:
            yield start, position


def _hash_hole(result: hashlib._Hash, size: int, go_on: Callable[[], None]) -> None:
    while size > 0:
        result.update(_ZEROS[: min(size, BLOCK)])
        size -= BLOCK
        go_on()


def _write(file: int, part: memoryview) -> None:
    while part:
        part = part[os.write(file, part) :]


def _text(path: bytes, name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise TreeUnsupported(
            f"{shown(path)} has an extended attribute whose name is not UTF-8: {shown(name)}",
            safe="nothing was changed",
            hint="remove it with `setfattr -x`",
        ) from None
