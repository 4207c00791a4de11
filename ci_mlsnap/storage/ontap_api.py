"""What we ask of a cluster, call by call: volumes, snapshots, clones of files and of volumes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from ci_mlsnap.storage.ontap_requests import Json, Requests, number, table

VOLUMES = "/api/storage/volumes"
_GROUPS = "/api/application/consistency-groups"
_FILE_CLONE = "/api/storage/file/clone"
_VOLUME_FIELDS = (
    "uuid,name,comment,svm.name,style,state,type,nas.path,snapshot_count,"
    "snapshot_directory_access_enabled,snapshot_policy.name,space.snapshot.autodelete.enabled"
)
_SNAPSHOT_FIELDS = "uuid,name,comment,create_time"


@dataclass(frozen=True, kw_only=True)
class NativeVolume:
    """A volume as the cluster has it. `junction` is where its SVM shows it, empty when nowhere.

    `policy` is by what the cluster makes snapshots on its own; with `deletes` it deletes some when it is full.
    """

    uuid: str
    name: str
    comment: str
    svm: str
    style: str
    state: str
    type: str
    junction: str
    snapshots: int
    shows_snapshots: bool
    policy: str
    deletes: bool


@dataclass(frozen=True, kw_only=True)
class NativeSnapshot:
    """A snapshot as the cluster has it. `created` is the cluster's word for the moment, to the second."""

    uuid: str
    name: str
    comment: str
    created: str = ""


@dataclass(frozen=True, kw_only=True)
class Keeping:
    """What keeps a snapshot: who of the cluster needs it, and until when it is not to go, or locked.

    Words of the cluster."""

    owners: tuple[str, ...] = ()
    until: str = ""
    locked: str = ""


@dataclass(frozen=True, kw_only=True)
class NativeGroup:
    """A consistency group: the volumes that it holds."""

    uuid: str
    volumes: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class GroupSnapshot:
    """A snapshot of a group: which snapshot each volume has of it."""

    comment: str
    snapshots: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class WantedSnapshot:
    """A snapshot that is to be made. `label` is for SnapMirror, `locked` a moment; empty for none."""

    name: str
    comment: str
    label: str = ""
    locked: str = ""


@dataclass(frozen=True, kw_only=True)
class WantedClone:
    """A writable volume that is to begin as a snapshot: its name, and where its SVM is to show it."""

    name: str
    comment: str
    junction: str
    svm: str
    volume: str
    snapshot: str


