"""Remove a tree, and nothing outside of it."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from ci_mlsnap.durable.faults import shown, storage_errors
from ci_mlsnap.errors import StorageFailed
from ci_mlsnap.trees.folders import Folders


def remove_tree(path: Path) -> None:
    """Remove what is at `path`, with all that is below; gone is fine, also while it goes.

    Links are removed, not followed. Folders that may not be written to are opened up first; files are not
    touched before they go, since other snapshots may share them. Raises `StorageReadOnly`, `StorageFailed`.
    """
    with storage_errors(f"{shown(os.fsencode(path))} cannot be removed"), suppress(FileNotFoundError):
        facts = os.lstat(path)
        if not stat.S_ISDIR(facts.st_mode):
            os.unlink(path)
            return
        _open_up(os.fsencode(path), None, facts)
        with Folders(path) as folders:
            _empty(folders)
        os.rmdir(path)


def _empty(folders: Folders) -> None:
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
        waiting.extend((below, False) for below in _unlink_files(folders.at(path), path, device))


def _unlink_files(folder: int, path: bytes, device: int) -> list[bytes]:
    """Remove a folder's files; give the paths of its folders."""
    below: list[bytes] = []
    for name in map(os.fsencode, os.listdir(folder)):
        with suppress(FileNotFoundError):
            facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISDIR(facts.st_mode):
                full = path + b"/" + name if path else name
                if facts.st_dev != device:
                    raise StorageFailed(
                        f"{shown(full)} is another file system, mounted in a tree that is to be removed",
                        safe="nothing in it was touched",
                        hint="unmount it, then run again",
                    )
                _open_up(name, folder, facts)
                below.append(full)
            else:
                os.unlink(name, dir_fd=folder)
    return below


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
