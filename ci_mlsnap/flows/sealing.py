"""From what was frozen to a version: one snapshot for each of its volumes, the first volume's last."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from ci_mlsnap.domain.manifest import Manifest, ManifestHeader, digest_of, encode
from ci_mlsnap.domain.names import Marker, SnapshotName
from ci_mlsnap.errors import IntegrityDamage
from ci_mlsnap.ports import Driver, Frozen, SealsTogether


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """One volume of a version that is being made: what was frozen of it and of which tree, and its driver."""

    volume: str
    driver: Driver
    tree: Path
    frozen: Frozen


def manifests(taken: Sequence[Taken], header: ManifestHeader) -> list[Manifest]:
    """Complete the header by what is in each volume."""
    members = tuple(it.volume for it in taken)
    return [
        Manifest(
            header=msgspec.structs.replace(
                header,
                volume=it.volume,
                volume_id=it.driver.volume_id,
                members=members,
                files=it.frozen.inventory.files,
                bytes=it.frozen.inventory.bytes,
                content_digest=it.frozen.inventory.content_digest,
            ),
            entries=it.frozen.inventory.entries,
        )
        for it in taken
    ]


def marker_of(manifest: Manifest) -> Marker:
    """Give what the storage says of the snapshot with this manifest."""
    header, digest = manifest.header, digest_of(encode(manifest))
    return Marker(project=header.project, model=header.model, name=SnapshotName.parse(header.name), digest=digest)


def seal(taken: Sequence[Taken], made: Sequence[Manifest], marker: Marker) -> bool:
    """Publish the snapshots of a version; `marker` is that of the first volume, whose snapshot makes it one.

    Tell whether all were made at one instant. Doing it again with the same manifests adds what is missing. Raises
    as `Driver.seal` does.
    """
    first, others = taken[0].driver, [it.driver for it in taken[1:]]
    at_once = not others
    if others and isinstance(first, SealsTogether):
        at_once = first.snapshot_together(others, made, [marker_of(manifest) for manifest in made])
    for it, manifest in list(zip(taken, made, strict=True))[:0:-1]:
        it.driver.seal(it.frozen, manifest, marker_of(manifest))
    first.seal(taken[0].frozen, made[0], marker)
    return at_once


def remove_leftovers(driver: Driver) -> None:
    """Remove what the other volumes have of versions that the first one has not: they never were, or are no more.

    Only for whoever knows that nobody is sealing or deleting one just now.
    """
    for member in driver.others():
        # A pruned version may be brought back, and then with all its volumes.
        # Looked for twice: one that comes back meanwhile is in neither place between the two looks.
        seen = (*driver.list(), *driver.pruned(), *driver.list())
        there = {snapshot.name for snapshot in seen}
        # One that the first volume lost was a version: what is left of it is for a person to look at.
        there |= set(map(str, driver.missing()))
        for snapshot in member.driver.list():
            if snapshot.marker is not None and snapshot.name not in there:
                _remove_leftover(member.driver, snapshot.marker)


def _remove_leftover(driver: Driver, marker: Marker) -> None:
    """Remove one, but for a keepsake of this volume alone, which has no first volume."""
    with suppress(IntegrityDamage):  # for a person to look at
        if len(driver.manifest_header(marker.name).members) > 1:
            driver.delete(marker.name)
