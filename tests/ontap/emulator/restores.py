"""Restores by the storage itself: of a whole volume, which ends all newer snapshots, or of one file.

The REST reference has the request in the query; NetApp's Ansible collection sends it in the body. What stops
it: the reference's table of errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.ontap.emulator.cluster import Cluster, locked
from tests.ontap.emulator.exchange import Request
from tests.ontap.emulator.places import clone_file
from tests.ontap.emulator.query import nested
from tests.ontap.emulator.refusals import (
    BAD_VALUE,
    NEWER_IS_LOCKED,
    NEWER_IS_REFERENCE,
    NOT_FOUND,
    NOT_READ_WRITE,
    RESTORE_FAILED,
    VOLUME_OFFLINE,
    Refused,
)
from tests.ontap.emulator.values import Snapshot, Volume


@dataclass(frozen=True, kw_only=True)
class Restore:
    """What is asked: a snapshot by name or identifier; with `path` one file of it, to `destination`."""

    name: str
    uuid: str
    path: str = ""
    destination: str = ""


def restore_asked(request: Request) -> Restore | None:
    """Find what a change of a volume asks to restore; some clients send it in the query, some in the body."""
    asked = nested({name: value for name, value in request.query.items() if name.startswith("restore_to.")})
    asked = asked.get("restore_to") or request.body.get("restore_to") or {}
    snapshot = asked.get("snapshot") or {}
    if not asked:
        return None
    return Restore(
        name=str(snapshot.get("name", "")),
        uuid=str(snapshot.get("uuid", "")),
        path=str(asked.get("path", "")),
        destination=str(asked.get("restore_path", "") or asked.get("path", "")),
    )


def restore_volume(cluster: Cluster, volume: Volume, asked: Restore) -> None:
    """Do it. Raises `Refused` when the volume, the snapshot or a newer one is in the way."""
    if volume.state != "online":
        raise Refused(VOLUME_OFFLINE, f'Volume "{volume.name}" is offline.')
    if volume.type != "rw":
        raise Refused(NOT_READ_WRITE, "The volume is not read-write.")
    snapshot = next(
        (one for one in volume.snapshots.values() if asked.name == one.name or asked.uuid == one.uuid), None
    )
    if snapshot is None:
        raise Refused(NOT_FOUND, f'Snapshot "{asked.name or asked.uuid}" does not exist.', "restore_to.snapshot")
    if snapshot.state != "valid":
        raise Refused(RESTORE_FAILED, f'Snapshot "{snapshot.name}" is {snapshot.state} and cannot be restored.')
    if asked.path:
        _restore_file(cluster, volume, snapshot, asked)
        return
    newer = [one for one in volume.snapshots.values() if one.serial > snapshot.serial]
    for one in newer:
        _require_removable(cluster, volume, one)
    for one in newer:
        cluster.drop(volume, one.name)
    cluster.places.revert(volume, snapshot)


def _require_removable(cluster: Cluster, volume: Volume, newer: Snapshot) -> None:
    if locked(newer, cluster.now()):
        raise Refused(NEWER_IS_LOCKED, f'Snapshot "{newer.name}" is newer and locked.')
    if newer.owners:
        raise Refused(NEWER_IS_REFERENCE, f'Snapshot "{newer.name}" is newer and a SnapMirror reference.')
    if cluster.clones_of(volume, newer):
        raise Refused(RESTORE_FAILED, f'Snapshot "{newer.name}" is newer and busy.')


def _restore_file(cluster: Cluster, volume: Volume, snapshot: Snapshot, asked: Restore) -> None:
    source = beneath(cluster.places.snapshot(volume, snapshot), asked.path)
    if not source.is_file():
        raise Refused(NOT_FOUND, f'"{asked.path}" does not exist in the snapshot.', "restore_to.path")
    clone_file(source, beneath(cluster.places.volume(volume), asked.destination))


def beneath(folder: Path, path: str) -> Path:
    """Give the place of a path below a folder. Raises `Refused` for one that leads out of it."""
    parts = path.strip("/").split("/")
    if not path.strip("/") or ".." in parts:
        raise Refused(BAD_VALUE, f'"{path}" is no path in the volume.')
    return folder.joinpath(*parts)
