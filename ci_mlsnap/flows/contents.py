"""What is in a version: the manifests of all its volumes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ci_mlsnap.domain.manifest import Entry, Manifest
from ci_mlsnap.domain.versions import Version
from ci_mlsnap.ports import Driver


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One volume of a version, with its manifest."""

    volume: str
    driver: Driver
    manifest: Manifest


def parts_of(driver: Driver, version: Version) -> Sequence[Part]:
    """Give all volumes of a version, the first one first. Raises `NoSuchVersion`, `IntegrityDamage`."""
    header = version.header
    first = Part(volume=header.volume, driver=driver, manifest=driver.manifest(version.name))
    others = [it for it in driver.others() if it.name in header.members and it.name != header.volume]
    return [
        first,
        *(Part(volume=it.name, driver=it.driver, manifest=it.driver.manifest(version.name)) for it in others),
    ]


def entries_of(parts: Sequence[Part], *, several: bool) -> Sequence[Entry] | None:
    """Give all that is in a version, below the names of its volumes where there are `several`; None where that
    was not inventoried."""
    if any(part.manifest.header.files_mode == "none" for part in parts):
        return None
    if not several:
        return parts[0].manifest.entries
    return [
        msgspec.structs.replace(entry, path=part.volume.encode() + b"/" + entry.path)
        for part in parts
        for entry in part.manifest.entries
    ]
