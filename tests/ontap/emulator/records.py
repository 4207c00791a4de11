"""What the cluster's things look like in an answer, and which of it costs extra to ask for.

The names of fields, and which are expensive, were read in netapp-ontap's resources of 9.19.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from tests.ontap.emulator.query import Kind, Record
from tests.ontap.emulator.values import Group, GroupSnapshot, Job, Snapshot, Volume

if TYPE_CHECKING:
    from tests.ontap.emulator.cluster import Cluster

VOLUMES = "/api/storage/volumes"
JOBS = "/api/cluster/jobs"
GROUPS = "/api/application/consistency-groups"


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


VOLUME = Kind(
    fields=_names("""
        uuid name comment create_time size state style type svm.name svm.uuid nas.path snapshot_policy.name
        snapshot_directory_access_enabled snapshot_locking_enabled snapshot_count clone.is_flexclone
        clone.has_flexclone clone.parent_volume.name clone.parent_volume.uuid clone.parent_snapshot.name
        clone.parent_snapshot.uuid clone.parent_svm.name clone.split_initiated space.size space.available
        space.used space.size_available_for_snapshots space.snapshot.reserve_percent
        space.snapshot.autodelete_enabled space.snapshot.used space.snapshot.autodelete.enabled
        space.snapshot.autodelete.trigger
        space.snapshot.autodelete.delete_order space.snapshot.autodelete.commitment
        space.snapshot.autodelete.defer_delete space.snapshot.autodelete.prefix
        consistency_group.name consistency_group.uuid snaplock.type
        """),
    always=_names("uuid name"),
    expensive=_names("""
        clone.parent_volume clone.parent_snapshot clone.parent_svm clone.split_initiated nas.path snaplock
        space.snapshot space.size_available_for_snapshots
        """),
    self_link=lambda record: f"{VOLUMES}/{record['uuid']}",
)

SNAPSHOT = Kind(
    fields=_names("""
        uuid name comment create_time expiry_time snapmirror_label owners state size volume.name volume.uuid
        svm.name svm.uuid provenance_volume.uuid reclaimable_space snaplock.expired snaplock.expiry_time
        snaplock.time_until_expiry snaplock_expiry_time
        """),
    always=_names("uuid name"),
    expensive=_names("reclaimable_space delta"),
    self_link=lambda record: f"{VOLUMES}/{record['volume']['uuid']}/snapshots/{record['uuid']}",
)

JOB = Kind(
    fields=_names(
        "uuid description state message code start_time end_time svm.name error.message error.code error.arguments"
    ),
    always=_names("uuid"),
    expensive=_names(""),
    self_link=lambda record: f"{JOBS}/{record['uuid']}",
)

SVM = Kind(
    fields=_names("uuid name state subtype"),
    always=_names("uuid name"),
    expensive=_names(""),
    self_link=lambda record: f"/api/svm/svms/{record['uuid']}",
)

GROUP = Kind(
    fields=_names("uuid name svm.name volumes volumes.name volumes.uuid"),
    always=_names("uuid name"),
    expensive=_names(""),
    self_link=lambda record: f"{GROUPS}/{record['uuid']}",
)

GROUP_SNAPSHOT = Kind(
    fields=_names("""
        uuid name comment create_time consistency_type is_partial svm.name consistency_group.name
        consistency_group.uuid missing_volumes snapshot_volumes
        """),
    always=_names("uuid name"),
    expensive=_names(""),
    self_link=lambda record: f"{GROUPS}/{record['consistency_group']['uuid']}/snapshots/{record['uuid']}",
)

POLICY = Kind(
    fields=_names("uuid name enabled copies copies.count copies.schedule.name"),
    always=_names("uuid name"),
    expensive=_names(""),
    self_link=lambda record: f"/api/storage/snapshot-policies/{record['uuid']}",
)


def volume_record(cluster: Cluster, volume: Volume, *, measured: bool) -> Record:
    """Say all of a volume; its used space only when `measured`."""
    group = next((group for group in cluster.groups.values() if volume.uuid in group.volumes), None)
    record: Record = {
        "uuid": volume.uuid,
        "name": volume.name,
        "comment": volume.comment,
        "create_time": moment(volume.created),
        "size": volume.size,
        "state": volume.state,
        "style": volume.style,
        "type": volume.type,
        "svm": {"name": volume.svm, "uuid": cluster.svms[volume.svm]},
        "snapshot_policy": {"name": volume.policy},
        "snapshot_directory_access_enabled": volume.snapshots_shown,
        "snapshot_locking_enabled": volume.locking,
        "snapshot_count": len(volume.snapshots),
        "snaplock": {"type": "non_snaplock"},
        "clone": _clone_record(cluster, volume),
        "space": _space_record(cluster, volume, measured=measured),
    }
    if volume.junction:
        record["nas"] = {"path": volume.junction}
    if group:
        record["consistency_group"] = {"name": group.name, "uuid": group.uuid}
    return record


def _clone_record(cluster: Cluster, volume: Volume) -> Record:
    if not volume.parent:
        return {"is_flexclone": False, "has_flexclone": bool(cluster.clones_of(volume))}
    parent = cluster.volumes[volume.parent]
    base = parent.by_uuid(volume.parent_snapshot)
    return {
        "is_flexclone": True,
        "has_flexclone": bool(cluster.clones_of(volume)),
        "split_initiated": False,
        "parent_volume": {"name": parent.name, "uuid": parent.uuid},
        "parent_snapshot": {"name": base.name, "uuid": base.uuid} if base else {},
        "parent_svm": {"name": parent.svm},
    }


def _space_record(cluster: Cluster, volume: Volume, *, measured: bool) -> Record:
    used = cluster.used(volume) if measured else 0
    automatic = volume.autodelete
    return {
        "size": volume.size,
        "used": used,
        "available": max(0, volume.size - used),
        "size_available_for_snapshots": max(0, volume.size - used),
        "snapshot": {
            "reserve_percent": volume.reserve_percent,
            "used": sum(one.size for one in volume.snapshots.values()),
            "autodelete_enabled": automatic.enabled,
            "autodelete": {
                "enabled": automatic.enabled,
                "trigger": automatic.trigger,
                "delete_order": automatic.delete_order,
                "commitment": automatic.commitment,
                "defer_delete": automatic.defer_delete,
                "prefix": automatic.prefix,
            },
        },
    }


def snapshot_record(cluster: Cluster, volume: Volume, snapshot: Snapshot) -> Record:
    """Say all of a snapshot."""
    owners = cluster.owners(volume, snapshot)
    optional = {
        "comment": snapshot.comment,
        "snapmirror_label": snapshot.label,
        "owners": list(owners),
        "expiry_time": moment(snapshot.expiry) if snapshot.expiry else "",
    }
    record: Record = {
        "uuid": snapshot.uuid,
        "name": snapshot.name,
        "create_time": moment(snapshot.created),
        "size": snapshot.size,
        "reclaimable_space": snapshot.size,
        "volume": {"name": volume.name, "uuid": volume.uuid},
        "provenance_volume": {"uuid": volume.uuid},
        "svm": {"name": volume.svm, "uuid": cluster.svms[volume.svm]},
        **{name: value for name, value in optional.items() if value},
    }
    if volume.style == "flexgroup":
        record["state"] = snapshot.state
    if snapshot.lock:
        record["snaplock"] = {"expiry_time": moment(snapshot.lock), "expired": snapshot.lock <= cluster.now()}
    return record


def job_record(job: Job) -> Record:
    """Say all of a job; its code is a number, that in its error a text."""
    record: Record = {
        "uuid": job.uuid,
        "description": job.description,
        "state": job.state,
        "message": job.message,
        "code": job.code,
        "start_time": moment(job.started),
        "svm": {"name": job.svm},
    }
    if job.ended:
        record["end_time"] = moment(job.ended)
    if job.state == "failure":
        record["error"] = {"message": job.message, "code": str(job.code), "arguments": []}
    return record


def group_record(cluster: Cluster, group: Group) -> Record:
    """Say all of a consistency group."""
    members = [cluster.volumes[identifier] for identifier in group.volumes]
    return {
        "uuid": group.uuid,
        "name": group.name,
        "svm": {"name": group.svm},
        "volumes": [{"name": volume.name, "uuid": volume.uuid} for volume in members],
    }


def group_snapshot_record(cluster: Cluster, group: Group, snapshot: GroupSnapshot) -> Record:
    """Say all of a group's snapshot; it is partial where a member's is gone."""
    members = [cluster.volumes[identifier] for identifier in group.volumes]
    there = [(volume, volume.snapshots.get(snapshot.name)) for volume in members]
    return {
        "uuid": snapshot.uuid,
        "name": snapshot.name,
        "comment": snapshot.comment,
        "create_time": moment(snapshot.created),
        "consistency_type": snapshot.consistency_type,
        "consistency_group": {"name": group.name, "uuid": group.uuid},
        "svm": {"name": group.svm},
        "is_partial": any(one is None for _, one in there),
        "missing_volumes": [{"name": volume.name, "uuid": volume.uuid} for volume, one in there if one is None],
        "snapshot_volumes": [
            {
                "volume": {"name": volume.name, "uuid": volume.uuid},
                "snapshot": {"name": one.name, "uuid": one.uuid},
            }
            for volume, one in there
            if one is not None
        ],
    }


def moment(when: datetime) -> str:
    """Write a moment as ONTAP does: whole seconds with the zone's distance."""
    return when.isoformat(timespec="seconds")
