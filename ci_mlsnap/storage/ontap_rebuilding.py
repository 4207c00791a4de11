"""Know an ONTAP volume's snapshots again after its ledger was lost: the cluster kept whose they are.

A snapshot's comment is its marker, and its manifest says the same from within: unlike a folder, nobody can put one
there without a login to the cluster. So nothing is adopted on a manifest's word alone.
"""

from __future__ import annotations

from contextlib import nullcontext

from ci_mlsnap.domain.manifest import ManifestHeader
from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.errors import IntegrityDamage, MlsnapError
from ci_mlsnap.ports import Rebuilt, Snapshot
from ci_mlsnap.storage.ontap_shelf import OntapShelf

UNTOLD = "which snapshots were held, and the names of those that were deleted"
"""What the cluster does not say."""


def rebuild(shelf: OntapShelf, volume_id: str, *, dry_run: bool) -> Rebuilt:
    """See `Driver.rebuild`. Raises `StorageFailed` without a login, and `IntegrityDamage` for a damaged ledger."""
    shelf.required()
    with nullcontext() if dry_run else shelf.store.locked():
        book = shelf.ledger.read()
        ours = [snapshot for snapshot in shelf.listed(book) if snapshot.marker is not None]
        unknown = [snapshot for snapshot in ours if snapshot.name not in book.present]
        headers: dict[str, ManifestHeader] = {}
        refused = []
        for snapshot in unknown:
            try:
                headers[snapshot.name] = _vouched(shelf, snapshot, volume_id)
            except MlsnapError as error:
                refused.append((snapshot.name, error.what))
        if not dry_run:
            for snapshot in unknown:
                if snapshot.marker is not None and snapshot.name in headers:
                    shelf.ledger.published(snapshot.marker, (), headers[snapshot.name].sequence)
                    shelf.ledger.seen(snapshot.marker.name)
        held = [it for it in ours if it.holds]
        return Rebuilt(
            ours=len(ours) - len(refused),
            held=tuple((it, shelf.store.snapshots / it.name) for it in held),
            refused=tuple(refused),
            lost=(UNTOLD,) if headers and not book.present else (),
            sequence=max([book.sequence, *(header.sequence for header in headers.values())]),
            changed=bool(headers),
        )


def _vouched(shelf: OntapShelf, snapshot: Snapshot, volume_id: str) -> ManifestHeader:
    """Give the header of a snapshot whose manifest says what its comment does. Raises `MlsnapError`."""
    header = shelf.header(SnapshotName.parse(snapshot.name))
    said = (header.name, header.volume_id, header.project, header.model)
    if said != (snapshot.name, volume_id, *shelf.owner):
        raise IntegrityDamage("its manifest names another snapshot, volume, project or model")
    return header
