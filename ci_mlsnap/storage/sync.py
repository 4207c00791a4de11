"""Restore file by file, where the live tree can't be exchanged as a whole: each file is made beside and renamed.

A reader may see files of both versions meanwhile. Interrupted, it is run again and ends the same.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import msgspec

from ci_mlsnap.domain.manifest import Entry
from ci_mlsnap.durable.faults import shown, storage_errors
from ci_mlsnap.errors import IntegrityDamage, LateWriter, StorageFailed
from ci_mlsnap.storage.facts import content_of, line_of, remember_lines, remembered
from ci_mlsnap.storage.layout import new_token
from ci_mlsnap.storage.modes import by_path, is_privileged
from ci_mlsnap.trees.compare import differences
from ci_mlsnap.trees.files import copy_content
from ci_mlsnap.trees.folders import Folders
from ci_mlsnap.trees.remove import remove_tree
from ci_mlsnap.trees.syncfs import sync_file_system
from ci_mlsnap.trees.walk import NO_CONTENT, walk

_KINDS = {"file": stat.S_IFREG, "dir": stat.S_IFDIR, "link": stat.S_IFLNK}


LEFT_BESIDE = re.compile(rb"\.mlsnap-[0-9a-f]{16}")
"""What a restore that was cut off leaves beside the file that it made."""

RACY_SECONDS = 2.0
"""How young a change must be for its time to be doubted, where a file system has coarse ones."""

_SAMPLE = 64 * 2**10
"""How many bytes are compared of a file that the storage put in place, at its start, middle and end."""


class Putting(Protocol):
    """A storage that can put files from a snapshot into the live tree itself."""

    def put(self, entry: Entry, place: bytes) -> bool:
        """Put the entry's content at a free place in the live tree; false where it did not. Never raises."""


def sync_tree(
    snapshot: Path,
    live: Path,
    entries: Sequence[Entry],
    *,
    state: Path,
    full: bool = False,
    storage: Putting | None = None,
) -> int:
    """Make the live tree equal to a snapshot of which these are the entries; give the number of changed things.

    A live file that is as the stat cache in `state` remembers it is not read, unless all are to be in `full`.
    What the `storage` can put in place itself is not copied.
    Raises `LateWriter` when the live tree is not equal in the end, `IntegrityDamage`, `StorageFailed`.
    """
    youngest = time.time_ns() - int(RACY_SECONDS * 1e9)
    known = {} if full else {path: _Line(line) for path, line in remembered(state, live).items()}
    with storage_errors("the live tree cannot be changed"):
        with Folders(live) as folders:
            removed = clear(folders, by_path(entries), [b""])
        found = differences(live, entries, known=known)
        wrong = with_groups({*found.changed, *found.removed, *privileged(live, entries)}, entries)
        with Folders(snapshot) as source, Folders(live) as target:
            writing = Writing(source=source, target=target, storage=storage)
            for entry in entries:  # in path order: each folder comes before what is in it
                if entry.path in wrong:
                    writing.make(entry)
            for entry in reversed(entries):
                if entry.kind == "dir":
                    writing.finish_folder(entry)
        sync_file_system(live)
    left = differences(live, entries, read=False)
    if left:
        raise written_meanwhile((*left.added, *left.changed, *left.removed)[0])
    with suppress(StorageFailed):  # only a cache
        _remember(state, live, (entry for entry in entries if entry.path not in wrong), youngest)
    return removed + len(wrong)


class _Line(msgspec.Struct, frozen=True):
    """What the stat cache remembers of a file."""

    line: bytes

    @property
    def sha256(self) -> str:
        return self.line[16:].hex()

    def covers(self, facts: os.stat_result) -> bool:
        return bool(content_of(self.line, facts))


