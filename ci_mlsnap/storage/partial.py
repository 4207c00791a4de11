"""Restore some paths of a live tree, file by file; all else in it stays as it is."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from ci_mlsnap.domain.manifest import Entry
from ci_mlsnap.domain.parts import entries_of, folders_above, outermost
from ci_mlsnap.durable.faults import shown, storage_errors
from ci_mlsnap.errors import LiveTreeChanged
from ci_mlsnap.storage.modes import by_path, is_privileged
from ci_mlsnap.storage.sync import (
    LEFT_BESIDE,
    Putting,
    Writing,
    clear,
    fits,
    open_up,
    remove,
    with_groups,
    written_meanwhile,
)
from ci_mlsnap.trees.files import attributes, digest
from ci_mlsnap.trees.folders import Folders
from ci_mlsnap.trees.syncfs import sync_file_system

_NO_FOLDER = {errno.ENOTDIR, errno.ELOOP}


def sync_parts(
    snapshot: Path,
    live: Path,
    entries: Sequence[Entry],
    paths: Sequence[bytes],
    *,
    storage: Putting | None = None,
) -> int:
    """Make what is at these paths equal to a snapshot of which these are the entries; give the number of changes.

    A folder comes back as a whole: what the snapshot has not is removed from it. A folder above keeps its mode,
    and gets its time back where its names are those of the snapshot again. Raises `NoSuchVersion` for a path that
    the snapshot has not and `LiveTreeChanged` for one that leads through a link or a file, both before anything
    changed; `LateWriter`, `IntegrityDamage`, `StorageFailed`.
    """
    wanted, parts = entries_of(entries, paths), outermost(paths)
    with storage_errors("the live tree cannot be changed"):
        above = _look_above(live, parts)
        try:
            _sweep(live, above)
            removed = _clear(live, wanted, parts)
            wrong = _make(snapshot, live, wanted, _missing_above(above, entries), storage)
        finally:
            _give_back(live, above, entries)
        sync_file_system(live)
        with Folders(live) as target:
            left = _Looking(target).differing(wanted, read=False)
    if left:
        raise written_meanwhile(min(left))
    return removed + wrong


# -- the folders above ---------------------------------------------------------------------------------


class _Above(msgspec.Struct, frozen=True, kw_only=True):
    """A folder on the way to a part, as it was found; `mode` is None for one that is missing."""

    path: bytes
    mode: int | None


def _look_above(live: Path, parts: Sequence[bytes]) -> list[_Above]:
    paths = sorted({b"", *(above for part in parts for above in folders_above(part))})
    found: dict[bytes, _Above] = {}
    with Folders(live) as folders:
        for path in paths:
            parent = found.get(path.rpartition(b"/")[0])
            gone = parent is not None and parent.mode is None
            found[path] = _Above(path=path, mode=None if gone else _mode_of(folders, path))
    return list(found.values())


def _mode_of(folders: Folders, path: bytes) -> int | None:
    try:
        return stat.S_IMODE(os.fstat(folders.at(path)).st_mode)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno not in _NO_FOLDER:
            raise
        raise LiveTreeChanged(
            f"{shown(path)} is no folder in the live tree, and no link is followed",
            safe="nothing was changed",
            hint="name that path itself, which brings the folder back as a whole",
        ) from None


def _sweep(live: Path, above: Sequence[_Above]) -> None:
    """Remove what an earlier restore of parts left beside them; in the parts themselves it goes anyhow."""
    with Folders(live) as folders:
        for path in (folder.path for folder in above if folder.mode is not None):
            here = folders.at(path)
            for name in filter(LEFT_BESIDE.fullmatch, map(os.fsencode, os.listdir(here))):
                open_up(here)
                remove(here, name)


def _missing_above(above: Sequence[_Above], entries: Sequence[Entry]) -> list[Entry]:
    known = by_path(entries)
    return [known[folder.path] for folder in above if folder.mode is None]


def _give_back(live: Path, above: Sequence[_Above], entries: Sequence[Entry]) -> None:
    """Give the folders above the mode they had, and the time of the snapshot's where their names are its again."""
    known, names = by_path(entries), _names(entries, {folder.path for folder in above})
    with Folders(live) as folders:
        for folder in reversed(above):
            if folder.mode is None:
                continue
            here = folders.at(folder.path)
            found = os.fstat(here)
            if stat.S_IMODE(found.st_mode) != folder.mode:
                os.fchmod(here, folder.mode)
            if folder.path and set(map(os.fsencode, os.listdir(here))) == names[folder.path]:
                time = known[folder.path].mtime_ns
                if found.st_mtime_ns != time:
                    os.utime(here, ns=(time, time))


