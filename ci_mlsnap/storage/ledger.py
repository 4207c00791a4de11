"""The store's ledger: which snapshots we published, hold, pruned and deleted. Only ever appended to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ci_mlsnap.domain.names import Marker, SnapshotName
from ci_mlsnap.durable import lines
from ci_mlsnap.errors import IntegrityDamage


@dataclass(frozen=True, kw_only=True)
class Publication:
    """A snapshot we published: its marker, and its manifest file's size, times and inode when sealed."""

    marker: Marker
    manifest_facts: tuple[int, ...]


@dataclass(kw_only=True)
class Book:
    """What the ledger's lines add up to. `present` has what was published and neither pruned nor deleted since,
    `seen` what is known to have stood under its name."""

    present: dict[str, Publication] = field(default_factory=dict)
    pruned: dict[str, Publication] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    used: dict[str, None] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    holds: dict[str, dict[str, None]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """The ledger file. Whoever appends holds the store lock."""

    path: Path

    def read(self) -> Book:
        """Add the lines up. Raises `IntegrityDamage` when one was changed or lost."""
        book = Book()
        for number, payload in enumerate(lines.read(self.path)[0], start=1):
            try:
                _apply(book, payload)
            except (KeyError, TypeError, ValueError, AttributeError):
                raise IntegrityDamage(f"line {number} of {self.path} is not what was written") from None
        return book

    def published(self, marker: Marker, manifest_facts: tuple[int, ...]) -> None:
        """Say, before it becomes visible, that a snapshot is ours."""
        self._append({"op": "publish", "marker": str(marker), "facts": list(manifest_facts)})

    def seen(self, name: SnapshotName) -> None:
        """Say that it became visible: without this it is gone, if it is not there, or never was.

        Not made durable: that would cost a publication time, and what is lost of it only hides a loss.
        """
        self._append({"op": "seen", "name": str(name)}, fsync=False)

    def held(self, name: SnapshotName, owner: str) -> None:
        """Note a hold."""
        self._append({"op": "hold", "name": str(name), "owner": owner})

    def released(self, name: SnapshotName, owner: str) -> None:
        """Note that a hold was taken back."""
        self._append({"op": "release", "name": str(name), "owner": owner})

    def pruned(self, name: SnapshotName) -> None:
        """Note that a snapshot lies in the trash."""
        self._append({"op": "prune", "name": str(name)})

    def undeleted(self, name: SnapshotName) -> None:
        """Note that a snapshot comes back from the trash."""
        self._append({"op": "undelete", "name": str(name)})

    def deleted(self, name: SnapshotName) -> None:
        """Note that a snapshot is gone; its name stays used."""
        self._append({"op": "delete", "name": str(name)})

    def _append(self, payload: Mapping[str, Any], *, fsync: bool = True) -> None:
        lines.append(self.path, dict(payload), fsync=fsync)


def _apply(book: Book, payload: Mapping[str, Any]) -> None:
    match payload["op"]:
        case "publish":
            marker = Marker.parse(payload["marker"])
            if marker is None:
                raise ValueError(payload["marker"])
            name = str(marker.name)
            book.present[name] = Publication(marker=marker, manifest_facts=tuple(payload["facts"]))
            book.used[name] = None
        case "prune":
            book.pruned[payload["name"]] = book.present.pop(payload["name"])
        case "undelete":
            book.present[payload["name"]] = book.pruned.pop(payload["name"])
        case "delete":
            book.deleted.add(payload["name"])
            book.present.pop(payload["name"], None)
            book.pruned.pop(payload["name"], None)
            book.holds.pop(payload["name"], None)
        case "seen":
            book.seen.add(payload["name"])
        case "hold":
            book.holds.setdefault(payload["name"], {})[payload["owner"]] = None
        case "release":
            book.holds.get(payload["name"], {}).pop(payload["owner"], None)
        case _:
            raise ValueError(payload["op"])