def _remember(state: Path, live: Path, entries: Iterable[Entry], youngest: int) -> None:
    """Remember of which files the content was known to be their entry's, and did not change since.

    What was written just now is read once more next time: it may change again with the same times.
    """
    digests = {entry.path: entry.sha256 for entry in entries if entry.kind == "file"}
    lines = {
        found.path: line_of(found.stat, digests[found.path])
        for found in walk(live)
        if found.path in digests and max(found.stat.st_mtime_ns, found.stat.st_ctime_ns) <= youngest
    }
    remember_lines(state, live, lines)


def written_meanwhile(path: bytes) -> LateWriter:
    """Give the error for something that is not what was just put there."""
    return LateWriter(
        f"{shown(path)} was written to while the live tree was restored",
        safe="the snapshot is unchanged; the live tree is in change",
        hint="stop what writes there, then restore again",
    )


def privileged(live: Path, entries: Sequence[Entry]) -> set[bytes]:
    """Give the files that have a right which no version carries: equal in all else, they are made anew."""
    found = set()
    with Folders(live) as folders:
        for entry in entries:
            above, _, name = entry.path.rpartition(b"/")
            with suppress(FileNotFoundError):
                if entry.kind == "file" and is_privileged(folders.at(above), name):
                    found.add(entry.path)
    return found


def with_groups(wrong: set[bytes], entries: Sequence[Entry]) -> set[bytes]:
    """Add the other members of hard-link groups: a group is made anew as a whole."""
    leaders = {entry.same_as or entry.path for entry in entries if entry.kind == "file" and entry.path in wrong}
    return wrong | {entry.path for entry in entries if (entry.same_as or entry.path) in leaders}


# -- removing ------------------------------------------------------------------------------------------


def clear(folders: Folders, wanted: Mapping[bytes, Entry], waiting: list[bytes]) -> int:
    """Remove what should not be in these folders, or should be something else, whatever it is; give how much.

    Links are not followed.
    """
    removed = 0
    while waiting:
        path = waiting.pop()
        folder = folders.at(path)
        open_up(folder)
        for name in map(os.fsencode, os.listdir(folder)):
            full = path + b"/" + name if path else name
            entry = wanted.get(full)
            if not path and name in NO_CONTENT:
                continue
            if entry is None or not fits(folder, name, entry):
                remove(folder, name)
                removed += entry is None
            elif entry.kind == "dir":
                waiting.append(full)
    return removed


def fits(folder: int, name: bytes, entry: Entry) -> bool:
    """Tell whether what has the name is of the entry's kind, and leads where the entry's link does."""
    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if stat.S_IFMT(found.st_mode) != _KINDS[entry.kind]:
        return False
    return entry.kind != "link" or os.readlink(name, dir_fd=folder) == entry.target


def remove(folder: int, name: bytes) -> None:
    """Remove what has the name, whatever it is."""
    if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        # By way of the open folder: a long path works, and no link in it is followed.
        remove_tree(Path(f"/proc/self/fd/{folder}", os.fsdecode(name)))
    else:
        os.unlink(name, dir_fd=folder)


def open_up(folder: int) -> None:
    """Let the owner write to a folder; its mode is set right in the end."""
    mode = stat.S_IMODE(os.fstat(folder).st_mode)
    if mode & 0o300 != 0o300:
        os.fchmod(folder, mode | 0o300)


# -- making --------------------------------------------------------------------------------------------


