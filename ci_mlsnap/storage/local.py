"""The embedded driver: a volume on any local file system, with its snapshots in a store beside it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ci_mlsnap.domain.manifest import Manifest, ManifestHeader, digest_of, encode
from ci_mlsnap.domain.names import Marker, SnapshotName
from ci_mlsnap.durable.atomic import refuse_unsafe
from ci_mlsnap.durable.faults import storage_errors
from ci_mlsnap.errors import (
    IntegrityDamage,
    NoSuchVersion,
    StorageFailed,
    StorageReadOnly,
)
from ci_mlsnap.ports import Capabilities, DataSeen, Frozen, Member, Probe, Rebuilt, Restored, Snapshot
from ci_mlsnap.storage.binding import bind, make_own, require_own
from ci_mlsnap.storage.choice import faster_way, pick_way
from ci_mlsnap.storage.layout import LINK, Store, new_token
from ci_mlsnap.storage.placement import check_volume, file_system_of, nearest_existing, store_refusal
from ci_mlsnap.storage.shelf import Shelf
from ci_mlsnap.storage.trash import Trash
from ci_mlsnap.storage.way import Entries, Parent, Way

if TYPE_CHECKING:
    from ci_mlsnap.storage.restoring import Restoring


class LocalDriver:
    """A volume at `path` with its snapshots in `store`; promises and errors are those of `ports.Driver`.

    `ephemeral` lets a store be where it will not last; `environ` tells whether, and where, a CI runs us.
    """

    def __init__(
        self,
        path: Path,
        store: Path,
        name: str,
        *,
        ephemeral: bool = False,
        environ: Mapping[str, str] = os.environ,
        way: Way | None = None,
    ) -> None:
        self._path = path.absolute()
        self._store = Store(root=store.absolute())
        self._name = name
        self._ephemeral = ephemeral
        self._environ = environ
        self._shelf = Shelf(store=self._store)
        self._given_way = way

    @cached_property
    def _way(self) -> Way:
        return self._given_way or pick_way(self._store, self._path)

    @property
    def capabilities(self) -> Capabilities:
        """See `Driver.capabilities`."""
        way = self._way
        return Capabilities(
            way=way.name,
            instant=way.instant,
            enforced_read_only=way.enforced_read_only,
            swap=True,
            shares=way.shares,
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

    # -- the volume --------------------------------------------------------------------------------

    def probe(self) -> Probe:
        """See `Driver.probe`. A volume that is missing can be made; raises `StoreRefused` too."""
        self._check_places()
        with storage_errors("the store cannot be looked at"):
            place = nearest_existing(self._store.root)
            space = os.statvfs(place)
            closed = [str(spot) for spot in self._written() if not os.access(spot, os.W_OK | os.X_OK)]
            if closed:
                raise StorageReadOnly(
                    f"this user may not write to {' and '.join(closed)}",
                    safe="nothing was changed",
                    hint="check owner, group and mode, or that the file system is not mounted read-only",
                )
        snapshots = self.list()
        foreign = sum(snapshot.marker is None for snapshot in snapshots)
        return Probe(
            volume_id=self.volume_id,
            way=self._way.name,
            why=self._way.why,
            file_system=file_system_of(self._store.root),
            free_bytes=space.f_bavail * space.f_frsize,
            total_bytes=space.f_blocks * space.f_frsize,
            free_inodes=space.f_favail,
            snapshots=len(snapshots) - foreign,
            foreign=foreign,
            faster=faster_way(self._store, self._path),
        )

    def _written(self) -> tuple[Path, ...]:
        """Where this volume's driver writes, as far as it is there already."""
        return nearest_existing(self._store.root), nearest_existing(self._path)

    def initialise(self, *, project: str, model: str) -> str:
        """See `Driver.initialise`."""
        self._check_places()
        self._store.make()
        refuse_unsafe(self._store.root)
        with self._store.locked():
            return bind(self._store, self._path, self._name, project=project, model=model, make=self._way.make)

    def _check_places(self) -> None:
        check_volume(self._path, self._store.root)
        refusal = store_refusal(self._store.root, self._path, self._environ, ephemeral=self._ephemeral)
        if refusal is not None:
            raise refusal

    def state_of(self, tree: Path) -> str:
        """See `Driver.state_of`."""
        return self._way.state_of(tree)

    def see_data(self, existing: str = "") -> DataSeen:
        """See `Driver.see_data`."""
        from ci_mlsnap.storage.pinning import see_data

        return see_data(self._path, existing)

    def state_folder(self) -> Path:
        """See `Driver.state_folder`."""
        return self._store.state

    # -- making snapshots --------------------------------------------------------------------------

    def freeze(self, source: Path, *, parent: SnapshotName | None, full: bool, inventory: bool) -> Frozen:
        """See `Driver.freeze`; raises `LateWriter` too, when the source changes meanwhile."""
        self._require_store()
        token = new_token()
        partial = self._store.partial(token)
        known = self._parent(parent)
        taken = self._way.freeze(source, partial, parent=known, full=full, inventory=inventory)
        return Frozen(
            token=token,
            path=partial,
            inventory=taken.inventory,
            copied_bytes=taken.copied_bytes,
            state=taken.state,
        )

    def _parent(self, name: SnapshotName | None) -> Parent | None:
        if name is None:
            return None
        try:
            self._shelf.header(name)  # a damaged manifest is found here
            return Parent(root=self._shelf.place(name), entries=lambda: self._shelf.manifest(name).entries)
        except (NoSuchVersion, IntegrityDamage):
            # Nothing can be shared with it; the new version does not depend on it.
            return None

    def discard(self, token: str) -> None:
        """See `Driver.discard`."""
        self._way.remove(self._store.partial(token))

    def unfinished(self) -> Sequence[str]:
        """See `Driver.unfinished`."""
        with storage_errors("the store cannot be listed"):
            return sorted(
                place.name.removeprefix(".partial-") for place in self._store.snapshots.glob(".partial-*")
            )

    def seal(self, frozen: Frozen, manifest: Manifest, marker: Marker) -> Snapshot:
        """See `Driver.seal`. Raises `IntegrityDamage` when marker, manifest and volume do not belong together.

        Raises `VolumeForeign` and `VolumeRefused` when the volume is another one by now.
        """
        self._require_belonging(manifest, marker)
        partial = self._store.partial(frozen.token)
        with self._store.locked():
            found = self._shelf.existing(marker)
        if found is None:
            if not partial.is_dir():
                raise StorageFailed(
                    f"what was frozen for {marker.name} is gone", safe="nothing was published", hint="run again"
                )
            self._shelf.prepare(partial, manifest)
            self._way.finish(partial, frozen.inventory)
            with self._store.locked():
                found = self._shelf.existing(marker)
                if found is None:
                    self._show_snapshots()
                    self._way.sealed(partial, frozen.inventory)
                    return self._shelf.publish(partial, marker, manifest.header.sequence)
        self._way.remove(partial)
        return found

    def _show_snapshots(self) -> None:
        """Make the volume's own things again where training made its folder anew, or led their link elsewhere."""
        if self._path.is_dir():
            make_own(self._store, self._path, self.volume_id, make=self._way.make, adopt=True)

    def _require_belonging(self, manifest: Manifest, marker: Marker) -> None:
        header = manifest.header
        if header.name != str(marker.name) or header.volume_id != self.volume_id:
            raise IntegrityDamage(f"the manifest of {marker.name} names another snapshot or volume")
        if digest_of(encode(manifest)) != marker.digest:
            raise IntegrityDamage(f"the marker of {marker.name} names another manifest")

    def _require_store(self) -> None:
        if not self.volume_id:
            raise StorageFailed(
                f"{self._store.root} is no store yet", hint="`mlsnap init` or the first `mlsnap run` makes it"
            )
        self._shelf.ledger.require_own()

    # -- reading -----------------------------------------------------------------------------------

    def get(self, name: SnapshotName) -> Snapshot | None:
        """See `Driver.get`; raises `IntegrityDamage` when its manifest is not what was sealed."""
        return self._shelf.get(name)

    def list(self) -> Sequence[Snapshot]:
        """See `Driver.list`."""
        return self._shelf.list()

    def used_names(self) -> Iterable[SnapshotName]:
        """See `Driver.used_names`."""
        return self._shelf.used_names()

    def rebuild(self, *, project: str, model: str, dry_run: bool) -> Rebuilt:
        """See `Driver.rebuild`."""
        from ci_mlsnap.storage.rebuilding import Rebuilding  # the one command that needs it

        return Rebuilding(shelf=self._shelf, path=self._path, name=self._name).rebuild(
            project=project, model=model, dry_run=dry_run
        )

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
        """See `Driver.view`: through the volume where its link is there, else in the store."""
        place = self._shelf.place(name)
        shown = self._path / LINK / str(name)
        return shown if os.path.realpath(shown) == os.path.realpath(place) else place

    def read_back(self, name: SnapshotName) -> None:
        """See `Driver.read_back`; a file whose facts are still those of the sealing is not read again."""
        entries = self._entries(name)
        damage = self._way.damage(self.view(name), entries) if entries is not None else ""
        if damage:
            raise IntegrityDamage(
                f"the snapshot {name} is damaged: {damage}",
                safe="nothing was changed",
                hint="other versions may be whole: `mlsnap log` names them",
            )

    def _entries(self, name: SnapshotName) -> Entries | None:
        """What reads the entries of a version, or None when its contents were not inventoried."""
        if self._shelf.header(name).files_mode == "none":
            return None
        return lambda: self._shelf.manifest(name).entries

    def links(self, name: SnapshotName) -> Mapping[str, str]:
        """See `Driver.links`."""
        return {"path": str(self._path / LINK / str(name))}

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
        entries = self._entries(name)
        require_own(self._store, live)
        if paths:
            return self._restoring().restore_parts(self._shelf.place(name), entries, live.absolute(), paths)
        return self._restoring().restore(self._shelf.place(name), entries, live.absolute(), way, full=full)

    def clone(self, name: SnapshotName | None, destination: Path, *, paths: Sequence[bytes] = ()) -> Path:
        """See `Driver.clone`. Raises `VolumeRefused` when the destination exists."""
        self._require_store()
        if name is None:
            return self._restoring().clone(None, None, destination)
        entries = self._entries(name)
        return self._restoring().clone(self._shelf.place(name), entries, destination, paths)

    def remove_clone(self, destination: Path) -> None:
        """See `Driver.remove_clone`."""
        self._restoring().remove_clone(destination)

    def _restoring(self) -> Restoring:
        from ci_mlsnap.storage.restoring import Restoring  # making a version restores nothing

        return Restoring(store=self._store, way=self._way, volume_id=self.volume_id)

    def trash(self) -> Sequence[Path]:
        """Give the trees that restores displaced, the oldest first by when they were displaced."""
        with storage_errors("the trash cannot be listed"):
            found = self._store.snapshots.glob(".trash-*")
            return sorted(found, key=lambda tree: tree.lstat().st_ctime_ns)

    def purge(self, tree: Path) -> None:
        """See `Driver.purge`. Raises `StorageFailed` for what is no displaced tree."""
        token = tree.name.removeprefix(".trash-")
        if tree.parent != self._store.snapshots or tree != self._store.trash(token):
            raise StorageFailed(f"{tree} is no displaced tree of this store", safe="nothing was removed")
        self._way.remove(tree)

    # -- keeping -----------------------------------------------------------------------------------

    def hold(self, name: SnapshotName, owner: str) -> None:
        """See `Driver.hold`."""
        self._require_store()
        with self._store.locked():
            self._shelf.hold(name, owner)

    def release_hold(self, name: SnapshotName, owner: str) -> None:
        """See `Driver.release_hold`."""
        self._require_store()
        with self._store.locked():
            self._shelf.release(name, owner)

    def prune(self, name: SnapshotName) -> None:
        """See `Driver.prune`; raises `IntegrityDamage` when it is ours and its manifest is damaged."""
        self._require_store()
        with self._store.locked():
            self._trash.prune(name)

    def pruned(self) -> Sequence[Snapshot]:
        """See `Driver.pruned`."""
        return self._trash.list()

    def undelete(self, name: SnapshotName) -> None:
        """See `Driver.undelete`."""
        self._require_store()
        with self._store.locked():
            self._trash.undelete(name)

    def delete(self, name: SnapshotName, *, even_held: bool = False) -> None:
        """See `Driver.delete`; raises `IntegrityDamage` when it is ours and its manifest is damaged."""
        self._require_store()
        with self._store.locked():
            doomed = self._trash.take_down(name, even_held=even_held)
        if doomed is not None:
            self._way.remove(doomed)
            self._way.reclaim()

    @property
    def _trash(self) -> Trash:
        return Trash(shelf=self._shelf)
