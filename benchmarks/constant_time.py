"""The btrfs way: a snapshot against the kernel's bare call, a roll-back against a snapshot, at any size."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks import trees
from benchmarks.measuring import (
    Bar,
    Pair,
    difference_bar,
    in_turns,
    process_seconds,
    ratio_bar,
    run,
    seconds_bar,
    settled,
)
from benchmarks.places import TOP, sync_seconds
from benchmarks.trees import Shape, write_largest
from benchmarks.working import Working, working
from ci_mlsnap.trees import subvolume

STORAGE_MS, EXCHANGE_MS = 10.0, 10.0
BARE = Path(__file__).with_name("bare_snapshot.py")


def snapshot_bars(root: Path, medium: Shape, *, rounds: int) -> Iterator[Bar]:
    """Measure `mlsnap snapshot` on btrfs: against a bare process, and the same at any size."""
    small = working(root / "small", trees.SMALL)
    pair = in_turns(small.snapshot, lambda: bare_seconds(small), rounds=rounds)
    yield ratio_bar("btrfs: `mlsnap snapshot` : bare process", pair, limit=8.0, tree=trees.SMALL.text)
    pair = in_turns(small.snapshot, lambda: command_seconds(small), rounds=rounds)
    yield ratio_bar(
        "btrfs: `mlsnap snapshot` : `btrfs subvolume snapshot`", pair, limit=None, tree=trees.SMALL.text
    )
    yield from _unlisted_bars(root, medium, rounds=rounds)
    yield from _storage_bars(root, medium, rounds=rounds)


def _unlisted_bars(root: Path, medium: Shape, *, rounds: int) -> Iterator[Bar]:
    small = working(root / "small-none", trees.SMALL, files="none")
    large = working(root / "medium-none", medium, files="none")
    pair = in_turns(small.snapshot, lambda: bare_seconds(small), rounds=rounds)
    text = 'btrfs: `mlsnap snapshot`, files = "none" : bare process'
    yield ratio_bar(text, pair, limit=None, tree=trees.SMALL.text)
    pair = in_turns(large.snapshot, small.snapshot, rounds=rounds)
    text = 'btrfs: `mlsnap snapshot`, files = "none", clean pages : the same of S'
    yield ratio_bar(text, pair, limit=1.3, tree=medium.text)
    tree = large.checkout.tree

    def dirtied() -> None:
        write_largest(tree, medium)

    def synced() -> float:
        settled(tree)
        dirtied()
        return sync_seconds(tree)

    pair = in_turns(lambda: large.snapshot(change=dirtied, durable=False), synced, rounds=rounds)
    text = 'btrfs: `mlsnap snapshot`, files = "none", largest file unwritten : `syncfs`'
    yield ratio_bar(text, pair, limit=1.2, tree=medium.text)


def _storage_bars(root: Path, medium: Shape, *, rounds: int) -> Iterator[Bar]:
    """In one process, so that no start of Python hides what the storage takes."""
    for shape, dirty in ((trees.SMALL, False), (medium, False), (medium, True)):
        volume = root / f"volume-{shape.name.replace('/', '-')}-{dirty}"
        volume.mkdir()
        subvolume.create(volume / "models")
        trees.fill_tree(volume / "models", shape)
        settled(volume)
        pair = _storage_part(volume, rounds * 3, shape.name if dirty else "")
        if dirty:
            text = "btrfs: freeze + seal + read back, 5 % unwritten : `syncfs`, in process"
            yield ratio_bar(text, pair, limit=1.2, tree=shape.text)
        else:
            text = "btrfs: freeze + seal + read back, less the bare call, in process"
            yield difference_bar(text, pair, limit=STORAGE_MS, tree=shape.text)


def _storage_part(volume: Path, rounds: int, shape: str) -> Pair:
    arguments = (volume / "models", volume / "store", str(rounds), *((shape,) if shape else ()))
    sides = json.loads(run(sys.executable, "-m", "benchmarks.storage_part", *arguments, cwd=TOP))
    return Pair(ours=tuple(sides["ours"]), theirs=tuple(sides["theirs"]))


def roll_back_bars(root: Path, many: Shape, *, rounds: int) -> Iterator[Bar]:
    """Measure `mlsnap restore` on btrfs: against `mlsnap snapshot`, and the same however many files there are."""
    small = working(root / "small", trees.SMALL)
    first = small.checkout.head

    def back() -> float:
        small.snapshot()
        return small.restore(first)

    pair = in_turns(back, small.snapshot, rounds=rounds)
    text = "btrfs: `mlsnap restore` : `mlsnap snapshot`"
    yield ratio_bar(text, pair, limit=1.5, tree=trees.SMALL.text)
    few, most = _Swinging(root / "few", trees.FEW), _Swinging(root / "many", many)
    pair = in_turns(most.restore, few.restore, rounds=rounds)
    text = f"btrfs: `mlsnap restore` : the same of {trees.FEW.text}"
    yield ratio_bar(text, pair, limit=1.3, tree=many.text)
    for side in (few, most):
        seconds = side.exchanges(rounds * 3)
        text = "btrfs: roll-back, from the exchange to the answer, in process"
        yield seconds_bar(text, seconds, limit=EXCHANGE_MS, tree=side.shape.text)


class _Swinging:
    """A checkout with two versions, between which it goes to and fro."""

    def __init__(self, root: Path, shape: Shape) -> None:
        self.shape = shape
        self._working = working(root, shape)
        first = self._working.checkout.head
        self._working.snapshot()
        self._revisions = (first, self._working.checkout.head)
        self._next = 0

    def restore(self) -> float:
        """Go to the other version by the command, and give the seconds."""
        revision = self._revisions[self._next]
        self._next = 1 - self._next
        return self._working.restore(revision)

    def exchanges(self, rounds: int) -> list[float]:
        """Go to and fro in one process; give each time from the exchange to the answer."""
        ordered = (self._revisions[self._next], self._revisions[1 - self._next])
        arguments = (self._working.checkout.root, str(rounds), *ordered)
        said = run(sys.executable, "-m", "benchmarks.rolling_back", *arguments, cwd=TOP)
        return [float(one) for one in json.loads(said)]


def bare_seconds(side: Working) -> float:
    """Snapshot the side's live tree by the bare process, and give the seconds; the snapshot is removed."""
    place = side.checkout.root / "bare"
    settled(side.checkout.tree)
    seconds = process_seconds(sys.executable, BARE, side.checkout.tree, place)
    subvolume.destroy(place)
    return seconds


def command_seconds(side: Working) -> float:
    """As `bare_seconds`, by the command of btrfs-progs."""
    place = side.checkout.root / "bare"
    settled(side.checkout.tree)
    seconds = process_seconds("btrfs", "subvolume", "snapshot", side.checkout.tree, place)
    subvolume.destroy(place)
    return seconds
