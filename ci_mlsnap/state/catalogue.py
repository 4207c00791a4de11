"""Which versions there are: read from the snapshots, with a cache of their headers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from ci_mlsnap.domain.names import Marker, SnapshotName
from ci_mlsnap.domain.versions import Version
from ci_mlsnap.errors import IntegrityDamage, NoSuchVersion, Refused
from ci_mlsnap.ports import Driver, Snapshot
from ci_mlsnap.state import documents


class _Cache(msgspec.Struct, frozen=True, kw_only=True, tag_field="format", tag="mlsnap/catalogue/1"):
    versions: dict[str, Version]


class Catalogue(msgspec.Struct, frozen=True, kw_only=True):
    """The versions in the order of their names, and the names of ours whose manifest cannot be trusted."""

    versions: tuple[Version, ...]
    damaged: tuple[str, ...]


def read(driver: Driver, *, remember: bool = False, listed: Sequence[Snapshot] | None = None) -> Catalogue:
    """Read all of ours; a header that was read before for the same marker is not read again.

    `listed` is what the driver has listed just now, where the caller needs that too. `remember` writes the cache;
    without it nothing is written. Raises `StorageFailed`.
    """
    path = driver.state_folder() / "catalogue.json"
    cached = _cached(path)
    found: dict[str, Version] = {}
    damaged: list[str] = []
    for snapshot in driver.list() if listed is None else listed:
        if snapshot.marker is not None:
            _collect(driver, snapshot.marker, cached, found, damaged)
    if remember and found != cached:
        documents.write(path, _Cache(versions=found))
    return Catalogue(versions=tuple(found.values()), damaged=tuple(damaged))


def versions(driver: Driver, *, remember: bool = False) -> list[Version]:
    """Give the versions that `read` finds undamaged."""
    return list(read(driver, remember=remember).versions)


def _collect(
    driver: Driver, marker: Marker, cached: Mapping[str, Version], found: dict[str, Version], damaged: list[str]
) -> None:
    name = str(marker.name)
    known = cached.get(name)
    try:
        found[name] = known if known and known.digest == marker.digest else _version(driver, marker.name, marker)
    except IntegrityDamage:
        damaged.append(name)
    except NoSuchVersion:
        return  # deleted since it was listed


def _version(driver: Driver, name: SnapshotName, marker: Marker) -> Version:
    header = driver.manifest_header(name)
    if header.name != str(name):
        raise IntegrityDamage(f"the manifest in snapshot {name} is that of another one")
    return Version(header=header, digest=marker.digest)


def _cached(path: Path) -> Mapping[str, Version]:
    try:
        cache = documents.read(path, _Cache, way_out="it is read anew")
    except (IntegrityDamage, Refused):
        return {}  # a cache only: the snapshots say it all
    if cache is None:
        return {}
    return {name: version for name, version in cache.versions.items() if version.header.name == name}