@dataclass(kw_only=True)
class OntapApi(Requests):
    """The cluster at one endpoint. Volumes and snapshots are named by their UUIDs, except where a name is said."""

    # -- looking -----------------------------------------------------------------------------------

    def volumes(self, **filters: str) -> list[NativeVolume]:
        """Give the SVM's volumes that fit; a filter's `__` stands for a dot (`nas__path`)."""
        query = {name.replace("__", "."): value for name, value in filters.items()} | {"fields": _VOLUME_FIELDS}
        if self.endpoint.svm:
            query["svm.name"] = self.endpoint.svm
        found = self.records(VOLUMES, query, "the volumes cannot be listed")
        return [_volume(record) for record in found]

    def snapshots(self, volume: str) -> list[NativeSnapshot]:
        """Give all snapshots of a volume."""
        query = {"fields": _SNAPSHOT_FIELDS}
        return [_snapshot(it) for it in self.records(_below(volume), query, "the snapshots cannot be listed")]

    def snapshot(self, volume: str, name: str) -> NativeSnapshot | None:
        """Look one up by its very name; None when there is none."""
        query = {"fields": _SNAPSHOT_FIELDS, "name": name}
        found = self.records(_below(volume), query, f"the snapshot {name} cannot be looked up")
        return next((it for it in map(_snapshot, found) if it.name == name), None)

    def clones(self, volume: str, snapshot: str) -> list[NativeVolume]:
        """Give the volumes of the SVM that began as a snapshot, and keep it from being deleted."""
        return self.volumes(clone__parent_volume__uuid=volume, clone__parent_snapshot__uuid=snapshot)

    def locks_snapshots(self, volume: str) -> bool:
        """Tell whether snapshots of a volume can be locked. Raises a refusal where no locks are known."""
        query = {"uuid": volume, "fields": "snapshot_locking_enabled"}
        found = self.records(VOLUMES, query, "the volume's locking cannot be looked up")
        return any(record.get("snapshot_locking_enabled") is True for record in found)

    def keeping(self, volume: str, snapshot: str, *, locks: bool) -> Keeping:
        """Say what keeps a snapshot from being deleted, besides clones; older releases know of no `locks`."""
        query = {"uuid": snapshot, "fields": "owners,expiry_time" + ",snaplock.expiry_time" * locks}
        found = next(self.records(_below(volume), query, "the snapshot cannot be looked up"), {})
        owners = found.get("owners")
        return Keeping(
            owners=tuple(map(str, owners)) if isinstance(owners, list) else (),
            until=str(found.get("expiry_time") or ""),
            locked=str(table(found, "snaplock").get("expiry_time") or ""),
        )

    def may_make_snapshots(self, volume: str) -> bool:
        """Tell whether this user may make snapshots of a volume, by asking for one that cannot be."""
        return self.may("POST", _below(volume), {"name": "/"})

    def groups(self) -> list[NativeGroup]:
        """Give the SVM's consistency groups. Raises `Absent` where the release knows of none."""
        query = {"fields": "volumes"} | ({"svm.name": self.endpoint.svm} if self.endpoint.svm else {})
        found = self.records(_GROUPS, query, "the consistency groups cannot be listed")
        return [
            NativeGroup(uuid=str(it.get("uuid", "")), volumes=frozenset(_uuids(it, "volumes"))) for it in found
        ]

    def group_snapshot(self, group: str, name: str) -> GroupSnapshot | None:
        """Look a group's snapshot up by its name; None when there is none."""
        query = {"name": name, "fields": "name,comment,snapshot_volumes"}
        found = self.records(_below_group(group), query, f"the snapshot {name} cannot be looked up")
        return next((_group_snapshot(it) for it in found if it.get("name") == name), None)

    # -- acting ------------------------------------------------------------------------------------

    def create_snapshot(self, volume: str, wanted: WantedSnapshot) -> None:
        """Have a snapshot made. Raises `Taken`, `Unclear`, and what a refusal means (`ontap_errors`)."""
        body: dict[str, object] = {"name": wanted.name, "comment": wanted.comment}
        if wanted.label:
            body["snapmirror_label"] = wanted.label
        if wanted.locked:
            body["snaplock"] = {"expiry_time": wanted.locked}
        self.act("POST", _below(volume), body, f"the snapshot {wanted.name} cannot be made")

    def create_group_snapshot(self, group: str, name: str, comment: str) -> None:
        """Have a snapshot made of all volumes of a group, at one instant. Raises as `create_snapshot`."""
        body = {"name": name, "comment": comment, "consistency_type": "crash", "write_fence": True}
        self.act("POST", _below_group(group), body, f"the snapshot {name} of the group cannot be made")

    def comment_snapshot(self, volume: str, snapshot: str, comment: str) -> None:
        """Give a snapshot another comment. Raises `Absent`, `Unclear`, and refusals."""
        self.act("PATCH", _below(volume, snapshot), {"comment": comment}, "the snapshot cannot be marked")

    def keep_snapshot(self, volume: str, snapshot: str, until: str) -> None:
        """Have a snapshot not deleted until a moment. Raises `Absent`, `Unclear`, and refusals."""
        self.act("PATCH", _below(volume, snapshot), {"expiry_time": until}, "the snapshot's expiry cannot be set")

    def rename_snapshot(self, volume: str, snapshot: str, name: str) -> None:
        """Give a snapshot another name. Raises `Absent`, `Taken`, `Unclear`, and refusals."""
        self.act("PATCH", _below(volume, snapshot), {"name": name}, "the snapshot cannot be renamed")

    def delete_snapshot(self, volume: str, snapshot: str) -> None:
        """Delete a snapshot, by its UUID: a name may mean another one by now. Raises as `rename_snapshot`."""
        self.act("DELETE", _below(volume, snapshot), None, "the snapshot cannot be deleted")

    def clone_file(self, volume: str, source: str, destination: str) -> None:
        """Have a file of a volume, also one in a snapshot, put under a free name in it. Raises as others do.

        Both are paths from the volume's root.
        """
        body = {"volume": {"uuid": volume}, "source_path": source, "destination_path": destination}
        self.act("POST", _FILE_CLONE, body, "a file cannot be cloned")

    def clone_volume(self, wanted: WantedClone) -> None:
        """Have a FlexClone made and mounted. Raises `Taken`, `Unclear`, and refusals."""
        parent = {"parent_volume": {"uuid": wanted.volume}, "parent_snapshot": {"uuid": wanted.snapshot}}
        body = {
            "name": wanted.name,
            "comment": wanted.comment,
            "svm": {"name": wanted.svm},
            "nas": {"path": wanted.junction},
            "clone": {"is_flexclone": True, **parent},
        }
        self.act("POST", VOLUMES, body, f"the clone {wanted.name} cannot be made")

    def restore_volume(self, volume: str, name: str) -> None:
        """Make a volume what its snapshot is, and delete all newer ones. Raises `Absent`, `Unclear`, refusals."""
        # In the query: the library's own resource drops it from the body, and ONTAP says that it is done.
        query = {"restore_to.snapshot.name": name}
        self.act("PATCH", _volume_path(volume), {}, f"the volume cannot be restored to {name}", query=query)

    def unmount(self, volume: str) -> None:
        """Take a volume out of its SVM's namespace. Raises `Absent`, `Unclear`, and refusals."""
        self.act("PATCH", _volume_path(volume), {"nas": {"path": ""}}, "the volume cannot be unmounted")

    def delete_volume(self, volume: str) -> None:
        """Delete a volume that is not mounted. Raises `Absent`, `Unclear`, and refusals."""
        self.act("DELETE", _volume_path(volume), None, "the volume cannot be deleted")


