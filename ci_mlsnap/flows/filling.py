"""How full a volume's storage is, said in good time."""

from __future__ import annotations

from ci_mlsnap.errors import MlsnapError
from ci_mlsnap.ports import Driver, Probe

_NEARLY = 0.9
ADVICE = "`mlsnap prune --dry-run` says what a retention policy would remove"


def filling(probe: Probe) -> str:
    """Say of space or of the number of snapshots that nearly all is used; empty while there is room."""
    snapshots = probe.snapshots + probe.foreign
    if probe.most_snapshots and snapshots >= _NEARLY * probe.most_snapshots:
        return f"{snapshots} of {probe.most_snapshots} snapshots used"
    used = 1 - probe.free_bytes / probe.total_bytes if probe.total_bytes else 0.0
    return f"storage {int(used * 100)} % full" if used >= _NEARLY else ""


def filling_of(driver: Driver) -> str:
    """Say it of a driver's volume; nothing where that cannot be told."""
    try:
        return filling(driver.probe())
    except MlsnapError:
        return ""
