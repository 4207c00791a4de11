"""Moving a live tree to a version: under the volume's lease, and never losing what only the tree has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.errors import NoSuchVersion
from ci_mlsnap.flows import leases
from ci_mlsnap.flows.context import Hands
from ci_mlsnap.flows.live import Identity, keep, look
from ci_mlsnap.ports import Driver
from ci_mlsnap.state import live
from ci_mlsnap.trees.compare import differences


@dataclass(frozen=True, kw_only=True)
class Moved:
    """What a move did: how, the name under which unsaved work was kept, and how many entries differed."""

    way: Literal["swap", "sync", "none"]
    kept: str = ""
    changed: int = 0


def move_live_tree(hands: Hands, driver: Driver, name: SnapshotName, path: Path, identity: Identity) -> Moved:
    """Make the live tree equal to the version. Raises `Busy` while a run trains there, `IntegrityDamage`.

    The tree is marked in change, durably, before anything happens; run again after a crash, it ends the same.
    What only the tree holds is kept as a snapshot of its own first.
    """
    state, owner = driver.state_folder(), hands.owner()
    with leases.volume_held(hands, driver):
        before = look(driver, path, read=True)
        if before.version == str(name) and before.equal:
            return Moved(way="none")
        kept = keep(driver, path, identity, commit=name.sha, now=hands.now()) if before.unsaved else ""
        live.write(state, path, version=before.version, condition="in-change", target=str(name), run=owner)
        restored = driver.restore(name, path)
        if restored.displaced is not None:
            late = _keep_late_work(hands, driver, restored.displaced, kept or before.version, name, identity)
            kept = late or kept
        live.write(state, path, version=str(name), condition="equal", run=owner)
        changed = len(before.differences.removed) + len(before.differences.changed)
        return Moved(way=restored.way, kept=kept, changed=changed)


def _keep_late_work(
    hands: Hands, driver: Driver, displaced: Path, saved: str, name: SnapshotName, identity: Identity
) -> str:
    """Keep the displaced tree when somebody wrote to it between the comparison and the swap."""
    try:
        entries = driver.manifest(SnapshotName.parse(saved)).entries if saved else ()
    except NoSuchVersion:
        entries = ()
    found = differences(displaced, entries, read=False)
    if not (found.added or found.changed):
        return ""
    return keep(driver, displaced, identity, commit=name.sha, now=hands.now())
