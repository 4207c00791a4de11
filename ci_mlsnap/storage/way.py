"""The ways in which a local driver can freeze a tree: one shape, so that others can stand beside `copy`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from ci_mlsnap.domain.manifest import Entry, Inventory

Entries = Callable[[], Sequence[Entry]]
"""Reads a manifest's entries, of which there may be many; a way that need not look at files never calls it."""


class Parent(msgspec.Struct, frozen=True, kw_only=True):
    """The version whose unchanged files may be shared: where it stands and what it holds."""

    root: Path
    entries: Entries


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What a freeze made: its entries, how many bytes were written anew, and the source's state (`Way.state_of`)
    at that instant, empty where that is not known."""

    inventory: Inventory
    copied_bytes: int
    state: str = ""


class Way(Protocol):
    """How a tree is frozen, cloned and removed. Raises only errors of `ci_mlsnap.errors`."""

    @property
    def name(self) -> str:
        """The way's name, as `capabilities` and `doctor` say it."""

    @property
    def instant(self) -> bool:
        """Whether the time does not grow with the volume."""

    @property
    def enforced_read_only(self) -> bool:
        """Whether even the owner cannot write to a snapshot."""

    @property
    def shares(self) -> bool:
        """Whether what is frozen or cloned needs no space of its own until it is written to."""

    @property
    def why(self) -> str:
        """Why it was picked, and what is to be known of it."""

    def freeze(self, source: Path, partial: Path, *, parent: Parent | None, full: bool, inventory: bool) -> Taken:
        """Make `partial`, an unchanging copy of `source`; on any error nothing is left of it.

        All but its root is read-only then. Raises `TreeUnsupported`, `LinkEscapes`, `LateWriter`, `StorageFull`.
        """

    def finish(self, partial: Path, inventory: Inventory) -> None:
        """Make a tree durable that has its seal, and read-only where that is enforced; no lock is held.

        What makes a later look at it cheaper is remembered here, as far as it takes no lock.
        """

    def sealed(self, partial: Path, inventory: Inventory) -> None:
        """Remember what snapshots share with a tree that becomes one; the store lock is held, for milliseconds."""

    def state_of(self, tree: Path) -> str:
        """Give a text that is another one after any write to the tree, without a walk; empty where there is none.

        What was written up to now is durable then.
        """

    def clone(self, snapshot: Path, destination: Path, entries: Entries | None) -> None:
        """Make a writable copy with the modes of the entries, sharing nothing that a write could reach.

        Without entries (none were taken) the copy is what the snapshot holds. After an error nothing is left.
        Raises `IntegrityDamage` when the snapshot holds anything else than its entries say.
        """

    def damage(self, snapshot: Path, entries: Entries) -> str:
        """Say what of a snapshot is not as its entries say: the first difference, or nothing. Writes nothing."""

    def make(self, tree: Path) -> None:
        """Make an empty tree, durably, of the kind that this way freezes best; a folder that is there is fine."""

    def reclaim(self) -> None:
        """Have the file system begin to give back what removed trees held, where that takes a call."""

    def remove(self, tree: Path) -> None:
        """Remove a tree that is no snapshot (any more); gone is fine. Takes the store lock where it needs it."""
