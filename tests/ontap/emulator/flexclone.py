"""FlexClones: writable volumes that begin as another one's snapshot, and keep it from being deleted.

Which fields name the parent: the REST reference's page on volumes. The owner's name and the snapshot that is
taken where none is named: its examples.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.ontap.emulator.cluster import Cluster
from tests.ontap.emulator.refusals import BAD_VALUE, JUNCTION_AND_SVM, NOT_FOUND, VOLUME_OFFLINE, Refused
from tests.ontap.emulator.values import Snapshot, Volume


def clone_volume(cluster: Cluster, clone: Volume, body: Mapping[str, Any], junction: str) -> None:
    """Make a volume the clone of what the body names. Raises `Refused`.

    Naming the parent's SVM and a junction in one call fails, as users of the Ansible collection found.
    """
    asked = body["clone"]
    if junction and asked.get("parent_svm"):
        raise Refused(JUNCTION_AND_SVM, "The junction path can't be given with the parent's SVM.")
    taken = any((one.svm, one.junction) == (clone.svm, junction) for one in cluster.volumes.values())
    if junction and (taken or not junction.startswith("/")):
        raise Refused(BAD_VALUE, f'Junction path "{junction}" is invalid or already used.', "nas.path")
    parent = cluster.named_volume(asked.get("parent_volume") or {}, clone.svm)
    if parent.state != "online":
        raise Refused(VOLUME_OFFLINE, f'Volume "{parent.name}" is offline.')
    base = _base(cluster, parent, clone, asked.get("parent_snapshot") or {})
    clone.parent, clone.parent_snapshot = parent.uuid, base.uuid
    clone.size, clone.style, clone.junction = parent.size, parent.style, junction
    cluster.places.make(clone)
    cluster.places.fill(clone, cluster.places.snapshot(parent, base))


def _base(cluster: Cluster, parent: Volume, clone: Volume, named: Mapping[str, Any]) -> Snapshot:
    """Find the snapshot to start from; where none is named, one is taken for it."""
    if not named:
        stamp = cluster.now().strftime("%Y-%m-%d_%H%M%S")
        return cluster.snapshot(parent, f"clone_{clone.name}.{stamp}.0")
    for snapshot in parent.snapshots.values():
        if snapshot.name == named.get("name") or snapshot.uuid == named.get("uuid"):
            return snapshot
    raise Refused(NOT_FOUND, f'Snapshot "{named.get("name", "")}" does not exist.', "clone.parent_snapshot")
