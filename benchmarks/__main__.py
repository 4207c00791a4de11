"""`python -m benchmarks`: measure every bar; print figure, bar, verdict. Tells and never judges: exit code 0."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import trees
from benchmarks.beside import Bound, beside_bars, dvc_below
from benchmarks.constant_time import roll_back_bars, snapshot_bars
from benchmarks.copying import first_version_bars, second_version_bars
from benchmarks.hooking import hook_bars
from benchmarks.listing import listing_bars
from benchmarks.measuring import Bar, unmeasured
from benchmarks.memory import memory_bars
from benchmarks.mounts import FileSystem, Images, NotMeasured, file_system, images_below
from benchmarks.own_part import own_part_bars
from benchmarks.reporting import reporting_bars
from benchmarks.returning import returning_bars
from benchmarks.sharing_blocks import reflink_bars
from benchmarks.starting import starting_bars
from benchmarks.table import line_of, page_of, write_page
from benchmarks.verifying import verify_bars
from ci_mlsnap.storage.placement import file_system_of

RESULTS = Path(__file__).with_name("results.md")


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What is measured where: files in `scratch`, file systems of our own in `images`."""

    scratch: Path
    images: Images
    short: bool
    rounds: int

    @property
    def medium(self) -> trees.Shape:
        return trees.SHORT_MEDIUM if self.short else trees.MEDIUM

    @property
    def large(self) -> trees.Shape:
        return trees.SHORT_LARGE if self.short else trees.LARGE

    @property
    def many(self) -> trees.Shape:
        return trees.SHORT_MANY if self.short else trees.MANY

    def on(self, kind: FileSystem, what: str, bars: Callable[[Path], Iterator[Bar]]) -> Iterator[Bar]:
        """Measure on a file system made for it; where that cannot be, one row says why."""
        try:
            with file_system(self.images, kind, gib=4 if self.short else 16) as root:
                yield from bars(root)
        except NotMeasured as error:
            yield unmeasured(what, str(error))


def main() -> int:
    """Measure, print, and keep the table where that is asked."""
    wishes = _wishes()
    bars, load = [], os.getloadavg()[0]
    with (
        tempfile.TemporaryDirectory(prefix="mlsnap-bench-", dir=wishes.where) as scratch,
        images_below(Path(scratch), gib=4 if wishes.short else 14, on_disk=wishes.where is not None) as images,
    ):
        kind = file_system_of(Path(scratch))
        form = "short" if wishes.short else "full"
        print(f"measuring below {scratch} ({kind}), {images.told}; {form} form", flush=True)
        bench = Bench(scratch=Path(scratch), images=images, short=wishes.short, rounds=wishes.rounds)
        for group in wishes.only:
            for bar in GROUPS[group](bench):
                print(line_of(bar), flush=True)
                bars.append(bar)
    if wishes.write:
        page = page_of(
            bars, short=wishes.short, rounds=wishes.rounds, file_system=kind, images=images.told, load=load
        )
        write_page(RESULTS, page)
        print(f"written: {RESULTS}")
    return 0


def _start(bench: Bench) -> Iterator[Bar]:
    yield from starting_bars(rounds=bench.rounds * 5)


def _first(bench: Bench) -> Iterator[Bar]:
    # On a small tree the fixed second of a run is most of it, so its bar is for M alone.
    limit = None if bench.short else 1.6
    yield from first_version_bars(bench.scratch, bench.medium, run_limit=limit, rounds=bench.rounds)


def _second(bench: Bench) -> Iterator[Bar]:
    for shape, space in ((trees.SMALL, 115.0), (bench.medium, None), (bench.large, 112.0)):
        yield from second_version_bars(bench.scratch, shape, space=space, rounds=bench.rounds)


def _memory(bench: Bench) -> Iterator[Bar]:
    yield from memory_bars(bench.scratch, bench.many)


