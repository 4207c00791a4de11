"""verify against a bare walk of the same snapshot, both in this process."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measuring import Bar, environment, in_turns, ratio_bar
from benchmarks.trees import Shape
from benchmarks.working import working
from ci_mlsnap.cli.printing import Lines
from ci_mlsnap.flows.verify import require_whole, verify
from ci_mlsnap.services import Site, open_project


def verify_bars(root: Path, shape: Shape, *, limit: float | None, rounds: int) -> Iterator[Bar]:
    """Measure a version that nobody touched; the first look at it is not measured."""
    made = working(root, shape, as_subvolume=False).checkout
    snapshot = made.tree / ".snapshot" / made.head
    verify_seconds(root)
    walk_seconds(snapshot)
    pair = in_turns(lambda: verify_seconds(root), lambda: walk_seconds(snapshot), rounds=max(3, rounds))
    yield ratio_bar("verify, in process : a bare walk with lstat", pair, limit=limit, tree=shape.text)


def verify_seconds(checkout: Path) -> float:
    """Verify the version of HEAD, without reading its files."""
    site = Site(progress_for=Lines, project=str(checkout), environ=environment(), log=sys.stderr)
    project = open_project(site)
    before = time.perf_counter()
    require_whole(list(verify(project, ())))
    return time.perf_counter() - before


def walk_seconds(tree: Path) -> float:
    """Walk the tree as any script does, and look at each file and folder."""
    before = time.perf_counter()
    for folder, below, names in os.walk(tree):
        for name in (*below, *names):
            os.lstat(f"{folder}/{name}")
    return time.perf_counter() - before
