"""Which way a local volume is frozen: tried, not guessed from the name of a file system."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec.structs import replace

from ci_mlsnap.storage.btrfs import BtrfsWay
from ci_mlsnap.storage.layout import Store
from ci_mlsnap.storage.placement import file_system_of, nearest_existing, same_file_system
from ci_mlsnap.storage.reflink import ReflinkWay
from ci_mlsnap.storage.way import Way
from ci_mlsnap.trees import subvolume
from ci_mlsnap.trees.reflink import can_share_blocks


def pick_way(store: Store, path: Path) -> Way:
    """Pick the way that takes least: `btrfs` for a subvolume, `reflink` where files share blocks, else `copy`."""
    if not same_file_system(store.root, path):
        return _copy(store, "the store is on another file system than the volume, so files are copied to it")
    kind = file_system_of(path)
    # On btrfs they always can, so that a disk which fails the trial changes no answer.
    if kind != "btrfs" and not can_share_blocks(nearest_existing(store.snapshots)):
        return _copy(store, "files share no blocks here, so what changed is copied, which takes time")
    reflink = ReflinkWay(store=store)
    if kind != "btrfs":
        return reflink
    obstacle = _no_subvolume(path)
    if obstacle:
        return replace(reflink, why=f"{obstacle}; files share their blocks, which takes longer the more there are")
    return BtrfsWay(store=store, plain=reflink)


def _copy(store: Store, why: str) -> Way:
    from ci_mlsnap.storage.copy import CopyWay

    return CopyWay(store=store, why=why)


def faster_way(store: Store, path: Path) -> str:
    """Say what makes the volume a subvolume, where that is all that is missing; else nothing.

    The commands keep the folder's files and share their blocks; nobody may write to it meanwhile.
    """
    plain = os.path.isdir(path) and not subvolume.is_subvolume_root(path.lstat())
    if not plain or file_system_of(path) != "btrfs" or not same_file_system(store.root, path):
        return ""
    import shlex

    old, new = (shlex.quote(f"{path}{ending}") for ending in ("", ".new"))
    steps = (
        f"btrfs subvolume create {new}",
        f"cp -a --reflink=always {old}/. {new}/",
        f"rm -r {old}",
        f"mv {new} {old}",
    )
    return "for snapshots in constant time: " + " && ".join(steps)


def _no_subvolume(path: Path) -> str:
    """Say why the volume cannot be snapshotted as a whole; empty when it can, or will be made so."""
    if not os.path.lexists(path):
        return ""
    if not subvolume.is_subvolume_root(path.lstat()):
        return "the volume is a plain folder, not a btrfs subvolume"
    if os.geteuid() not in (0, path.lstat().st_uid):
        return "the subvolume belongs to another user, and only its owner may snapshot it"
    return ""