class Writing(msgspec.Struct, frozen=True, kw_only=True):
    """Puts things from a snapshot into a live tree, relative to open folders."""

    source: Folders
    target: Folders
    storage: Putting | None = None

    def make(self, entry: Entry) -> None:
        """Put one thing in place; a folder gets its facts when all is in it."""
        above, _, name = entry.path.rpartition(b"/")
        folder = self.target.at(above)
        if entry.kind == "dir":
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=folder)
            return
        if not self._is_put(entry, folder):
            self._replace(entry, folder, self._make_beside)

    def _is_put(self, entry: Entry, folder: int) -> bool:
        """Let the storage put a file in place; whatever else it does is no harm, for the file is copied then."""
        if self.storage is None or entry.kind != "file" or entry.same_as:
            return False
        try:
            self._replace(entry, folder, self._put)
        except OSError:
            return False
        return True

    def _replace(self, entry: Entry, folder: int, make: Callable[[Entry, bytes, int], None]) -> None:
        """Make something beside its place, and put it there."""
        name = entry.path.rpartition(b"/")[2]
        beside = f".mlsnap-{new_token()}".encode()  # see `LEFT_BESIDE`
        try:
            make(entry, beside, folder)
            # Both names of one inode: rename would do nothing and leave the name beside.
            os.replace(beside, name, src_dir_fd=folder, dst_dir_fd=folder)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(beside, dir_fd=folder)

    def _make_beside(self, entry: Entry, beside: bytes, folder: int) -> None:
        if entry.kind == "link":
            os.symlink(entry.target, beside, dir_fd=folder)
            os.utime(beside, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=folder, follow_symlinks=False)
        elif entry.same_as:
            self._link(entry.same_as, beside, folder)
        else:
            self._copy(entry, beside, folder)

    def _link(self, leader: bytes, beside: bytes, folder: int) -> None:
        # `at` gives one descriptor at a time: the one we were given is kept open beside it.
        kept = os.dup(folder)
        try:
            above, _, name = leader.rpartition(b"/")
            os.link(name, beside, src_dir_fd=self.target.at(above), dst_dir_fd=kept, follow_symlinks=False)
        finally:
            os.close(kept)

    def _copy(self, entry: Entry, beside: bytes, folder: int) -> None:
        above, _, name = entry.path.rpartition(b"/")
        stored = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=self.source.at(above))
        try:
            made = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder)
            try:
                content, _ = copy_content(stored, made, os.fstat(stored), lambda: None, hashed=True)
                if content != entry.sha256:
                    raise IntegrityDamage(f"{shown(entry.path)} changed in the snapshot while it was restored")
                _set_facts(made, entry)
            finally:
                os.close(made)
        finally:
            os.close(stored)

    def _put(self, entry: Entry, beside: bytes, folder: int) -> None:
        """Have the storage do it, and look whether it did. Raises `OSError`."""
        above, _, name = entry.path.rpartition(b"/")
        if self.storage is None or not self.storage.put(entry, above + b"/" + beside if above else beside):
            raise FileNotFoundError(errno.ENOENT, "the storage puts no such file in place")
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        made = os.open(beside, flags, dir_fd=folder)
        try:
            stored = os.open(name, flags, dir_fd=self.source.at(above))
            try:
                if not _is_alike(made, stored, entry.size):
                    raise OSError(errno.EIO, "the storage put something else in place")
            finally:
                os.close(stored)
            _set_facts(made, entry)
        finally:
            os.close(made)

    def finish_folder(self, entry: Entry) -> None:
        """Give a folder its facts, once nothing in it changes any more."""
        _set_facts(self.target.at(entry.path), entry)


def _is_alike(made: int, stored: int, size: int) -> bool:
    found = os.fstat(made)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1 or found.st_size != size:
        return False
    offsets = {0, max(0, size // 2 - _SAMPLE), max(0, size - _SAMPLE)}
    return all(os.pread(made, _SAMPLE, at) == os.pread(stored, _SAMPLE, at) for at in offsets)


def _set_facts(made: int, entry: Entry) -> None:
    wanted = dict(entry.xattrs)
    for name in _attributes(made):
        if name not in wanted:
            os.removexattr(made, name)
    for name, value in wanted.items():
        os.setxattr(made, name, value)
    keep = os.fstat(made).st_mode & stat.S_ISGID if entry.kind == "dir" else 0
    os.fchmod(made, entry.mode | keep)
    os.utime(made, ns=(entry.mtime_ns, entry.mtime_ns))


def _attributes(made: int) -> Collection[str]:
    with suppress(OSError):
        return [name for name in os.listxattr(made) if name.startswith("user.")]
    return ()
