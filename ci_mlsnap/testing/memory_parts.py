"""How the memory driver brings back some paths of a tree: copied beside, then moved into place."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ci_mlsnap.domain.manifest import Entry
from ci_mlsnap.domain.parts import entries_of, folders_above, outermost
from ci_mlsnap.errors import LinkEscapes, LiveTreeChanged, NoSuchVersion, TreeUnsupported
from ci_mlsnap.trees.copy import copy_tree
from ci_mlsnap.trees.inventory import take_inventory
from ci_mlsnap.trees.remove import remove_tree


def put_parts(stored: Path, live: Path, entries: Sequence[Entry], paths: Sequence[bytes], beside: Path) -> int:
    """Make these paths of `live` equal to those of `stored`; give how many were not. Raises as drivers do."""
    entries_of(entries, paths)
    parts = outermost(paths)
    for above in (above for part in parts for above in folders_above(part)):
        place = live / os.fsdecode(above)
        if place.is_symlink() or (place.exists() and not place.is_dir()):
            raise LiveTreeChanged(f"{above!r} is no folder in the live tree")
    there = _entries(live)
    wrong = [part for part in parts if not _is_there(part, there, entries)]
    copy_tree(stored, beside)
    for part in wrong:
        _put(beside, live, part, entries)
    remove_tree(beside)
    return len(wrong)


def _entries(live: Path) -> Sequence[Entry]:
    try:
        return take_inventory(live).entries
    except (TreeUnsupported, LinkEscapes):
        return ()  # then every part is made anew


def _is_there(part: bytes, there: Sequence[Entry], entries: Sequence[Entry]) -> bool:
    try:
        return entries_of(there, [part]) == entries_of(entries, [part])
    except NoSuchVersion:
        return False


def _put(built: Path, live: Path, part: bytes, entries: Sequence[Entry]) -> None:
    known = {entry.path: entry for entry in entries}
    made = []
    for above in folders_above(part):
        place = live / os.fsdecode(above)
        if not place.exists():
            place.mkdir()
            made.append(above)
    target = live / os.fsdecode(part)
    remove_tree(target)
    (built / os.fsdecode(part)).rename(target)
    for above in reversed(folders_above(part)):
        place, entry = live / os.fsdecode(above), known[above]
        names = {path.rpartition(b"/")[2] for path in known if path.rpartition(b"/")[0] == above}
        if above in made:
            place.chmod(entry.mode)
        if above in made or names == {os.fsencode(entry.name) for entry in place.iterdir()}:
            os.utime(place, ns=(entry.mtime_ns, entry.mtime_ns))
