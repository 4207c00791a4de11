"""What the REST interface does with snapshots of a volume.

Fields and codes: the REST reference's page on snapshots. The address without an identifier: a defect note in
the client library's own code. 1023 snapshots: a knowledge-base article, and Trident's users. That a clone's
parent and an unexpired snapshot give the same code: Trident's handling of it. The longest name and comment are
not documented; 255 bytes is what a path component and older interfaces allow.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from tests.ontap.emulator.cluster import Cluster, locked, read_moment
from tests.ontap.emulator.exchange import Accepted, Reply, Request
from tests.ontap.emulator.query import Record, listed, single
from tests.ontap.emulator.records import SNAPSHOT, VOLUMES, snapshot_record
from tests.ontap.emulator.refusals import (
    BAD_SNAPSHOT_NAME,
    BAD_VALUE,
    FENCED,
    NO_EXPIRY_ON_FLEXGROUP,
    NOT_FOUND,
    NOT_READ_WRITE,
    OFFLINE_OR_FULL,
    RESERVED_NAME,
    REVERTING,
    SNAPSHOT_BUSY,
    SNAPSHOT_LIMIT,
    SNAPSHOT_OWNED,
    SNAPSHOT_TAKEN,
    VOLUME_OFFLINE,
    Refused,
)
from tests.ontap.emulator.values import Snapshot, Volume

LONGEST_COMMENT = 255
_LONGEST_LABEL = 31
_LONGEST_NAME = 255
_RESERVED = ("snapmirror.", "vserverdr.")
_GIVEN = frozenset({"name", "comment", "expiry_time", "snapmirror_label", "snaplock", "snaplock_expiry_time"})


def list_snapshots(cluster: Cluster, request: Request, volume_uuid: str) -> Reply:
    """List a volume's snapshots, or with `*` those of all volumes."""
    if volume_uuid == "*":
        volumes = [one for one in cluster.volumes.values() if request.svm in {"", one.svm}]
    else:
        volumes = [cluster.volume(volume_uuid, request.svm)]
    return Reply(body=listed(SNAPSHOT, request.path, request.query, _records(cluster, volumes)))


def _records(cluster: Cluster, volumes: list[Volume]) -> Iterator[Record]:
    for volume in volumes:
        for snapshot in volume.snapshots.values():
            yield snapshot_record(cluster, volume, snapshot)


def get_snapshot(cluster: Cluster, request: Request, volume_uuid: str, uuid: str) -> Reply:
    """Give one snapshot by its identifier."""
    volume = cluster.volume(volume_uuid, request.svm)
    return Reply(body=single(SNAPSHOT, request.query, snapshot_record(cluster, volume, _found(volume, uuid))))


def create_snapshot(cluster: Cluster, request: Request, volume_uuid: str) -> Reply | Accepted:
    """Take a snapshot. Its address in the answer has a name and no identifier while a job is still at it."""
    volume = cluster.volume(volume_uuid, request.svm)
    request.require_known(_GIVEN)
    name = str(request.needed("name"))
    facts = _facts(volume, request)
    _require_name(name)
    if cluster.refuses_at_once:
        require_room(cluster, volume, name)

    def work() -> str:
        require_room(cluster, volume, name)
        return _address(volume, cluster.snapshot(volume, name, **facts))

    if cluster.snapshots_at_once:
        return Reply(code=201, body={"num_records": 1}, headers={"Location": work()})
    return cluster.jobs.start(request, volume.svm, work, f"{VOLUMES}/{volume.uuid}/snapshots/?name={quote(name)}")


def change_snapshot(cluster: Cluster, request: Request, volume_uuid: str, uuid: str) -> Reply | Accepted:
    """Rename a snapshot, or change its comment, label, expiry or lock; a lock only ever gets longer."""
    volume = cluster.volume(volume_uuid, request.svm)
    request.require_known(_GIVEN)
    facts = _facts(volume, request)
    if name := request.body.get("name"):
        _require_name(str(name))

    def work() -> str:
        snapshot = _found(volume, uuid)
        if snapshot.lock and "lock" in facts and facts["lock"] < snapshot.lock:
            raise Refused(
                BAD_VALUE, "The retention of a locked snapshot can only be extended.", "snaplock.expiry_time"
            )
        for field, value in facts.items():
            setattr(snapshot, field, value)
        if name and name != snapshot.name:
            _rename(cluster, volume, snapshot, str(name))
        return ""

    return cluster.jobs.start(request, volume.svm, work)


