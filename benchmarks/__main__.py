"""`python -m benchmarks`: measure every bar; print figure, bar, verdict. Tells and never judges: exit code 0."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import trees
from benchmarks.copying import first_version_bars, second_version_bars
from benchmarks.measuring import Bar
from benchmarks.memory import memory_bars
from benchmarks.starting import starting_bars
from benchmarks.table import line_of, page_of, write_page
from ci_mlsnap.storage.placement import file_system_of

RESULTS = Path(__file__).with_name("results.md")


def main() -> int:
    """Measure, print, and keep the table where that is asked."""
    wishes = _wishes()
    bars, load = [], os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="mlsnap-bench-", dir=wishes.where) as scratch:
        file_system = file_system_of(Path(scratch))
        print(f"measuring below {scratch} ({file_system}); {'short' if wishes.short else 'full'} form", flush=True)
        for bar in _bars(Path(scratch), wishes):
            print(line_of(bar), flush=True)
            bars.append(bar)
    if wishes.write:
        page = page_of(bars, short=wishes.short, rounds=wishes.rounds, file_system=file_system, load=load)
        write_page(RESULTS, page)
        print(f"written: {RESULTS}")
    return 0


def _bars(scratch: Path, wishes: argparse.Namespace) -> Iterator[Bar]:
    short, rounds = wishes.short, wishes.rounds
    medium = trees.SHORT_MEDIUM if short else trees.MEDIUM
    large = trees.SHORT_LARGE if short else trees.LARGE
    if "start" in wishes.only:
        yield from starting_bars(rounds=wishes.rounds * 5)
    if "first" in wishes.only:
        # On a small tree the fixed second of a run is most of it, so its bar is for M alone.
        yield from first_version_bars(scratch, medium, run_limit=None if short else 1.6, rounds=rounds)
    if "second" in wishes.only:
        for shape, space in ((trees.SMALL, 115.0), (medium, None), (large, 112.0)):
            yield from second_version_bars(scratch, shape, space=space, rounds=rounds)
    if "memory" in wishes.only:
        yield from memory_bars(scratch, trees.SHORT_MANY if short else trees.MANY)


def _wishes() -> argparse.Namespace:
    groups = ("start", "first", "second", "memory")
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--short", action="store_true", help="smaller trees: about a minute, for CI")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each comparison of copies (default 3)")
    parser.add_argument("--only", nargs="+", choices=groups, default=groups, help="some groups of bars")
    parser.add_argument("--where", help="the folder to work in (default: the system's for temporary files)")
    parser.add_argument("--write", action="store_true", help="keep the table in benchmarks/results.md")
    wishes = parser.parse_args()
    if wishes.rounds < 1:
        parser.error("--rounds must be at least 1")
    return wishes


sys.exit(main())
