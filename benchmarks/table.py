"""The table: for people on a terminal, and as the page that is kept."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measuring import Bar

HEADER = ("what", "tree", "figure", "noise", "bar", "verdict", "seconds, or what was counted")


def line_of(bar: Bar) -> str:
    """One bar as a line for a terminal, printed as soon as it is known."""
    what, tree, figure, noise, limit, verdict, note = cells_of(bar)
    place = f" [{tree}]" if tree else ""
    return f"{verdict:<7} {figure:>9}  (bar {limit}; {noise})  {what}{place}  {note}".rstrip()


def cells_of(bar: Bar) -> tuple[str, ...]:
    """One bar as the cells of the table."""
    limit = "-" if bar.limit is None else _number(bar.limit, bar.unit)
    if bar.figure is None:
        return bar.what, bar.tree, "-", "-", limit, "-", bar.note
    figure, least, most = (_number(value, bar.unit) for value in (bar.figure, bar.least, bar.most))
    return bar.what, bar.tree, figure, f"{least} .. {most}", limit, bar.verdict, bar.note


def page_of(bars: Sequence[Bar], *, short: bool, rounds: int, file_system: str, images: str, load: float) -> str:
    """The whole page, in Markdown. `load` is how many processes wanted to run when measuring began."""
    rows = [HEADER, ("---",) * len(HEADER), *map(cells_of, bars)]
    form = "short form" if short else "full form"
    facts = (
        f"{datetime.now(UTC):%Y-%m-%d}, {form}, {rounds} rounds for copies; Python {platform.python_version()}, "
        f"{os.cpu_count()} processors ({platform.machine()}), Linux {platform.release().split('-')[0]}, "
        f"{file_system}, {images}; load {load:.1f} at the start."
    )
    missed = sum(bar.verdict == "MISSED" for bar in bars)
    left_out = sum(bar.figure is None for bar in bars)
    told = "All bars are met." if not missed else f"{missed} of the bars missed."
    told += f" {left_out} rows were not measured." if left_out else ""
    return "\n".join(["# Results", "", facts, told, "", *map(_row, rows), ""])


def write_page(file: Path, text: str) -> None:
    """Keep the page."""
    file.write_text(text)


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _number(value: float, unit: str) -> str:
    if unit == "x":
        return f"{value:.2f}x" if value >= 0.1 else f"{value:.3f}x"
    return f"{value:.1f}{unit}" if unit else f"{value:g}"
