"""Files and folders that are there whole, or not at all, also after a power cut."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ci_mlsnap.durable.faults import shown, storage_errors
from ci_mlsnap.errors import StoreRefused

__all__ = [
    "follow_folder",
    "fsync_folder",
    "make_folder",
    "open_shared",
    "refuse_unsafe",
    "storage_errors",
    "write_atomically",
]


def write_atomically(
    path: Path, data: bytes | Iterable[bytes], *, mode: int | None = None, fsync: bool = True
) -> None:
    """Put `data` at `path`, durably; a reader sees the old file or the new one, whole.

    Without `fsync` it is durable when the caller makes it so. Without `mode`, the file can be written by whoever
    can write to the folder: teams share through its group.
    Raises `StorageFull`, `StorageReadOnly`, `StorageFailed`; the old file is then still there.
    """
    with storage_errors("a file cannot be written"), _beside(path) as beside:
        file = open_shared(beside, os.O_WRONLY | os.O_EXCL)
        try:
            for part in (data,) if isinstance(data, bytes) else data:
                _write_whole(file, part)
            if mode is not None:
                os.fchmod(file, mode)
            if fsync:
                os.fsync(file)
        finally:
            os.close(file)
        os.rename(beside, path)
        if fsync:
            _fsync(path.parent)


def fsync_folder(path: Path) -> None:
    """Make the names in a folder durable. Raises `StorageFailed`."""
    with storage_errors("a folder cannot be made durable"):
        _fsync(path)


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, durably; group and mode follow the folder above.

    There already is fine. Raises `StorageFull`, `StorageReadOnly`, `StorageFailed`.
    """
    if path.is_dir():
        return
    make_folder(path.parent)
    with storage_errors("a folder cannot be made"):
        above = os.stat(path.parent)
        try:
            os.mkdir(path, 0o755)
        except FileExistsError:
            if path.is_dir():  # another process was faster
                return
            raise
        _follow(path, above, 0o775 | stat.S_ISGID)
        _fsync(path.parent)


def follow_folder(path: Path) -> None:
    """Give a folder that was just made group and mode after the folder above. Raises `OSError`."""
    _follow(path, os.stat(path.parent), 0o775 | stat.S_ISGID)


def refuse_unsafe(path: Path) -> None:
    """Refuse a folder that anybody can write to, or that is a link: `StoreRefused`, `StorageFailed`."""
    with storage_errors("a folder cannot be looked at"):
        found = os.lstat(path)
    name = shown(os.fsencode(path))
    if stat.S_ISLNK(found.st_mode):
        raise StoreRefused(
            f"{name} is a symbolic link",
            why="whoever can change the link would decide what is read and written",
            safe="nothing was changed",
            hint="name the folder that it leads to",
        )
    if found.st_mode & stat.S_IWOTH:
        raise StoreRefused(
            f"{name} can be written to by every user of this machine",
            why="anybody could put a model or a record there",
            safe="nothing was changed",
            hint=f"chmod o-w {name}",
        )


def open_shared(path: Path, flags: int) -> int:
    """Open a file, never through a link; a missing one is made and shared as its folder is.

    Raises `OSError`; with `O_EXCL`, `FileExistsError` for a file that is there.
    """
    if not flags & os.O_EXCL:
        with suppress(FileNotFoundError):
            return os.open(path, flags | os.O_NOFOLLOW)
    try:
        file = os.open(path, flags | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    except FileExistsError:
        if flags & os.O_EXCL:
            raise
        return os.open(path, flags | os.O_NOFOLLOW)  # another process made it meanwhile
    try:
        _follow(file, os.stat(path.parent), 0o664)
    except BaseException:
        os.close(file)
        raise
    return file


def _follow(made: int | Path, above: os.stat_result, shared_mode: int) -> None:
    """Where a group shares the folder above, share what was made in it; elsewhere the umask decides."""
    if not above.st_mode & stat.S_IWGRP:
        return
    with suppress(PermissionError):  # not a member of that group: what was made stays in our own
        os.chown(made, -1, above.st_gid)
    with suppress(PermissionError):
        os.chmod(made, shared_mode)


def _write_whole(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def _fsync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    beside = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}")
    try:
        yield beside
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise
