"""Versions as volumes of their own: writable at once at any size, and no block of them is stored twice.

A FlexClone is made below a folder where a part of the SVM's namespace is mounted, so that it is there without
another mount. Its comment says whose it is. It keeps the snapshot that it began as from being deleted.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ci_mlsnap.domain.manifest import MANIFEST_PATH
from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.durable.faults import shown, storage_errors
from ci_mlsnap.errors import MlsnapError, StorageFailed, VolumeRefused
from ci_mlsnap.storage.layout import OWN, mark_clone, new_token
from ci_mlsnap.storage.ontap_api import NativeVolume, OntapApi, WantedClone
from ci_mlsnap.storage.ontap_errors import Absent, Taken
from ci_mlsnap.storage.ontap_home import Home
from ci_mlsnap.storage.ontap_requests import settled
from ci_mlsnap.trees.mounts import mount_of
from ci_mlsnap.trees.remove import remove_tree

_NAMED = "mlsnap_"
"""How the names of clones begin: a volume's name has letters, digits and `_` alone."""


@dataclass(frozen=True, kw_only=True)
class FlexClones:
    """The FlexClones of one volume. `root` is where a part of its SVM's namespace is mounted, None for nowhere."""

    home: Home
    root: Path | None

    def covers(self, destination: Path) -> bool:
        """Tell whether a clone at this place is a volume of its own."""
        return self.root is not None and _real(destination).parent.is_relative_to(os.path.realpath(self.root))

    def find(self, destination: Path) -> NativeVolume | None:
        """Give the clone of ours that is for a place, mounted there or not any more.

        Raises `StorageFailed` without a login.
        """
        if not self.covers(destination):
            return None
        junction = self._junction(destination)
        found = self._api.volumes(name=f"{_NAMED}*")
        ours = (
            it for it in found if it.comment.startswith(self._whose) and it.comment.endswith(f" at={junction}")
        )
        return next((it for it in ours if it.junction in ("", junction)), None)

    def make(self, name: SnapshotName, destination: Path) -> Path:
        """Make a version a volume at a free place. What does not show it in the end is removed, or else named.

        Raises `VolumeRefused`, `StorageFailed` and other refusals, `StorageUnknown`.
        """
        if os.path.lexists(destination) or not destination.parent.is_dir():
            raise VolumeRefused(
                f"{shown(os.fsencode(destination))} cannot be a clone's place",
                why="it is there already" if os.path.lexists(destination) else "its folder is not there",
                safe="nothing was changed",
                hint="name a folder that does not exist, in one that does",
            )
        shelf = self.home.own_shelf
        place, found = shelf.place(name), shelf.required().find(str(name), whenever=True)
        if found is None:
            raise StorageFailed(f"the snapshot {name} is gone", safe="nothing was changed")
        made = self._made(self._wanted(name, found.uuid, destination))
        try:
            self._await_shown(destination, place)
            with storage_errors("the clone cannot be marked as one"):
                remove_tree(destination / OWN)  # the volume's id, and its state where that is inside
            mark_clone(destination, self.home.volume_id)
        except MlsnapError as error:
            raise self._given_up(made, error) from None
        return destination

    def remove(self, clone: NativeVolume) -> None:
        """Remove a clone, its files included; gone is fine. Raises `SnapshotHeld`, `StorageUnknown`, refusals."""
        api, name = self._api, clone.name
        for act, done, what in (
            (lambda: api.unmount(clone.uuid), lambda: not _junction_of(api, clone.uuid), "unmounted"),
            (lambda: api.delete_volume(clone.uuid), lambda: not api.volumes(uuid=clone.uuid), "deleted"),
        ):
            try:
                self._settled(act, done, f"it is not known whether the clone {name} was {what}")
            except Absent:
                return

    # -- making ------------------------------------------------------------------------------------

    def _wanted(self, name: SnapshotName, snapshot: str, destination: Path) -> WantedClone:
        volume = self.home.native
        return WantedClone(
            name=f"{_NAMED}{re.sub('[^0-9a-z]', '_', str(name))}_{new_token()}",
            comment=f"{self._whose} version={name} at={self._junction(destination)}",
            junction=self._junction(destination),
            svm=volume.svm,
            volume=volume.uuid,
            snapshot=snapshot,
        )

    def _made(self, wanted: WantedClone) -> NativeVolume:
        """Have it made, and read back by its name: an answer alone proves nothing."""
        api = self._api

        def look() -> NativeVolume | None:
            return next((it for it in api.volumes(name=wanted.name) if it.comment == wanted.comment), None)

        unknown = f"it is not known whether the clone {wanted.name} was made"
        try:
            self._settled(lambda: api.clone_volume(wanted), lambda: look() is not None, unknown)
        except Taken:
            pass  # nobody else would choose that name: it was made, or the look at it tells
        except Absent as error:
            raise StorageFailed(
                f"the clone {wanted.name} cannot be made", why=str(error), safe="nothing was changed"
            ) from None
        found = look()
        if found is None:
            raise StorageFailed(
                f"the storage says that it made {wanted.name}, and does not show it",
                safe="nothing else was changed",
                hint="check that ontap.host is the cluster's management address, then run again",
            )
        return found

    def _await_shown(self, destination: Path, place: Path) -> None:
        """Wait until the mount shows the clone, with the version's manifest in it. Raises `StorageFailed`."""
        with storage_errors("the version's manifest cannot be read"):
            wanted = (place / MANIFEST_PATH).read_bytes()
        until = time.monotonic() + self.home.patience.shown
        while not _holds(destination / MANIFEST_PATH, wanted):
            if time.monotonic() >= until:
                raise StorageFailed(
                    f"the clone is made, and {destination} does not show it",
                    hint="check that ontap.clones is where the SVM's namespace is mounted, and the export policy",
                )
            time.sleep(self.home.patience.between)

    def _given_up(self, made: NativeVolume, error: MlsnapError) -> MlsnapError:
        left = ""
        try:
            self.remove(made)
        except MlsnapError as failed:
            left = f"; its volume {made.name} is left: {failed.what}"
        return StorageFailed(error.what, why=error.why, safe=f"nothing else was changed{left}", hint=error.hint)

    def _settled(self, act: Callable[[], None], look: Callable[[], bool], what: str) -> None:
        settled(act, look, what, pause=self.home.patience.between)

    # -- names and places --------------------------------------------------------------------------

    @property
    def _api(self) -> OntapApi:
        return self.home.cluster

    @property
    def _whose(self) -> str:
        """How the comment of each clone of this volume begins; what follows is the version and the place."""
        return f"mlsnap/1 clone of volume={self.home.volume_id}"

    def _junction(self, destination: Path) -> str:
        """Give a place as the SVM's namespace has it: what is mounted at the root says from where that counts."""
        assert self.root is not None
        mount = mount_of(self.root)
        if mount.kind not in ("nfs", "nfs4"):
            return str("/" / _real(destination).relative_to(os.path.realpath(self.root)))
        exported = PurePosixPath("/", mount.source.partition(":/")[2])
        return str(exported / _real(destination).relative_to(mount.point))


def _real(destination: Path) -> Path:
    """Follow the links on the way to a place, and none at it."""
    return Path(os.path.realpath(destination.parent)) / destination.name


def _holds(file: Path, wanted: bytes) -> bool:
    try:
        return file.read_bytes() == wanted
    except OSError:
        return False


def _junction_of(api: OntapApi, volume: str) -> str:
    found = api.volumes(uuid=volume)
    return found[0].junction if found else ""
