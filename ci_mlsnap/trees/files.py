"""One regular file: opened as the one that was found, read, hashed, copied with its holes."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ci_mlsnap.durable.faults import shown
from ci_mlsnap.errors import TreeUnsupported
from ci_mlsnap.trees.folders import changed
from ci_mlsnap.trees.walk import Found, reading_error

if TYPE_CHECKING:
    from concurrent.futures import Executor  # it loads the logging library, which a snapshot needs for nothing

BLOCK = 1 << 20
"""Bytes that are read at once."""

AT_ONCE = 128 << 10
"""Files up to this size are copied by one read and one write."""

PUT_AWAY = 8 << 20
"""After so many bytes, what was written goes on to the storage, while the next are read and hashed."""

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
    # One more hard link, as snapshots that share a file get them, changes the ctime and nothing in the file.
    touched = now.st_ctime_ns != before.st_ctime_ns and now.st_nlink == before.st_nlink
    if touched or _facts(now) != _facts(before):
        raise changed(path, "its size, times or place on the disk are not what they were")


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
    source: int,
    destination: int,
    facts: os.stat_result,
    go_on: Callable[[], None],
    *,
    hashed: bool,
    beside: Executor | None = None,
    put_away: bool = False,
) -> tuple[str, int]:
    """Copy an open file's content, holes as holes; give its SHA-256 (empty unless `hashed`) and bytes written.

    What is hashed is what is written, from one reading; large files are hashed `beside` the writing.
    `put_away` is for copies that are not read soon: their pages leave the memory for the storage early.
    Raises `OSError`.
    """
    result = hashlib.sha256()
    if facts.st_size <= AT_ONCE and _is_dense(facts):
        content = os.read(source, facts.st_size)
        _write(destination, memoryview(content))
        if hashed:
            result.update(content)
        return result.hexdigest() if hashed else "", len(content)
    written = position = 0
    for start, end in _data(source, facts):
        if hashed:
            _hash_hole(result, start - position, go_on)
        os.lseek(source, start, os.SEEK_SET)
        os.lseek(destination, start, os.SEEK_SET)
        for part in _parts(source, end - start):
            _write_and_hash(destination, part, result if hashed else None, beside)
            written += len(part)
            if put_away and written % PUT_AWAY < len(part):
                # Starts the writing of what is dirty, and frees what is on the storage already.
                os.posix_fadvise(destination, 0, 0, os.POSIX_FADV_DONTNEED)
            go_on()
        position = end
    if hashed:
        _hash_hole(result, facts.st_size - position, go_on)
    if position < facts.st_size:
        os.ftruncate(destination, facts.st_size)
    return result.hexdigest() if hashed else "", written


def _write_and_hash(file: int, part: memoryview, result: hashlib._Hash | None, beside: Executor | None) -> None:
    hashing = beside.submit(result.update, part) if beside and result else None
    _write(file, part)
    if hashing:
        hashing.result()
    elif result:
        result.update(part)


def _facts(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_ino, found.st_size, found.st_mtime_ns


def _is_dense(facts: os.stat_result) -> bool:
    return facts.st_blocks * 512 >= facts.st_size


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
    if _is_dense(facts):
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
