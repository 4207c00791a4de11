"""What the REST interface does with volumes: listed, made, mounted, changed, deleted.

Names, codes, and that a volume goes offline without its junction and is deleted only unmounted: the REST
reference's page on volumes. That an empty change is answered as done: seen with the client library.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from tests.ontap.emulator.cluster import Cluster
from tests.ontap.emulator.exchange import Accepted, Reply, Request
from tests.ontap.emulator.flexclone import clone_volume
from tests.ontap.emulator.query import listed, measures, single
from tests.ontap.emulator.records import VOLUME, VOLUMES, volume_record
from tests.ontap.emulator.refusals import (
    BAD_VALUE,
    NO_LOCKING_IN_GROUP,
    NOT_FOUND,
    VOLUME_HAS_CLONES,
    VOLUME_MOUNTED,
    VOLUME_NAME_BAD,
    VOLUME_NAME_LONG,
    VOLUME_TAKEN,
    Refused,
)
from tests.ontap.emulator.restores import restore_asked, restore_volume
from tests.ontap.emulator.values import Volume

_CREATED = frozenset({
    *("name", "svm", "size", "aggregates", "nas", "style", "type", "comment", "snapshot_policy", "guarantee"),
    *("snapshot_directory_access_enabled", "snapshot_locking_enabled", "space", "clone"),
})  # fmt: skip
_CHANGED = frozenset({
    *("name", "size", "nas", "state", "comment", "snapshot_policy", "space", "clone", "restore_to"),
    *("snapshot_directory_access_enabled", "snapshot_locking_enabled"),
})  # fmt: skip
_LONGEST_NAME = 203


def list_volumes(cluster: Cluster, request: Request) -> Reply:
    """List the volumes that the account sees; one that is not there is an empty list and no error."""
    seen = [one for one in cluster.volumes.values() if request.svm in {"", one.svm}]
    measured = measures(request.query)
    records = [volume_record(cluster, one, measured=measured) for one in seen]
    return Reply(body=listed(VOLUME, request.path, request.query, records))


def get_volume(cluster: Cluster, request: Request, uuid: str) -> Reply:
    """Give one volume by its identifier."""
    volume = cluster.volume(uuid, request.svm)
    measured = not request.query.get("fields") or measures(request.query)
    return Reply(body=single(VOLUME, request.query, volume_record(cluster, volume, measured=measured)))


def create_volume(cluster: Cluster, request: Request) -> Reply | Accepted:
    """Make a volume, or a FlexClone of one; its identifier is known at once."""
    request.require_known(_CREATED)
    svm = _svm(cluster, request)
    volume = Volume(
        name=str(request.needed("name")), svm=svm, size=int(request.body.get("size", 0)), created=cluster.now()
    )
    _require_name(volume.name)
    junction = str((request.body.get("nas") or {}).get("path", ""))
    clone = (request.body.get("clone") or {}).get("is_flexclone")
    if not clone:
        request.needed("size")

    def work() -> str:
        if any((one.name, one.svm) == (volume.name, svm) for one in cluster.volumes.values()):
            raise Refused(VOLUME_TAKEN, f'Volume name "{volume.name}" is already used.', "name")
        for name, change in _changes(cluster, volume, request.body).items():
            if name not in {"size", "name"}:
                change()
        if clone:
            clone_volume(cluster, volume, request.body, junction)
        else:
            _require_junction_free(cluster, volume, junction)
            volume.junction = junction
            cluster.places.make(volume)
        cluster.volumes[volume.uuid] = volume
        return f"{VOLUMES}/{volume.uuid}"

    return cluster.jobs.start(request, svm, work, f"{VOLUMES}/{volume.uuid}")


def change_volume(cluster: Cluster, request: Request, uuid: str) -> Reply | Accepted:
    """Change a volume, or restore it to a snapshot, which is asked for in the query or in the body."""
    volume = cluster.volume(uuid, request.svm)
    request.require_known(_CHANGED)
    changes = _changes(cluster, volume, request.body)
    restore = restore_asked(request)

    def work() -> str:
        if restore:
            restore_volume(cluster, volume, restore)
        for change in changes.values():
            change()
        return ""

    if not changes and not restore:  # what the library sends for `restore_to` in the resource: done, says ONTAP
        return Reply()
    return cluster.jobs.start(request, volume.svm, work)


def delete_volume(cluster: Cluster, request: Request, uuid: str) -> Reply | Accepted:
    """Delete a volume that is not mounted and has no clones."""
    cluster.volume(uuid, request.svm)

    def work() -> str:
        volume = cluster.volume(uuid, request.svm)
        if volume.junction:
            raise Refused(VOLUME_MOUNTED, f'Volume "{volume.name}" must be unmounted before it is deleted.')
        if cluster.clones_of(volume):
            raise Refused(VOLUME_HAS_CLONES, f'Volume "{volume.name}" has one or more clones.')
        del cluster.volumes[uuid]
        cluster.places.clear(volume)
        return ""

    return cluster.jobs.start(request, cluster.volume(uuid).svm, work)


def _changes(cluster: Cluster, volume: Volume, body: Mapping[str, Any]) -> dict[str, Callable[[], object]]:
    """Give what a body changes, by its names, each to be done later."""
    possible: dict[str, Callable[[Any], object]] = {
        "name": lambda value: _rename(cluster, volume, str(value)),
        "size": lambda value: setattr(volume, "size", int(value)),
        "comment": lambda value: setattr(volume, "comment", str(value)),
        "snapshot_policy": lambda value: setattr(volume, "policy", _policy(cluster, value)),
        "snapshot_directory_access_enabled": lambda value: cluster.places.show(volume, shown=bool(value)),
        "snapshot_locking_enabled": lambda value: _lock(cluster, volume, locking=bool(value)),
        "space": lambda value: _change_space(volume, value),
        "state": lambda value: _change_state(cluster, volume, str(value)),
        "nas": lambda value: _mount(cluster, volume, str(value["path"])),
        "clone": lambda value: _split(cluster, volume, value),
    }
    if not cluster.volumes.get(volume.uuid):  # still to be made: the rest is not a change
        for name in ("nas", "clone", "state"):
            del possible[name]
    return {name: partial(change, body[name]) for name, change in possible.items() if name in body}


def _svm(cluster: Cluster, request: Request) -> str:
    named = request.body.get("svm") or {}
    wanted = named if isinstance(named, str) else named.get("name", "")
    by_uuid = [
        name for name, uuid in cluster.svms.items() if isinstance(named, dict) and uuid == named.get("uuid")
    ]
    svm = wanted or (by_uuid[0] if by_uuid else request.svm)
    if svm not in cluster.svms or request.svm not in {"", svm}:
        raise Refused(NOT_FOUND, f'SVM "{svm}" does not exist.', "svm.name")
    return str(svm)


def _require_name(name: str) -> None:
    if len(name) > _LONGEST_NAME:
        raise Refused(VOLUME_NAME_LONG, "The volume name is too long.", "name")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise Refused(VOLUME_NAME_BAD, "The volume name has a character that is not allowed.", "name")


def _rename(cluster: Cluster, volume: Volume, name: str) -> None:
    _require_name(name)
    if any((one.name, one.svm) == (name, volume.svm) and one is not volume for one in cluster.volumes.values()):
        raise Refused(VOLUME_TAKEN, f'Volume name "{name}" is already used.', "name")
    volume.name = name


def _policy(cluster: Cluster, named: Any) -> str:
    name = named if isinstance(named, str) else named.get("name", "")
    if name not in cluster.policies:
        raise Refused(NOT_FOUND, f'Snapshot policy "{name}" does not exist.', "snapshot_policy.name")
    return str(name)


def _lock(cluster: Cluster, volume: Volume, *, locking: bool) -> None:
    if locking and any(volume.uuid in group.volumes for group in cluster.groups.values()):
        raise Refused(NO_LOCKING_IN_GROUP, "Snapshot locking is not supported in a consistency group.")
    if volume.locking and not locking:
        raise Refused(BAD_VALUE, "Snapshot locking cannot be disabled.", "snapshot_locking_enabled")
    volume.locking = locking


def _change_space(volume: Volume, space: Mapping[str, Any]) -> None:
    for name, value in (space.get("snapshot", {}).get("autodelete") or {}).items():
        if not hasattr(volume.autodelete, name):
            raise Refused(BAD_VALUE, f'Unexpected argument "{name}".', f"space.snapshot.autodelete.{name}")
        setattr(volume.autodelete, name, value)


def _change_state(cluster: Cluster, volume: Volume, state: str) -> None:
    """Set the state; whoever is not online has no junction."""
    if state not in {"online", "offline", "restricted"}:
        raise Refused(BAD_VALUE, f'The value "{state}" is invalid for field "state".', "state")
    if state != "online":
        cluster.places.move(volume, "")
    volume.state = state  # type: ignore[assignment]


def _mount(cluster: Cluster, volume: Volume, junction: str) -> None:
    _require_junction_free(cluster, volume, junction)
    cluster.places.move(volume, junction)


def _require_junction_free(cluster: Cluster, volume: Volume, junction: str) -> None:
    if junction and not junction.startswith("/"):
        raise Refused(BAD_VALUE, "A junction path starts with a slash.", "nas.path")
    taken = any(
        (one.svm, one.junction) == (volume.svm, junction) and one is not volume for one in cluster.volumes.values()
    )
    if junction and taken:
        raise Refused(BAD_VALUE, f'Junction path "{junction}" is already used.', "nas.path")


def _split(cluster: Cluster, volume: Volume, clone: Mapping[str, Any]) -> None:
    """Make a clone a volume of its own, which frees its parent's snapshot."""
    if clone.get("split_initiated"):
        volume.parent = volume.parent_snapshot = ""
