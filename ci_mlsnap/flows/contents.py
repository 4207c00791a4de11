"""What is in a version: the manifests of all its volumes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ci_mlsnap.domain.manifest import Manifest
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
