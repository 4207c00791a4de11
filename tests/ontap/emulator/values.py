"""What the cluster knows of its volumes, snapshots, groups and jobs."""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal


def new_uuid() -> str:
    """Give an identifier that nothing else has."""
    return str(uuid.uuid4())


@dataclass(kw_only=True)
class Snapshot:
    """One snapshot; `owners` are what keeps it besides clones, `scheduled` says that no person took it."""

    name: str
    created: datetime
    serial: int
    comment: str = ""
    label: str = ""
    expiry: datetime | None = None
    lock: datetime | None = None
    owners: tuple[str, ...] = ()
    state: Literal["valid", "invalid", "partial", "unknown", "pre_conversion"] = "valid"
    scheduled: bool = False
    size: int = 0
    uuid: str = field(default_factory=new_uuid)


@dataclass(kw_only=True)
class Autodelete:
    """When and what a full volume deletes on its own, with ONTAP's defaults."""

    enabled: bool = False
    trigger: str = "volume"
    delete_order: str = "oldest_first"
    commitment: str = "try"
    defer_delete: str = "user_created"
    prefix: str = ""


@dataclass(kw_only=True)
class Volume:
    """One volume; `ballast` counts as used bytes besides what is in the tree.

    With `only`, snapshots hold no more than that one name at the volume's root: for volumes that would take too
    long to copy, of which nobody will read the rest.

    `parent` and `parent_snapshot` are the identifiers of what it is a FlexClone of.
    """

    name: str
    svm: str
    size: int
    created: datetime
    style: Literal["flexvol", "flexgroup"] = "flexvol"
    type: Literal["rw", "dp", "ls"] = "rw"
    state: Literal["online", "offline", "restricted"] = "online"
    comment: str = ""
    junction: str = ""
    policy: str = "default"
    snapshots_shown: bool = True
    locking: bool = False
    reserve_percent: int = 5
    ballast: int = 0
    only: str = ""
    autodelete: Autodelete = field(default_factory=Autodelete)
    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    limit: int = 1023
    parent: str = ""
    parent_snapshot: str = ""
    reverting: bool = False
    fenced: bool = False
    uuid: str = field(default_factory=new_uuid)

    def by_uuid(self, identifier: str) -> Snapshot | None:
        """Find a snapshot by its identifier."""
        return next((found for found in self.snapshots.values() if found.uuid == identifier), None)


@dataclass(kw_only=True)
class Policy:
    """A snapshot policy: how many snapshots it keeps by each schedule."""

    copies: dict[str, int] = field(default_factory=dict)
    uuid: str = field(default_factory=new_uuid)


@dataclass(kw_only=True)
class GroupSnapshot:
    """A snapshot of all members at one instant; until `committed` it is a fence that ends at `until`."""

    name: str
    created: datetime
    comment: str = ""
    consistency_type: str = "crash"
    committed: bool = True
    until: float = 0.0
    uuid: str = field(default_factory=new_uuid)


@dataclass(kw_only=True)
class Group:
    """A consistency group of volumes, by their identifiers."""

    name: str
    svm: str
    volumes: tuple[str, ...]
    snapshots: dict[str, GroupSnapshot] = field(default_factory=dict)
    uuid: str = field(default_factory=new_uuid)


@dataclass(kw_only=True)
class Job:
    """What goes on after a 202; `done` is set when nothing more will happen."""

    description: str
    svm: str
    started: datetime
    location: str = ""
    state: Literal["queued", "running", "paused", "success", "failure", "cancelled"] = "queued"
    message: str = ""
    code: int = 0
    status: int = 500
    ended: datetime | None = None
    done: threading.Event = field(default_factory=threading.Event)
    uuid: str = field(default_factory=new_uuid)
