"""Collecting what several threads find out about one tree, until it is an inventory."""

from __future__ import annotations

import os

import msgspec

from ci_mlsnap.domain.manifest import Entry, Inventory, inventory_of
from ci_mlsnap.trees.files import Attributes
from ci_mlsnap.trees.folders import changed
from ci_mlsnap.trees.walk import Found


class KnownFile(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A file's digest, good for as long as the facts beside it are the file's. Times in nanoseconds."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    sha256: str

    def covers(self, facts: os.stat_result) -> bool:
        """Tell whether a file with these facts still has the digest."""
        return (
            self.size == facts.st_size
            and self.mtime_ns == facts.st_mtime_ns
            and self.ctime_ns == facts.st_ctime_ns
            and self.inode == facts.st_ino
        )


class Listing:
    """The entries of one tree so far. Adding is safe from several threads, the rest is for one.

    `known` has the facts and digests of all files, for a later look at the same tree.
    """

    def __init__(self) -> None:
        self.known: dict[bytes, KnownFile] = {}
        self._entries: dict[bytes, Entry] = {}
        self._groups: dict[tuple[int, int], list[bytes]] = {}
        self._group_facts: dict[tuple[int, int], tuple[int, int]] = {}

    def first_of_group(self, found: Found) -> bytes:
        """Give the path under which this file was found before, by another hard link; empty when it is new.

        Raises `LateWriter` when the file changed between the two.
        """
        if found.stat.st_nlink < 2:
            return b""
        key = (found.stat.st_dev, found.stat.st_ino)
        group = self._groups.setdefault(key, [])
        group.append(found.path)
        facts = (found.stat.st_size, found.stat.st_mtime_ns)
        if self._group_facts.setdefault(key, facts) != facts:
            raise changed(found.path, "it is a hard link to a file that was written to")
        return group[0] if len(group) > 1 else b""

    def add_folder(self, path: bytes, facts: os.stat_result, attributes: Attributes) -> None:
        """Add a folder."""
        self._entries[path] = Entry(
            path=path, kind="dir", mode=facts.st_mode & 0o777, mtime_ns=facts.st_mtime_ns, xattrs=attributes
        )

    def add_link(self, found: Found) -> None:
        """Add a symbolic link."""
        self._entries[found.path] = Entry(
            path=found.path,
            kind="link",
            mode=found.stat.st_mode & 0o777,
            mtime_ns=found.stat.st_mtime_ns,
            target=found.target,
        )

    def add_file(self, path: bytes, facts: os.stat_result, sha256: str, attributes: Attributes) -> None:
        """Add a file; further names of the same file come in by `first_of_group` alone."""
        self._entries[path] = Entry(
            path=path,
            kind="file",
            mode=facts.st_mode & 0o777,
            mtime_ns=facts.st_mtime_ns,
            size=facts.st_size,
            sha256=sha256,
            xattrs=attributes,
        )
        self.known[path] = KnownFile(
            size=facts.st_size,
            mtime_ns=facts.st_mtime_ns,
            ctime_ns=facts.st_ctime_ns,
            inode=facts.st_ino,
            sha256=sha256,
        )

    def inventory(self) -> Inventory:
        """Give all entries in path order; the first path of a hard-link group stands for the others."""
        for group in self._groups.values():
            self._settle(group)
        return inventory_of(self._entries.values())

    def _settle(self, group: list[bytes]) -> None:
        found, known, leader = self._entries[group[0]], self.known[group[0]], min(group)
        for path in group:
            same_as = b"" if path == leader else leader
            self._entries[path] = msgspec.structs.replace(found, path=path, same_as=same_as)
            self.known[path] = known
