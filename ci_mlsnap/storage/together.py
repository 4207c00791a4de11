"""Several model volumes that make one version: a version is there when that of the first volume is.

The others are published before the first and deleted after it, so the first one's snapshot under a name stands for
all of them, whatever is cut off. What is left over of others without it is no version, and the next command that
writes removes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from ci_mlsnap.domain.manifest import Manifest, ManifestHeader
from ci_mlsnap.domain.names import Marker, SnapshotName
from ci_mlsnap.durable.atomic import write_atomically
from ci_mlsnap.durable.faults import storage_errors
from ci_mlsnap.errors import IntegrityDamage, VolumeRefused
from ci_mlsnap.ports import (
    Capabilities,
    DataSeen,
    Driver,
    Examinable,
    Finding,
    Frozen,
    Member,
    Probe,
    Rebuilt,
    Restored,
    SealsTogether,
    Snapshot,
)

_FIRST = "first-volume"
"""In the state of each volume: the id of the first one, where leases and journals are."""


class Together:
    """The driver of all volumes of a model. Names concern the whole version; a tree is the first volume's."""

    def __init__(self, first: Driver, others: Sequence[Member]) -> None:
        self._first = first
        self._others = tuple(others)

    # -- all volumes -------------------------------------------------------------------------------

    def others(self) -> Sequence[Member]:
        """See `Driver.others`."""
        return self._others

    @property
    def capabilities(self) -> Capabilities:
        """See `Driver.capabilities`: what all of them can do; `way` names those that there are."""
        every = [driver.capabilities for driver in self._every()]
        return msgspec.structs.replace(
            every[0],
            way=" and ".join(dict.fromkeys(it.way for it in every)),
            **{
                field: all(getattr(it, field) for it in every)
                for field in Capabilities.__struct_fields__
                if field != "way"
            },
        )

    def probe(self) -> Probe:
        """See `Driver.probe`: of the first volume, with the least space that any of them has."""
        every = [driver.probe() for driver in self._every()]
        return msgspec.structs.replace(
            every[0],
            free_bytes=min(it.free_bytes for it in every),
            free_inodes=min(it.free_inodes for it in every),
            faster=next((it.faster for it in every if it.faster), ""),
            notes=tuple(note for it in every for note in it.notes),
        )

    def examine(self) -> Iterator[Finding]:
        """See `Examinable.examine`."""
        for driver in self._every():
            if isinstance(driver, Examinable):
                yield from driver.examine()

    def initialise(self, *, project: str, model: str) -> str:
        """See `Driver.initialise`. Raises `VolumeRefused` when another volume is, or was, the first one."""
        first, *_others = [driver.initialise(project=project, model=model) for driver in self._every()]
        for driver in self._every():
            self._require_first(driver, first)
        return first

    def _require_first(self, driver: Driver, volume_id: str) -> None:
        place = driver.state_folder() / _FIRST
        with storage_errors("a volume's state cannot be read"):
            known = place.read_text(errors="replace") if place.exists() else ""
        if not known:
            write_atomically(place, volume_id.encode())
        elif known != volume_id:
            raise VolumeRefused(
                f"the volume with its store {place.parent.parent} has versions with another first volume",
                why="leases and journals are with the first volume, and two orders would not see each other's",
                safe="nothing was changed",
                hint="keep the order of the model volumes in the configuration; new ones go to the end",
            )

    def used_names(self) -> Iterable[SnapshotName]:
        """See `Driver.used_names`: what any of them used."""
        return dict.fromkeys(name for driver in self._every() for name in driver.used_names())

    def rebuild(self, *, project: str, model: str, dry_run: bool) -> Rebuilt:
        """See `Driver.rebuild`: all volumes, the first one last, since it says which versions there are."""
        *others, first = [
            driver.rebuild(project=project, model=model, dry_run=dry_run) for driver in reversed(self._every())
        ]
        names = [f"in volume {member.name}: " for member in reversed(self._others)]
        return msgspec.structs.replace(
            first,
            lost=(
                *first.lost,
                *(name + it for name, other in zip(names, others, strict=True) for it in other.lost),
            ),
            sequence=max(it.sequence for it in (first, *others)),
            changed=any(it.changed for it in (first, *others)),
        )

    def read_back(self, name: SnapshotName) -> None:
        """See `Driver.read_back`; all volumes that the version has."""
        self.get(name)
        self._first.read_back(name)
        for member in self._of(name):
            member.driver.read_back(name)

    def get(self, name: SnapshotName) -> Snapshot | None:
        """See `Driver.get`; raises `IntegrityDamage` for a version that has lost one of its volumes."""
        found = self._first.get(name)
        if found is not None and found.marker is not None:
            for member in self._of(name):
                there = member.driver.get(name)
                if there is None or there.marker is None:
                    raise IntegrityDamage(
                        f"version {name.short} is not whole: its snapshot of volume {member.name} is gone",
                        safe="nothing was changed",
                        hint="other versions may be whole: `mlsnap log` names them",
                    )
        return found

    def _of(self, name: SnapshotName) -> Iterable[Member]:
        members = self._first.manifest_header(name).members
        return (member for member in self._others if member.name in members)

    def prune(self, name: SnapshotName) -> None:
        """See `Driver.prune`."""
        for driver in self._every():
            driver.prune(name)

    def undelete(self, name: SnapshotName) -> None:
        """See `Driver.undelete`. Raises `NoSuchVersion` unless all volumes of the version can be brought back."""
        pruned = {str(name)} & {snapshot.name for snapshot in self._first.pruned()}
        for member in self._others if pruned else ():
            if name in member.driver.used_names():
                member.driver.undelete(name)
        self._first.undelete(name)

    def delete(self, name: SnapshotName, *, even_held: bool = False) -> None:
        """See `Driver.delete`."""
        for driver in self._every():
            driver.delete(name, even_held=even_held)

    def hold(self, name: SnapshotName, owner: str) -> None:
        """See `Driver.hold`: the others go only after the first one."""
        self._first.hold(name, owner)

    def release_hold(self, name: SnapshotName, owner: str) -> None:
        """See `Driver.release_hold`."""
        self._first.release_hold(name, owner)

    def links(self, name: SnapshotName) -> Mapping[str, str]:
        """See `Driver.links`."""
        more = {
            f"{label} of {member.name}": place
            for member in self._of(name)
            for label, place in member.driver.links(name).items()
        }
        return {**self._first.links(name), **more}

    def _every(self) -> Sequence[Driver]:
        return (self._first, *(member.driver for member in self._others))

    # -- the first volume stands for all -----------------------------------------------------------

    @property
    def volume_id(self) -> str:
        """See `Driver.volume_id`."""
        return self._first.volume_id

    def bound(self) -> tuple[str, str] | None:
        """See `Driver.bound`."""
        return self._first.bound()

    def state_folder(self) -> Path:
        """See `Driver.state_folder`."""
        return self._first.state_folder()

    def list(self) -> Sequence[Snapshot]:
        """See `Driver.list`."""
        return self._first.list()

    def pruned(self) -> Sequence[Snapshot]:
        """See `Driver.pruned`."""
        return self._first.pruned()

    def missing(self) -> Sequence[SnapshotName]:
        """See `Driver.missing`."""
        return self._first.missing()

    def manifest_header(self, name: SnapshotName) -> ManifestHeader:
        """See `Driver.manifest_header`."""
        return self._first.manifest_header(name)

    def manifest(self, name: SnapshotName) -> Manifest:
        """See `Driver.manifest`."""
        return self._first.manifest(name)

    def view(self, name: SnapshotName) -> Path:
        """See `Driver.view`."""
        return self._first.view(name)

    # -- one tree: the first volume's --------------------------------------------------------------

    def see_data(self, existing: str = "") -> DataSeen:
        """See `Driver.see_data`."""
        return self._first.see_data(existing)

    def freeze(self, source: Path, *, parent: SnapshotName | None, full: bool, inventory: bool) -> Frozen:
        """See `Driver.freeze`."""
        return self._first.freeze(source, parent=parent, full=full, inventory=inventory)

    def state_of(self, tree: Path) -> str:
        """See `Driver.state_of`."""
        return self._first.state_of(tree)

    def discard(self, token: str) -> None:
        """See `Driver.discard`."""
        self._first.discard(token)

    def seal(self, frozen: Frozen, manifest: Manifest, marker: Marker) -> Snapshot:
        """See `Driver.seal`; the others are sealed before."""
        return self._first.seal(frozen, manifest, marker)

    def snapshot_together(
        self, others: Sequence[Driver], manifests: Sequence[Manifest], markers: Sequence[Marker]
    ) -> bool:
        """See `SealsTogether.snapshot_together`: if the first volume's driver can."""
        first = self._first
        return isinstance(first, SealsTogether) and first.snapshot_together(others, manifests, markers)

    def restore(
        self,
        name: SnapshotName,
        live: Path,
        *,
        way: Literal["swap", "sync"] | None = None,
        paths: Sequence[bytes] = (),
        full: bool = False,
    ) -> Restored:
        """See `Driver.restore`."""
        return self._first.restore(name, live, way=way, paths=paths, full=full)

    def clone(self, name: SnapshotName | None, destination: Path, *, paths: Sequence[bytes] = ()) -> Path:
        """See `Driver.clone`."""
        return self._first.clone(name, destination, paths=paths)

    def remove_clone(self, destination: Path) -> None:
        """See `Driver.remove_clone`."""
        self._first.remove_clone(destination)

    def unfinished(self) -> Sequence[str]:
        """See `Driver.unfinished`."""
        return self._first.unfinished()

    def trash(self) -> Sequence[Path]:
        """See `Driver.trash`."""
        return self._first.trash()

    def purge(self, tree: Path) -> None:
        """See `Driver.purge`."""
        self._first.purge(tree)
