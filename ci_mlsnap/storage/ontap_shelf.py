"""The snapshots of an ONTAP volume: which are ours, and publishing and deleting them.

Ours are those whose comment is a marker of this project and model with the snapshot's own name, and whose manifest
has the marker's digest. Existence is asked of the cluster: an NFS client remembers for a while that something was
not there. Without a login the ledger and the mount answer, which is enough to read.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from ci_mlsnap.domain.names import Marker, SnapshotName
from ci_mlsnap.errors import MlsnapError, NoSuchVersion, StorageFailed, StorageUnknown
from ci_mlsnap.ports import Snapshot
from ci_mlsnap.storage.ledger import Book, Publication
from ci_mlsnap.storage.ontap_api import NativeSnapshot
from ci_mlsnap.storage.ontap_errors import Taken
from ci_mlsnap.storage.ontap_layout import PRUNED, OntapStore
from ci_mlsnap.storage.ontap_natives import Natives
from ci_mlsnap.storage.ontap_requests import Patience
from ci_mlsnap.storage.ontap_volume import require_mounted
from ci_mlsnap.storage.shelf import Shelf, foreign_at


def unknown(marker: Marker) -> Publication:
    """Give what is known of a snapshot that no ledger tells of: its manifest has to be read."""
    return Publication(marker=marker, manifest_facts=())


class OntapShelf(Shelf, frozen=True, kw_only=True):
    """The snapshots of one volume. Whoever writes holds the store lock. `natives` is None without a login.

    `owner` is the project and the model that the volume belongs to, `patience` how long the mount may be behind.
    With `by_server` the mount is not asked at all: manifests are read from their copies.
    """

    store: OntapStore
    natives: Natives | None
    owner: tuple[str, str]
    patience: Patience
    by_server: bool = False

    # -- reading -----------------------------------------------------------------------------------

    def get(self, name: SnapshotName) -> Snapshot | None:
        """See `Shelf.get`; what the cluster and its manifest call ours is so without a ledger too."""
        book = self.ledger.read()
        snapshot = self._look(str(name), book)
        if snapshot is not None and snapshot.marker is not None:
            self.require_whole(book.present.get(str(name)) or unknown(snapshot.marker))
        return snapshot

    def listed(self, book: Book) -> Sequence[Snapshot]:
        """Give what is there. Without a login that is what the ledger knows and the mount shows."""
        if self.natives is None:
            found = [self._look(name, book) for name in sorted(book.present)]
            return [snapshot for snapshot in found if snapshot is not None]
        return [self.told(it, book) for it in self.natives.all() if self.pruned_name(it) is None]

    def gone(self, book: Book) -> Sequence[str]:
        """See `Shelf.gone`."""
        missing = sorted(book.seen & book.present.keys())
        if self.natives is None or not missing:
            return super().gone(book)
        there = {it.name for it in self.natives.all()}
        return [name for name in missing if not {name, PRUNED + name} & there]

    def _look(self, name: str, book: Book) -> Snapshot | None:
        if self.natives is None:
            return super()._look(name, book)
        found = self.natives.find(name)
        return None if found is None else self.told(found, book)

    def told(self, found: NativeSnapshot, book: Book) -> Snapshot:
        """Say what a snapshot of the cluster is to us, as a book knows it."""
        marker = self.marker_of(found)
        if marker is None or found.name in book.deleted:  # one that was taken back, and could not be deleted
            return Snapshot(name=found.name, marker=None, native_id=found.uuid)
        holds = tuple(book.holds.get(found.name, ()))
        adopted = found.name in book.adopted
        return Snapshot(name=found.name, marker=marker, native_id=found.uuid, holds=holds, adopted=adopted)

    def marker_of(self, found: NativeSnapshot) -> Marker | None:
        """Give the marker of one of ours that stands under its own name, or in the trash."""
        marker = Marker.parse(found.comment)
        if marker is None or not marker.is_of(*self.owner):
            return None
        return marker if found.name in (str(marker.name), f"{PRUNED}{marker.name}") else None

    def pruned_name(self, found: NativeSnapshot) -> str | None:
        """Give the name that one of ours in the trash had; None for all else."""
        marker = self.marker_of(found)
        return str(marker.name) if marker is not None and found.name.startswith(PRUNED) else None

    def _publication(self, name: SnapshotName) -> Publication:
        if self.natives is None:
            return super()._publication(name)
        book = self.ledger.read()
        found = self.natives.find(str(name), whenever=True)
        marker = self.told(found, book).marker if found is not None else None
        if marker is None:
            why = "" if found is None else "what stands under that name is not ours"
            raise NoSuchVersion(f"there is no version {name}", why=why, hint="`mlsnap log` names those there are")
        if not self.by_server:
            self.await_shown(self.store.snapshots / str(name))
        return book.present.get(str(name)) or unknown(marker)

    def require_whole(self, publication: Publication, place: Path | None = None) -> None:
        """See `Shelf.require_whole`; the mount is given some time to show what the cluster has."""
        if self.by_server:
            place = self.manifest_place(str(publication.marker.name))
        else:
            self.await_shown(place or self.store.snapshots / str(publication.marker.name))
        super().require_whole(publication, place)

    def manifest_place(self, name: str) -> Path:
        """See `Shelf.manifest_place`."""
        return self.store.stand_in(name) if self.by_server else super().manifest_place(name)

    def require_open(self, name: SnapshotName) -> Path:
        """Give a snapshot's folder, to be read. Raises `NoSuchVersion`; `StorageFailed` where it is hidden."""
        place = self.place(name)
        if not os.path.lexists(place):
            raise _hidden(place)
        return place

    def await_shown(self, place: Path) -> None:
        """Wait until the mount shows a snapshot that is there. Raises `StorageFailed` when it does not.

        A mount that is gone is not waited for: that is `VolumeMissing`.
        """
        if not self.store.snapshots.is_dir():
            require_mounted(self.store.volume)
            raise _hidden(place)
        until = time.monotonic() + self.patience.shown
        while not os.path.lexists(place):
            if time.monotonic() >= until:
                raise _hidden(place)
            time.sleep(self.patience.between)

    # -- publishing --------------------------------------------------------------------------------

    def _is_spent(self, name: SnapshotName, book: Book) -> bool:
        if str(name) in book.deleted or str(name) in book.pruned:
            return True
        return self.natives is not None and self.natives.find(f"{PRUNED}{name}") is not None

    def known(self, marker: Marker) -> Snapshot | None:
        """Do as `existing` where the ledger knows the name; else `make` finds out whether it is taken."""
        return self.existing(marker) if str(marker.name) in self.ledger.read().used else None

    def make(self, marker: Marker, manifest_facts: tuple[int, ...], sequence: int) -> Snapshot:
        """Have the snapshot made, and read back by its name: an answer alone proves nothing.

        Raises `SnapshotForeign`, `SnapshotConflict`, `StorageUnknown`, and refusals.
        """
        natives = self.required()
        self.ledger.published(marker, manifest_facts, sequence)
        said = "made"
        try:
            natives.create(marker)
        except Taken:
            said = "had"  # from whom, the look at it tells
        found = self.standing(marker)
        if found is None:
            raise StorageUnknown(
                f"the storage says that it {said} {marker.name}, and does not show it",
                safe="nothing else was changed",
                hint="check that ontap.host is the cluster's management address, then run again",
            )
        return found

    def take_back(self, snapshot: Snapshot) -> str:
        """Delete what was made and is not what was frozen; say why it is still there, where it is.

        It is no version from the first moment on, and its number stays spent.
        """
        self.ledger.deleted(SnapshotName.parse(snapshot.name))
        try:
            found = self.required().find(snapshot.name)
            if found is not None and found.uuid == snapshot.native_id:
                self.required().delete(found)
        except MlsnapError as error:
            return f"{error.what}: {error.why}"
        return ""

    def required(self) -> Natives:
        """Give the way to the cluster. Raises `StorageFailed` where there is no login."""
        if self.natives is None:
            raise StorageFailed(
                "no login to the cluster is configured",
                why="whoever runs mlsnap sets it, never a repository's file",
                safe="nothing was changed",
                hint="set ontap.host and ontap.svm in /etc/mlsnap.toml, and a credential: docs/ontap.md",
            )
        return self.natives

    def foreign(self, name: str) -> Exception:
        """Give the error for what stands under a name and is not ours."""
        return foreign_at(self.store.snapshots / name)


def _hidden(place: Path) -> StorageFailed:
    return StorageFailed(
        f"{place} cannot be opened, and the cluster has the snapshot",
        why="the mount does not show it: another volume is mounted there, or `.snapshot` is hidden",
        safe="the snapshot is there; nothing was changed",
        hint="`volume modify -snapdir-access true`, and look at what is mounted there (`findmnt`)",
    )
