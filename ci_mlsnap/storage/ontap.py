"""The driver of a volume on NetApp ONTAP, mounted by NFS: snapshots in constant time, kept by the cluster."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

from ci_mlsnap.domain.manifest import (
    Entry,
    Manifest,
    ManifestHeader,
)
from ci_mlsnap.domain.names import Marker, SnapshotName
from ci_mlsnap.durable.atomic import refuse_unsafe
from ci_mlsnap.durable.faults import storage_errors
from ci_mlsnap.errors import StorageFailed, VolumeRefused
from ci_mlsnap.ports import Capabilities, DataSeen, Frozen, Member, Probe, Rebuilt, Restored, Snapshot
from ci_mlsnap.storage.binding import bound_record
from ci_mlsnap.storage.checking import damage_of, first_damage
from ci_mlsnap.storage.copy import CopyWay
from ci_mlsnap.storage.layout import write_id
from ci_mlsnap.storage.ontap_api import NativeVolume, OntapApi, Patience
from ci_mlsnap.storage.ontap_endpoint import Endpoint
from ci_mlsnap.storage.ontap_layout import OntapStore
from ci_mlsnap.storage.ontap_natives import Natives
from ci_mlsnap.storage.ontap_sealing import RACY_SECONDS, Sealing
from ci_mlsnap.storage.ontap_shelf import OntapShelf
from ci_mlsnap.storage.ontap_trash import OntapTrash
from ci_mlsnap.storage.ontap_volume import (
    MOST_SNAPSHOTS,
    find_volume,
    require_fit,
    require_id,
    require_mounted,
    require_recorded,
    require_state,
    worth_knowing,
)
from ci_mlsnap.storage.partial import sync_parts
from ci_mlsnap.storage.placement import file_system_of
from ci_mlsnap.storage.restoring import Restoring
from ci_mlsnap.storage.sealed import SealedTrees
from ci_mlsnap.storage.sync import sync_tree
from ci_mlsnap.trees.inventory import take_inventory


class OntapDriver:
    """A volume that is mounted at `path`; promises and errors are those of `ports.Driver`.

    `store` is the place of its state. `endpoint` is where its cluster is, with the login, None where the operator
    says none: then it can be read. `volume` is its name or UUID, empty where the mount tells. `moved` lets it have
    another UUID than was recorded; `rebuild` then records it.
    """

    def __init__(
        self,
        path: Path,
        store: Path,
        name: str,
        *,
        endpoint: Endpoint | None,
        volume: str = "",
        moved: bool = False,
        patience: Patience | None = None,
        racy_seconds: float = RACY_SECONDS,
    ) -> None:
        self._path = path.absolute()
        self._store = OntapStore(root=store.absolute(), volume=self._path)
        self._name = name
        self._patience = patience or Patience()
        self._api = OntapApi(endpoint=endpoint, patience=self._patience) if endpoint else None
        self._named = volume
        self._moved = moved
        self._racy_seconds = racy_seconds

    @cached_property
    def _volume(self) -> NativeVolume | None:
        """The volume on the cluster, held against the recorded one; None without a login."""
        if self._api is None:
            return None
        found = find_volume(self._api, self._path, self._named)
        if not self._moved:
            require_recorded(self._store, found)
        return found

    @cached_property
    def _natives(self) -> Natives | None:
        return Natives(api=self._api, volume=self._volume.uuid) if self._api and self._volume else None

    @property
    def _shelf(self) -> OntapShelf:
        """The snapshots, for reading; before first use there are none, and nobody is asked."""
        owner = self.bound()
        return self._shelf_of(owner) if owner else self._shelf_of(("", ""), asks=False)

    def _shelf_of(self, owner: tuple[str, str], *, asks: bool = True) -> OntapShelf:
        natives = self._natives if asks else None
        return OntapShelf(store=self._store, natives=natives, owner=owner, patience=self._patience)

    @property
    def _own_shelf(self) -> OntapShelf:
        """The snapshots of a volume that is ours, for acting on. Raises `StorageFailed` before first use."""
        if self.bound() is None:
            raise StorageFailed(
                f"{self._store.root} is no store yet", hint="`mlsnap init` or the first `mlsnap run` makes it"
            )
        return self._shelf

    @property
    def _trash(self) -> OntapTrash:
        return OntapTrash(shelf=self._own_shelf)

    # -- the volume --------------------------------------------------------------------------------

    @property
    def capabilities(self) -> Capabilities:
        """See `Driver.capabilities`."""
        return Capabilities(
            way="ontap",
            instant=True,
            enforced_read_only=True,
            swap=False,
            apart=False,
            freezes_clones=False,
            makes_volume=False,
        )

    @property
    def volume_id(self) -> str:
        """See `Driver.volume_id`."""
        record = self._store.record()
        return record.id if record else ""

    def others(self) -> Sequence[Member]:
        """See `Driver.others`."""
        return ()

    def bound(self) -> tuple[str, str] | None:
        """See `Driver.bound`."""
        record = self._store.record()
        return (record.project, record.model) if record else None

    def probe(self) -> Probe:
        """See `Driver.probe`."""
        volume = self._require_fit()
        with storage_errors("the volume cannot be looked at"):
            space = os.statvfs(self._path)
        snapshots = self.list()
        ours = sum(snapshot.marker is not None for snapshot in snapshots)
        return Probe(
            volume_id=self.volume_id,
            way=self.capabilities.way,
            why=f"the volume {volume.name} ({volume.style}) is on {self._cluster.endpoint.host}",
            file_system=file_system_of(self._path),
            free_bytes=space.f_bavail * space.f_frsize,
            total_bytes=space.f_blocks * space.f_frsize,
            free_inodes=space.f_favail,
            snapshots=ours,
            foreign=(len(snapshots) if snapshots else volume.snapshots) - ours,
            most_snapshots=MOST_SNAPSHOTS,
            notes=worth_knowing(volume, self._store),
        )

    @property
    def _cluster(self) -> OntapApi:
        if self._api is None:
            raise StorageFailed(
                "no login to the cluster is configured",
                safe="nothing was changed",
                hint="set ontap.host and ontap.svm in /etc/mlsnap.toml, and a credential: docs/ontap.md",
            )
        return self._api

    def _require_fit(self) -> NativeVolume:
        require_mounted(self._path)
        volume = self._volume or find_volume(self._cluster, self._path, self._named)
        require_fit(volume, self._path)
        require_state(self._store)
        return volume

    def initialise(self, *, project: str, model: str) -> str:
        """See `Driver.initialise`; the volume itself is never made. Raises `VolumeMissing` too."""
        volume = self._require_fit()
        self._store.make()
        refuse_unsafe(self._store.root)
        with self._store.locked():
            record = bound_record(self._store, self._path, self._name, project=project, model=model)
            if not require_id(self._store, record.id, adopt=True):
                write_id(self._path, record.id)
            if not self._store.uuid():
                self._store.remember_uuid(volume.uuid)
        return record.id

    def see_data(self, existing: str = "") -> DataSeen:
        """Refuse: data on ONTAP is opened as a local volume. Raises `VolumeRefused`."""
        raise VolumeRefused(
            f"{self._path} is a model volume",
            safe="nothing was changed",
            hint='for data set `driver = "local"` and `pin = "existing:<glob>"` or "record"',
        )

    def state_folder(self) -> Path:
        """See `Driver.state_folder`."""
        return self._store.state

    def state_of(self, tree: Path) -> str:
        """See `Driver.state_of`: only a walk tells."""
        return ""

    # -- making snapshots --------------------------------------------------------------------------

    def freeze(self, source: Path, *, parent: SnapshotName | None, full: bool, inventory: bool) -> Frozen:
        """See `Driver.freeze`: looks at the live tree, which `seal` then expects to be the same.

        Raises `VolumeRefused` for any other tree.
        """
        if os.path.realpath(source) != os.path.realpath(self._path):
            raise _not_in_place(source)
        return self._sealing.freeze(full=full, inventory=inventory)

    def discard(self, token: str) -> None:
        """See `Driver.discard`."""
        self._store.forget_frozen(token)

    def unfinished(self) -> Sequence[str]:
        """See `Driver.unfinished`."""
        return self._store.frozen_tokens()

    def seal(self, frozen: Frozen, manifest: Manifest, marker: Marker) -> Snapshot:
        """See `Driver.seal`; raises `LateWriter` when the tree was written to since it was frozen."""
        return self._sealing.seal(frozen, manifest, marker)

    @property
    def _sealing(self) -> Sealing:
        return Sealing(shelf=self._own_shelf, volume_id=self.volume_id, racy_seconds=self._racy_seconds)

    # -- reading -----------------------------------------------------------------------------------

    def get(self, name: SnapshotName) -> Snapshot | None:
        """See `Driver.get`."""
        return self._shelf.get(name)

    def list(self) -> Sequence[Snapshot]:
        """See `Driver.list`; foreign ones only with a login."""
        return self._shelf.list()

    def used_names(self) -> Iterable[SnapshotName]:
        """See `Driver.used_names`."""
        return self._shelf.used_names()

    def rebuild(self, *, project: str, model: str, dry_run: bool) -> Rebuilt:
        """See `Driver.rebuild`."""
        from ci_mlsnap.storage.ontap_rebuilding import rebuild  # the one command that needs it

        shelf = self._shelf_of(self.bound() or (project, model))
        return rebuild(shelf, self._path, self._name, dry_run=dry_run)

    def missing(self) -> Sequence[SnapshotName]:
        """See `Driver.missing`."""
        return self._shelf.missing()

    def manifest_header(self, name: SnapshotName) -> ManifestHeader:
        """See `Driver.manifest_header`."""
        return self._shelf.header(name)

    def manifest(self, name: SnapshotName) -> Manifest:
        """See `Driver.manifest`."""
        return self._shelf.manifest(name)

    def view(self, name: SnapshotName) -> Path:
        """See `Driver.view`."""
        return self._shelf.place(name)

    def read_back(self, name: SnapshotName) -> None:
        """See `Driver.read_back`; a file whose facts are still those of the sealing is not read again."""
        self._undamaged(name)

    def links(self, name: SnapshotName) -> Mapping[str, str]:
        """See `Driver.links`."""
        path = {"path": str(self._store.snapshots / str(name))}
        if self._api is None:
            return path
        return path | {"System Manager": f"https://{self._api.endpoint.host}/sysmgr/v4/storage/volumes"}

    def _undamaged(self, name: SnapshotName) -> Sequence[Entry] | None:
        """Give what a snapshot holds, once it was looked at; None where it was not inventoried.

        Raises `IntegrityDamage`, `NoSuchVersion`.
        """
        shelf = self._shelf
        manifest = shelf.manifest(name)
        if manifest.header.files_mode == "none":
            return None
        native = shelf.required().find(str(name), whenever=True) if shelf.natives else None
        lines = SealedTrees(state=self._store.state).files(native.uuid if native else "")
        damage = first_damage(shelf.place(name), manifest.entries, lambda found: lines.get(found.path))
        if damage:
            raise damage_of(shelf.place(name), damage)
        return manifest.entries

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
        """See `Driver.restore`: by sync, since the root of a mount can't be exchanged."""
        if os.path.realpath(live) != os.path.realpath(self._path):
            raise _not_in_place(live)
        require_id(self._store, self.volume_id)
        view = self.view(name)
        if way == "swap":
            raise StorageFailed(
                f"{live} cannot be exchanged as a whole",
                why="it is the root of a mount",
                safe="the live tree is unchanged",
                hint="restore file by file (`sync`); readers use a view or a channel, which change at once",
            )
        entries = self._undamaged(name)
        wanted = take_inventory(view).entries if entries is None else entries
        if paths:
            return Restored(way="sync", changed=sync_parts(view, live, wanted, paths))
        return Restored(way="sync", changed=sync_tree(view, live, wanted, state=self._store.state, full=full))

    def clone(self, name: SnapshotName | None, destination: Path, *, paths: Sequence[bytes] = ()) -> Path:
        """See `Driver.clone`: by copying. Raises `VolumeRefused` for a workspace, which could not be sealed."""
        if destination.parent == self._store.work:
            raise _not_in_place(destination)
        shelf = self._own_shelf
        if name is None:
            return self._copying.clone(None, None, destination)
        header = shelf.header(name)
        entries = None if header.files_mode == "none" else lambda: shelf.manifest(name).entries
        return self._copying.clone(shelf.place(name), entries, destination, paths)

    def remove_clone(self, destination: Path) -> None:
        """See `Driver.remove_clone`."""
        self._copying.remove_clone(destination)

    @property
    def _copying(self) -> Restoring:
        return Restoring(store=self._store, way=CopyWay(store=self._store), volume_id=self.volume_id)

    def trash(self) -> Sequence[Path]:
        """See `Driver.trash`: nothing is ever displaced here."""
        return ()

    def purge(self, tree: Path) -> None:
        """See `Driver.purge`: nothing here is a displaced tree. Raises `StorageFailed`."""
        if os.path.lexists(tree):
            raise StorageFailed(f"{tree} is no displaced tree of this volume", safe="nothing was removed")

    # -- keeping -----------------------------------------------------------------------------------

    def hold(self, name: SnapshotName, owner: str) -> None:
        """See `Driver.hold`."""
        shelf = self._own_shelf
        with self._store.locked():
            shelf.hold(name, owner)

    def release_hold(self, name: SnapshotName, owner: str) -> None:
        """See `Driver.release_hold`."""
        shelf = self._own_shelf
        with self._store.locked():
            shelf.release(name, owner)

    def prune(self, name: SnapshotName) -> None:
        """See `Driver.prune`: gives the snapshot another name, which needs the right to modify snapshots."""
        trash = self._trash
        with self._store.locked():
            trash.prune(name)

    def pruned(self) -> Sequence[Snapshot]:
        """See `Driver.pruned`."""
        return OntapTrash(shelf=self._shelf).list()

    def undelete(self, name: SnapshotName) -> None:
        """See `Driver.undelete`."""
        trash = self._trash
        with self._store.locked():
            trash.undelete(name)

    def delete(self, name: SnapshotName, *, even_held: bool = False) -> None:
        """See `Driver.delete`."""
        trash = self._trash
        with self._store.locked():
            trash.delete(name, even_held=even_held)


def _not_in_place(tree: Path) -> VolumeRefused:
    return VolumeRefused(
        f"{tree} is not the volume, and only the volume can have a version",
        why="a snapshot of an ONTAP volume holds what is in that volume",
        safe="nothing was changed",
        hint='set `isolation = "in-place"`, and check out the very commit that is to be trained',
    )