def _volume_path(volume: str) -> str:
    return f"{VOLUMES}/{quote(volume, safe='')}"


def _below(volume: str, snapshot: str = "") -> str:
    path = f"{_volume_path(volume)}/snapshots"
    return f"{path}/{quote(snapshot, safe='')}" if snapshot else path


def _below_group(group: str) -> str:
    return f"{_GROUPS}/{quote(group, safe='')}/snapshots"


def _uuids(record: Json, key: str) -> list[str]:
    found = record.get(key)
    return [str(it.get("uuid", "")) for it in found if isinstance(it, dict)] if isinstance(found, list) else []


def _group_snapshot(record: Json) -> GroupSnapshot:
    found = record.get("snapshot_volumes")
    pairs = [it for it in found if isinstance(it, dict)] if isinstance(found, list) else []
    of = {str(table(it, "volume").get("uuid", "")): str(table(it, "snapshot").get("uuid", "")) for it in pairs}
    return GroupSnapshot(comment=str(record.get("comment", "")), snapshots=of)


def _volume(record: Json) -> NativeVolume:
    return NativeVolume(
        uuid=str(record.get("uuid", "")),
        name=str(record.get("name", "")),
        comment=str(record.get("comment", "")),
        svm=str(table(record, "svm").get("name", "")),
        style=str(record.get("style", "flexvol")),
        state=str(record.get("state", "online")),
        type=str(record.get("type", "rw")),
        junction=str(table(record, "nas").get("path", "")),
        snapshots=number(record.get("snapshot_count")),
        shows_snapshots=record.get("snapshot_directory_access_enabled") is not False,
        policy=str(table(record, "snapshot_policy").get("name", "none")),
        deletes=_autodelete(record).get("enabled") is True,
    )


def _autodelete(record: Json) -> Mapping[str, object]:
    return table(table(table(record, "space"), "snapshot"), "autodelete")


def _snapshot(record: Json) -> NativeSnapshot:
    return NativeSnapshot(
        uuid=str(record.get("uuid", "")),
        name=str(record.get("name", "")),
        comment=str(record.get("comment", "")),
        created=str(record.get("create_time", "")),
    )
