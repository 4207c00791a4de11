"""How much memory a whole run takes in a tree of very many files: a first version, and one with a parent."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measuring import Bar, plain_bar
from benchmarks.places import Checkout
from benchmarks.trees import MIB, Shape, make_tree

LIMIT = 200.0


def memory_bars(scratch: Path, shape: Shape) -> Iterator[Bar]:
    """Measure the peak of `mlsnap run`. It hardly moves between rounds, so each is taken once."""
    checkout = Checkout(root=scratch / "checkout")
    checkout.make()
    make_tree(checkout.tree, shape)
    for what in ("first", "second"):
        peak = checkout.run_memory() / MIB
        told = f"peak memory of `mlsnap run`, {what} version"
        yield plain_bar(told, [peak], limit=LIMIT, tree=shape.text, unit=" MiB", note="")
        checkout.commit()
    shutil.rmtree(checkout.root)