def _names(entries: Sequence[Entry], folders: set[bytes]) -> dict[bytes, set[bytes]]:
    found: dict[bytes, set[bytes]] = {path: set() for path in folders}
    for entry in entries:
        above, _, name = entry.path.rpartition(b"/")
        if above in found:
            found[above].add(name)
    return found


# -- the parts themselves ------------------------------------------------------------------------------


def _clear(live: Path, wanted: Sequence[Entry], parts: Sequence[bytes]) -> int:
    """Remove what is something else than the parts should be, and what is in them and not in the snapshot."""
    known, waiting = by_path(wanted), []
    with Folders(live) as folders:
        for part in parts:
            above, _, name = part.rpartition(b"/")
            with suppress(FileNotFoundError):
                folder = folders.at(above)
                os.stat(name, dir_fd=folder, follow_symlinks=False)
                open_up(folder)
                if not fits(folder, name, known[part]):
                    remove(folder, name)
                elif known[part].kind == "dir":
                    waiting.append(part)
    with Folders(live) as folders:
        return clear(folders, known, waiting)


def _make(
    snapshot: Path, live: Path, wanted: Sequence[Entry], missing: Sequence[Entry], storage: Putting | None
) -> int:
    with Folders(live) as target:
        wrong = with_groups(_Looking(target).differing(wanted), wanted)
    with Folders(snapshot) as source, Folders(live) as target:
        writing = Writing(source=source, target=target, storage=storage)
        for entry in (*missing, *(entry for entry in wanted if entry.path in wrong)):
            open_up(target.at(entry.path.rpartition(b"/")[0]))
            writing.make(entry)
        for entry in (*reversed(wanted), *reversed(missing)):
            if entry.kind == "dir" and not _is_folder(target, entry):
                writing.finish_folder(entry)
                wrong.add(entry.path)
    return len(wrong)


class _Looking(msgspec.Struct, frozen=True):
    """Holds single things of a live tree against their entries."""

    target: Folders
    leaders: dict[bytes, tuple[int, int]] = msgspec.field(default_factory=dict)

    def differing(self, entries: Sequence[Entry], *, read: bool = True) -> set[bytes]:
        """Give the paths of those that are not what they should be; of folders only those that are missing."""
        return {entry.path for entry in entries if not self._is_as(entry, read=read)}

    def _is_as(self, entry: Entry, *, read: bool) -> bool:
        above, _, name = entry.path.rpartition(b"/")
        try:
            folder = self.target.at(above)
            if not fits(folder, name, entry):
                return False
            if entry.kind == "dir":
                return read or _is_folder(self.target, entry)
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if found.st_mtime_ns != entry.mtime_ns:
                return False
            return entry.kind == "link" or self._is_file(entry, name, folder, read=read)
        except OSError as error:
            if error.errno in (errno.ENOENT, *_NO_FOLDER):
                return False
            raise

    def _is_file(self, entry: Entry, name: bytes, folder: int, *, read: bool) -> bool:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        try:
            found = os.fstat(file)
            itself = (found.st_dev, found.st_ino)
            self.leaders[entry.path] = itself
            if is_privileged(folder, name):
                return False
            if entry.same_as and self.leaders.get(entry.same_as) != itself:
                return False
            facts = (stat.S_IFMT(found.st_mode), found.st_mode & 0o7777, found.st_size, found.st_mtime_ns)
            if facts != (stat.S_IFREG, entry.mode, entry.size, entry.mtime_ns):
                return False
            if not read:
                return True
            return attributes(entry.path, file) == entry.xattrs and (
                digest(file, found.st_size, lambda: None) == entry.sha256
            )
        finally:
            os.close(file)


def _is_folder(target: Folders, entry: Entry) -> bool:
    here = target.at(entry.path)
    found = os.fstat(here)
    facts = (found.st_mode & 0o777, found.st_mtime_ns, attributes(entry.path, here))
    return facts == (entry.mode, entry.mtime_ns, entry.xattrs)
