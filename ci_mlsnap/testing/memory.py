"""A driver that keeps its books in memory and its trees in plain folders: short-lived."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from ci_mlsnap.domain.manifest import (
    MANIFEST_PATH,
    Entry,
    Manifest,
    ManifestHeader,
    decode,
    digest_of,
    encode,
    inventory_of,
)
from ci_mlsnap.domain.names import Marker, SnapshotName
from ci_mlsnap.domain.parts import entries_of
from ci_mlsnap.errors import (
    IntegrityDamage,
    NoSuchVersion,
    SnapshotConflict,
    SnapshotForeign,
    SnapshotHeld,
    StorageFailed,
    VolumeForeign,
    VolumeMissing,
    VolumeRefused,
)
from ci_mlsnap.ports import Capabilities, DataSeen, Frozen, Member, Probe, Rebuilt, Restored, Snapshot
from ci_mlsnap.testing.memory_parts import put_parts
from ci_mlsnap.trees.compare import differences
from ci_mlsnap.trees.copy import copy_tree
from ci_mlsnap.trees.exchange import exchange
from ci_mlsnap.trees.inventory import take_inventory
from ci_mlsnap.trees.remove import remove_tree


@dataclass(kw_only=True)
class MemoryStorage:
    """The storage behind one volume: trees are folders below `folder`, all else is here."""

    folder: Path
    volume_id: str = ""
    owner: tuple[str, str] = ("", "")
    markers: dict[str, Marker] = field(default_factory=dict)
    used: dict[str, None] = field(default_factory=dict)
    holds: dict[str, dict[str, None]] = field(default_factory=dict)
    ids: dict[Path, str] = field(default_factory=dict)
    clones: set[int] = field(default_factory=set)

    def place(self, kind: Literal["snapshots", "pruned", "partials", "trash", "state"], name: str = "") -> Path:
        """Give where something stands."""
        return self.folder / kind / name


class MemoryDriver:
    """Promises and errors are those of `ports.Driver`; what lies in `storage` is seen by each driver on it.

    With `data` it is opened for data; the owner's snapshots are then those that are not ours.
    """

    def __init__(self, path: Path, storage: MemoryStorage, *, data: bool = False) -> None:
        self._path = path
        self._storage = storage
        self._data = data

    @property
    def capabilities(self) -> Capabilities:
        """See `Driver.capabilities`."""
        return Capabilities(way="memory", instant=self._data, enforced_read_only=False, swap=True)

    @property
    def volume_id(self) -> str:
        """See `Driver.volume_id`."""
        return self._storage.volume_id

    def others(self) -> Sequence[Member]:
        """See `Driver.others`."""
        return ()

    def bound(self) -> tuple[str, str] | None:
        """See `Driver.bound`."""
        return self._storage.owner if self._storage.volume_id else None

    # -- the volume --------------------------------------------------------------------------------

    def probe(self) -> Probe:
        """See `Driver.probe`. Space is without end."""
        snapshots = self.list()
        foreign = sum(snapshot.marker is None for snapshot in snapshots)
        return Probe(
            volume_id=self.volume_id,
            way="memory",
            why="for tests",
            file_system="memory",
            free_bytes=1 << 60,
            total_bytes=1 << 60,
            free_inodes=1 << 40,
            snapshots=len(snapshots) - foreign,
            foreign=foreign,
        )

    def initialise(self, *, project: str, model: str) -> str:
        """See `Driver.initialise`."""
        storage = self._storage
        if not storage.volume_id:
            for kind in ("snapshots", "pruned", "partials", "trash", "state"):
                (storage.folder / kind).mkdir(parents=True, exist_ok=True)
            storage.volume_id, storage.owner = secrets.token_hex(16), (project, model)
        if self._data:
            return storage.volume_id
        if storage.owner != (project, model):
            raise VolumeForeign(f"{self._path} belongs to model {storage.owner[1]!r}")
        self._require_own(self._path)
        self._path.mkdir(parents=True, exist_ok=True)
        (self._path / ".mlsnap").mkdir(exist_ok=True)
        (self._path / ".mlsnap/volume.json").write_text(storage.volume_id)
        return storage.volume_id

    def _require_own(self, live: Path) -> None:
        record = live / ".mlsnap/volume.json"
        if record.is_file() and record.read_text() != self._storage.volume_id:
            raise VolumeForeign(f"{live} carries another volume's id")
        if live.is_symlink() or (live.exists() and not live.is_dir()):
            raise VolumeRefused(f"{live} is no folder")

    def state_folder(self) -> Path:
        """See `Driver.state_folder`."""
        return self._storage.place("state")

    # -- data --------------------------------------------------------------------------------------

    def see_data(self, existing: str = "") -> DataSeen:
        """See `Driver.see_data`. Each file is read: here that is no matter."""
        if not self._path.is_dir():
            raise VolumeMissing(f"{self._path} is not there")
        if not existing:
            token = self.state_of(self._path)
            return DataSeen(path=self._path, token=token, steady=token, exact=True)
        names = [found.name for found in self.list() if found.marker is None and fnmatchcase(found.name, existing)]
        places = [self._storage.place("snapshots", name) for name in names]
        if not places:
            raise NoSuchVersion(f"no snapshot of {self._path} has a name like {existing}")
        place = max(places, key=lambda place: place.stat().st_ctime_ns)
        native = str(place.stat().st_ino)
        token = f"{place.name} {native}"
        return DataSeen(path=place, token=token, steady=token, exact=True, name=place.name, native_id=native)

    # -- making snapshots --------------------------------------------------------------------------

    def freeze(self, source: Path, *, parent: SnapshotName | None, full: bool, inventory: bool) -> Frozen:
        """See `Driver.freeze`. Files that equal the parent's count as shared, though each tree has its own."""
        token = secrets.token_hex(8)
        copied = copy_tree(source, self._storage.place("partials", token))
        if self._data:
            state, none = copied.inventory.content_digest, inventory_of(())
            place = self._storage.place("partials", token)
            return Frozen(token=token, path=place, inventory=none, copied_bytes=0, state=state)
        shared = set(self._parent_entries(parent)) if parent else set()
        anew = sum(entry.size for entry in copied.inventory.entries if not entry.same_as and entry not in shared)
        return Frozen(
            token=token,
            path=self._storage.place("partials", token),
            inventory=copied.inventory,
            copied_bytes=anew,
        )

    def _parent_entries(self, name: SnapshotName) -> Sequence[Entry]:
        try:
            self.read_back(name)
            return self.manifest(name).entries
        except (NoSuchVersion, IntegrityDamage):
            return ()

    def state_of(self, tree: Path) -> str:
        """See `Driver.state_of`: only a walk tells, and data is small here."""
        return take_inventory(tree).content_digest if self._data else ""

    def discard(self, token: str) -> None:
        """See `Driver.discard`."""
        remove_tree(self._storage.place("partials", token))

    def unfinished(self) -> Sequence[str]:
        """See `Driver.unfinished`."""
        return sorted(place.name for place in self._storage.place("partials").glob("*"))

    def trash(self) -> Sequence[Path]:
        """See `Driver.trash`."""
        found = self._storage.place("trash").glob("*")
        return sorted(found, key=lambda tree: tree.lstat().st_ctime_ns)

    def purge(self, tree: Path) -> None:
        """See `Driver.purge`."""
        if tree.parent != self._storage.place("trash"):
            raise StorageFailed(f"{tree} is no displaced tree of this storage")
        remove_tree(tree)

    def seal(self, frozen: Frozen, manifest: Manifest, marker: Marker) -> Snapshot:
        """See `Driver.seal`."""
        name = str(marker.name)
        if (manifest.header.name, manifest.header.volume_id) != (name, self.volume_id):
            raise IntegrityDamage(f"the manifest of {name} names another snapshot or volume")
        if digest_of(encode(manifest)) != marker.digest:
            raise IntegrityDamage(f"the marker of {name} names another manifest")
        found = self._found(name)
        if found is None:
            if name in self._storage.used:
                raise SnapshotConflict(f"{name} was pruned or deleted, and names are not used again")
            self._publish(frozen, manifest, marker)
        elif found.marker is None:
            raise SnapshotForeign(f"{name} is not ours")
        elif str(found.marker) != str(marker):
            raise SnapshotConflict(f"{name} exists with another content")
        self.discard(frozen.token)
        return Snapshot(name=name, marker=marker, holds=self._holds(name))

    def _publish(self, frozen: Frozen, manifest: Manifest, marker: Marker) -> None:
        if not frozen.path.is_dir():
            raise StorageFailed(f"what was frozen for {marker.name} is gone")
        file = frozen.path / MANIFEST_PATH
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"".join(encode(manifest)))
        frozen.path.rename(self._storage.place("snapshots", str(marker.name)))
        self._storage.markers[str(marker.name)] = marker
        self._storage.used[str(marker.name)] = None

    # -- reading -----------------------------------------------------------------------------------

    def _found(self, name: str) -> Snapshot | None:
        if not self._storage.place("snapshots", name).exists():
            return None
        return Snapshot(name=name, marker=self._marker(name), holds=self._holds(name))

    def _marker(self, name: str) -> Marker | None:
        pruned = self._storage.place("pruned", name).exists()
        return None if pruned else self._storage.markers.get(name)

    def _holds(self, name: str) -> tuple[str, ...]:
        return tuple(self._storage.holds.get(name, ()))

    def get(self, name: SnapshotName) -> Snapshot | None:
        """See `Driver.get`."""
        found = self._found(str(name))
        if found is not None and found.marker is not None:
            self.manifest(name)
        return found

    def list(self) -> Sequence[Snapshot]:
        """See `Driver.list`."""
        place = self._storage.place("snapshots")
        names = sorted(entry.name for entry in place.iterdir()) if place.is_dir() else ()
        return [snapshot for name in names if (snapshot := self._found(name)) is not None]

    def used_names(self) -> Iterable[SnapshotName]:
        """See `Driver.used_names`."""
        return [SnapshotName.parse(name) for name in self._storage.used]

    def rebuild(self, *, project: str, model: str, dry_run: bool) -> Rebuilt:
        """See `Driver.rebuild`: what is in memory cannot be lost by itself."""
        headers = [self.manifest_header(it.marker.name) for it in self.list() if it.marker is not None]
        return Rebuilt(sequence=max((header.sequence for header in headers), default=0))

    def missing(self) -> Sequence[SnapshotName]:
        """See `Driver.missing`."""
        return [SnapshotName.parse(name) for name in sorted(self._storage.markers) if self._found(name) is None]

    def manifest_header(self, name: SnapshotName) -> ManifestHeader:
        """See `Driver.manifest_header`."""
        return self.manifest(name).header

    def manifest(self, name: SnapshotName) -> Manifest:
        """See `Driver.manifest`."""
        lines = (self.view(name) / MANIFEST_PATH).read_bytes().splitlines(keepends=True)
        if digest_of(lines) != self._storage.markers[str(name)].digest:
            raise IntegrityDamage(f"the manifest of {name} is not the one that was published")
        return decode(lines)

    def view(self, name: SnapshotName) -> Path:
        """See `Driver.view`."""
        found = self._found(str(name))
        if found is None or found.marker is None:
            raise NoSuchVersion(f"there is no version {name}")
        return self._storage.place("snapshots", str(name))

    def read_back(self, name: SnapshotName) -> None:
        """See `Driver.read_back`. Each file is read."""
        manifest = self.manifest(name)
        if manifest.header.files_mode == "none":
            return
        found = differences(self.view(name), manifest.entries)
        if found:
            first = (*found.changed, *found.removed, *found.added)[0]
            raise IntegrityDamage(f"{first!r} of {name} is not what was sealed")

    def links(self, name: SnapshotName) -> Mapping[str, str]:
        """See `Driver.links`."""
        return {"path": str(self._storage.place("snapshots", str(name)))}

    # -- bringing back -----------------------------------------------------------------------------

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
        if self._data:
            raise VolumeRefused(f"{live} holds data")
        self.read_back(name)
        self._require_own(live)
        built = self._storage.place("trash", secrets.token_hex(8))
        if paths:
            parts = put_parts(self.view(name), live, self.manifest(name).entries, paths, built)
            return Restored(way="sync", changed=parts)
        entries = copy_tree(self.view(name), built).inventory.entries
        (built / ".mlsnap").mkdir()
        (built / ".mlsnap/volume.json").write_text(self.volume_id)
        if way == "sync":
            changed = _move_into(built, live)
            return Restored(way="sync", changed=changed or len(entries))
        if not live.exists():
            built.rename(live)
            return Restored(way="swap")
        exchange(built, live)
        return Restored(way="swap", displaced=built)

    def clone(self, name: SnapshotName | None, destination: Path, *, paths: Sequence[bytes] = ()) -> Path:
        """See `Driver.clone`."""
        if destination.exists() or destination.is_symlink():
            raise VolumeRefused(f"{destination} is there already")
        if name is None:
            destination.mkdir()
        elif paths:
            self.read_back(name)
            entries_of(self.manifest(name).entries, paths)
            destination.mkdir()
            beside = self._storage.place("trash", secrets.token_hex(8))
            put_parts(self.view(name), destination, self.manifest(name).entries, paths, beside)
        else:
            self.read_back(name)
            copy_tree(self.view(name), destination)
        self._storage.clones.add(destination.stat().st_ino)
        return destination

    def remove_clone(self, destination: Path) -> None:
        """See `Driver.remove_clone`."""
        if not destination.exists():
            return
        itself = destination.stat().st_ino  # the same after a rename
        if itself not in self._storage.clones:
            raise VolumeRefused(f"{destination} is no clone that was made here")
        remove_tree(destination)
        self._storage.clones.discard(itself)

    # -- keeping -----------------------------------------------------------------------------------

    def hold(self, name: SnapshotName, owner: str) -> None:
        """See `Driver.hold`."""
        self.view(name)
        self._storage.holds.setdefault(str(name), {})[owner] = None

    def release_hold(self, name: SnapshotName, owner: str) -> None:
        """See `Driver.release_hold`."""
        self._storage.holds.get(str(name), {}).pop(owner, None)

    def prune(self, name: SnapshotName) -> None:
        """See `Driver.prune`; raises `IntegrityDamage` for what could not be brought back."""
        self.get(name)
        if self._loose(name):
            self._storage.place("snapshots", str(name)).rename(self._storage.place("pruned", str(name)))

    def pruned(self) -> Sequence[Snapshot]:
        """See `Driver.pruned`."""
        names = sorted(place.name for place in self._storage.place("pruned").glob("*"))
        return [Snapshot(name=name, marker=self._storage.markers[name], holds=self._holds(name)) for name in names]

    def undelete(self, name: SnapshotName) -> None:
        """See `Driver.undelete`."""
        place, back = self._storage.place("pruned", str(name)), self._storage.place("snapshots", str(name))
        if not place.exists():
            self.view(name)
            return
        if back.exists():
            raise SnapshotForeign(f"{name} is taken")
        place.rename(back)
        try:
            self.manifest(name)
        except IntegrityDamage:
            back.rename(place)
            raise

    def delete(self, name: SnapshotName, *, even_held: bool = False) -> None:
        """See `Driver.delete`."""
        pruned = self._storage.place("pruned", str(name))
        if pruned.exists():
            remove_tree(pruned)
        elif self._loose(name, even_held=even_held):
            remove_tree(self._storage.place("snapshots", str(name)))
        else:
            return
        del self._storage.markers[str(name)]
        self._storage.holds.pop(str(name), None)

    def _loose(self, name: SnapshotName, *, even_held: bool = False) -> bool:
        """Tell whether there is one of ours that may go."""
        found = self._found(str(name))
        if found is None:
            return False
        if found.marker is None:
            raise SnapshotForeign(f"{name} is not ours")
        if found.holds and not even_held:
            raise SnapshotHeld(f"{name} is held by {', '.join(found.holds)}")
        return True


def _move_into(built: Path, live: Path) -> int:
    """Replace what a folder holds, keeping the folder itself."""
    live.mkdir(exist_ok=True)
    old = list(live.iterdir())
    for entry in old:
        remove_tree(entry)
    for entry in list(built.iterdir()):
        entry.rename(live / entry.name)
    built.rmdir()
    return len(old)
