"""Bring an ONTAP volume's version back: file by file into the live tree, or as a clone of its own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ci_mlsnap.domain.manifest import Entry
from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.errors import StorageFailed, VolumeRefused
from ci_mlsnap.ports import Restored
from ci_mlsnap.storage.checking import damage_of, first_damage
from ci_mlsnap.storage.copy import CopyWay
from ci_mlsnap.storage.ontap_file_clones import FileClones
from ci_mlsnap.storage.ontap_flexclones import FlexClones
from ci_mlsnap.storage.ontap_home import Home
from ci_mlsnap.storage.ontap_volume import require_id
from ci_mlsnap.storage.partial import sync_parts
from ci_mlsnap.storage.restoring import Restoring
from ci_mlsnap.storage.sealed import SealedTrees
from ci_mlsnap.storage.sync import sync_tree
from ci_mlsnap.trees.inventory import take_inventory


@dataclass(frozen=True, kw_only=True)
class OntapRestoring:
    """Restores and clones of one volume. Files of `large` bytes and more are cloned by the cluster."""

    home: Home
    flex: FlexClones
    large: int

    # -- looking -----------------------------------------------------------------------------------

    def undamaged(self, name: SnapshotName) -> Sequence[Entry] | None:
        """Give what a snapshot holds, once it was looked at; None where it was not inventoried.

        A file whose facts are still those of the sealing is not read. Raises `IntegrityDamage`, `NoSuchVersion`.
        """
        shelf = self.home.shelf
        manifest = shelf.manifest(name)
        if manifest.header.files_mode == "none":
            return None
        native = shelf.required().find(str(name), whenever=True) if shelf.natives else None
        lines = SealedTrees(state=self.home.store.state).files(native.uuid if native else "")
        place = shelf.require_open(name)
        damage = first_damage(place, manifest.entries, lambda found: lines.get(found.path))
        if damage:
            raise damage_of(place, damage)
        return manifest.entries

    # -- the live tree -----------------------------------------------------------------------------

    def restore(
        self,
        name: SnapshotName,
        live: Path,
        way: Literal["swap", "sync"] | None,
        paths: Sequence[bytes],
        *,
        full: bool,
    ) -> Restored:
        """See `Driver.restore`: by sync, since the root of a mount can't be exchanged."""
        if os.path.realpath(live) != os.path.realpath(self.home.path):
            raise not_the_volume(live)
        require_id(self.home.store, self.home.volume_id)
        view = self.home.shelf.require_open(name)
        if way == "swap":
            raise StorageFailed(
                f"{live} cannot be exchanged as a whole",
                why="it is the root of a mount",
                safe="the live tree is unchanged",
                hint="restore file by file (`sync`); readers use a view or a channel, which change at once",
            )
        entries = self.undamaged(name)
        wanted = take_inventory(view).entries if entries is None else entries
        clones = self._file_clones(name)
        if paths:
            return Restored(way="sync", changed=sync_parts(view, live, wanted, paths, storage=clones))
        state = self.home.store.state
        return Restored(way="sync", changed=sync_tree(view, live, wanted, state=state, full=full, storage=clones))

    def _file_clones(self, name: SnapshotName) -> FileClones | None:
        """Give the way to have large files cloned; None without a login, and where the cluster never does it."""
        if self.home.api is None or self.home.volume is None or self.home.volume.style == "flexgroup":
            return None
        return FileClones(api=self.home.api, volume=self.home.volume.uuid, snapshot=str(name), large=self.large)

    # -- clones ------------------------------------------------------------------------------------

    def clone(self, name: SnapshotName | None, destination: Path, paths: Sequence[bytes]) -> Path:
        """See `Driver.clone`: by the cluster where `flex` covers the place, else by copying.

        Raises `VolumeRefused` for a workspace, which could not be sealed.
        """
        if destination.parent == self.home.store.work:
            raise not_the_volume(destination)
        if self.flex.covers(destination):
            if name is None or paths:
                raise _only_whole(destination)
            return self.flex.make(name, destination)
        shelf = self.home.own_shelf
        if name is None:
            return self._copying.clone(None, None, destination)
        header = shelf.header(name)
        entries = None if header.files_mode == "none" else lambda: shelf.manifest(name).entries
        return self._copying.clone(shelf.require_open(name), entries, destination, paths)

    def clone_on_storage(self, destination: Path) -> str:
        """See `StorageClones.clone_on_storage`."""
        found = self.flex.find(destination)
        return found.name if found is not None else ""

    def remove_clone(self, destination: Path) -> None:
        """See `Driver.remove_clone`."""
        if self.flex.covers(destination):
            self._remove_volume(destination)
            return
        self._copying.remove_clone(destination)

    def _remove_volume(self, destination: Path) -> None:
        found = self.flex.find(destination)
        if found is not None:
            self.flex.remove(found)
        elif os.path.lexists(destination):
            raise VolumeRefused(
                f"{destination} is no clone that was made here",
                safe="nothing was removed",
                hint="remove it by hand, when it is not needed",
            )

    @property
    def _copying(self) -> Restoring:
        store = self.home.store
        return Restoring(store=store, way=CopyWay(store=store), volume_id=self.home.volume_id)


def _only_whole(destination: Path) -> VolumeRefused:
    return VolumeRefused(
        f"{destination} is below ontap.clones, where a clone is a whole version",
        why="what is copied there would fill the volume that holds the SVM's namespace",
        safe="nothing was changed",
        hint="name a folder elsewhere, or bring the whole version back",
    )


def not_the_volume(tree: Path) -> VolumeRefused:
    """Give the error for a tree that no snapshot of the volume can hold."""
    return VolumeRefused(
        f"{tree} is not the volume, and only the volume can have a version",
        why="a snapshot of an ONTAP volume holds what is in that volume",
        safe="nothing was changed",
        hint='set `isolation = "in-place"`, and check out the very commit that is to be trained',
    )
