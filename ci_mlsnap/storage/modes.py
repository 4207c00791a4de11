"""Write bits: taken from what becomes a snapshot, given back to what is taken out of one."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from ci_mlsnap.domain.manifest import Entry
from ci_mlsnap.durable.faults import storage_errors
from ci_mlsnap.trees.walk import walk

WRITE = 0o222

_AS_SOMEBODY = 0o7000
_CAPABILITY = "security.capability"
_NONE = {errno.ENODATA, errno.ENOTSUP, errno.EOPNOTSUPP}


def take_write_bits(tree: Path) -> None:
    """Make everything below the root read-only. Files that are shared with an earlier snapshot are so already."""
    with storage_errors("a snapshot cannot be made read-only"):
        for found in walk(tree):
            mode = stat.S_IMODE(found.stat.st_mode)
            if found.kind == "file" and mode & WRITE:
                os.chmod(found.name, mode & ~WRITE, dir_fd=found.parent)
            elif found.kind == "dir" and mode & WRITE:
                os.fchmod(found.folder, mode & ~WRITE)


def give_modes(tree: Path, entries: Iterable[Entry]) -> None:
    """Give every file and folder below the root the mode that its entry has."""
    modes = {entry.path: entry.mode for entry in entries if entry.kind != "link"}
    with storage_errors("a mode cannot be set"):
        for found in walk(tree):
            if found.kind == "file":
                os.chmod(found.name, modes[found.path], dir_fd=found.parent)
            elif found.kind == "dir":
                os.fchmod(found.folder, modes[found.path])


def mode_matches(found: int, entry: Entry) -> bool:
    """Tell whether a sealed thing's mode is its entry's but for the write bits."""
    return found & 0o777 & ~WRITE == entry.mode & ~WRITE


def is_privileged(folder: int, name: bytes) -> bool:
    """Tell whether a file runs as somebody else, or with a capability: what no version carries.

    Raises `FileNotFoundError`.
    """
    if os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode & _AS_SOMEBODY:
        return True
    try:
        os.getxattr(_by_descriptor(folder, name), _CAPABILITY, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NONE:
            return False
        raise
    return True


def take_privileges(folder: int, name: bytes) -> None:
    """Take from a file what no version carries; its content, size and modification time stay. Raises `OSError`."""
    before = os.stat(name, dir_fd=folder, follow_symlinks=False)
    os.chmod(name, 0o600, dir_fd=folder)
    file = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    try:
        # The kernel takes a capability from whatever is written to. Only root may remove the attribute itself.
        os.ftruncate(file, before.st_size)
        os.fchmod(file, before.st_mode & 0o777)
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    finally:
        os.close(file)


def _by_descriptor(folder: int, name: bytes) -> bytes:
    return b"/proc/self/fd/%d/%b" % (folder, name)


def by_path(entries: Iterable[Entry]) -> Mapping[bytes, Entry]:
    """Give entries by their path."""
    return {entry.path: entry for entry in entries}
