"""Which files of a new snapshot may be hard links to those of its parent.

Linked files are one inode, so every fact of both must be equal: content, mode, time, attributes, and which
other paths of the tree are the same file. A store file is only linked again when it is still what was sealed.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import msgspec

from ci_mlsnap.domain.manifest import Entry
from ci_mlsnap.errors import MlsnapError
from ci_mlsnap.storage.facts import Objects, Remembered, content_of, line_of
from ci_mlsnap.storage.modes import by_path, mode_matches
from ci_mlsnap.storage.reading import compare_file
from ci_mlsnap.storage.way import Parent
from ci_mlsnap.trees.copy import Reuse
from ci_mlsnap.trees.crew import Crew
from ci_mlsnap.trees.folders import Folders
from ci_mlsnap.trees.glance import glance
from ci_mlsnap.trees.listing import KnownFile
from ci_mlsnap.trees.walk import Found, walk

LONGEST_PATH = 4000
"""Bytes; links are made by path, of which the kernel takes a little more at once. What is deeper is copied."""

MOST_LINKS = 60_000
"""ext4 gives a file at most 65,000 names."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What a walk of the source saw: every thing's facts in the walk's order (a number each), the files that
    equal the parent's, and the hard-link groups by inode."""

    facts: array[int] = msgspec.field(default_factory=lambda: array("q"))
    equal: dict[bytes, KnownFile] = msgspec.field(default_factory=dict)
    groups: dict[int, list[bytes]] = msgspec.field(default_factory=dict)


class Shared(Mapping[bytes, Reuse]):
    """The parent's files to link, by path."""

    def __init__(self, root: Path, files: Mapping[bytes, KnownFile]) -> None:
        self._root = root
        self._files = files

    def __getitem__(self, path: bytes) -> Reuse:
        return Reuse(path=self._root / os.fsdecode(path), known=self._files[path])

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


# -- the source ----------------------------------------------------------------------------------------


def see(source: Path, parent: Parent | None, remembered: Remembered) -> Seen:
    """Walk the source; read only files that could be shared and of which nothing is remembered."""
    entries = by_path(parent.entries()) if parent else {}
    seen = Seen()
    with Crew() as crew:
        for found in walk(source):
            seen.facts.append(glance(found))
            if found.kind != "file":
                continue
            if found.stat.st_nlink > 1:
                seen.groups.setdefault(found.stat.st_ino, []).append(found.path)
            entry = entries.get(found.path)
            if entry is not None and _alike(found.stat, entry):
                known = remembered.get(found.path)
                compare_file(crew, found, entry, known, partial(_note_equal, seen, found, entry))
    return seen


def _alike(found: os.stat_result, entry: Entry) -> bool:
    facts = (found.st_size, found.st_mtime_ns, found.st_mode & 0o777)
    return entry.kind == "file" and facts == (entry.size, entry.mtime_ns, entry.mode)


def _note_equal(seen: Seen, found: Found, entry: Entry, wrong: str) -> None:
    if not wrong:
        seen.equal[entry.path] = KnownFile(
            size=found.stat.st_size,
            mtime_ns=found.stat.st_mtime_ns,
            ctime_ns=found.stat.st_ctime_ns,
            inode=found.stat.st_ino,
            sha256=entry.sha256,
        )


# -- the parent ----------------------------------------------------------------------------------------


def shareable(parent: Parent, seen: Seen, objects: Objects) -> Shared:
    """Give the parent's files to link. A damaged one is not among them: it is copied anew."""
    groups = {path: sorted(members) for members in seen.groups.values() for path in members}
    wanted = {
        entry.path: entry
        for entry in parent.entries()
        if entry.path in seen.equal and _same_group(entry, groups) and _reached(parent.root, entry.path)
    }
    whole = _undamaged(parent.root, wanted, objects)
    # A group of hard links is shared as a whole or not at all, so that its members stay one file.
    broken = {path for path in whole if not whole.issuperset(groups.get(path, ()))}
    return Shared(parent.root, {path: seen.equal[path] for path in whole - broken})


def _same_group(entry: Entry, groups: Mapping[bytes, list[bytes]]) -> bool:
    leader = groups[entry.path][0] if entry.path in groups else entry.path
    return (entry.same_as or entry.path) == leader


def _reached(root: Path, path: bytes) -> bool:
    return len(os.fsencode(root)) + len(path) < LONGEST_PATH


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
                    compare_file(crew, found, entry, objects.get(found.stat.st_ino), partial(note, entry.path))
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


# -- the end of sharing --------------------------------------------------------------------------------


def unlink_shared(tree: Path, objects: Objects) -> tuple[Objects, list[int]]:
    """Take a tree's names from files that other snapshots may share.

    Gives what is to be remembered of these afterwards, where they were as remembered, and the inodes that are
    gone. What cannot be walked is left as it is.
    """
    left: dict[int, bytes] = {}
    gone: list[int] = []
    with suppress(MlsnapError, OSError):
        with Folders(tree) as folders:
            os.fchmod(folders.root, 0o700)
        for found in walk(tree):
            if found.kind == "dir":
                os.fchmod(found.folder, 0o700)
            elif found.kind == "file":
                _unlink(found, left.get(found.stat.st_ino) or objects.get(found.stat.st_ino), left, gone)
    return left, gone


def _unlink(found: Found, known: bytes | None, left: dict[int, bytes], gone: list[int]) -> None:
    content = content_of(known, found.stat)
    if not content:
        return
    file = os.open(found.name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=found.parent)
    try:
        os.unlink(found.name, dir_fd=found.parent)
        facts = os.fstat(file)
    finally:
        os.close(file)
    if facts.st_nlink:
        left[facts.st_ino] = line_of(facts, content)
    else:
        left.pop(facts.st_ino, None)
        gone.append(facts.st_ino)
