"""The reflink way, for XFS, btrfs folders and whatever else has FICLONE: each file shares its blocks.

Nothing is copied, but each file is touched, so the time grows with how many there are and not with their size.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from ci_mlsnap.domain.manifest import Inventory, inventory_of
from ci_mlsnap.durable.atomic import make_folder
from ci_mlsnap.durable.faults import storage_errors
from ci_mlsnap.errors import StorageFailed
from ci_mlsnap.storage.checking import first_damage, require_equal
from ci_mlsnap.storage.facts import Remembered, content_of, lines_in, remember, remembered
from ci_mlsnap.storage.layout import Store, will_be_frozen_again
from ci_mlsnap.storage.modes import give_modes
from ci_mlsnap.storage.sealed import SealedTrees
from ci_mlsnap.storage.way import Entries, Parent, Taken
from ci_mlsnap.trees.copy import Sharing, copy_tree
from ci_mlsnap.trees.glance import require_as_seen
from ci_mlsnap.trees.remove import nothing_left_of, remove_tree
from ci_mlsnap.trees.syncfs import sync_file_system
from ci_mlsnap.trees.walk import Found

READ_ONLY = 0o555


class ReflinkWay(msgspec.Struct, frozen=True, kw_only=True):
    """Freeze by sharing each file's blocks. `racy_seconds`: see `CopyWay`."""

    store: Store
    racy_seconds: float = 2.0
    name: str = "reflink"
    instant: bool = False
    enforced_read_only: bool = False
    shares: bool = True
    why: str = "files share their blocks; the time grows with how many there are, not with their size"

    def freeze(self, source: Path, partial: Path, *, parent: Parent | None, full: bool, inventory: bool) -> Taken:
        """See `Way.freeze`. Files are shared one by one, so a second look must find nothing changed."""
        youngest = time.time_ns() - int(self.racy_seconds * 1e9)
        known = {} if full or not inventory else remembered(self.store.state, source)
        sharing = Sharing(known=_believed(known), mode=READ_ONLY if inventory else 0o777)
        with nothing_left_of(partial), storage_errors("the tree cannot be cloned into the store"):
            copied = copy_tree(source, partial, digests=inventory, sharing=sharing)
            require_as_seen(source, sharing.seen)
        if not inventory:
            return Taken(inventory=inventory_of(()), copied_bytes=copied.copied_bytes)
        if will_be_frozen_again(source, self.store):
            with suppress(StorageFailed):  # only a cache
                remember(self.store.state, source, copied.known, youngest=youngest)
        return Taken(inventory=copied.inventory, copied_bytes=copied.copied_bytes)

    def finish(self, partial: Path, inventory: Inventory) -> None:
        """See `Way.finish`."""
        sync_file_system(partial)
        if inventory.entries:
            lines = {path: line for _, path, line in lines_in(partial, inventory)}
            self._trees.remember_files(os.lstat(partial).st_ino, lines)

    def sealed(self, partial: Path, inventory: Inventory) -> None:
        """See `Way.sealed`: snapshots share no file, only blocks."""

    @property
    def _trees(self) -> SealedTrees:
        return SealedTrees(state=self.store.state)

    def clone(self, snapshot: Path, destination: Path, entries: Entries | None) -> None:
        """See `Way.clone`. A file whose facts are still those of the sealing is not read again."""
        with nothing_left_of(destination), storage_errors("the snapshot cannot be cloned"):
            sharing = Sharing(known=_believed(self._files(snapshot)))
            copied = copy_tree(snapshot, destination, digests=entries is not None, sharing=sharing)
            os.chmod(destination, stat.S_IMODE(os.stat(destination).st_mode) | stat.S_IRWXU)
            if entries is not None:
                wanted = entries()
                require_equal(snapshot, copied.inventory.entries, wanted)
                give_modes(destination, wanted)

    def damage(self, snapshot: Path, entries: Entries) -> str:
        """See `Way.damage`."""
        files = self._files(snapshot)
        return first_damage(snapshot, entries(), lambda found: files.get(found.path))

    def _files(self, snapshot: Path) -> Remembered:
        with storage_errors("the snapshot cannot be looked at"):
            return self._trees.files(os.lstat(snapshot).st_ino)

    def state_of(self, tree: Path) -> str:
        """See `Way.state_of`: only a walk tells."""
        return ""

    def make(self, tree: Path) -> None:
        """See `Way.make`."""
        make_folder(tree)

    def reclaim(self) -> None:
        """See `Way.reclaim`: files give their space back when they go."""

    def remove(self, tree: Path) -> None:
        """See `Way.remove`."""
        with suppress(OSError):
            self._trees.forget(os.lstat(tree).st_ino)
        remove_tree(tree)


def _believed(lines: Remembered) -> Callable[[Found], str]:
    """Give what tells a file's SHA-256 without reading it, where its facts are those remembered."""
    return lambda found: content_of(lines.get(found.path), found.stat)
