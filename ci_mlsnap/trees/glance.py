"""What a walk saw, in one number for each thing, so that a second walk can tell whether anything changed."""

from __future__ import annotations

from array import array
from pathlib import Path

from ci_mlsnap.trees.folders import changed
from ci_mlsnap.trees.walk import Found, walk


def glance(found: Found) -> int:
    """Give a number that is another one when the thing was written to, renamed or replaced."""
    facts = found.stat
    return hash((found.path, facts.st_ino, facts.st_mode, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns))


def require_as_seen(source: Path, seen: array[int]) -> None:
    """Walk the source again. Raises `LateWriter` naming the first thing, in the walk's order, that is new,
    changed, or stands where something is gone."""
    place = 0
    for found in walk(source):
        if place == len(seen) or seen[place] != glance(found):
            raise changed(found.path, "it, or what stood before it, is not what it was")
        place += 1
    if place < len(seen):
        raise changed(b".", "something in it is gone")
