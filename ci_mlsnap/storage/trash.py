"""Snapshots that leave the shelf: into the trash and back, and for good.

A pruned snapshot stands whole at `.pruned-<name>`, known to the ledger as before. The ledger says last that it was
pruned, and first that it comes back: where the two differ, a crash came between, and where the tree stands counts.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.durable.atomic import fsync_folder
from ci_mlsnap.durable.faults import storage_errors
from ci_mlsnap.errors import NoSuchVersion, SnapshotHeld
from ci_mlsnap.ports import Snapshot
from ci_mlsnap.storage.layout import PRUNED, Store, new_token
from ci_mlsnap.storage.ledger import Book, Publication
from ci_mlsnap.storage.shelf import Shelf, foreign_at
from ci_mlsnap.trees.exchange import rename_without_replacing


class Trash(msgspec.Struct, frozen=True, kw_only=True):
    """The trash of one store. Whoever writes holds the store lock."""

    shelf: Shelf

    @property
    def _store(self) -> Store:
        return self.shelf.store

    def list(self) -> Sequence[Snapshot]:
        """See `Driver.pruned`."""
        book = self.shelf.ledger.read()
        with storage_errors("the snapshots cannot be listed"):
            try:
                names = sorted(os.listdir(self._store.snapshots))
            except FileNotFoundError:
                return []
        ours = (name.removeprefix(PRUNED) for name in names if name.startswith(PRUNED))
        return [
            Snapshot(name=name, marker=found.marker, holds=tuple(book.holds.get(name, ())))
            for name in ours
            if (found := _known(book, name)) is not None
        ]

    def prune(self, name: SnapshotName) -> None:
        """See `Driver.prune`."""
        found = self.shelf.get(name)
        if found is None:
            if self._is_here(name) and str(name) in self.shelf.ledger.read().present:
                self.shelf.ledger.pruned(name)  # cut off before it said so
            return
        self._require_loose(found)
        with storage_errors("the snapshot cannot be pruned"):
            rename_without_replacing(self._store.snapshots / str(name), self._store.pruned(name))
        fsync_folder(self._store.snapshots)
        self.shelf.ledger.pruned(name)

    def undelete(self, name: SnapshotName) -> None:
        """See `Driver.undelete`."""
        book = self.shelf.ledger.read()
        publication = _known(book, str(name))
        if publication is None or not self._is_here(name):
            if self.shelf.get(name) is None:
                raise NoSuchVersion(f"{name} is not in the trash", safe="nothing was changed")
            return
        self.shelf.require_whole(publication, self._store.pruned(name))
        if os.path.lexists(self._store.snapshots / str(name)):
            raise foreign_at(self._store.snapshots / str(name))
        if str(name) in book.pruned:
            self.shelf.ledger.undeleted(name)
        with storage_errors("the snapshot cannot be brought back"):
            rename_without_replacing(self._store.pruned(name), self._store.snapshots / str(name))
        fsync_folder(self._store.snapshots)

    def take_down(self, name: SnapshotName, *, even_held: bool) -> Path | None:
        """Take one of ours from its name, or out of the trash, durably; give where it then stands, to be removed.

        So a snapshot is whole, or not there. See `Driver.delete`.
        """
        place = self._doomed(name, even_held=even_held)
        if place is None:
            book = self.shelf.ledger.read()
            if str(name) in book.present or str(name) in book.pruned:
                self.shelf.ledger.deleted(name)
            return None
        doomed = self._store.partial(new_token())
        with storage_errors("the snapshot cannot be deleted"):
            rename_without_replacing(place, doomed)
        fsync_folder(self._store.snapshots)
        self.shelf.ledger.deleted(name)
        return doomed

    def _doomed(self, name: SnapshotName, *, even_held: bool) -> Path | None:
        """Give where one of ours stands that may go."""
        book = self.shelf.ledger.read()
        if self._is_here(name) and _known(book, str(name)) is not None:
            return self._store.pruned(name)
        found = self.shelf.get(name)
        if found is None:
            return None
        self._require_loose(found, even_held=even_held)
        return self._store.snapshots / str(name)

    def _require_loose(self, found: Snapshot, *, even_held: bool = False) -> None:
        if found.marker is None:
            raise foreign_at(self._store.snapshots / found.name)
        if found.holds and not even_held:
            raise SnapshotHeld(
                f"the snapshot {found.name} is held by {', '.join(map(ascii, found.holds))}",
                safe="nothing was deleted",
                hint="`mlsnap hold --release` takes a person's hold back; a run takes its own back when it ends",
            )

    def _is_here(self, name: SnapshotName) -> bool:
        return os.path.lexists(self._store.pruned(name))


def _known(book: Book, name: str) -> Publication | None:
    return book.pruned.get(name) or book.present.get(name)
