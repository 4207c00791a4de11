"""What is different between a tree and the entries that it should have."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

import msgspec

from ci_mlsnap.domain.manifest import Entry
from ci_mlsnap.trees.crew import Crew
from ci_mlsnap.trees.files import attributes, digest, open_found, require_unchanged
from ci_mlsnap.trees.walk import Found, reading_error, walk


class Known(Protocol):
    """A file's digest, good for as long as it `covers` the facts that the file has."""

    @property
    def sha256(self) -> str: ...

    def covers(self, facts: os.stat_result) -> bool: ...


_NOTHING_KNOWN: Mapping[bytes, Known] = {}


class Differences(msgspec.Struct, frozen=True, kw_only=True):
    """Paths that the tree has and the entries do not, that differ, and that the tree lacks; each in path order."""

    added: tuple[bytes, ...] = ()
    changed: tuple[bytes, ...] = ()
    removed: tuple[bytes, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


def differences(
    root: Path,
    entries: Sequence[Entry],
    *,
    known: Mapping[bytes, Known] = _NOTHING_KNOWN,
    read: bool = True,
) -> Differences:
    """Hold a tree against entries.

    Without `read`, kind, mode, size, modification time and link target decide. With it, extended attributes,
    hard links and contents count too; a file that `known` covers is not read again.
    Raises `TreeUnsupported`, `LinkEscapes`, `LateWriter`, `VolumeMissing`, `StorageFailed`.
    """
    comparison = _Comparison(entries, known, read=read)
    with Crew() as crew:
        for found in walk(root):
            comparison.look(found, crew)
    return comparison.result()


class _Comparison:
    def __init__(self, entries: Sequence[Entry], known: Mapping[bytes, Known], *, read: bool) -> None:
        self._expected = {entry.path: entry for entry in entries}
        self._known = known
        self._read = read
        self._seen: set[bytes] = set()
        self._added: list[bytes] = []
        self._changed: set[bytes] = set()
        self._groups: dict[tuple[int, int], list[bytes]] = {}

    def look(self, found: Found, crew: Crew) -> None:
        """Hold one thing against its entry; contents are left to the crew."""
        entry = self._expected.get(found.path)
        if entry is None:
            self._added.append(found.path)
            return
        self._seen.add(found.path)
        if found.kind == "file" and found.stat.st_nlink > 1:
            self._groups.setdefault((found.stat.st_dev, found.stat.st_ino), []).append(found.path)
        if not _same_facts(found, entry):
            self._changed.add(found.path)
        elif self._read and found.kind == "file":
            crew.do(partial(self._read_file, found, open_found(found), entry, crew), found.stat.st_size)
        elif self._read and found.kind == "dir" and attributes(found.path, found.folder) != entry.xattrs:
            self._changed.add(found.path)

    def result(self) -> Differences:
        """Give what was found, once all was looked at."""
        if self._read:
            self._compare_groups()
        return Differences(
            added=tuple(sorted(self._added)),
            changed=tuple(sorted(self._changed)),
            removed=tuple(sorted(self._expected.keys() - self._seen)),
        )

    def _read_file(self, found: Found, file: int, entry: Entry, crew: Crew) -> None:
        known = self._known.get(found.path)
        try:
            if attributes(found.path, file) != entry.xattrs:
                self._changed.add(found.path)
                return
            if known is not None and known.covers(found.stat):
                sha256 = known.sha256
            else:
                sha256 = digest(file, found.stat.st_size, crew.go_on)
                require_unchanged(found.path, found.stat, file)
        except OSError as error:
            raise reading_error(found.path, error) from error
        finally:
            os.close(file)
        if sha256 != entry.sha256:
            self._changed.add(found.path)

    def _compare_groups(self) -> None:
        """Find files that are hard links of each other and should not be, or the other way round."""
        leaders = {path: min(group) for group in self._groups.values() for path in group}
        for path in self._seen:
            entry = self._expected[path]
            if entry.kind == "file" and (entry.same_as or path) != leaders.get(path, path):
                self._changed.add(path)


def _same_facts(found: Found, entry: Entry) -> bool:
    facts = found.stat
    return (
        found.kind == entry.kind
        and facts.st_mode & 0o777 == entry.mode
        and facts.st_mtime_ns == entry.mtime_ns
        and (found.kind != "file" or facts.st_size == entry.size)
        and found.target == entry.target
    )
