"""A local volume that is opened for data: snapshotted in constant time or not at all, never written to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from ci_mlsnap.domain.manifest import inventory_of
from ci_mlsnap.domain.names import SnapshotName, is_label
from ci_mlsnap.durable.atomic import refuse_unsafe
from ci_mlsnap.durable.faults import storage_errors
from ci_mlsnap.errors import UsageError, VolumeRefused
from ci_mlsnap.ports import Frozen, Restored
from ci_mlsnap.storage.btrfs import refuse_nested, state_at_snapshot
from ci_mlsnap.storage.layout import StoreRecord, new_token
from ci_mlsnap.storage.local import LocalDriver
from ci_mlsnap.storage.pinning import require_there
from ci_mlsnap.storage.placement import nearest_existing, overlap, store_refusal
from ci_mlsnap.trees import subvolume
from ci_mlsnap.trees.remove import nothing_left_of


class LocalData(LocalDriver):
    """The same for data. Its store serves all models of all projects; the volume gets no id and no link."""

    def initialise(self, *, project: str, model: str) -> str:
        """See `Driver.initialise`: makes the store alone. Raises `VolumeMissing` too."""
        self._check_places()
        self._store.make()
        refuse_unsafe(self._store.root)
        with self._store.locked():
            return (self._store.record() or self._first_use(project)).id

    def _first_use(self, project: str) -> StoreRecord:
        if not is_label(self._name):
            raise UsageError(f"{self._name[:80]!r} must be a name: a-z, 0-9 and `-`")
        return self._store.make_record(self._path, self._name, project=project, model="")

    def _check_places(self) -> None:
        with storage_errors("the data volume cannot be looked at"):
            require_there(self._path)
        if overlap(self._path, self._store.root):
            raise VolumeRefused(
                f"the store {self._store.root} of the data volume {self._path} is not apart from it",
                why="nothing is ever written to a data volume",
                safe="nothing was changed",
                hint="set `store` to a folder beside it, on the same file system",
            )
        refusal = store_refusal(self._store.root, self._path, self._environ, ephemeral=self._ephemeral)
        if refusal is not None:
            raise refusal

    def freeze(self, source: Path, *, parent: SnapshotName | None, full: bool, inventory: bool) -> Frozen:
        """See `Driver.freeze`: by one call, or not at all. Raises `VolumeRefused`."""
        self._require_store()
        token = new_token()
        partial = self._store.partial(token)
        with storage_errors("the data cannot be snapshotted"):
            if subvolume.look(source) is None or inventory:
                raise VolumeRefused(f"{source} is no subvolume", safe="nothing was changed")
            subvolume.snapshot(source, partial)
            with nothing_left_of(partial):
                refuse_nested(source)
                state = state_at_snapshot(source, partial)
        return Frozen(token=token, path=partial, inventory=inventory_of(()), copied_bytes=0, state=state)

    def restore(
        self,
        name: SnapshotName,
        live: Path,
        *,
        way: Literal["swap", "sync"] | None = None,
        paths: Sequence[bytes] = (),
        full: bool = False,
    ) -> Restored:
        """Refuse: raises `VolumeRefused`."""
        raise VolumeRefused(
            f"{live} holds data, and nothing is ever written to it",
            safe="nothing was changed",
            hint=f"the data is at {self.view(name)}; its owner may copy it from there",
        )

    def _written(self) -> tuple[Path, ...]:
        """See `LocalDriver`: the store alone."""
        return (nearest_existing(self._store.root),)

    def _show_snapshots(self) -> None:
        """Leave the data as it is: its snapshots are found by their path in the store."""
