"""The store's ledger: which snapshots we published, hold, pruned and deleted. Only ever appended to."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from ci_mlsnap.domain.names import Marker, SnapshotName
from ci_mlsnap.durable import lines
from ci_mlsnap.durable.atomic import fsync_folder
from ci_mlsnap.durable.faults import storage_errors
from ci_mlsnap.errors import IntegrityDamage, StorageFailed

WAY_OUT = "`mlsnap rebuild --dry-run` says what can be brought back, `mlsnap rebuild` does it"
UNKNOWN = (KeyError, TypeError, ValueError, AttributeError)
"""What `add_up` raises for what is no line of a ledger."""


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot we published: its marker, and its manifest file's size, times and inode when sealed."""

    marker: Marker
    manifest_facts: tuple[int, ...]


class Book(msgspec.Struct, kw_only=True):
    """What the ledger's lines add up to. `present` has what was published and neither pruned nor deleted since,
    `seen` what is known to have stood under its name, `adopted` what a rebuild found without a line about it.
    `sequence` is the highest number that a version had."""

    present: dict[str, Publication] = msgspec.field(default_factory=dict)
    pruned: dict[str, Publication] = msgspec.field(default_factory=dict)
    seen: set[str] = msgspec.field(default_factory=set)
    used: dict[str, None] = msgspec.field(default_factory=dict)
    adopted: set[str] = msgspec.field(default_factory=set)
    sequence: int = 0
    deleted: set[str] = msgspec.field(default_factory=set)
    holds: dict[str, dict[str, None]] = msgspec.field(default_factory=dict)


_last_read: dict[Path, tuple[bytes, Book]] = {}
"""What each ledger's content came to: listing a thousand versions looks at it for each of them."""


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger file. Whoever appends holds the store lock.

    `twin` is a second name of the same file, out of the way of whoever clears the state away: what is held, and
    which names were used, is nowhere else.
    """

    path: Path
    twin: Path | None = None

    def read(self) -> Book:
        """Add the lines up. Raises `IntegrityDamage` when one was changed or lost."""
        self.require_own()
        with storage_errors("the ledger cannot be read"):
            content = self.path.read_bytes() if self.path.exists() else b""
        if _last_read.get(self.path, (None,))[0] != content:
            _last_read[self.path] = (content, self._added_up())
        return _last_read[self.path][1]

    def _added_up(self) -> Book:
        book = Book()
        for number, payload in enumerate(self._lines(), start=1):
            try:
                add_up(book, payload)
            except UNKNOWN:
                raise IntegrityDamage(
                    f"line {number} of {self.path} is not what was written",
                    safe="nothing was changed",
                    hint=WAY_OUT,
                ) from None
        return book

    def _lines(self) -> list[dict[str, Any]]:
        try:
            return lines.read(self.path)[0]
        except IntegrityDamage as error:
            raise IntegrityDamage(error.what, why=error.why, safe=error.safe, hint=WAY_OUT) from None

    def require_own(self) -> None:
        """Refuse a ledger that knows less than its twin: the state was cleared away, or an older copy is there.

        Raises `IntegrityDamage`.
        """
        if self.twin is None or same_file(self.path, self.twin) or not self.twin.exists():
            return
        with storage_errors("the ledger cannot be read"):
            known = self.path.read_bytes() if self.path.exists() else b""
            if known.startswith(self.twin.read_bytes()):
                return
        raise IntegrityDamage(
            f"the ledger {self.path} is {'not what it was' if known else 'gone'}",
            why=f"{self.twin} knows what it does not",
            safe="nothing was changed; the snapshots are as they were",
            hint=WAY_OUT,
        )

    def link_twin(self) -> None:
        """Give the file its second name, where that is missing or an older copy's; some file systems cannot."""
        if self.twin is None or same_file(self.path, self.twin) or not self.path.exists():
            return
        beside = self.twin.with_name(f".{self.twin.name}.{secrets.token_hex(8)}")
        with suppress(OSError, StorageFailed):
            os.link(self.path, beside, follow_symlinks=False)
            os.rename(beside, self.twin)
            fsync_folder(self.twin.parent)

    def published(self, marker: Marker, manifest_facts: tuple[int, ...], sequence: int) -> None:
        """Say, before it becomes visible, that a snapshot is ours."""
        self._append(publication(marker, manifest_facts, sequence))

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
        self.require_own()
        lines.append(self.path, dict(payload), fsync=fsync)
        self.link_twin()


def publication(
    marker: Marker, manifest_facts: tuple[int, ...], sequence: int, *, adopted: bool = False
) -> dict[str, Any]:
    """Write the line that says whose a snapshot is."""
    line = {"op": "publish", "marker": str(marker), "facts": list(manifest_facts), "sequence": sequence}
    return {**line, "adopted": True} if adopted else line


def same_file(one: Path, other: Path) -> bool:
    """Tell whether two names are of one file."""
    try:
        first, second = one.lstat(), other.lstat()
    except OSError:
        return False
    return (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino)


def add_up(book: Book, payload: Mapping[str, Any]) -> None:
    """Let the book say what a line says. Raises one of `UNKNOWN` for what is no line of a ledger."""
    match payload["op"]:
        case "publish":
            marker = Marker.parse(payload["marker"])
            if marker is None:
                raise ValueError(payload["marker"])
            name = str(marker.name)
            book.present[name] = Publication(marker=marker, manifest_facts=tuple(payload["facts"]))
            book.used[name] = None
            book.sequence = max(book.sequence, int(payload.get("sequence", 0)))
            if payload.get("adopted"):
                book.adopted.add(name)
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
