"""Bring a snapshot back: as a whole by exchange, else file by file; or as a clone beside."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from ci_mlsnap.domain.manifest import Entry
from ci_mlsnap.durable.atomic import fsync_folder
from ci_mlsnap.durable.faults import shown, storage_errors
from ci_mlsnap.errors import IntegrityDamage, StorageFailed, VolumeRefused
from ci_mlsnap.ports import Restored
from ci_mlsnap.storage.binding import make_own
from ci_mlsnap.storage.layout import Store, is_clone, link_snapshots, mark_clone, new_token, write_id
from ci_mlsnap.storage.partial import sync_parts
from ci_mlsnap.storage.placement import same_file_system
from ci_mlsnap.storage.sync import sync_tree
from ci_mlsnap.storage.way import Entries, Way
from ci_mlsnap.trees.exchange import exchange, rename_without_replacing
from ci_mlsnap.trees.inventory import take_inventory
from ci_mlsnap.trees.syncfs import sync_file_system

_NO_EXCHANGE = {errno.EXDEV, errno.EBUSY, errno.EINVAL, errno.ENOSYS, errno.EACCES, errno.EPERM}


class Restoring(msgspec.Struct, frozen=True, kw_only=True):
    """Restores and clones of one store. `entries` are None for a version whose contents were not inventoried."""

    store: Store
    way: Way
    volume_id: str

    def restore(
        self,
        snapshot: Path,
        entries: Entries | None,
        live: Path,
        way: Literal["swap", "sync"] | None,
        *,
        full: bool = False,
    ) -> Restored:
        """See `Driver.restore`; the live path was checked before."""
        if way != "sync" and (way == "swap" or same_file_system(live, self.store.snapshots)):
            try:
                return self._swap(snapshot, entries, live)
            except _NoExchange as error:
                if way == "swap":
                    raise StorageFailed(
                        f"{live} cannot be exchanged as a whole",
                        why=error.strerror or "",
                        safe="the live tree is unchanged",
                        hint="restore file by file (`sync`), which a reader may see half done",
                    ) from error
        return self._sync(snapshot, entries, live, full=full)

    # -- swap --------------------------------------------------------------------------------------

    def _swap(self, snapshot: Path, entries: Entries | None, live: Path) -> Restored:
        # Built where the displaced tree is to be kept: after the exchange it stands there already, and no crash
        # can leave the only copy of somebody's work under a name that is cleaned.
        built = self.store.trash(new_token())
        self.way.clone(snapshot, built, entries)
        try:
            with storage_errors("the restored tree cannot be finished"):
                self._finish(built, live)
            state = self.way.state_of(built)
            if not state:
                sync_file_system(built)
            displaced = self._exchange(built, live)
        except BaseException:
            self.way.remove(built)
            raise
        fsync_folder(live.parent)
        fsync_folder(self.store.snapshots)
        return Restored(way="swap", displaced=built if displaced else None, state=state)

    def _finish(self, built: Path, live: Path) -> None:
        write_id(built, self.volume_id, fsync=False)
        link_snapshots(built, self.store, final=live)
        follow = os.stat(live if live.is_dir() else self.store.root)
        if follow.st_gid != os.stat(built).st_gid:
            with suppress(PermissionError):  # not a member of that group: what we made stays in our own
                os.chown(built, -1, follow.st_gid)
        os.chmod(built, stat.S_IMODE(follow.st_mode) | stat.S_IRWXU)

    def _exchange(self, built: Path, live: Path) -> bool:
        """Put the built tree in place; tell whether another one was displaced."""
        try:
            if not live.is_dir():
                rename_without_replacing(built, live)
                return False
            exchange(built, live)
        except OSError as error:
            if error.errno in _NO_EXCHANGE:
                raise _NoExchange(error.errno, error.strerror) from error
            with storage_errors("the live tree cannot be exchanged"):
                raise
        return True

    # -- sync --------------------------------------------------------------------------------------

    def restore_parts(
        self, snapshot: Path, entries: Entries | None, live: Path, paths: Sequence[bytes]
    ) -> Restored:
        """Bring back some paths alone, see `Driver.restore`; the live path was checked before."""
        wanted = self._undamaged(snapshot, entries)
        make_own(self.store, live, self.volume_id, make=self.way.make)
        return Restored(way="sync", changed=sync_parts(snapshot, live, wanted, paths))

    def _sync(self, snapshot: Path, entries: Entries | None, live: Path, *, full: bool) -> Restored:
        wanted = self._undamaged(snapshot, entries)
        make_own(self.store, live, self.volume_id, make=self.way.make)
        changed = sync_tree(snapshot, live, wanted, state=self.store.state, full=full)
        return Restored(way="sync", changed=changed)

    def _undamaged(self, snapshot: Path, entries: Entries | None) -> Sequence[Entry]:
        """Give what a snapshot holds, once it was looked at. Raises `IntegrityDamage`."""
        damage = "" if entries is None else self.way.damage(snapshot, entries)
        if damage:
            raise IntegrityDamage(
                f"{snapshot} is damaged: {damage}",
                safe="the live tree is unchanged",
                hint="use another version; `mlsnap log` names them",
            )
        return take_inventory(snapshot).entries if entries is None else entries()

    # -- clone -------------------------------------------------------------------------------------

    def clone(
        self,
        snapshot: Path | None,
        entries: Entries | None,
        destination: Path,
        paths: Sequence[bytes] = (),
    ) -> Path:
        """See `Driver.clone`: made beside and renamed, so that a clone is whole or not there."""
        if os.path.lexists(destination):
            raise VolumeRefused(
                f"{shown(os.fsencode(destination))} is there already",
                safe="nothing was changed",
                hint="name a folder that does not exist",
            )
        beside = destination.with_name(f".mlsnap-{new_token()}")
        with storage_errors("a clone cannot be made"):
            if snapshot is not None and not paths:
                self.way.clone(snapshot, beside, entries)
            else:
                self.way.make(beside)
            try:
                if snapshot is not None and paths:
                    sync_parts(snapshot, beside, self._undamaged(snapshot, entries), paths)
                os.chmod(beside, stat.S_IMODE(os.stat(self.store.root).st_mode) & 0o777 | stat.S_IRWXU)
                mark_clone(beside, self.volume_id)
                rename_without_replacing(beside, destination)
            except BaseException:
                self.way.remove(beside)
                raise
        return destination

    def remove_clone(self, destination: Path) -> None:
        """See `Driver.remove_clone`. Raises `VolumeRefused` for what was not made here."""
        if not os.path.lexists(destination):
            return
        if not _within(destination, self.store.work) and not is_clone(destination, self.volume_id):
            raise VolumeRefused(
                f"{shown(os.fsencode(destination))} is no clone that was made here",
                safe="nothing was removed",
                hint="remove it by hand, when it is not needed",
            )
        self.way.remove(destination)


class _NoExchange(OSError):
    """The two trees cannot change places here."""


def _within(path: Path, folder: Path) -> bool:
    """Tell whether the path is a thing in the folder, wherever it leads itself."""
    return Path(os.path.realpath(path.parent)).is_relative_to(os.path.realpath(folder))
