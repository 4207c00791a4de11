"""Remove a tree, and nothing outside of it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ci_mlsnap.durable.faults import shown, storage_errors
from ci_mlsnap.errors import StorageFailed
from ci_mlsnap.trees import subvolume
from ci_mlsnap.trees.folders import Folders
from ci_mlsnap.trees.mounts import has_mounts_below, is_mounted
from ci_mlsnap.trees.subvolume import is_subvolume_root

_NOT_DESTROYED = {errno.EPERM, errno.EACCES, errno.ENOTEMPTY, errno.EROFS}
"""Not allowed to an ordinary user on this mount, or another subvolume is in it: removed as a folder is."""


def remove_tree(path: Path) -> None:
    """Remove what is at `path`, with all that is below; gone is fine, also while it goes.

    Links are removed, not followed. Folders that may not be written to are opened up first; files are not
    touched before they go, since other snapshots may share them. A subvolume goes at once where that is allowed,
    else as a folder does. Raises `StorageReadOnly`, `StorageFailed`.
    """
    with storage_errors(f"{shown(os.fsencode(path))} cannot be removed"), suppress(FileNotFoundError):
        facts = os.lstat(path)
        if not stat.S_ISDIR(facts.st_mode):
            os.unlink(path)
            return
        if is_subvolume_root(facts) and _destroyed(path):
            return
        _open_up(os.fsencode(path), None, facts)
        with Folders(path) as folders:
            _empty(folders, path)
        os.rmdir(path)


@contextmanager
def nothing_left_of(tree: Path) -> Iterator[None]:
    """Remove the tree when the block that makes it fails."""
    try:
        yield
    except BaseException:
        remove_tree(tree)
        raise


def _destroyed(path: Path) -> bool:
    """Destroy the subvolume; tell whether that was possible. Its owner can write to it then in any case."""
    found = subvolume.look(path)
    if found is None or has_mounts_below(path):  # the kernel would unmount them, whatever they hold
        return False
    try:
        if found.read_only:
            subvolume.set_read_only(path, read_only=False)
        subvolume.destroy(path)
    except OSError as error:
        if error.errno in _NOT_DESTROYED:
            return False
        raise
    return True


def _empty(folders: Folders, root: Path) -> None:
    device = os.fstat(folders.root).st_dev
    waiting = [(b"", False)]
    while waiting:
        path, emptied = waiting.pop()
        if emptied:
            above, _, name = path.rpartition(b"/")
            os.rmdir(name, dir_fd=folders.at(above))
            continue
        if path:
            waiting.append((path, True))
        waiting.extend((below, False) for below in _unlink_files(folders.at(path), path, device, root))


def _unlink_files(folder: int, path: bytes, device: int, root: Path) -> list[bytes]:
    """Remove a folder's files; give the paths of its folders."""
    below: list[bytes] = []
    for name in map(os.fsencode, os.listdir(folder)):
        with suppress(FileNotFoundError):
            facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISDIR(facts.st_mode):
                full = path + b"/" + name if path else name
                if facts.st_dev != device:
                    _remove_subvolume(root / os.fsdecode(full))
                    continue
                _open_up(name, folder, facts)
                below.append(full)
            else:
                os.unlink(name, dir_fd=folder)
    return below


def _remove_subvolume(path: Path) -> None:
    """Remove what has another device number than the tree that it is in; never what is mounted there."""
    if is_mounted(path):
        raise StorageFailed(
            f"{shown(os.fsencode(path))} is another file system, mounted in a tree that is to be removed",
            safe="nothing in it was touched",
            hint="unmount it, then run again",
        )
    remove_tree(path)


def _open_up(name: bytes, folder: int | None, facts: os.stat_result) -> None:
    """Let its owner empty a folder. Only the superuser, for whom modes do not count, may own it otherwise."""
    if facts.st_mode & 0o700 == 0o700:
        return
    handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
    try:
        # A descriptor of this kind cannot be changed itself; its name in /proc leads nowhere else.
        with suppress(PermissionError):
            os.chmod(f"/proc/self/fd/{handle}", 0o700)
    finally:
        os.close(handle)
