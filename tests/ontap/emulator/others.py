"""What happens to volumes without a request: by administrators, schedules, mirrors and the storage."""

from __future__ import annotations

from tests.ontap.emulator.cluster import Cluster, locked
from tests.ontap.emulator.values import Snapshot, Volume, new_uuid


def take_scheduled(cluster: Cluster, volume: Volume, schedule: str = "hourly") -> Snapshot:
    """Take the next snapshot of the volume's policy, and delete those that it keeps no longer."""
    with cluster.lock:
        kept = cluster.policies[volume.policy].copies.get(schedule, 0)
        last = max((one.serial for one in volume.snapshots.values()), default=0)
        stamp = cluster.now().strftime("%Y-%m-%d_%H%M")
        made = cluster.snapshot(volume, f"{schedule}.{stamp}.{last}", scheduled=True)
        ours = [one for one in volume.snapshots.values() if one.scheduled and one.name.startswith(f"{schedule}.")]
        ours.sort(key=lambda one: one.serial)
        for one in ours[: max(0, len(ours) - kept)]:
            cluster.drop(volume, one.name)
        return made


def relieve(cluster: Cluster, volume: Volume, *, count: int = 1) -> list[str]:
    """Delete what a full volume deletes on its own, `count` snapshots at most; gives their names.

    Deferred ones come last, and by the commitment `try` no snapshot that anything else needs.
    """
    with cluster.lock:
        rule = volume.autodelete
        if not rule.enabled:
            return []
        newest_first = rule.delete_order != "oldest_first"
        ordered = sorted(volume.snapshots.values(), key=lambda one: one.serial, reverse=newest_first)
        ordered.sort(key=lambda one: _deferred(volume, one))
        free = [one for one in ordered if not cluster.owners(volume, one) and not locked(one, cluster.now())]
        names = [one.name for one in free[:count]]
        for name in names:
            cluster.drop(volume, name)
        return names


def _deferred(volume: Volume, snapshot: Snapshot) -> bool:
    rule = volume.autodelete
    return {
        "user_created": not snapshot.scheduled,
        "scheduled": snapshot.scheduled,
        "prefix": bool(rule.prefix) and snapshot.name.startswith(rule.prefix),
    }.get(rule.defer_delete, False)


def expand_flexgroup(cluster: Cluster, volume: Volume) -> None:
    """Give a FlexGroup more members, after which what was taken before is partial and restored no more."""
    with cluster.lock:
        assert volume.style == "flexgroup"
        for snapshot in volume.snapshots.values():
            snapshot.state = "partial"


def update_mirror(cluster: Cluster, source: Volume, mirror: Volume, *, label: str = "") -> list[str]:
    """Replicate what the mirror has not yet, or of it only what has the label; gives the names.

    The newest common snapshot is what the next update starts from: its owner at the source is SnapMirror.
    """
    with cluster.lock:
        assert mirror.type == "dp"
        wanted = [one for one in source.snapshots.values() if not label or one.label == label]
        new = [one for one in wanted if one.name not in mirror.snapshots]
        for one in new:
            facts = {
                "created": one.created,
                "comment": one.comment,
                "label": one.label,
                "scheduled": one.scheduled,
            }
            cluster.snapshot(mirror, one.name, source=cluster.places.snapshot(source, one), **facts)
        for one in source.snapshots.values():
            one.owners = tuple(owner for owner in one.owners if owner != "snapmirror")
        if wanted:
            cluster.places.revert(mirror, mirror.snapshots[wanted[-1].name])
            wanted[-1].owners = (*wanted[-1].owners, "snapmirror")
        return [one.name for one in new]


def fail_over(cluster: Cluster, volume: Volume, mirror: Volume) -> None:
    """Let a mirror stand where its source stood: the same files and name there, other identifiers, writable."""
    with cluster.lock:
        junction, name = volume.junction, volume.name
        cluster.places.move(volume, "")
        volume.state, volume.name = "offline", f"{name}_lost"
        cluster.places.move(mirror, junction)
        mirror.type, mirror.name = "rw", name


def recreate(cluster: Cluster, volume: Volume) -> None:
    """Give a volume, its files and snapshots as they are, new identifiers, as if it came from elsewhere."""
    with cluster.lock:
        junction, shown = volume.junction, volume.snapshots_shown
        cluster.places.show(volume, shown=True)
        cluster.places.move(volume, junction or f"/{volume.name}")
        assert not cluster.clones_of(volume)
        assert not any(volume.uuid in group.volumes for group in cluster.groups.values())
        del cluster.volumes[volume.uuid]
        volume.uuid = new_uuid()
        for snapshot in volume.snapshots.values():
            cluster.places.renumber(snapshot, new_uuid())
        cluster.volumes[volume.uuid] = volume
        cluster.places.move(volume, junction)
        cluster.places.show(volume, shown=shown)
