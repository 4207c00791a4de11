"""Make a tree durable, by the host that wrote it."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import msgspec

from ci_mlsnap.durable.faults import shown
from ci_mlsnap.errors import MlsnapError
from ci_mlsnap.trees.folders import Folders
from ci_mlsnap.trees.syncfs import sync_file_system
from ci_mlsnap.trees.walk import NO_CONTENT

_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_GONE = (errno.ENOENT, errno.ESTALE)
_NOT_OURS = (errno.EACCES, errno.EPERM)
"""What this user may not open, `syncfs` reaches all the same."""
_NO_SYNC = (errno.EINVAL, errno.ENOTSUP)
"""How a file system says that a folder needs no `fsync` of its own."""
_PROBLEMS_KEPT = 10


class Flushed(msgspec.Struct, kw_only=True):
    """What was made durable, and what could not be: a count, and the first ones for people."""

    files: int = 0
    folders: int = 0
    errors: int = 0
    problems: list[str] = msgspec.field(default_factory=list)

    def add(self, other: Flushed) -> None:
        """Count what was made durable of another tree too."""
        self.files += other.files
        self.folders += other.folders
        self.errors += other.errors
        self.problems = [*self.problems, *other.problems][:_PROBLEMS_KEPT]

    def failed(self, path: bytes, why: str) -> None:
        """Count something that is not durable."""
        self.errors += 1
        if len(self.problems) < _PROBLEMS_KEPT:
            self.problems.append(f"{shown(path)}: {why}")


def flush_tree(root: Path) -> Flushed:
    """Write everything below `root` that waits in this host's memory to the storage; files that vanish are fine.

    Each file and folder gets an `fsync` of its own, since on NFS only that says whether the server took this very
    file: closing may merely start it. `syncfs` at the end covers what this user may not open, and answers for
    errors that no `fsync` told. What goes wrong with a file is counted, and the rest is done nevertheless.
    Raises `VolumeMissing`, `TreeUnsupported` when the root itself cannot be opened, `OSError`.
    """
    done = Flushed()
    with Folders(root) as folders:
        device = os.fstat(folders.root).st_dev
        waiting = [b""]
        while waiting:
            path = waiting.pop()
            try:
                below = _flush_folder(folders.at(path), path, device, done)
            except OSError as error:
                _note(done, path, error)
                continue
            waiting.extend(path + b"/" + name if path else name for name in reversed(below))
    try:
        sync_file_system(root)
    except MlsnapError as error:
        done.failed(os.fsencode(root), error.why)
    return done


def _flush_folder(folder: int, path: bytes, device: int, done: Flushed) -> list[bytes]:
    """Make a folder's files durable, then the folder; give the names of the folders in it."""
    below = []
    if os.fstat(folder).st_dev != device:
        return []
    for name in sorted(map(os.fsencode, os.listdir(folder))):
        if not path and name in NO_CONTENT:
            continue
        full = path + b"/" + name if path else name
        try:
            mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                below.append(name)
            elif stat.S_ISREG(mode):
                _fsync_file(folder, name)
                done.files += 1
        except OSError as error:
            _note(done, full, error)
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    done.folders += 1
    return below


def _fsync_file(folder: int, name: bytes) -> None:
    file = os.open(name, _FILE, dir_fd=folder)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _note(done: Flushed, path: bytes, error: OSError) -> None:
    if error.errno not in (*_GONE, *_NOT_OURS):
        done.failed(path or b".", error.strerror or type(error).__name__)
