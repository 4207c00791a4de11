"""The copy way: a first version against `cp -a`, and a second one, which copies only what changed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measuring import Bar, Pair, in_turns, plain_bar, ratio_bar, settled
from benchmarks.places import FIRST, SECOND, Checkout, Made, Volume, copy_seconds
from benchmarks.trees import CHANGED, Shape, change_tree, make_tree, space_of


def first_version_bars(scratch: Path, shape: Shape, *, run_limit: float | None, rounds: int) -> Iterator[Bar]:
    """Measure a first version against `cp -a` of the same tree: by the driver alone, and as a whole run."""
    volume, checkout = Volume(root=scratch / "volume"), Checkout(root=scratch / "checkout")
    make_tree(volume.tree, shape)
    pair = in_turns(lambda: _first(volume), lambda: copy_seconds(volume.tree, scratch / "copy"), rounds=rounds)
    yield ratio_bar("first version, freeze + seal : cp -a", pair, limit=1.6, tree=shape.text)
    volume.forget()
    checkout.make()
    volume.tree.rename(checkout.tree)
    pair = in_turns(
        lambda: _first_run(checkout), lambda: copy_seconds(checkout.tree, scratch / "copy"), rounds=rounds
    )
    yield ratio_bar("first version, whole `mlsnap run` : cp -a", pair, limit=run_limit, tree=shape.text)
    shutil.rmtree(checkout.root)


def second_version_bars(scratch: Path, shape: Shape, *, space: float | None, rounds: int) -> Iterator[Bar]:
    """Measure a second version with 5 % changed: bytes, time against the first, and space after both."""
    volume = Volume(root=scratch / "volume")
    make_tree(volume.tree, shape)
    copied, spaces, seconds = [], [], []
    for _ in range(rounds):
        first, second, changed, used = _two(volume, shape)
        copied.append(second.copied / changed)
        spaces.append(100 * used)
        seconds.append((second.seconds, first.seconds))
    note = f"{changed:,} bytes changed, {second.copied:,} copied"
    yield plain_bar("bytes copied : bytes changed", copied, limit=1.0, tree=shape.text, unit="x", note=note)
    pair = Pair(ours=tuple(one for one, _ in seconds), theirs=tuple(other for _, other in seconds))
    yield ratio_bar("second version : first", pair, limit=None, tree=shape.text)
    if space is not None:
        note = "store with manifests and state : live tree"
        yield plain_bar("history after two versions", spaces, limit=space, tree=shape.text, unit=" %", note=note)
    shutil.rmtree(volume.root)


def _first(volume: Volume) -> float:
    volume.forget()
    settled(volume.root)
    return volume.version(FIRST).seconds


def _first_run(checkout: Checkout) -> float:
    checkout.forget()
    settled(checkout.root)
    return checkout.run_seconds()


def _two(volume: Volume, shape: Shape) -> tuple[Made, Made, int, float]:
    volume.forget()
    live = space_of([volume.tree])
    settled(volume.root)
    first = volume.version(FIRST)
    changed = change_tree(volume.tree, shape, CHANGED)
    settled(volume.root)
    second = volume.version(SECOND, FIRST)
    return first, second, changed, space_of([volume.store]) / live
