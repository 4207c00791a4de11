"""Measuring in turns: what is compared runs A B A B within one run, so that both meet the same machine."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ci_mlsnap.trees.syncfs import sync_file_system

BIN = Path(sys.executable).parent


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The seconds of both sides, round by round."""

    ours: tuple[float, ...]
    theirs: tuple[float, ...]

    @property
    def ratios(self) -> list[float]:
        """Ours against theirs in each round."""
        return [one / other for one, other in zip(self.ours, self.theirs, strict=True)]

    @property
    def told(self) -> str:
        """Both sides' medians."""
        return f"{_seconds(statistics.median(self.ours))} : {_seconds(statistics.median(self.theirs))}"


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One line of the table: a figure, what it must not exceed, and how far the rounds lay apart.

    Without a figure it was not measured, and the note says why.
    """

    what: str
    tree: str
    figure: float | None
    least: float
    most: float
    limit: float | None
    unit: str
    note: str = ""

    @property
    def verdict(self) -> str:
        """Whether the bar is met."""
        if self.figure is None:
            return "not measured"
        if self.limit is None:
            return "no bar"
        return "met" if self.figure <= self.limit else "MISSED"


def ratio_bar(what: str, pair: Pair, *, limit: float | None, tree: str = "") -> Bar:
    """Make a bar of two measured sides: the median of the rounds' ratios."""
    return plain_bar(what, pair.ratios, limit=limit, tree=tree, unit="x", note=pair.told)


def difference_bar(what: str, pair: Pair, *, limit: float | None, tree: str = "") -> Bar:
    """Make a bar of two measured sides: by how many milliseconds ours takes longer."""
    differences = [1000 * (one - other) for one, other in zip(pair.ours, pair.theirs, strict=True)]
    return plain_bar(what, differences, limit=limit, tree=tree, unit=" ms", note=pair.told)


def seconds_bar(what: str, seconds: Sequence[float], *, limit: float | None, tree: str = "") -> Bar:
    """Make a bar of a time, in milliseconds."""
    return plain_bar(what, [1000 * one for one in seconds], limit=limit, tree=tree, unit=" ms", note="")


def plain_bar(what: str, figures: Sequence[float], *, limit: float | None, tree: str, unit: str, note: str) -> Bar:
    """Make a bar of figures: their median, the least and the most of them."""
    return Bar(
        what=what,
        tree=tree,
        figure=statistics.median(figures),
        least=min(figures),
        most=max(figures),
        limit=limit,
        unit=unit,
        note=note,
    )


def unmeasured(what: str, why: str, *, limit: float | None = None, tree: str = "") -> Bar:
    """Make the row of what cannot be measured here."""
    note = f"not measured: {why}"
    return Bar(what=what, tree=tree, figure=None, least=0, most=0, limit=limit, unit="x", note=note)


def in_turns(ours: Callable[[], float], theirs: Callable[[], float], *, rounds: int) -> Pair:
    """Measure both sides in turns; each gives its seconds."""
    both = [(ours(), theirs()) for _ in range(rounds)]
    return Pair(ours=tuple(one for one, _ in both), theirs=tuple(other for _, other in both))


def process_seconds(*command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> float:
    """Run a command that must end well, and give its wall time."""
    before = time.perf_counter()
    run(*command, cwd=cwd, env=env)
    return time.perf_counter() - before


def run(*command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run a command and give what it says on stdout; one that fails ends the benchmark with what it said."""
    done = subprocess.run(
        [os.fspath(part) for part in command],
        cwd=cwd,
        env=env or environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}\nended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def peak_memory(*command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> int:
    """Run a command that must end well, and give the most memory in bytes that it, or a child, had at once.

    The kernel counts what a new process shares with us before it runs its own program, so we must be small.
    """
    child = subprocess.Popen(
        [os.fspath(part) for part in command],
        cwd=cwd,
        env=env or environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}\nended with {child.returncode}")
    return usage.ru_maxrss * 1024


def settled(place: Path) -> None:
    """Make durable what was written before, so that nobody pays for it in what is measured next."""
    sync_file_system(place)


def environment() -> dict[str, str]:
    """An environment without what a CI, its secrets or this machine's git would add."""
    kept = ("PATH", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")
    person = {
        f"GIT_{role}_{part}": value
        for role in ("AUTHOR", "COMMITTER")
        for part, value in (("NAME", "Ada Example"), ("EMAIL", "ada@example.org"))
    }
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        **person,
        "HOME": os.devnull,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
    }


def _seconds(value: float) -> str:
    if value < 0.02:
        return f"{value * 1000:.1f} ms"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"
