"""How quickly a command starts: against the same Python that does nothing, and against importing click."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measuring import BIN, Bar, in_turns, process_seconds, ratio_bar


def starting_bars(*, rounds: int) -> Iterator[Bar]:
    """Measure `--version` and `--help`."""
    yield _bar("--version : python -c pass", "--version", "pass", limit=3.0, rounds=rounds)
    yield _bar("--help : python -c 'import click'", "--help", "import click", limit=1.3, rounds=rounds)


def _bar(what: str, option: str, code: str, *, limit: float, rounds: int) -> Bar:
    ours: tuple[Path | str, ...] = (BIN / "mlsnap", option)
    theirs = (sys.executable, "-c", code)
    for command in (ours, theirs):
        process_seconds(*command)  # Python compiles at first use
    pair = in_turns(lambda: process_seconds(*ours), lambda: process_seconds(*theirs), rounds=rounds)
    return ratio_bar(what, pair, limit=limit)
