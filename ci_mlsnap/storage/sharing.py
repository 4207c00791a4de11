"""Which files of a new snapshot may be hard links to those of its parent.

Linked files are one inode, so every fact of both must be equal: content, mode, time, attributes, and which
other paths of the tree are the same file. A store file is only linked again when it is still what was sealed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ci_mlsnap.domain.manifest import Entry
from ci_mlsnap.errors import MlsnapError
from ci_mlsnap.storage.facts import Objects, known_file
from ci_mlsnap.storage.modes import by_path, mode_matches
from ci_mlsnap.storage.reading import compare_file
from ci_mlsnap.storage.way import Parent
from ci_mlsnap.trees.copy import Reuse
from ci_mlsnap.trees.crew import Crew
from ci_mlsnap.trees.folders import Folders, changed
from ci_mlsnap.trees.listing import KnownFile
from ci_mlsnap.trees.walk import Found, walk

LONGEST_PATH = 4000
"""Bytes; links are made by path, of which the kernel takes a little more at once. What is deeper is copied."""

MOST_LINKS = 60_000
"""ext4 gives a file at most 65,000 names."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a walk of the source saw: each path's facts (as one number, to be small), the files that equal
    the parent's, and the hard-link groups by inode."""

    facts: dict[bytes, int] = field(default_factory=dict)
    equal: dict[bytes, KnownFile] = field(default_factory=dict)
    groups: dict[int, list[bytes]] = field(default_factory=dict)


def see(source: Path, parent: Parent | None, known: Mapping[bytes, KnownFile]) -> Seen:
    """Walk the source; read only files that could be shared and of which `known` says nothing."""
    entries = by_path(parent.entries) if parent else {}
    seen = Seen()
    with Crew() as crew:
        for found in walk(source):
            seen.facts[found.path] = _facts(found.stat)
            if found.kind != "file":
                continue
            if found.stat.st_nlink > 1:
                seen.groups.setdefault(found.stat.st_ino, []).append(found.path)
            entry = entries.get(found.path)
            if entry is not None and _alike(found.stat, entry):
                compare_file(crew, found, entry, known.get(found.path), partial(_note, seen, found, entry))
    return seen


def require_as_seen(source: Path, seen: Seen) -> None:
    """Walk the source again. Raises `LateWriter` when anything is not as it was seen."""
    left = dict(seen.facts)
    for found in walk(source):
        before = left.pop(found.path, None)
        if before != _facts(found.stat):
            raise changed(found.path, "it is new" if before is None else "it is not what it was")
    if left:
        raise changed(min(left), "it is gone")


def _facts(found: os.stat_result) -> int:
    return hash((found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns))


def _alike(found: os.stat_result, entry: Entry) -> bool:
    facts = (found.st_size, found.st_mtime_ns, found.st_mode & 0o777)
    return entry.kind == "file" and facts == (entry.size, entry.mtime_ns, entry.mode)


def _note(seen: Seen, found: Found, entry: Entry, wrong: str) -> None:
    if not wrong:
        seen.equal[found.path] = known_file(found.stat, entry.sha256)


def shareable(parent: Parent, seen: Seen, objects: Objects) -> dict[bytes, Reuse]:
    """Give the parent's files to link, by path. A damaged one is not among them: it is copied anew."""
    entries = by_path(parent.entries)
    groups = {path: sorted(members) for members in seen.groups.values() for path in members}
    wanted = {path: entries[path] for path in seen.equal if _same_group(path, entries[path], groups)}
    whole = _undamaged(parent.root, wanted, objects)
    root = os.fsencode(parent.root)
    return {
        path: Reuse(path=Path(os.fsdecode(root + b"/" + path)), known=seen.equal[path])
        for path in whole
        # A group of hard links is shared as a whole or not at all, so that its members stay one file.
        if whole.issuperset(groups.get(path, ())) and len(root) + len(path) < LONGEST_PATH
    }


def _same_group(path: bytes, entry: Entry, groups: Mapping[bytes, list[bytes]]) -> bool:
    leader = groups[path][0] if path in groups else path
    return (entry.same_as or path) == leader


def _undamaged(root: Path, wanted: Mapping[bytes, Entry], objects: Objects) -> set[bytes]:
    whole: set[bytes] = set()

    def note(path: bytes, wrong: str) -> None:
        if not wrong:
            whole.add(path)

    try:
        with Crew() as crew:
            for found in walk(root):
                entry = wanted.get(found.path)
                if entry is not None and found.kind == "file" and _linkable(found.stat, entry):
                    compare_file(crew, found, entry, objects.get(found.stat.st_ino), partial(note, found.path))
    except MlsnapError:
        # A parent that cannot even be walked is damaged, and nothing of it is shared; its own read back says so.
        return set()
    return whole


def _linkable(found: os.stat_result, entry: Entry) -> bool:
    """Tell whether the stored file's facts are the entry's, and whether the kernel would let us link it: with
    `fs.protected_hardlinks` only its owner can, since nobody may write to it."""
    return (
        found.st_nlink < MOST_LINKS
        and os.geteuid() in (0, found.st_uid)
        and (found.st_size, found.st_mtime_ns) == (entry.size, entry.mtime_ns)
        and mode_matches(found.st_mode, entry)
    )


def unlink_shared(tree: Path, objects: Objects) -> tuple[Objects, list[int]]:
    """Take a tree's names from files that other snapshots may share.

    Gives these files as they are afterwards, where they were as remembered, and the inodes that are gone. What
    cannot be walked is left as it is.
    """
    left = dict(objects)
    with suppress(MlsnapError, OSError):
        with Folders(tree) as folders:
            os.fchmod(folders.root, 0o700)
        for found in walk(tree):
            if found.kind == "dir":
                os.fchmod(found.folder, 0o700)
            elif found.kind == "file":
                _unlink(found, left)
    gone = [inode for inode in objects if inode not in left]
    return {inode: known for inode, known in left.items() if known is not objects[inode]}, gone


def _unlink(found: Found, objects: dict[int, KnownFile]) -> None:
    known = objects.get(found.stat.st_ino)
    if known is None or not known.covers(found.stat):
        return
    file = os.open(found.name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=found.parent)
    try:
        os.unlink(found.name, dir_fd=found.parent)
        facts = os.fstat(file)
    finally:
        os.close(file)
    if facts.st_nlink:
        objects[facts.st_ino] = known_file(facts, known.sha256)
    else:
        del objects[facts.st_ino]
