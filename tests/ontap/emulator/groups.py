"""Consistency groups: snapshots of several volumes at one instant, in one phase or in two.

Fields, actions, their timeouts and codes: the REST reference's pages on consistency groups, which exist since
9.10.1.
"""

from __future__ import annotations

import time
from typing import Any

from tests.ontap.emulator.cluster import Cluster
from tests.ontap.emulator.exchange import Accepted, Reply, Request
from tests.ontap.emulator.query import listed, single
from tests.ontap.emulator.records import GROUP, GROUP_SNAPSHOT, GROUPS, group_record, group_snapshot_record
from tests.ontap.emulator.refusals import (
    BAD_VALUE,
    GROUP_SNAPSHOT_FAILED,
    GROUP_SNAPSHOT_LOCKED,
    NOT_FOUND,
    RESTORE_FAILED,
    Refused,
)
from tests.ontap.emulator.restores import Restore, restore_volume
from tests.ontap.emulator.snapshots import LONGEST_COMMENT, require_room
from tests.ontap.emulator.values import Group, GroupSnapshot

_GIVEN = frozenset({"name", "comment", "consistency_type", "snapmirror_label", "write_fence"})


def list_groups(cluster: Cluster, request: Request) -> Reply:
    """List the groups that the account sees."""
    seen = [group_record(cluster, one) for one in cluster.groups.values() if request.svm in {"", one.svm}]
    return Reply(body=listed(GROUP, request.path, request.query, seen))


def get_group(cluster: Cluster, request: Request, uuid: str) -> Reply:
    """Give one group by its identifier."""
    return Reply(body=single(GROUP, request.query, group_record(cluster, _group(cluster, request, uuid))))


def list_group_snapshots(cluster: Cluster, request: Request, uuid: str) -> Reply:
    """List a group's snapshots."""
    group = _group(cluster, request, uuid)
    records = [group_snapshot_record(cluster, group, one) for one in group.snapshots.values() if one.committed]
    return Reply(body=listed(GROUP_SNAPSHOT, request.path, request.query, records))


def get_group_snapshot(cluster: Cluster, request: Request, uuid: str, snapshot: str) -> Reply:
    """Give one snapshot of a group by its identifier."""
    group = _group(cluster, request, uuid)
    return Reply(
        body=single(GROUP_SNAPSHOT, request.query, group_snapshot_record(cluster, group, _found(group, snapshot)))
    )


def create_group_snapshot(cluster: Cluster, request: Request, uuid: str) -> Reply | Accepted:
    """Take a snapshot of all members; with `action=start` only get ready, for `action_timeout` seconds."""
    group = _group(cluster, request, uuid)
    request.require_known(_GIVEN)
    made = GroupSnapshot(
        name=str(request.needed("name")),
        created=cluster.now(),
        comment=str(request.body.get("comment", "")),
        consistency_type=str(request.body.get("consistency_type", "crash")),
    )
    if len(made.comment.encode()) > LONGEST_COMMENT:
        raise Refused(BAD_VALUE, "The comment is too long.", "comment")
    address = f"{GROUPS}/{group.uuid}/snapshots/{made.uuid}"
    if request.query.get("action") == "start":
        _require_all(cluster, group, made.name)
        made.committed, made.until = False, time.monotonic() + _action_timeout(request)
        group.snapshots[made.uuid] = made
        return Reply(code=201, body={"num_records": 1}, headers={"Location": address})

    def work() -> str:
        _require_all(cluster, group, made.name)
        cluster.group_snapshot(group, made)
        return address

    return cluster.jobs.start(request, group.svm, work, address)


def commit_group_snapshot(cluster: Cluster, request: Request, uuid: str, snapshot: str) -> Reply:
    """Take what was got ready, when it is not too late."""
    group = _group(cluster, request, uuid)
    started = _found(group, snapshot)
    if request.query.get("action") != "commit" or started.committed:
        raise Refused(BAD_VALUE, "Nothing waits to be committed.", "action")
    if time.monotonic() > started.until:
        del group.snapshots[started.uuid]
        raise Refused(GROUP_SNAPSHOT_FAILED, "The snapshot was not committed in time.")
    _require_all(cluster, group, started.name)
    started.committed = True
    cluster.group_snapshot(group, started)
    return Reply()


def delete_group_snapshot(cluster: Cluster, request: Request, uuid: str, snapshot: str) -> Accepted:
    """Delete a group's snapshot with those of its members; one that is kept keeps all."""
    group = _group(cluster, request, uuid)
    _found(group, snapshot)

    def work() -> str:
        gone = _found(group, snapshot)
        members = [cluster.volumes[identifier] for identifier in group.volumes]
        there = [(volume, volume.snapshots[gone.name]) for volume in members if gone.name in volume.snapshots]
        for volume, one in there:
            if cluster.owners(volume, one):
                raise Refused(GROUP_SNAPSHOT_LOCKED, f'Snapshot "{one.name}" of "{volume.name}" is locked.')
        for volume, one in there:
            cluster.drop(volume, one.name)
        del group.snapshots[gone.uuid]
        return ""

    return cluster.jobs.start(request, group.svm, work)


def restore_group(cluster: Cluster, request: Request, uuid: str) -> Reply | Accepted:
    """Restore all members to a group's snapshot, named in the body."""
    group = _group(cluster, request, uuid)
    request.require_known(frozenset({"restore_to"}))
    if not request.body:
        return Reply()
    named: dict[str, Any] = dict(request.needed("restore_to").get("snapshot") or {})
    wanted = next(
        (
            one
            for one in group.snapshots.values()
            if one.name == named.get("name") or one.uuid == named.get("uuid")
        ),
        None,
    )
    if wanted is None:
        raise Refused(NOT_FOUND, "The snapshot does not exist.", "restore_to.snapshot")

    def work() -> str:
        if group_snapshot_record(cluster, group, wanted)["is_partial"]:
            raise Refused(RESTORE_FAILED, f'Snapshot "{wanted.name}" is partial and cannot be restored.')
        for identifier in group.volumes:  # what is restored stays so, whatever happens to the rest
            restore_volume(cluster, cluster.volumes[identifier], Restore(name=wanted.name, uuid=""))
        return ""

    return cluster.jobs.start(request, group.svm, work)


def _require_all(cluster: Cluster, group: Group, name: str) -> None:
    """Refuse a snapshot that any member can't have; then none has it. Raises `Refused`."""
    for identifier in group.volumes:
        try:
            require_room(cluster, cluster.volumes[identifier], name)
        except Refused as refused:
            raise Refused(GROUP_SNAPSHOT_FAILED, f"Snapshot creation failed: {refused.message}") from None


def _action_timeout(request: Request) -> float:
    text = request.query.get("action_timeout", "7")
    if not text.isdecimal() or not 5 <= int(text) <= 120:
        raise Refused(BAD_VALUE, "The value must be between 5 and 120.", "action_timeout")
    return float(text)


def _group(cluster: Cluster, request: Request, uuid: str) -> Group:
    group = cluster.groups.get(uuid)
    if group is None or request.svm not in {"", group.svm}:
        raise Refused(NOT_FOUND, "entry doesn't exist", "uuid")
    return group


def _found(group: Group, uuid: str) -> GroupSnapshot:
    if uuid not in group.snapshots:
        raise Refused(NOT_FOUND, "entry doesn't exist", "uuid")
    return group.snapshots[uuid]
