"""The volume on the cluster behind a mount: found, held to be the one that was recorded, and fit for use."""

from __future__ import annotations

import re
from pathlib import Path

from ci_mlsnap.durable.faults import storage_errors
from ci_mlsnap.errors import (
    StorageFailed,
    StorageFull,
    StorageReadOnly,
    StorageUnreachable,
    VolumeForeign,
    VolumeMissing,
    VolumeRefused,
)
from ci_mlsnap.storage.layout import LINK, OWN, read_id
from ci_mlsnap.storage.ontap_api import NativeVolume, OntapApi
from ci_mlsnap.storage.ontap_errors import Absent
from ci_mlsnap.storage.ontap_layout import OntapStore
from ci_mlsnap.trees.mounts import mount_of

MOST_SNAPSHOTS = 1023
"""How many a volume can have, since ONTAP 9.4."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def find_volume(api: OntapApi, path: Path, named: str) -> NativeVolume:
    """Give the volume of this name or UUID, else the one that is mounted at the path.

    Raises `VolumeMissing`, `VolumeRefused` where several fit, `StorageUnreachable` and its like.
    """
    filters, told = _filters(path, named)
    try:
        found = api.volumes(**filters)
    except Absent:
        raise StorageUnreachable(
            f"{api.endpoint.host} knows no volumes",
            safe="nothing was changed",
            hint="check that ontap.host is a cluster's or an SVM's management address",
        ) from None
    if len(found) == 1:
        return found[0]
    svm = f" of {api.endpoint.svm}" if api.endpoint.svm else ""
    if not found:
        raise VolumeMissing(
            f"there is no volume {told}{svm}",
            safe="nothing was changed",
            hint="set `volume` to its name or UUID, and ontap.svm to its SVM: `volume show -fields uuid,vserver`",
        )
    raise VolumeRefused(
        f"there are {len(found)} volumes {told}{svm}",
        safe="nothing was changed",
        hint="set ontap.svm, or `volume` to the UUID: `volume show -fields uuid,vserver`",
    )


def _filters(path: Path, named: str) -> tuple[dict[str, str], str]:
    if named:
        return {"uuid" if _UUID.fullmatch(named.lower()) else "name": named}, named
    junction = _mounted_junction(path)
    if not junction:
        raise VolumeMissing(
            f"nothing says which volume {path} is",
            why="it is no NFS mount",
            safe="nothing was changed",
            hint="mount the volume there, or set `volume` to its name or UUID",
        )
    return {"nas__path": junction}, f"at the junction {junction}"


def _mounted_junction(path: Path) -> str:
    """Give what of its server is mounted at the path; empty where that is no NFS mount."""
    mount = mount_of(path)
    return mount.source.partition(":/")[2] and f"/{mount.source.partition(':/')[2]}" if _is_nfs(mount.kind) else ""


def _is_nfs(kind: str) -> bool:
    return kind in ("nfs", "nfs4")


def require_fit(volume: NativeVolume, path: Path) -> None:
    """Refuse a volume that can have no snapshot. Raises `StorageFailed` and kinds of it.

    Raises `VolumeRefused` when something else than this volume is mounted at the path.
    """
    name = f"the volume {volume.name}"
    if volume.state != "online":
        raise VolumeMissing(f"{name} is {volume.state}", safe="nothing was changed", hint="`volume online`")
    if volume.type != "rw":
        raise StorageReadOnly(
            f"{name} is of type {volume.type}", safe="nothing was changed", hint="use the volume that it mirrors"
        )
    if volume.snapshots >= MOST_SNAPSHOTS:
        raise StorageFull(
            f"{name} has {volume.snapshots} snapshots, and can have no more",
            safe="nothing was changed",
            hint="`mlsnap prune` removes some of ours; `volume snapshot show` tells whose the others are",
        )
    mount = mount_of(path)
    if _is_nfs(mount.kind) and (mount.point != path.resolve() or _mounted_junction(path) != volume.junction):
        raise VolumeRefused(
            f"{path} is not where {name} is mounted",
            why=f"{mount.source} is mounted at {mount.point}, and its junction is {volume.junction or 'none'}",
            safe="nothing was changed",
            hint="set `path` to the mount of the volume itself",
        )


def require_shown(volume: NativeVolume, path: Path) -> None:
    """Refuse a volume whose snapshots cannot be opened where it is mounted. Raises `StorageFailed`."""
    otherwise = 'or set ontap.readback = "server", and its versions are not read back'
    if not volume.shows_snapshots:
        raise StorageFailed(
            f"the volume {volume.name} does not show its snapshots",
            safe="nothing was changed",
            hint=f"`volume modify -volume {volume.name} -snapdir-access true`, {otherwise}",
        )
    if not (path / LINK).is_dir():
        raise StorageFailed(
            f"{path / LINK} cannot be opened",
            why=f"the volume {volume.name} shows its snapshots, and this mount does not",
            safe="nothing was changed",
            hint=f"look at what is mounted there (`findmnt`) and at its export, {otherwise}",
        )


def require_locking(api: OntapApi, volume: NativeVolume) -> None:
    """Refuse a volume whose snapshots cannot be locked, where the operator wants that. Raises `StorageFailed`."""
    if not api.locks_snapshots(volume.uuid):
        raise StorageFailed(
            f"snapshot.lock is set, and snapshots of {volume.name} cannot be locked",
            safe="nothing was changed",
            hint=f"`volume modify -volume {volume.name} -snapshot-locking-enabled true`, which cannot be undone",
        )


def worth_knowing(store: OntapStore) -> tuple[tuple[str, str], ...]:
    """Say what may cost versions some day, with what a person can do."""
    if not store.root.is_relative_to(store.volume):
        return ()
    text = "state is kept in the volume itself: who restores the volume as a whole puts it back too"
    return ((text, "set `state` to a folder on another volume"),)


def require_mounted(path: Path) -> None:
    """Refuse a volume whose folder is not there: it is never made. Raises `VolumeMissing`."""
    if not path.is_dir() or path.is_symlink():
        raise VolumeMissing(
            f"the volume is not mounted at {path}",
            why="it is no folder" if path.exists() else "",
            safe="nothing was changed",
            hint="mount it, or set `path`",
        )


def require_state(store: OntapStore) -> None:
    """Refuse a volume that is in use with another state than this. Raises `VolumeForeign`."""
    if store.record() is None and (found := read_id(store.volume)):
        raise VolumeForeign(
            f"{store.volume} is a volume of mlsnap, and {store.root} knows of none",
            why=f"it carries the id {found[:80]!r}",
            safe="nothing was changed",
            hint="set `state` to where its state is; if that is lost, `mlsnap rebuild` knows its versions again",
        )


def require_recorded(store: OntapStore, volume: NativeVolume) -> None:
    """Hold the volume on the cluster against the recorded one. Raises `VolumeForeign`."""
    recorded = store.uuid()
    if recorded and recorded != volume.uuid:
        raise VolumeForeign(
            f"the volume {volume.name} is another one than before",
            why=f"its UUID is {volume.uuid}, and was {recorded}",
            safe="nothing was changed",
            hint="if it is the same one after a fail-over: `mlsnap rebuild --accept-moved-volume`",
        )


def require_id(store: OntapStore, volume_id: str, *, adopt: bool = False) -> bool:
    """Hold the id that the mounted tree carries against the recorded one; tell whether it carries one.

    `adopt` lets a tree pass that carries none yet. Raises `VolumeForeign`, `VolumeMissing`, `VolumeRefused`.
    """
    require_mounted(store.volume)
    with storage_errors("the volume cannot be looked at"):
        found = read_id(store.volume)
    if found == volume_id or (adopt and not found):
        return bool(found)
    raise VolumeForeign(
        f"{store.volume} is not the volume that was recorded",
        why=f"it carries the id {found[:80]!r}" if found else "it carries no id",
        safe="nothing was changed",
        hint=f"check `path` and mounts; the volume has the id {volume_id!r} in {OWN}/volume.json",
    )