def _btrfs(bench: Bench) -> Iterator[Bar]:
    def snapshots(root: Path) -> Iterator[Bar]:
        return snapshot_bars(root, bench.medium, rounds=bench.rounds)

    def roll_backs(root: Path) -> Iterator[Bar]:
        return roll_back_bars(root, bench.many, rounds=bench.rounds)

    yield from bench.on("btrfs", "btrfs: snapshots", snapshots)
    yield from bench.on("btrfs", "btrfs: roll-backs", roll_backs)


def _xfs(bench: Bench) -> Iterator[Bar]:
    def reflinks(root: Path) -> Iterator[Bar]:
        return reflink_bars(root, bench.medium, bench.large, rounds=bench.rounds)

    yield from bench.on("xfs", "XFS: snapshots and restores", reflinks)


def _run(bench: Bench) -> Iterator[Bar]:
    def own_parts(root: Path) -> Iterator[Bar]:
        return own_part_bars(root, bench.many, rounds=bench.rounds)

    yield from bench.on("btrfs", "own part of a run", own_parts)


def _beside(bench: Bench) -> Iterator[Bar]:
    dvc = NotMeasured("only in the full form") if bench.short else dvc_below(bench.scratch)
    for shape, bound in (
        (trees.SMALL, Bound(changed=1 / 8, none=None)),
        (bench.medium, Bound(changed=1 / 2, none=1 / 40)),
    ):

        def second(root: Path, shape: trees.Shape = shape, bound: Bound = bound) -> Iterator[Bar]:
            return beside_bars(root, shape, dvc, bound, rounds=bench.rounds)

        yield from bench.on("btrfs", f"second version of {shape.text} by others", second)


def _verify(bench: Bench) -> Iterator[Bar]:
    # On a small tree git is most of it, which is asked for the commit, so the bar is for L alone.
    limit = None if bench.short else 2.5
    yield from verify_bars(bench.scratch / "verify", bench.large, limit=limit, rounds=bench.rounds)


def _returning(bench: Bench) -> Iterator[Bar]:
    dvc = NotMeasured("only in the full form") if bench.short else dvc_below(bench.scratch)
    for shape in (trees.SMALL, bench.medium, bench.large):

        def back(root: Path, shape: trees.Shape = shape) -> Iterator[Bar]:
            return returning_bars(root, shape, dvc, rounds=bench.rounds)

        yield from bench.on("btrfs", f"going back, {shape.text}, beside others", back)


def _hook(bench: Bench) -> Iterator[Bar]:
    yield from hook_bars(bench.scratch / "hook", rounds=bench.rounds * 5)


def _log(bench: Bench) -> Iterator[Bar]:
    # Few versions say little: what a command costs at all is most of it then.
    count, limit = (100, None) if bench.short else (1000, 500.0)
    yield from listing_bars(bench.scratch / "log", count, limit=limit, rounds=bench.rounds)


def _report(bench: Bench) -> Iterator[Bar]:
    count = 100 if bench.short else 1000
    yield from reporting_bars(bench.scratch / "report", count, full=10_000, one=500, rounds=bench.rounds)


GROUPS: dict[str, Callable[[Bench], Iterator[Bar]]] = {
    "start": _start,
    "first": _first,
    "second": _second,
    "memory": _memory,
    "btrfs": _btrfs,
    "xfs": _xfs,
    "run": _run,
    "beside": _beside,
    "returning": _returning,
    "verify": _verify,
    "hook": _hook,
    "log": _log,
    "report": _report,
}


def _wishes() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--short", action="store_true", help="smaller trees: about a minute, for CI")
    parser.add_argument("--rounds", type=int, help="rounds of each comparison (default 3, or 1 in the short form)")
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=list(GROUPS), help="some groups of bars")
    parser.add_argument(
        "--where", help="the folder to work in, also for images (default: the system's, and images in memory)"
    )
    parser.add_argument("--write", action="store_true", help="keep the table in benchmarks/results.md")
    wishes = parser.parse_args()
    if wishes.rounds is None:
        wishes.rounds = 1 if wishes.short else 3
    if wishes.rounds < 1:
        parser.error("--rounds must be at least 1")
    return wishes


sys.exit(main())
