"""Write bits: taken from what becomes a snapshot, given back to what is taken out of one."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from ci_mlsnap.domain.manifest import Entry
from ci_mlsnap.durable.faults import storage_errors
from ci_mlsnap.trees.walk import walk

WRITE = 0o222


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


def by_path(entries: Iterable[Entry]) -> Mapping[bytes, Entry]:
    """Give entries by their path."""
    return {entry.path: entry for entry in entries}
