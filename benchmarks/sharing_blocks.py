"""The reflink way on XFS: a snapshot and a restore against `cp -a --reflink=always`, all durable at the end."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks import trees
from benchmarks.measuring import Bar, in_turns, plain_bar, ratio_bar, run, settled
from benchmarks.places import FIRST, SECOND, Volume, copy_seconds, sync_seconds
from benchmarks.trees import Shape, make_tree, next_version
from benchmarks.working import differences, working

REFLINK = "--reflink=always"


def reflink_bars(root: Path, medium: Shape, large: Shape, *, rounds: int) -> Iterator[Bar]:
    """Measure creating L and restoring S and M."""
    side = working(root / "large", large, files="none", as_subvolume=False)
    copy = root / "copy"
    pair = in_turns(side.durable_snapshot, lambda: copy_seconds(side.checkout.tree, copy, REFLINK), rounds=rounds)
    text = 'XFS: `mlsnap snapshot`, files = "none" : cp -a --reflink=always'
    yield ratio_bar(text, pair, limit=1.2, tree=large.text)
    shutil.rmtree(side.checkout.root)
    for shape in (trees.SMALL, medium):
        yield from _restore_bars(root / f"restore-{shape.name.replace('/', '-')}", shape, rounds=rounds)


def _restore_bars(root: Path, shape: Shape, *, rounds: int) -> Iterator[Bar]:
    volume, wanted = Volume(root=root / "volume"), root / "wanted"
    make_tree(volume.tree, shape)
    volume.version(FIRST)
    copy_seconds(volume.tree, root / "copy", REFLINK)  # the program is read from the disk at its first use
    _keep(volume.tree, wanted)
    next_version(volume.tree, shape)
    volume.version(SECOND, FIRST)
    found: list[float] = []

    def restore() -> float:
        next_version(volume.tree, shape)
        settled(root)
        seconds = volume.restore_seconds(FIRST)
        found.append(differences(volume.tree, wanted))
        return seconds

    pair = in_turns(restore, lambda: copy_seconds(volume.tree, root / "copy", REFLINK), rounds=rounds)
    text = "XFS: restore, in process : cp -a --reflink=always"
    yield ratio_bar(text, pair, limit=1.0, tree=shape.text)
    note = "by `diff -r`, and by `find` for modes, owners, sizes, times"
    yield plain_bar("XFS: differences after a restore", found, limit=0.0, tree=shape.text, unit="", note=note)
    side = working(root / "checkout", shape, as_subvolume=False)
    first = side.checkout.head

    def whole() -> float:
        side.snapshot()
        return side.restore(first) + sync_seconds(root)

    pair = in_turns(whole, lambda: copy_seconds(side.checkout.tree, root / "copy", REFLINK), rounds=rounds)
    text = "XFS: whole `mlsnap restore` : cp -a --reflink=always"
    yield ratio_bar(text, pair, limit=None, tree=shape.text)
    shutil.rmtree(root)


def _keep(tree: Path, place: Path) -> None:
    """Keep what the tree is now, by `cp`, without what is the volume's own."""
    run("cp", "-a", REFLINK, tree, place)
    shutil.rmtree(place / ".mlsnap")
    (place / ".snapshot").unlink()