def delete_snapshot(cluster: Cluster, request: Request, volume_uuid: str, uuid: str) -> Reply | Accepted:
    """Delete a snapshot that nothing keeps."""
    volume = cluster.volume(volume_uuid, request.svm)
    _found(volume, uuid)
    if cluster.refuses_at_once:
        _require_free(cluster, volume, _found(volume, uuid))

    def work() -> str:
        snapshot = _found(volume, uuid)
        _require_free(cluster, volume, snapshot)
        cluster.drop(volume, snapshot.name)
        return ""

    return cluster.jobs.start(request, volume.svm, work)


def require_room(cluster: Cluster, volume: Volume, name: str) -> None:
    """Refuse a snapshot that the volume can't have now. Raises `Refused`."""
    if volume.state != "online" or cluster.full(volume):
        raise Refused(OFFLINE_OR_FULL, f'Volume "{volume.name}" is offline or has no room for the snapshot.')
    if volume.type != "rw":
        raise Refused(NOT_READ_WRITE, "Snapshots can only be created on a read-write volume.")
    if volume.reverting:
        raise Refused(REVERTING, "A revert operation is in progress on the volume.")
    if volume.fenced:
        raise Refused(FENCED, "The volume is fenced or locked.")
    if name in volume.snapshots:
        raise Refused(SNAPSHOT_TAKEN, f'A snapshot with the name "{name}" already exists.', "name")
    if len(volume.snapshots) >= volume.limit:
        raise Refused(SNAPSHOT_LIMIT, "No more snapshots are allowed on the volume.")


def _require_free(cluster: Cluster, volume: Volume, snapshot: Snapshot) -> None:
    if volume.state != "online":
        raise Refused(VOLUME_OFFLINE, f'Volume "{volume.name}" is offline.')
    if cluster.clones_of(volume, snapshot) or locked(snapshot, cluster.now()):
        raise Refused(SNAPSHOT_BUSY, f'Snapshot "{snapshot.name}" has not expired or is locked.')
    if snapshot.owners:
        raise Refused(SNAPSHOT_OWNED, f'Snapshot "{snapshot.name}" has one or more owners.')


def _rename(cluster: Cluster, volume: Volume, snapshot: Snapshot, name: str) -> None:
    if name in volume.snapshots:
        raise Refused(SNAPSHOT_TAKEN, f'A snapshot with the name "{name}" already exists.', "name")
    cluster.places.rename(volume, snapshot, name)
    volume.snapshots[name] = volume.snapshots.pop(snapshot.name)
    snapshot.name = name


def _facts(volume: Volume, request: Request) -> dict[str, Any]:
    """Read what a body says of a snapshot besides its name. Raises `Refused`."""
    facts: dict[str, Any] = {}
    if (comment := request.body.get("comment")) is not None:
        facts["comment"] = _short(comment, LONGEST_COMMENT, "comment")
    if (label := request.body.get("snapmirror_label")) is not None:
        facts["label"] = _short(label, _LONGEST_LABEL, "snapmirror_label")
    if (expiry := request.body.get("expiry_time")) is not None:
        if volume.style == "flexgroup":
            raise Refused(
                NO_EXPIRY_ON_FLEXGROUP, "The expiry time is not supported on a FlexGroup.", "expiry_time"
            )
        facts["expiry"] = read_moment(expiry, "expiry_time") if expiry else None
    lock = (request.body.get("snaplock") or {}).get("expiry_time") or request.body.get("snaplock_expiry_time")
    if lock is not None:
        if not volume.locking:
            raise Refused(BAD_VALUE, "Snapshot locking is not enabled on the volume.", "snaplock.expiry_time")
        facts["lock"] = read_moment(lock, "snaplock.expiry_time")
    return facts


def _short(value: object, longest: int, field: str) -> str:
    if not isinstance(value, str) or len(value.encode()) > longest:
        raise Refused(BAD_VALUE, f'The value is invalid for field "{field}" (0..{longest} bytes).', field)
    return value


def _require_name(name: str) -> None:
    bad = "/" in name or name in {".", ".."} or any(ord(character) < 33 for character in name)
    if bad or len(name.encode()) > _LONGEST_NAME:
        raise Refused(BAD_SNAPSHOT_NAME, "The snapshot name is invalid.", "name")
    if name.startswith(_RESERVED):
        raise Refused(RESERVED_NAME, "The snapshot name has a reserved prefix.", "name")


def _found(volume: Volume, uuid: str) -> Snapshot:
    found = volume.by_uuid(uuid)
    if found is None:
        raise Refused(NOT_FOUND, "entry doesn't exist", "uuid")
    return found


def _address(volume: Volume, snapshot: Snapshot) -> str:
    return f"{VOLUMES}/{volume.uuid}/snapshots/{snapshot.uuid}"
