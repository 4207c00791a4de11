"""Hold a sealed tree against the entries of its manifest, and name everything in it that is not as it was."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec

from ci_mlsnap.domain.manifest import Entry
from ci_mlsnap.durable.faults import shown
from ci_mlsnap.errors import MlsnapError
from ci_mlsnap.trees.crew import Crew
from ci_mlsnap.trees.files import attributes, digest, open_found, require_unchanged
from ci_mlsnap.trees.folders import Folders
from ci_mlsnap.trees.walk import NO_CONTENT, Found

_WRITE = 0o222
_TYPES = {"file": stat.S_IFREG, "dir": stat.S_IFDIR, "link": stat.S_IFLNK}

Below = dict[bytes, Entry]
"""The entries of one folder by their name in it."""


class Difference(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One thing in a tree that is not as its entry says."""

    path: bytes
    why: str

    def __str__(self) -> str:
        return f"{shown(self.path)}: {self.why}"


def sealed_differences(root: Path, entries: Sequence[Entry], *, read: bool = False) -> list[Difference]:
    """Walk a sealed tree once and give all that differs from its entries, in path order; `read` reads each file.

    Write bits do not count, since sealing takes them; attributes are looked at where files are read. No link is
    followed, and what cannot be looked at is a difference like any other. Raises `VolumeMissing`, and
    `TreeUnsupported` when the root itself is no folder.
    """
    with Folders(root) as folders, Crew() as crew:
        looking = _Look(folders=folders, crew=crew, read=read)
        looking.tree(_by_folder(entries))
    return sorted([*looking.found, *_torn_groups(entries, looking)])


class _Look:
    """One look at one tree."""

    def __init__(self, *, folders: Folders, crew: Crew, read: bool) -> None:
        self.found: list[Difference] = []
        self.inodes: dict[bytes, int] = {}
        self._folders = folders
        self._crew = crew
        self._read = read

    def note(self, path: bytes, why: str) -> None:
        self.found.append(Difference(path=path, why=why))

    def tree(self, by_folder: dict[bytes, Below]) -> None:
        waiting = [b""]
        while waiting:
            path = waiting.pop()
            try:
                waiting.extend(self._folder(path, self._folders.at(path), by_folder.pop(path, {})))
            except OSError as error:
                self.note(path or b".", f"it cannot be read: {error.strerror}")
        for entry in (entry for below in by_folder.values() for entry in below.values()):
            self.note(entry.path, "it is missing")

    def _folder(self, path: bytes, here: int, expected: Below) -> list[bytes]:
        """Look at what is in one folder, and give the folders in it that are as expected."""
        prefix = path + b"/" if path else b""
        below = []
        with os.scandir(here) as things:
            for thing in things:
                name = os.fsencode(thing.name)
                if not path and name in NO_CONTENT:
                    continue
                entry = expected.pop(name, None)
                if entry is None:
                    self.note(prefix + name, "it is in no manifest")
                    continue
                facts = thing.stat(follow_symlinks=False)
                why = _wrong(entry, facts)
                if why:
                    self.note(entry.path, why)
                if stat.S_ISDIR(facts.st_mode) and entry.kind == "dir":
                    below.append(entry.path)
                elif not why:
                    self._more(entry, name, facts, here)
        for entry in expected.values():
            self.note(entry.path, "it is missing")
        return below

    def _more(self, entry: Entry, name: bytes, facts: os.stat_result, here: int) -> None:
        if entry.kind == "link":
            if os.readlink(name, dir_fd=here) != entry.target:
                self.note(entry.path, "it leads elsewhere")
            return
        if facts.st_nlink > 1:
            self.inodes[entry.path] = facts.st_ino
        if self._read:
            self._content(entry, name, facts, here)

    def _content(self, entry: Entry, name: bytes, facts: os.stat_result, here: int) -> None:
        """Have the crew read a file; what goes wrong with one keeps no other from being read."""
        found = Found(path=entry.path, name=name, kind="file", stat=facts, parent=here)
        try:
            file = open_found(found)
        except MlsnapError as error:
            self.note(entry.path, error.why or error.what)
            return
        self._crew.do(partial(self._compare, entry, file, facts), facts.st_size)

    def _compare(self, entry: Entry, file: int, facts: os.stat_result) -> None:
        try:
            if attributes(entry.path, file) != entry.xattrs:
                self.note(entry.path, "its extended attributes are others")
            elif digest(file, facts.st_size, self._crew.go_on) != entry.sha256:
                self.note(entry.path, "its content is another")
            else:
                require_unchanged(entry.path, facts, file)
        except MlsnapError as error:
            self.note(entry.path, error.why or error.what)
        except OSError as error:
            self.note(entry.path, f"it cannot be read: {error.strerror}")
        finally:
            os.close(file)


def _by_folder(entries: Sequence[Entry]) -> dict[bytes, Below]:
    folders: dict[bytes, Below] = {}
    for entry in entries:
        above, _, name = entry.path.rpartition(b"/")
        folders.setdefault(above, {})[name] = entry
    return folders


def _wrong(entry: Entry, facts: os.stat_result) -> str:
    mode = facts.st_mode
    if stat.S_IFMT(mode) != _TYPES[entry.kind]:
        return f"it is no {'folder' if entry.kind == 'dir' else entry.kind} any more"
    if entry.kind == "link":
        return ""
    if (mode ^ entry.mode) & 0o777 & ~_WRITE:
        return "its mode is another"
    if facts.st_mtime_ns != entry.mtime_ns:
        return "its time is another"
    if entry.kind == "file" and facts.st_size != entry.size:
        return "its size is another"
    return ""


def _torn_groups(entries: Sequence[Entry], looking: _Look) -> list[Difference]:
    told = {difference.path for difference in looking.found}
    return [
        Difference(path=entry.path, why=f"it is no more the same file as {shown(entry.same_as)}")
        for entry in entries
        if entry.same_as
        and not {entry.path, entry.same_as} & told
        and looking.inodes.get(entry.path, -1) != looking.inodes.get(entry.same_as)
    ]
