"""The storage's part of a snapshot, in turns with what the kernel alone takes; prints both sides' seconds as JSON.

Called as `python -m benchmarks.storage_part VOLUME STORE ROUNDS [SHAPE]`. The volume is a btrfs subvolume. Without
a shape its pages are clean, and the other side is the bare call that makes a snapshot. With one, both sides
have 5 % of that shape unwritten, and the other side is a `syncfs`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from benchmarks.bare_snapshot import snapshot
from benchmarks.driver_version import MODEL, PROJECT, manifest_of
from benchmarks.trees import CHANGED, SHAPES, change_tree
from ci_mlsnap.domain.manifest import digest_of, encode
from ci_mlsnap.domain.names import Marker, SnapshotName
from ci_mlsnap.storage.local import LocalDriver
from ci_mlsnap.trees import subvolume
from ci_mlsnap.trees.syncfs import sync_file_system


def main(volume: Path, store: Path, rounds: int, shape: str = "") -> None:
    """Measure both sides in turns, after an unmeasured one of ours."""
    driver = LocalDriver(volume, store, MODEL, environ={})
    driver.initialise(project=PROJECT, model=MODEL)
    names = [SnapshotName.parse(f"{number:040x}") for number in range(1, rounds + 2)]
    _version(driver, volume, names[0], None)
    ours, theirs = [], []
    for parent, name in pairwise(names):
        theirs.append(_after_change(volume, shape, lambda: _bare(volume, store, dirty=bool(shape))))
        ours.append(_after_change(volume, shape, lambda: _version(driver, volume, name, parent)))  # noqa: B023
        if not shape:
            subvolume.destroy(store / "bare")
    print(json.dumps({"ours": ours, "theirs": theirs}))


def _after_change(volume: Path, shape: str, act: Callable[[], None]) -> float:
    if shape:
        change_tree(volume, SHAPES[shape], CHANGED)
    else:
        with (volume / "log.txt").open("a") as log:
            log.write("a change\n")
        sync_file_system(volume)
    before = time.perf_counter()
    act()
    return time.perf_counter() - before


def _version(driver: LocalDriver, volume: Path, name: SnapshotName, parent: SnapshotName | None) -> None:
    """Freeze, seal and read back, as `conclude` does with `files = "none"`."""
    frozen = driver.freeze(volume, parent=parent, full=False, inventory=False)
    manifest = manifest_of(driver, frozen, name, "none")
    marker = Marker(project=PROJECT, model=MODEL, name=name, digest=digest_of(encode(manifest)))
    driver.seal(frozen, manifest, marker)
    driver.read_back(name)


def _bare(volume: Path, store: Path, *, dirty: bool) -> None:
    if dirty:
        sync_file_system(volume)
    else:
        snapshot(volume, store / "bare")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
