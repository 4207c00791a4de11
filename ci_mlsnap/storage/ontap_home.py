"""An ONTAP volume as it is reached from here: its mount, its state, and the cluster behind it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ci_mlsnap.durable.atomic import refuse_unsafe
from ci_mlsnap.durable.faults import storage_errors
from ci_mlsnap.errors import StorageFailed, StorageForbidden
from ci_mlsnap.ports import Probe
from ci_mlsnap.storage.binding import bound_record
from ci_mlsnap.storage.layout import write_id
from ci_mlsnap.storage.ontap_api import NativeVolume, OntapApi
from ci_mlsnap.storage.ontap_endpoint import NO_WISHES, Wishes
from ci_mlsnap.storage.ontap_errors import ENOUGH
from ci_mlsnap.storage.ontap_layout import OntapStore
from ci_mlsnap.storage.ontap_natives import Natives
from ci_mlsnap.storage.ontap_requests import Patience
from ci_mlsnap.storage.ontap_shelf import OntapShelf
from ci_mlsnap.storage.ontap_volume import (
    MOST_SNAPSHOTS,
    find_volume,
    require_fit,
    require_id,
    require_locking,
    require_mounted,
    require_recorded,
    require_shown,
    require_state,
    worth_knowing,
)
from ci_mlsnap.storage.placement import file_system_of


@dataclass(kw_only=True)
class Home:
    """One volume. `named` is its name or UUID on the cluster, empty where the mount tells; `api` is None without a
    login. `moved` lets it have another UUID than was recorded.
    """

    store: OntapStore
    name: str
    api: OntapApi | None
    named: str = ""
    moved: bool = False
    wishes: Wishes = NO_WISHES
    patience: Patience = field(default_factory=Patience)

    @property
    def path(self) -> Path:
        """Where the volume is mounted."""
        return self.store.volume

    # -- the cluster -------------------------------------------------------------------------------

    @property
    def cluster(self) -> OntapApi:
        """The cluster. Raises `StorageFailed` without a login."""
        if self.api is None:
            raise StorageFailed(
                "no login to the cluster is configured",
                safe="nothing was changed",
                hint="set ontap.host and ontap.svm in /etc/mlsnap.toml, and a credential: docs/ontap.md",
            )
        return self.api

    @cached_property
    def volume(self) -> NativeVolume | None:
        """The volume on the cluster, held against the recorded one; None without a login."""
        if self.api is None:
            return None
        found = find_volume(self.api, self.path, self.named)
        if not self.moved:
            require_recorded(self.store, found)
        return found

    @property
    def native(self) -> NativeVolume:
        """The volume on the cluster. Raises `StorageFailed` without a login, and as `find_volume` does."""
        return self.volume or find_volume(self.cluster, self.path, self.named)

    @cached_property
    def _natives(self) -> Natives | None:
        if self.api is None or self.volume is None:
            return None
        return Natives(api=self.api, volume=self.volume.uuid, wishes=self.wishes)

    # -- what is recorded --------------------------------------------------------------------------

    @property
    def volume_id(self) -> str:
        """The id recorded for the volume; empty before first use."""
        record = self.store.record()
        return record.id if record else ""

    def bound(self) -> tuple[str, str] | None:
        """See `Driver.bound`."""
        record = self.store.record()
        return (record.project, record.model) if record else None

    @property
    def shelf(self) -> OntapShelf:
        """The snapshots, for reading; before first use there are none, and nobody is asked."""
        owner = self.bound()
        return self.shelf_of(owner) if owner else self.shelf_of(("", ""), asks=False)

    def shelf_of(self, owner: tuple[str, str], *, asks: bool = True) -> OntapShelf:
        """Give the snapshots of this project's model."""
        natives = self._natives if asks else None
        return OntapShelf(
            store=self.store,
            natives=natives,
            owner=owner,
            patience=self.patience,
            by_server=self.wishes.by_server and natives is not None,
        )

    @property
    def own_shelf(self) -> OntapShelf:
        """The snapshots of a volume that is ours, for acting on. Raises `StorageFailed` before first use."""
        if self.bound() is None:
            raise StorageFailed(
                f"{self.store.root} is no store yet", hint="`mlsnap init` or the first `mlsnap run` makes it"
            )
        return self.shelf

    # -- first use, and looking --------------------------------------------------------------------

    def initialise(self, *, project: str, model: str) -> str:
        """See `Driver.initialise`; the volume itself is never made. Raises `VolumeMissing` too.

        Without a login a volume that is ours already passes: who only restores needs none.
        """
        if self.api is None and self.bound() == (project, model):
            require_id(self.store, self.volume_id)
            return self.volume_id
        volume = self._require_fit()
        self.store.make()
        refuse_unsafe(self.store.root)
        with self.store.locked():
            record = bound_record(self.store, self.path, self.name, project=project, model=model)
            if not require_id(self.store, record.id, adopt=True):
                write_id(self.path, record.id)
            if not self.store.uuid():
                self.store.remember_uuid(volume.uuid)
        return record.id

    def require_rights(self) -> None:
        """See `Permitting.require_rights`."""
        volume = self.native
        if not self.cluster.may_make_snapshots(volume.uuid):
            raise StorageForbidden(
                f"this user may not make snapshots of the volume {volume.name}",
                safe="nothing was changed",
                hint=ENOUGH,
            )

    def probe(self, way: str) -> Probe:
        """See `Driver.probe`."""
        volume = self._require_fit()
        with storage_errors("the volume cannot be looked at"):
            space = os.statvfs(self.path)
        snapshots = self.shelf.list()
        ours = sum(snapshot.marker is not None for snapshot in snapshots)
        return Probe(
            volume_id=self.volume_id,
            way=way,
            why=f"the volume {volume.name} ({volume.style}) is on {self.cluster.endpoint.host}",
            file_system=file_system_of(self.path),
            free_bytes=space.f_bavail * space.f_frsize,
            total_bytes=space.f_blocks * space.f_frsize,
            free_inodes=space.f_favail,
            snapshots=ours,
            foreign=(len(snapshots) if snapshots else volume.snapshots) - ours,
            most_snapshots=MOST_SNAPSHOTS,
            notes=worth_knowing(self.store),
        )

    def _require_fit(self) -> NativeVolume:
        require_mounted(self.path)
        volume = self.native
        require_fit(volume, self.path)
        if not self.wishes.by_server:
            require_shown(volume, self.path)
        require_state(self.store)
        if self.wishes.lock:
            require_locking(self.cluster, volume)
        return volume
