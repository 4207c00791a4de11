"""From the live tree of an ONTAP volume to a snapshot under a name.

A snapshot holds what the live tree holds at its instant, the manifest included, so that has to be there before.
The tree is looked at, the manifest written into it, the snapshot made, and then the snapshot looked at: what is
not in there as it was seen before came by a late writer, and such a snapshot is taken back.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ci_mlsnap.domain.manifest import MANIFEST_PATH, Manifest, digest_of, encode, inventory_of
from ci_mlsnap.domain.names import Marker, SnapshotName
from ci_mlsnap.durable.atomic import write_atomically
from ci_mlsnap.durable.faults import storage_errors
from ci_mlsnap.errors import IntegrityDamage, LateWriter, StorageFailed
from ci_mlsnap.ports import Frozen, Snapshot
from ci_mlsnap.storage.checking import first_damage
from ci_mlsnap.storage.facts import content_of, line_of, lines_of, remember, remembered
from ci_mlsnap.storage.layout import new_token
from ci_mlsnap.storage.ontap_layout import FrozenRecord, OntapStore
from ci_mlsnap.storage.ontap_shelf import OntapShelf
from ci_mlsnap.storage.ontap_volume import require_id
from ci_mlsnap.storage.sealed import SealedTrees
from ci_mlsnap.storage.shelf import facts_of
from ci_mlsnap.trees.inventory import survey
from ci_mlsnap.trees.syncfs import sync_file_system
from ci_mlsnap.trees.walk import Found

RACY_SECONDS = 2.0
"""How young a change must be, when it is read, for its time to be doubted."""


@dataclass(frozen=True, kw_only=True)
class Sealing:
    """Freezing and sealing on one volume."""

    shelf: OntapShelf
    volume_id: str
    racy_seconds: float = RACY_SECONDS

    @property
    def _store(self) -> OntapStore:
        return self.shelf.store

    @property
    def _live(self) -> Path:
        return self._store.volume

    # -- freezing ----------------------------------------------------------------------------------

    def freeze(self, *, full: bool, inventory: bool) -> Frozen:
        """Look at the live tree, once what this host wrote is with the storage. See `Driver.freeze`."""
        require_id(self._store, self.volume_id)
        youngest = time.time_ns() - int(self.racy_seconds * 1e9)
        sync_file_system(self._live)
        found, lines = inventory_of(()), {}
        if inventory:
            known = {} if full else remembered(self._store.state, self._live)
            listing = survey(self._live, known=lambda it: content_of(known.get(it.path), it.stat))
            found, lines = listing.inventory(), dict(lines_of(listing.known, youngest=youngest))
            with suppress(StorageFailed):  # only a cache
                remember(self._store.state, self._live, listing.known, youngest=youngest)
        token = new_token()
        self._store.put_frozen(token, FrozenRecord(lines=lines))
        return Frozen(token=token, path=self._store.frozen_file(token), inventory=found, copied_bytes=0)

    # -- sealing -----------------------------------------------------------------------------------

    def seal(self, frozen: Frozen, manifest: Manifest, marker: Marker) -> Snapshot:
        """See `Driver.seal`."""
        self.require_belonging(manifest, marker)
        with self._store.locked():
            found = self.shelf.known(marker)
            record = self._remembered(frozen, needed=found is None)
            if found is None:
                found = self.shelf.make(marker, self.put_manifest(manifest), manifest.header.sequence)
        if found.name not in self.shelf.ledger.read().seen:  # or who made it did not come to look at it
            self._require_as_frozen(found, record, manifest)
        self._store.forget_frozen(frozen.token)
        return found

    def _remembered(self, frozen: Frozen, *, needed: bool) -> FrozenRecord:
        """Give what was seen when the tree was frozen. What was made already may do without: it is read then."""
        try:
            return self._store.frozen(frozen.token)
        except StorageFailed:
            if needed:
                raise
            return FrozenRecord(lines={})

    def require_belonging(self, manifest: Manifest, marker: Marker) -> None:
        """Refuse a manifest of another volume, or a marker of another manifest. Raises `IntegrityDamage`."""
        header = manifest.header
        if header.name != str(marker.name) or header.volume_id != self.volume_id:
            raise IntegrityDamage(f"the manifest of {marker.name} names another snapshot or volume")
        if digest_of(encode(manifest)) != marker.digest:
            raise IntegrityDamage(f"the marker of {marker.name} names another manifest")

    def _require_as_frozen(self, made: Snapshot, record: FrozenRecord, manifest: Manifest) -> None:
        """Take back a snapshot that does not hold what was frozen. Raises `LateWriter`."""
        late = self._late(made, record, manifest)
        with self._store.locked():
            if not late:
                with suppress(StorageFailed):  # only hides a loss
                    self.shelf.ledger.seen(SnapshotName.parse(made.name))
                return
            left = self.shelf.take_back(made)
        raise LateWriter(
            f"the volume was written to while {made.name} was made: {late}",
            why=left,
            safe="no version was made of it; the files are as they were left",
            hint="stop what writes there, then run again"
            + (f"; the snapshot can be deleted: `volume snapshot delete -snapshot {made.name}`" if left else ""),
        )

    def put_manifest(self, manifest: Manifest) -> tuple[int, ...]:
        """Put the manifest into the live tree, so that the storage has it; give the file's facts."""
        require_id(self._store, self.volume_id)
        place = self._live / MANIFEST_PATH
        with storage_errors("the manifest cannot be written"):
            write_atomically(place, encode(manifest))
            if self.shelf.by_server:
                self._store.put_stand_in(manifest.header.name, encode(manifest))
            facts = facts_of(os.lstat(place))
        sync_file_system(self._live)
        return facts

    def _late(self, made: Snapshot, record: FrozenRecord, manifest: Manifest) -> str:
        """Say what in the snapshot is not as it was frozen; a file with the same facts is not read again.

        Where nobody can look into it, the live tree is looked at once more: what was the same before the snapshot
        and after was so at its instant.
        """
        if manifest.header.files_mode == "none":
            return ""
        digests = {entry.path: entry.sha256 for entry in manifest.entries}
        lines: dict[bytes, bytes] = {}

        def known(found: Found) -> bytes | None:
            lines[found.path] = line_of(found.stat, digests[found.path])
            return record.lines.get(found.path)

        if self.shelf.by_server:
            return first_damage(self._live, manifest.entries, known)
        late = first_damage(self._store.snapshots / made.name, manifest.entries, known)
        if not late:
            SealedTrees(state=self._store.state).remember_files(made.native_id, lines)
        return late
