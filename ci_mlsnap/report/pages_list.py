"""Pages that list versions: the index, older ones in blocks, one branch, one metric; and the badge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from ci_mlsnap.domain.channels import Move
from ci_mlsnap.domain.metrics import lower_is_better, number, shown
from ci_mlsnap.domain.selecting import main_metric
from ci_mlsnap.domain.status import cut, one_line
from ci_mlsnap.domain.versions import Version
from ci_mlsnap.report.chart import Chart, Mark, marks_chart
from ci_mlsnap.report.logged import LogLine, log_rows, remarks
from ci_mlsnap.report.pages import Look, moved, render_page
from ci_mlsnap.report.rendering import short

PER_PAGE = 100
_COLOURS = {"good": "#11632a", "missed": "#b3261e", "": "#57606a"}
_CHARACTER = 6.6
"""The usual width of a badge's character in pixels; `textLength` makes it so whatever the font is."""


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A link to a page, with what is said beside it."""

    href: str
    text: str
    note: str = ""


class Links(msgspec.Struct, frozen=True, kw_only=True):
    """Some links with a title."""

    title: str
    links: tuple[Link, ...]


class ListPage(msgspec.Struct, frozen=True, kw_only=True):
    """What a list says: `lines` in the order in which they are shown, `charted` the oldest first.

    The first of `metrics` is the one that is drawn; all have columns. `best` stands above all, on the index.
    """

    title: str
    heading: str
    lead: str
    table_title: str
    lines: Sequence[LogLine]
    charted: Sequence[LogLine]
    metrics: tuple[str, ...]
    best: LogLine | None = None
    channels: Sequence[tuple[str, Version | None, str, Move | None]] = ()
    holds: Sequence[tuple[Version, str]] = ()
    more: tuple[Links, ...] = ()
    notes: tuple[str, ...] = ()


def list_page(look: Look, site: Mapping[str, str], page: ListPage) -> bytes:
    """Render a list of versions."""
    values = {
        "title": page.title,
        "heading": page.heading,
        "lead": page.lead,
        "table_title": page.table_title,
        "table": _table(page.lines, page.metrics),
        "chart": _chart(page.charted, page.metrics[0]) if page.metrics else None,
        "legend": _legend(page.metrics[0]) if page.metrics else "",
        "best": _best(page.best) if page.best is not None else None,
        "channels": [_channel(*it) for it in page.channels],
        "holds": [
            {"href": href_of(version), "version": version.name.short, "text": text} for version, text in page.holds
        ],
        "more": page.more,
        "notes": page.notes,
    }
    return render_page(look, "list.html.j2", {"page": values, "site": site, "up": ""})


def href_of(version: Version) -> str:
    """Give the place of a version's page, from the report's folder."""
    return f"{version.header.name}/index.html"


def columns_of(versions: Iterable[Version]) -> tuple[str, ...]:
    """Name the metrics that have columns: the one that says most of the newest version, and another gated one.

    The versions are given newest first.
    """
    newest = next(iter(versions), None)
    main = main_metric(newest) if newest is not None else None
    if newest is None or main is None:
        return ()
    gated = [gate.metric for gate in newest.header.gates if gate.metric in newest.metrics]
    return tuple(dict.fromkeys((main, *gated)))[:2]


def _table(lines: Sequence[LogLine], metrics: Sequence[str]) -> dict[str, Any]:
    """Give the table of `mlsnap log`, with links."""
    header, *rows = log_rows(lines, metrics)
    names = list(metrics) or ["metric"]
    titles = ["Verdict", "Version", "When", "Message"]
    titles += [title for name in names for title in (cut(one_line(name), 20), "Change")] + ["Size", "Marks"]
    assert len(titles) == len(header)
    return {
        "header": titles,
        "rows": [
            _row(line, row, names) for line, row in zip(lines, rows, strict=True) if line.version is not None
        ],
    }


def _row(line: LogLine, cells: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    version = line.version
    assert version is not None
    _state, name, when, message, *metrics, size, _remarks = cells
    return {
        "good": version.good,
        "is_version": version.name.is_version,
        "href": href_of(version),
        "name": name,
        "when": when,
        "message": message,
        "metrics": [
            {"title": title, "value": value, "change": moved(change)}
            for title, value, change in zip(names, metrics[::2], metrics[1::2], strict=True)
        ],
        "size": size,
        "marks": remarks(line),
    }


def _chart(lines: Sequence[LogLine], metric: str) -> Chart | None:
    scored = [(line, it) for line in lines if (it := line.version) is not None and metric in it.metrics]
    if not scored:
        return None
    marks = [_mark(line, version, metric) for line, version in scored]
    first, last = (version.name.short for _, version in (scored[0], scored[-1]))
    name = cut(one_line(metric), 60)
    said = f"From {first} to {last}, oldest first. {_legend(metric)} The table below has the numbers."
    title = f"{name} over versions"
    return marks_chart(marks, title=title, description=said, first=first, last=last if len(marks) > 1 else "")


def _mark(line: LogLine, version: Version, metric: str) -> Mark:
    subject = line.commit.subject if line.commit is not None else ""
    verdict = "" if version.good else ", gate missed"
    label = f"{version.name.short}: {metric} {shown(version.metrics[metric])}{verdict}"
    return Mark(
        value=number(version.metrics[metric]),
        label=f"{label}. {cut(one_line(subject), 80)}" if subject else label,
        href=href_of(version),
        kind="missed" if not version.good else "best" if line.best else "good",
        text=" · ".join((*(["best"] if line.best else []), *line.channels)),
    )


def _legend(metric: str) -> str:
    way = "lower" if lower_is_better(metric) else "higher"
    return (
        f"A dot is a version, a cross one that missed a gate, a ring the best; {way} is taken to be better, from "
        "the metric's name."
    )


def _best(line: LogLine) -> dict[str, Any]:
    row = _table([line], columns_of([line.version] if line.version else []))["rows"][0]
    first = row["metrics"][0]
    return {**row, "metric": first["title"], "value": first["value"], "change": first["change"]}


def _channel(name: str, version: Version | None, leads_to: str, move: Move | None) -> dict[str, str]:
    return {
        "name": name,
        "version": short(leads_to),
        "href": href_of(version) if version is not None else "",
        "at": move.at[:16].replace("T", " ") if move is not None else "",
        "who": move.who if move is not None else "",
        "why": move.why if move is not None else "",
    }


def badge(look: Look, label: str, version: Version | None) -> bytes:
    """Render the badge of a model: the best version's main metric, or that there is none."""
    metric = main_metric(version) if version is not None else None
    text = "no version yet"
    if version is not None:
        text = f"{cut(one_line(metric), 20)} {shown(version.metrics[metric])}" if metric else version.name.short
    label = cut(one_line(label), 30)
    split, width = (round(len(part) * _CHARACTER) + 12 for part in (label, text))
    values = {
        "label": label,
        "text": text,
        "split": split,
        "width": split + width,
        "colour": _COLOURS["" if version is None else "good" if version.good else "missed"],
    }
    return render_page(look, "badge.svg.j2", {"badge": values})
