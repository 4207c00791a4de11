"""Snapshots of several ONTAP volumes at one instant, by the consistency group that holds exactly these volumes.

The cluster gives the volumes' snapshots no comment of ours, so each is marked afterwards, that of the first volume
last: until then it is nobody's. The group's own snapshot has our comment from the first moment on, and says which
snapshots belong to it; so neither a process that was cut off in between nor a lost answer leaves anything unclear.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from ci_mlsnap.domain.manifest import Manifest
from ci_mlsnap.domain.names import Marker
from ci_mlsnap.errors import MlsnapError, StorageForbidden, StorageUnknown
from ci_mlsnap.storage.ontap_api import GroupSnapshot, OntapApi
from ci_mlsnap.storage.ontap_errors import Absent, Taken, Unclear
from ci_mlsnap.storage.ontap_home import Home
from ci_mlsnap.storage.ontap_natives import Natives
from ci_mlsnap.storage.ontap_requests import settled
from ci_mlsnap.storage.ontap_sealing import Sealing

_NOBODY = "00000000-0000-0000-0000-000000000000"
"""A snapshot that there is not: whether it could be changed says whether another could."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One volume of a version that is frozen, and what its snapshot is to hold and be called."""

    home: Home
    sealing: Sealing
    manifest: Manifest
    marker: Marker

    @property
    def natives(self) -> Natives:
        """The volume's snapshots on the cluster."""
        return self.sealing.shelf.required()


def snapshot_together(parts: Sequence[Part]) -> bool:
    """See `SealsTogether.snapshot_together`; the first volume is the first part."""
    api, name, comment = parts[0].home.cluster, str(parts[0].marker.name), str(parts[0].marker)
    if any(part.home.cluster.endpoint != api.endpoint for part in parts):
        return False
    for part in parts:
        part.sealing.require_belonging(part.manifest, part.marker)
    try:
        group = _group_of(api, parts)
    except (MlsnapError, Absent):  # no right to see groups, or a release without them
        return False
    if not group:
        return False
    with ExitStack() as locks:
        for part in parts:
            locks.enter_context(part.home.store.locked())
        made = api.group_snapshot(group, name)
        if made is None and _may_be_made(api, parts):
            made = _made(api, group, parts)
        if made is None or made.comment != comment:
            return False
        for part in reversed(parts):
            _mark(part, made)
    return True


def _group_of(api: OntapApi, parts: Sequence[Part]) -> str:
    """Give the group that holds these volumes and no other; empty where there is none."""
    wanted = {part.natives.volume for part in parts}
    return next((group.uuid for group in api.groups() if group.volumes == wanted), "")


def _may_be_made(api: OntapApi, parts: Sequence[Part]) -> bool:
    """Tell whether all names are free, and snapshots may be marked: one that stays unmarked would be nobody's."""
    for part in parts:
        part.natives.ask_anew()
        if part.natives.find(str(part.marker.name)) is not None:
            return False
        try:
            api.comment_snapshot(part.natives.volume, _NOBODY, "")
        except Absent:
            continue
        except (StorageForbidden, Unclear):
            return False
    return True


def _made(api: OntapApi, group: str, parts: Sequence[Part]) -> GroupSnapshot | None:
    """Have all made at one instant; None where the group cannot have it, and nothing was made."""
    name, comment = str(parts[0].marker.name), str(parts[0].marker)
    for part in parts:
        facts = part.sealing.put_manifest(part.manifest)
        part.sealing.shelf.ledger.published(part.marker, facts, part.manifest.header.sequence)
    try:
        settled(
            lambda: api.create_group_snapshot(group, name, comment),
            lambda: api.group_snapshot(group, name) is not None,
            f"it is not known whether {name} was made of the group's volumes",
            pause=api.patience.between,
        )
    except StorageUnknown:
        raise
    except (MlsnapError, Absent, Taken):
        return None
    finally:
        for part in parts:
            part.natives.ask_anew()
    return api.group_snapshot(group, name)


def _mark(part: Part, made: GroupSnapshot) -> None:
    """Let a volume's snapshot say whose it is. Raises `StorageUnknown`, refusals."""
    natives, name, marker = part.natives, str(part.marker.name), str(part.marker)
    found = natives.find(name)
    if found is None or found.uuid != made.snapshots.get(natives.volume) or found.comment:
        return  # whose it is, sealing it tells
    try:
        settled(
            lambda: natives.api.comment_snapshot(natives.volume, found.uuid, marker),
            lambda: _is_marked(natives, name, marker),
            f"it is not known whether {name} was marked as ours",
            pause=natives.api.patience.between,
        )
    except (Absent, Taken):
        return
    finally:
        natives.ask_anew()


def _is_marked(natives: Natives, name: str, marker: str) -> bool:
    natives.ask_anew()
    found = natives.find(name)
    return found is not None and found.comment == marker
