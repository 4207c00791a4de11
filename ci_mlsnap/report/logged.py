"""The lines of `mlsnap log`: commits with their versions, as a table for people and as JSON's values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from ci_mlsnap.domain.metrics import shown
from ci_mlsnap.domain.selecting import main_metric
from ci_mlsnap.domain.status import cut, one_line
from ci_mlsnap.domain.texts import better, change, size
from ci_mlsnap.domain.versions import Version
from ci_mlsnap.ports import CommitFacts
from ci_mlsnap.report.rendering import short

MESSAGE = "MESSAGE"
_MESSAGE_LIMIT = 72
_NAME_LIMIT = 20


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """A commit, a version of one, or both; between commits of a graph only what git draws.

    `base` is the version that this one is compared with. `same_files` names the version of another commit with the
    same files, `gone` a version that channels led to and that is not there any more. A commit is `pruned` when it
    had a version.
    """

    commit: CommitFacts | None = None
    version: Version | None = None
    base: Version | None = None
    best: bool = False
    channels: tuple[str, ...] = ()
    same_files: str = ""
    gone: str = ""
    pruned: bool = False
    drawn: str = ""

    @property
    def is_drawing(self) -> bool:
        """Tell whether there is nothing but the graph's lines."""
        return self.commit is None and self.version is None and not self.gone


def log_rows(lines: Sequence[LogLine], metrics: Sequence[str] = ()) -> list[tuple[str, ...]]:
    """Give the table with its header; without `metrics` the column has the one that says most of each version."""
    graph = any(line.drawn for line in lines)
    names = [name for metric in metrics for name in (cut(one_line(metric), _NAME_LIMIT), "CHANGE")]
    header = ("", "VERSION", "WHEN", MESSAGE, *(names or ["METRIC", "CHANGE"]), "SIZE", "")
    rows = [header, *(_row(line, metrics, len(header)) for line in lines)]
    if not graph:
        return rows
    return [(drawn, *row) for drawn, row in zip(["", *(line.drawn for line in lines)], rows, strict=True)]


def _row(line: LogLine, metrics: Sequence[str], width: int) -> tuple[str, ...]:
    if line.is_drawing:
        return ("",) * width
    version, commit = line.version, line.commit
    subject = cut(one_line(commit.subject), _MESSAGE_LIMIT) if commit else "(its commit is not here)"
    if version is None:
        sha, when = (commit.sha[:7], commit.time) if commit else ("", "")
        blank = ("",) * (width - 5)
        return ("·", short(line.gone) if line.gone else sha, _when(when), subject, *blank, _remarks(line))
    name = version.name
    return (
        ("ok" if version.good else "no") if name.is_version else "--",
        name.short,
        _when(version.header.created),
        subject,
        *(_metrics(version, line.base, metrics) if metrics else _main(version, line.base)),
        size(version.header.bytes),
        _remarks(line),
    )


def _main(version: Version, base: Version | None) -> Iterator[str]:
    name = main_metric(version)
    value = f"{cut(one_line(name), _NAME_LIMIT)} {shown(version.metrics[name])}" if name is not None else ""
    yield value
    yield _moved(name, version, base) if name is not None else ""


def _metrics(version: Version, base: Version | None, metrics: Sequence[str]) -> Iterator[str]:
    for name in metrics:
        yield shown(version.metrics[name]) if name in version.metrics else ""
        yield _moved(name, version, base) if name in version.metrics else ""


def _moved(name: str, version: Version, base: Version | None) -> str:
    before = base.metrics.get(name) if base is not None else None
    value = version.metrics[name]
    word = {True: " better", False: " worse", None: ""}[better(name, value, before)]
    return change(name, value, before) + word


def _remarks(line: LogLine) -> str:
    return " · ".join(remarks(line))


def remarks(line: LogLine) -> tuple[str, ...]:
    """Say what is special of a line: the best, kept, without a version, and the channels that lead there."""
    if line.gone:
        parts = ["not there any more"]
    elif line.version is None:
        none = "pruned" if line.pruned else "no version"
        parts = [f"same files as {short(line.same_files)}" if line.same_files else none]
    else:
        parts = [*(["best"] if line.best else []), *([] if line.version.name.is_version else ["kept"])]
    return (*parts, *line.channels)


def _when(moment: str) -> str:
    return moment[:16].replace("T", " ")


def log_facts(line: LogLine) -> dict[str, Any]:
    """Give a line's facts; what has no version has null there."""
    version, commit = line.version, line.commit
    header = version.header if version else None
    return {
        "commit": commit.sha if commit else header.commit if header else line.gone.partition(".")[0],
        "subject": commit.subject if commit else "",
        "author": commit.author if commit else "",
        "committed": commit.time if commit else None,
        "parents": commit.parents if commit else header.parents if header else (),
        "version": header.name if header else None,
        "good": version.good if version else None,
        "metrics": version.metrics if version else {},
        "baseline": (header.baseline or None) if header else None,
        "best": line.best,
        "pruned": line.pruned,
        "channels": line.channels,
        "created": header.created if header else None,
        "ref": (header.ref or None) if header else None,
        "sequence": header.sequence if header else None,
        "bytes": header.bytes if header else None,
        "data": [pin.name for pin in header.pins if pin.name] if header else [],
        "same_files_as": line.same_files or None,
        "gone": line.gone or None,
    }
