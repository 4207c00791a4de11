"""The copy way, for any file system: new files are copied, unchanged ones are hard links between snapshots.

The live tree is never written and never linked. Freezing takes time that grows with what changed.
"""

from __future__ import annotations

import os
import stat
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from ci_mlsnap.domain.manifest import Inventory, inventory_of
from ci_mlsnap.durable.atomic import make_folder
from ci_mlsnap.durable.faults import storage_errors
from ci_mlsnap.errors import StorageFailed
from ci_mlsnap.storage.checking import first_damage, require_equal
from ci_mlsnap.storage.facts import (
    Objects,
    let_the_clock_move,
    lines_in,
    read_objects,
    remember,
    remembered,
    update_objects,
)
from ci_mlsnap.storage.layout import Store, will_be_frozen_again
from ci_mlsnap.storage.modes import give_modes, take_write_bits
from ci_mlsnap.storage.sharing import see, shareable, unlink_shared
from ci_mlsnap.storage.way import Entries, Parent, Taken
from ci_mlsnap.trees.copy import Copied, copy_tree
from ci_mlsnap.trees.glance import require_as_seen
from ci_mlsnap.trees.remove import nothing_left_of, remove_tree
from ci_mlsnap.trees.syncfs import sync_file_system


class CopyWay(msgspec.Struct, frozen=True, kw_only=True):
    """Freeze by copying what changed. `racy_seconds`: how young a change must be for its time to be doubted.

    `frozen` has the facts of what this process froze and did not seal yet, by the tree's name.
    """

    store: Store
    racy_seconds: float = 2.0
    name: str = "copy"
    instant: bool = False
    enforced_read_only: bool = False
    shares: bool = False
    why: str = "works on any file system; the time grows with what changed, so it is not instant"
    frozen: dict[str, Objects] = msgspec.field(default_factory=dict)

    def freeze(self, source: Path, partial: Path, *, parent: Parent | None, full: bool, inventory: bool) -> Taken:
        """See `Way.freeze`."""
        youngest = time.time_ns() - int(self.racy_seconds * 1e9)
        with nothing_left_of(partial), storage_errors("the tree cannot be copied into the store"):
            copied = self._copy(source, partial, parent if inventory else None, full=full, digests=inventory)
            if not inventory:
                return Taken(inventory=inventory_of(()), copied_bytes=copied.copied_bytes)
            take_write_bits(partial)
            let_the_clock_move()
            self.frozen[partial.name] = {inode: line for inode, _, line in lines_in(partial, copied.inventory)}
        if will_be_frozen_again(source, self.store):
            with suppress(StorageFailed):  # only a cache
                remember(self.store.state, source, copied.known, youngest=youngest)
        return Taken(inventory=copied.inventory, copied_bytes=copied.copied_bytes)

    def _copy(self, source: Path, partial: Path, parent: Parent | None, *, full: bool, digests: bool) -> Copied:
        seen = see(source, parent, {} if full else remembered(self.store.state, source))
        reuse = shareable(parent, seen, read_objects(self.store.state)) if parent else {}
        seen.equal.clear()
        copied = copy_tree(source, partial, reuse=reuse, digests=digests, put_away=True)
        require_as_seen(source, seen.facts)
        return copied

    def sealed(self, partial: Path, inventory: Inventory) -> None:
        """See `Way.sealed`. Linking changed the inodes' times, so that shared files are remembered again too.

        What is not as it was when it was frozen is not remembered: reading it back tells what it is.
        """
        frozen = self.frozen.pop(partial.name, {})
        if inventory.entries:
            lines = lines_in(partial, inventory)
            same = {inode: line for inode, _, line in lines if frozen.get(inode) == line}
            update_objects(self.store.state, same)

    def clone(self, snapshot: Path, destination: Path, entries: Entries | None) -> None:
        """See `Way.clone`. Each byte is read, so damage is found whatever the caches say."""
        with nothing_left_of(destination), storage_errors("the snapshot cannot be copied"):
            found = copy_tree(snapshot, destination, digests=entries is not None).inventory.entries
            os.chmod(destination, stat.S_IMODE(os.stat(destination).st_mode) | stat.S_IRWXU)
            if entries is not None:
                wanted = entries()
                require_equal(snapshot, found, wanted)
                del found  # 10^5 of them are large, and so is what follows
                give_modes(destination, wanted)

    def damage(self, snapshot: Path, entries: Entries) -> str:
        """See `Way.damage`."""
        objects = read_objects(self.store.state)
        return first_damage(snapshot, entries(), lambda found: objects.get(found.stat.st_ino))

    def state_of(self, tree: Path) -> str:
        """See `Way.state_of`: only a walk tells."""
        return ""

    def make(self, tree: Path) -> None:
        """See `Way.make`."""
        make_folder(tree)

    def finish(self, partial: Path, inventory: Inventory) -> None:
        """See `Way.finish`."""
        sync_file_system(partial)

    def reclaim(self) -> None:
        """See `Way.reclaim`: files give their space back when they go."""

    def remove(self, tree: Path) -> None:
        """See `Way.remove`. Removing a name changes its inode's times: what others share is remembered anew."""
        if not os.path.lexists(tree):
            return
        shared, gone = unlink_shared(tree, read_objects(self.store.state))
        remove_tree(tree)
        if shared or gone:
            let_the_clock_move()
            with suppress(StorageFailed), self.store.locked():  # only a cache
                update_objects(self.store.state, shared, gone)
