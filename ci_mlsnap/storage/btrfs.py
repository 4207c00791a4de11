"""The btrfs way: a subvolume is frozen, restored and removed by one call each, whatever its size.

A tree that is no subvolume (training made its folder anew), or somebody else's, goes the `plain` way.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from ci_mlsnap.domain.manifest import Inventory, inventory_of
from ci_mlsnap.durable.atomic import follow_folder, fsync_folder, make_folder
from ci_mlsnap.durable.faults import shown, storage_errors
from ci_mlsnap.errors import TreeUnsupported
from ci_mlsnap.storage.checking import damage_of, first_damage
from ci_mlsnap.storage.facts import Remembered, content_of, lines_of
from ci_mlsnap.storage.layout import LINK, OWN, Store
from ci_mlsnap.storage.modes import is_privileged, take_privileges
from ci_mlsnap.storage.sealed import SealedTrees
from ci_mlsnap.storage.way import Entries, Parent, Taken, Way
from ci_mlsnap.trees import subvolume
from ci_mlsnap.trees.folders import Folders
from ci_mlsnap.trees.inventory import survey
from ci_mlsnap.trees.listing import KnownFile
from ci_mlsnap.trees.remove import nothing_left_of, remove_tree
from ci_mlsnap.trees.syncfs import sync_file_system
from ci_mlsnap.trees.walk import Found

_NOT_ALLOWED = {errno.EPERM, errno.EACCES, errno.EXDEV, errno.EINVAL}


class BtrfsWay(msgspec.Struct, frozen=True, kw_only=True):
    """Freeze by a subvolume's snapshot. `racy_seconds`: see `CopyWay`; btrfs keeps times to the kernel's tick."""

    store: Store
    plain: Way
    racy_seconds: float = 0.1
    name: str = "btrfs"
    instant: bool = True
    enforced_read_only: bool = True
    shares: bool = True
    why: str = "the volume is a subvolume: its snapshot takes the same time at any size, and nobody writes to it"

    def freeze(self, source: Path, partial: Path, *, parent: Parent | None, full: bool, inventory: bool) -> Taken:
        """See `Way.freeze`. A subvolume in the tree would be empty in the snapshot, and is refused."""
        youngest = time.time_ns() - int(self.racy_seconds * 1e9)
        if not self._snapshot(source, partial):
            return self.plain.freeze(source, partial, parent=parent, full=full, inventory=inventory)
        with nothing_left_of(partial), storage_errors("the snapshot cannot be finished"):
            refuse_nested(source)
            state = state_at_snapshot(source, partial)
            _strip(partial)
            if not inventory:
                return Taken(inventory=inventory_of(()), copied_bytes=0, state=state)
            known = _Known({} if full or parent is None else self._files(parent.root))
            listing = survey(partial, known=known)
            _take_privileges(partial, known.privileged)
            self._remember(partial, listing.known, youngest)
            return Taken(inventory=listing.inventory(), copied_bytes=0, state=state)

    def _files(self, snapshot: Path) -> Remembered:
        """Give what is remembered of a version's files; what comes from it has their inodes and times."""
        tree = self._look(snapshot)
        return self._trees.files(tree.uuid) if tree else {}

    def _remember(self, partial: Path, files: Mapping[bytes, KnownFile], youngest: int) -> None:
        tree = self._look(partial)
        if tree is not None:
            self._trees.remember_files(tree.uuid, lines_of(files, youngest=youngest))

    def _snapshot(self, source: Path, destination: Path) -> bool:
        """Make a snapshot where that is possible; tell whether it was."""
        with storage_errors("the subvolume cannot be snapshotted"):
            if subvolume.look(source) is None:
                return False
            try:
                subvolume.snapshot(source, destination)
            except OSError as error:
                if error.errno in _NOT_ALLOWED:
                    return False
                raise
        return True

    def finish(self, partial: Path, inventory: Inventory) -> None:
        """See `Way.finish`. Changing the flag makes names durable, and not what files were just given."""
        if self._look(partial) is None:
            self.plain.finish(partial, inventory)
            return
        sync_file_system(partial)
        with storage_errors("the snapshot cannot be made read-only"):
            subvolume.set_read_only(partial, read_only=True)
        tree = self._look(partial)
        if tree is not None:
            self._trees.remember_change(tree)

    def sealed(self, partial: Path, inventory: Inventory) -> None:
        """See `Way.sealed`."""
        if self._look(partial) is None:
            self.plain.sealed(partial, inventory)

    @property
    def _trees(self) -> SealedTrees:
        return SealedTrees(state=self.store.state)

    def _look(self, tree: Path) -> subvolume.Subvolume | None:
        with storage_errors("the tree cannot be looked at"):
            return subvolume.look(tree)

    def clone(self, snapshot: Path, destination: Path, entries: Entries | None) -> None:
        """See `Way.clone`."""
        if self._look(snapshot) is None:
            self.plain.clone(snapshot, destination, entries)
            return
        damage = self.damage(snapshot, entries) if entries is not None else ""
        if damage:
            raise damage_of(snapshot, damage)
        if not self._snapshot(snapshot, destination):
            self.plain.clone(snapshot, destination, entries)
            return
        with nothing_left_of(destination), storage_errors("the snapshot cannot be cloned"):
            _strip(destination)

    def damage(self, snapshot: Path, entries: Entries) -> str:
        """See `Way.damage`. What nobody could write to, and the kernel says was not changed, is not looked at."""
        tree = self._look(snapshot)
        if tree is None:
            return self.plain.damage(snapshot, entries)
        if self._trees.is_unchanged(tree):
            return ""
        return first_damage(snapshot, entries(), lambda found: None)

    def state_of(self, tree: Path) -> str:
        """See `Way.state_of`."""
        with storage_errors("the tree cannot be looked at"):
            if subvolume.look(tree) is None:
                return ""
            sync_file_system(tree)
            found = subvolume.look(tree)
            return state_text(found.uuid, found.changed) if found else ""

    def make(self, tree: Path) -> None:
        """See `Way.make`: a subvolume."""
        if os.path.isdir(tree):
            return
        make_folder(tree.parent)
        try:
            subvolume.create(tree)
        except OSError:
            make_folder(tree)  # it tells what is wrong, if anything is
            return
        with storage_errors("a subvolume cannot be made"):
            follow_folder(tree)
        fsync_folder(tree.parent)

    def reclaim(self) -> None:
        """See `Way.reclaim`."""
        with storage_errors("the file system cannot be asked for its space"):
            subvolume.free_space(self.store.snapshots)

    def remove(self, tree: Path) -> None:
        """See `Way.remove`: at once, where the mount lets us; the kernel gives the space back a little later."""
        found = self._look(tree)
        if found is None:
            self.plain.remove(tree)
            return
        self._trees.forget(found.uuid)
        remove_tree(tree)


