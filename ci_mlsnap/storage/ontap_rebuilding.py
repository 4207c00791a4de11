"""Know an ONTAP volume's snapshots again after its state was lost: the cluster kept whose they are.

A snapshot's comment is its marker, and its manifest says the same from within: unlike a folder, nobody can put one
there without a login to the cluster. So nothing is adopted on a manifest's word alone.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from ci_mlsnap.domain.manifest import ManifestHeader
from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.errors import IntegrityDamage, MlsnapError
from ci_mlsnap.ports import Rebuilt, Snapshot
from ci_mlsnap.storage.layout import read_id
from ci_mlsnap.storage.ontap_shelf import OntapShelf
from ci_mlsnap.storage.ontap_volume import require_id

UNTOLD = "which snapshots were held, and the names of those that were deleted"
"""What the cluster does not say."""


def rebuild(shelf: OntapShelf, path: Path, name: str, *, dry_run: bool) -> Rebuilt:
    """See `Driver.rebuild`; the shelf is of the project and model that are asked for, where no record is left.

    Without a record the volume's own id counts, if one of its snapshots has it too. Raises `StorageFailed` without
    a login, and `IntegrityDamage` for a damaged ledger.
    """
    natives, store = shelf.required(), shelf.store
    record = store.record()
    volume_id = record.id if record else read_id(path)
    if not volume_id:
        return Rebuilt()
    require_id(store, volume_id)
    moved = bool(store.uuid()) and store.uuid() != natives.volume
    if not dry_run:
        store.make()
    with nullcontext() if dry_run else store.locked():
        found = _Found(shelf, volume_id)
        if record is None and not found.headers:
            return found.told(changed=False)
        if not dry_run:
            if record is None:
                project, model = shelf.owner
                store.make_record(path, name, project=project, model=model, volume_id=volume_id)
            if store.uuid() != natives.volume:
                store.remember_uuid(natives.volume)
            found.write()
        return found.told(changed=moved or record is None or bool(found.headers))


class _Found:
    """What the cluster has of ours. `headers` are those of snapshots that no line of the ledger tells of."""

    def __init__(self, shelf: OntapShelf, volume_id: str) -> None:
        self._shelf, self._book = shelf, shelf.ledger.read()
        self._ours = [it for it in shelf.listed(self._book) if it.marker is not None]
        self.headers: dict[str, ManifestHeader] = {}
        self._refused: list[tuple[str, str]] = []
        for snapshot in self._ours:
            if snapshot.name not in self._book.present:
                try:
                    self.headers[snapshot.name] = _vouched(shelf, snapshot, volume_id)
                except MlsnapError as error:
                    self._refused.append((snapshot.name, error.what))

    def write(self) -> None:
        """Let the ledger say what it did not."""
        for snapshot in self._ours:
            if snapshot.marker is not None and snapshot.name in self.headers:
                self._shelf.ledger.published(snapshot.marker, (), self.headers[snapshot.name].sequence)
                self._shelf.ledger.seen(snapshot.marker.name)

    def told(self, *, changed: bool) -> Rebuilt:
        """Say what is known again."""
        held = [it for it in self._ours if it.holds]
        return Rebuilt(
            ours=len(self._ours) - len(self._refused),
            held=tuple((it, self._shelf.store.snapshots / it.name) for it in held),
            refused=tuple(self._refused),
            lost=(UNTOLD,) if self.headers and not self._book.present else (),
            sequence=max([self._book.sequence, *(header.sequence for header in self.headers.values())]),
            changed=changed,
        )


def _vouched(shelf: OntapShelf, snapshot: Snapshot, volume_id: str) -> ManifestHeader:
    """Give the header of a snapshot whose manifest says what its comment does. Raises `MlsnapError`."""
    header = shelf.header(SnapshotName.parse(snapshot.name))
    said = (header.name, header.volume_id, header.project, header.model)
    if said != (snapshot.name, volume_id, *shelf.owner):
        raise IntegrityDamage("its manifest names another snapshot, volume, project or model")
    return header
