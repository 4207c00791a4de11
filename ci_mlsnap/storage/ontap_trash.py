"""Snapshots of an ONTAP volume that leave the list: into the trash and back, and for good.

ONTAP has no trash. A pruned snapshot gets another name there, so that it is in nobody's way and comes back whole;
its space is given back when it is deleted. The ledger says last that it was pruned, and first that it comes back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.errors import NoSuchVersion, SnapshotHeld
from ci_mlsnap.ports import Snapshot
from ci_mlsnap.storage.ontap_api import NativeSnapshot
from ci_mlsnap.storage.ontap_errors import Absent, Taken
from ci_mlsnap.storage.ontap_layout import PRUNED
from ci_mlsnap.storage.ontap_shelf import OntapShelf, unknown


@dataclass(frozen=True, kw_only=True)
class OntapTrash:
    """The trash of one volume. Whoever writes holds the store lock."""

    shelf: OntapShelf

    def list(self) -> Sequence[Snapshot]:
        """See `Driver.pruned`; nothing without a login."""
        if self.shelf.natives is None:
            return []
        holds = self.shelf.ledger.read().holds
        found = [(self.shelf.pruned_name(it), self.shelf.marker_of(it)) for it in self.shelf.natives.all()]
        return [
            Snapshot(name=name, marker=marker, holds=tuple(holds.get(name, ()))) for name, marker in found if name
        ]

    def prune(self, name: SnapshotName) -> None:
        """See `Driver.prune`."""
        found = self._loose(name)
        if found is not None:
            try:
                self.shelf.required().rename(found, f"{PRUNED}{name}")
            except Taken:
                raise self.shelf.foreign(f"{PRUNED}{name}") from None
            except Absent:
                return
            self.shelf.ledger.pruned(name)
        elif self._in_trash(name) is not None and str(name) in self.shelf.ledger.read().present:
            self.shelf.ledger.pruned(name)  # cut off before it said so

    def undelete(self, name: SnapshotName) -> None:
        """See `Driver.undelete`."""
        found = self._in_trash(name)
        marker = self.shelf.marker_of(found) if found is not None else None
        if found is None or marker is None:
            if self.shelf.get(name) is None:
                raise NoSuchVersion(f"{name} is not in the trash", safe="nothing was changed")
            return
        book = self.shelf.ledger.read()
        known = book.pruned.get(str(name)) or unknown(marker)
        self.shelf.require_whole(known, self.shelf.store.pruned(name))
        if self.shelf.required().find(str(name)) is not None:
            raise self.shelf.foreign(str(name))
        if str(name) in book.pruned:
            self.shelf.ledger.undeleted(name)
        try:
            self.shelf.required().rename(found, str(name))
        except Taken:
            raise self.shelf.foreign(str(name)) from None

    def delete(self, name: SnapshotName, *, even_held: bool) -> None:
        """See `Driver.delete`. What is deleted is named by its UUID: the name may mean another one by then."""
        book = self.shelf.ledger.read()  # first of all: with a damaged one nothing is done
        doomed = self._in_trash(name) or self._loose(name, even_held=even_held)
        if doomed is not None:
            self._delete(doomed, even_held=even_held)
        if str(name) in book.present or str(name) in book.pruned:
            self.shelf.ledger.deleted(name)

    def _delete(self, doomed: NativeSnapshot, *, even_held: bool) -> None:
        """Have one deleted. Raises `SnapshotHeld`, which says what keeps it."""
        natives = self.shelf.required()
        if even_held and self.shelf.ledger.read().holds.get(doomed.name):
            natives.keep(doomed, kept=False)
        try:
            natives.delete(doomed)
        except SnapshotHeld as error:
            reasons = natives.reasons(doomed)
            if not reasons:
                raise
            raise SnapshotHeld(
                error.what,
                why="; ".join(reasons),
                safe=error.safe,
                hint="`volume clone show` names clones, and `volume snapshot modify -expiry-time` ends an expiry",
            ) from None

    def _in_trash(self, name: SnapshotName) -> NativeSnapshot | None:
        found = self.shelf.required().find(f"{PRUNED}{name}")
        return found if found is not None and self.shelf.pruned_name(found) == str(name) else None

    def _loose(self, name: SnapshotName, *, even_held: bool = False) -> NativeSnapshot | None:
        """Give one of ours that may go. Raises `SnapshotForeign`, `SnapshotHeld`, `IntegrityDamage`."""
        found = self.shelf.get(name)
        if found is None:
            return None
        if found.marker is None:
            raise self.shelf.foreign(found.name)
        if found.holds and not even_held:
            raise SnapshotHeld(
                f"the snapshot {found.name} is held by {', '.join(map(ascii, found.holds))}",
                safe="nothing was deleted",
                hint="`mlsnap hold --release` takes a person's hold back; a run takes its own back when it ends",
            )
        native = self.shelf.required().find(found.name)
        return native if native is not None and native.uuid == found.native_id else None