class _Known(msgspec.Struct, frozen=True):
    """Tells the content of a file that is as it is remembered, and notes those with rights of their own."""

    lines: Remembered
    privileged: list[bytes] = msgspec.field(default_factory=list)

    def __call__(self, found: Found) -> str:
        if is_privileged(found.parent, found.name):
            self.privileged.append(found.path)
        return content_of(self.lines.get(found.path), found.stat)


def _take_privileges(partial: Path, paths: Sequence[bytes]) -> None:
    """Take from files what no version carries; their times say then that they are to be read again next time."""
    with Folders(partial) as folders:
        for path in paths:
            above, _, name = path.rpartition(b"/")
            take_privileges(folders.at(above), name)


def state_text(uuid: str, changed: int) -> str:
    """Write a subvolume's state (`Way.state_of`)."""
    return f"{uuid}:{changed}"


def state_at_snapshot(source: Path, fresh: Path) -> str:
    """Give the source's state when its snapshot was made: that has the same last change until it is written to."""
    one, other = subvolume.look(source), subvolume.look(fresh)
    return state_text(one.uuid, other.changed) if one and other else ""


def _strip(tree: Path) -> None:
    """Take from a fresh snapshot what is no content: the volume's own records, a manifest, a link."""
    os.chmod(tree, stat.S_IMODE(os.lstat(tree).st_mode) | stat.S_IRWXU)
    for name in (OWN, LINK):
        remove_tree(tree / name)


def refuse_nested(source: Path) -> None:
    """Refuse a subvolume that has others in it, in constant time. Raises `TreeUnsupported`."""
    count = subvolume.children(source)
    if count:
        raise TreeUnsupported(
            f"{shown(os.fsencode(source))} has {count} subvolume{'s' if count > 1 else ''} in it",
            why="a snapshot does not carry what is in them: it would have empty folders there",
            safe="nothing was kept",
            hint="make them plain folders, or move them out of the volume; `btrfs subvolume list -o` names them",
        )
