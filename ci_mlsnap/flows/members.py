"""The volumes that make versions: their drivers, and those that one version has besides the first volume."""

from __future__ import annotations

from ci_mlsnap.domain.manifest import ManifestHeader
from ci_mlsnap.ports import Driver, Member


def drivers_of(driver: Driver) -> tuple[Driver, ...]:
    """Give the driver of each volume, the first one's first."""
    return (driver, *(member.driver for member in driver.others()))


def besides_first(driver: Driver, header: ManifestHeader) -> list[Member]:
    """Give the other volumes of one version: it may be older than the newest of them."""
    return [member for member in driver.others() if member.name in header.members]
