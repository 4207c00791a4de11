"""The driver of a volume on NetApp ONTAP, mounted by NFS: snapshots in constant time, kept by the cluster."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ci_mlsnap.domain.holds import is_lasting
from ci_mlsnap.domain.manifest import Manifest, ManifestHeader
from ci_mlsnap.domain.names import Marker, SnapshotName
from ci_mlsnap.errors import StorageFailed, VolumeRefused
from ci_mlsnap.ports import (
    Capabilities,
    DataSeen,
    Driver,
    Finding,
    Frozen,
    Member,
    Probe,
    Rebuilt,
    Restored,
    Snapshot,
)
from ci_mlsnap.storage.ontap_api import OntapApi
from ci_mlsnap.storage.ontap_endpoint import NO_WISHES, Endpoint, Wishes
from ci_mlsnap.storage.ontap_file_clones import LARGE
from ci_mlsnap.storage.ontap_flexclones import FlexClones
from ci_mlsnap.storage.ontap_home import Home
from ci_mlsnap.storage.ontap_layout import OntapStore
from ci_mlsnap.storage.ontap_requests import Patience
from ci_mlsnap.storage.ontap_restoring import OntapRestoring, not_the_volume
from ci_mlsnap.storage.ontap_reverting import OntapReverting
from ci_mlsnap.storage.ontap_sealing import RACY_SECONDS, Sealing
from ci_mlsnap.storage.ontap_trash import OntapTrash

if TYPE_CHECKING:
    from ci_mlsnap.storage.ontap_group import Part


class OntapDriver:
    """A volume that is mounted at `path`; promises and errors are those of `ports.Driver`.

    `store` is the place of its state. `endpoint` is where its cluster is, with the login, None where the operator
    says none: then it can be read. `volume` is its name or UUID, empty where the mount tells. `moved` lets it have
    another UUID than was recorded; `rebuild` then records it. Restores have files of `large` bytes or more cloned.
    `wishes` are the operator's.
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
        large: int = LARGE,
        wishes: Wishes = NO_WISHES,
    ) -> None:
        patience = patience or Patience()
        self._home = Home(
            store=OntapStore(root=store.absolute(), volume=path.absolute()),
            name=name,
            api=OntapApi(endpoint=endpoint, patience=patience) if endpoint else None,
            named=volume,
            moved=moved,
            wishes=wishes,
            patience=patience,
        )
        self._racy_seconds = racy_seconds
        flex = FlexClones(home=self._home, root=Path(wishes.clones) if wishes.clones else None)
        self._restoring = OntapRestoring(home=self._home, flex=flex, large=large)

    # -- the volume --------------------------------------------------------------------------------

    @property
    def capabilities(self) -> Capabilities:
        """See `Driver.capabilities`."""
        return Capabilities(
            way="ontap",
            instant=True,
            enforced_read_only=True,
            swap=False,
            in_place=True,
            apart=False,
            freezes_clones=False,
            makes_volume=False,
            reads_back=not self._home.wishes.by_server,
        )

    @property
    def volume_id(self) -> str:
        """See `Driver.volume_id`."""
        return self._home.volume_id

    def others(self) -> Sequence[Member]:
        """See `Driver.others`."""
        return ()

    def bound(self) -> tuple[str, str] | None:
        """See `Driver.bound`."""
        return self._home.bound()

    def probe(self) -> Probe:
        """See `Driver.probe`."""
        return self._home.probe(self.capabilities.way)

    def require_rights(self) -> None:
        """See `Permitting.require_rights`."""
        self._home.require_rights()

    def examine(self) -> Iterator[Finding]:
        """See `Examinable.examine`; nothing without a login, which `probe` says."""
        if self._home.api is None:
            return iter(())
        from ci_mlsnap.storage.ontap_doctor import examine  # the one command that needs it

        home = self._home
        return examine(self._home.api, home.path, home.named, by_server=home.wishes.by_server)

    def initialise(self, *, project: str, model: str) -> str:
        """See `Driver.initialise`; the volume itself is never made. Raises `VolumeMissing` too."""
        return self._home.initialise(project=project, model=model)

    def see_data(self, existing: str = "") -> DataSeen:
        """Refuse: data on ONTAP is opened as a local volume. Raises `VolumeRefused`."""
        raise VolumeRefused(
            f"{self._home.path} is a model volume",
            safe="nothing was changed",
            hint='for data set `driver = "local"` and `pin = "existing:<glob>"` or "record"',
        )

    def state_folder(self) -> Path:
        """See `Driver.state_folder`."""
        return self._home.store.state

    def state_of(self, tree: Path) -> str:
        """See `Driver.state_of`: only a walk tells."""
        return ""

    # -- making snapshots --------------------------------------------------------------------------

    def freeze(self, source: Path, *, parent: SnapshotName | None, full: bool, inventory: bool) -> Frozen:
        """See `Driver.freeze`: looks at the live tree, which `seal` then expects to be the same.

        Raises `VolumeRefused` for any other tree.
        """
        if os.path.realpath(source) != os.path.realpath(self._home.path):
            raise not_the_volume(source)
        return self._sealing.freeze(full=full, inventory=inventory)

    def discard(self, token: str) -> None:
        """See `Driver.discard`."""
        self._home.store.forget_frozen(token)

    def unfinished(self) -> Sequence[str]:
        """See `Driver.unfinished`."""
        return self._home.store.frozen_tokens()

    def seal(self, frozen: Frozen, manifest: Manifest, marker: Marker) -> Snapshot:
        """See `Driver.seal`; raises `LateWriter` when the tree was written to since it was frozen."""
        return self._sealing.seal(frozen, manifest, marker)

    def snapshot_together(
        self, others: Sequence[Driver], manifests: Sequence[Manifest], markers: Sequence[Marker]
    ) -> bool:
        """See `SealsTogether.snapshot_together`: by a consistency group that holds exactly these volumes."""
        from ci_mlsnap.storage.ontap_group import snapshot_together  # for models of several volumes

        drivers = [driver for driver in (self, *others) if isinstance(driver, OntapDriver)]
        parts = [
            it.part_of(manifest, marker) for it, manifest, marker in zip(drivers, manifests, markers, strict=False)
        ]
        return len(parts) == len(markers) and snapshot_together(parts)

    def part_of(self, manifest: Manifest, marker: Marker) -> Part:
        """Give what is to be sealed of this volume together with others."""
        from ci_mlsnap.storage.ontap_group import Part

        return Part(home=self._home, sealing=self._sealing, manifest=manifest, marker=marker)

    @property
    def _sealing(self) -> Sealing:
        return Sealing(shelf=self._home.own_shelf, volume_id=self.volume_id, racy_seconds=self._racy_seconds)

    # -- reading -----------------------------------------------------------------------------------

    def get(self, name: SnapshotName) -> Snapshot | None:
        """See `Driver.get`."""
        return self._home.shelf.get(name)

    def list(self) -> Sequence[Snapshot]:
        """See `Driver.list`; foreign ones only with a login."""
        return self._home.shelf.list()

    def used_names(self) -> Iterable[SnapshotName]:
        """See `Driver.used_names`."""
        return self._home.shelf.used_names()

    def rebuild(self, *, project: str, model: str, dry_run: bool) -> Rebuilt:
        """See `Driver.rebuild`."""
        from ci_mlsnap.storage.ontap_rebuilding import rebuild  # the one command that needs it

        shelf = self._home.shelf_of(self.bound() or (project, model))
        return rebuild(shelf, self._home.path, self._home.name, dry_run=dry_run)

    def missing(self) -> Sequence[SnapshotName]:
        """See `Driver.missing`."""
        return self._home.shelf.missing()

    def manifest_header(self, name: SnapshotName) -> ManifestHeader:
        """See `Driver.manifest_header`."""
        return self._home.shelf.header(name)

    def manifest(self, name: SnapshotName) -> Manifest:
        """See `Driver.manifest`."""
        return self._home.shelf.manifest(name)

    def view(self, name: SnapshotName) -> Path:
        """See `Driver.view`."""
        return self._home.shelf.place(name)

    def read_back(self, name: SnapshotName) -> None:
        """See `Driver.read_back`; a file whose facts are still those of the sealing is not read again.

        With `by_server` no more than that the cluster has it, and that its manifest is whole.
        """
        if not self.capabilities.reads_back:
            self._home.shelf.header(name)
            return
        self._restoring.undamaged(name)

    def links(self, name: SnapshotName) -> Mapping[str, str]:
        """See `Driver.links`."""
        path = {"path": str(self._home.store.snapshots / str(name))}
        if self._home.api is None:
            return path
        return path | {"System Manager": f"https://{self._home.api.endpoint.host}/sysmgr/v4/storage/volumes"}

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
        return self._restoring.restore(name, live, way, paths, full=full)

    def clone(self, name: SnapshotName | None, destination: Path, *, paths: Sequence[bytes] = ()) -> Path:
        """See `Driver.clone`. Raises `VolumeRefused` for a workspace, which could not be sealed."""
        return self._restoring.clone(name, destination, paths)

    def remove_clone(self, destination: Path) -> None:
        """See `Driver.remove_clone`."""
        self._restoring.remove_clone(destination)

    def clone_on_storage(self, destination: Path) -> str:
        """See `StorageClones.clone_on_storage`."""
        return self._restoring.clone_on_storage(destination)

    def newer_than(self, name: SnapshotName) -> Sequence[Snapshot]:
        """See `Reverting.newer_than`."""
        return self._reverting.newer_than(name)

    def revert(self, name: SnapshotName, *, losing: Collection[str]) -> None:
        """See `Reverting.revert`: refused while state is in the volume."""
        self._reverting.revert(name, losing=losing)

    @property
    def _reverting(self) -> OntapReverting:
        return OntapReverting(restoring=self._restoring)

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
        shelf = self._home.own_shelf
        with self._home.store.locked():
            shelf.hold(name, owner)
        self._keep(name, owner, kept=True)

    def release_hold(self, name: SnapshotName, owner: str) -> None:
        """See `Driver.release_hold`."""
        shelf = self._home.own_shelf
        with self._home.store.locked():
            shelf.release(name, owner)
        if not any(map(is_lasting, shelf.ledger.read().holds.get(str(name), ()))):
            self._keep(name, owner, kept=False)

    def _keep(self, name: SnapshotName, owner: str, *, kept: bool) -> None:
        """Have the cluster know of a hold that lasts; those of runs come and go, and cost no request."""
        natives = self._home.own_shelf.natives
        found = natives.find(str(name), whenever=True) if natives and is_lasting(owner) else None
        if natives and found:
            natives.keep(found, kept=kept)

    def prune(self, name: SnapshotName) -> None:
        """See `Driver.prune`: gives the snapshot another name, which needs the right to modify snapshots."""
        trash = self._trash
        with self._home.store.locked():
            trash.prune(name)

    def pruned(self) -> Sequence[Snapshot]:
        """See `Driver.pruned`."""
        return OntapTrash(shelf=self._home.shelf).list()

    def undelete(self, name: SnapshotName) -> None:
        """See `Driver.undelete`."""
        trash = self._trash
        with self._home.store.locked():
            trash.undelete(name)

    def delete(self, name: SnapshotName, *, even_held: bool = False) -> None:
        """See `Driver.delete`."""
        trash = self._trash
        with self._home.store.locked():
            trash.delete(name, even_held=even_held)

    @property
    def _trash(self) -> OntapTrash:
        return OntapTrash(shelf=self._home.own_shelf)
