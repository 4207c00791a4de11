"""The job summary of a run, in Markdown; the comment on a change request shows the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ci_mlsnap.domain.gates import Finding, Verdict
from ci_mlsnap.domain.metrics import Curve, headline, lower_is_better, number, shown
from ci_mlsnap.domain.record import Record
from ci_mlsnap.domain.status import cut, one_line
from ci_mlsnap.domain.texts import better, change
from ci_mlsnap.report.curve import Chart, chart, sparkline
from ci_mlsnap.report.rendering import render_markdown

PART = "run.md.j2"
TEMPLATE = "summary.md.j2"
HEADLINES = {
    "good": "snapshot ready",
    "gate-missed": "gate missed",
    "failed": "failed",
    "cancelled": "cancelled",
    "reused": "not trained, an earlier version is used",
    "nothing": "nothing to train",
}
_MARKS = {"good": "✅", "gate-missed": "❌", "failed": "❌", "cancelled": "⚠️", "reused": "♻️", "nothing": "⏭️"}
_MOST_ROWS = 100
_MOST_CHARTS = 3
_MOST_MISSED = 20


def summary(record: Record) -> str:
    """Render the summary; text from training and from git is shown literally."""
    return render_markdown(TEMPLATE, facts(record))


def facts(record: Record, *, rows: int = _MOST_ROWS, charts: int = _MOST_CHARTS) -> dict[str, Any]:
    """Give what the templates show, with at most so many metrics and charts."""
    missed = record.verdict.missed if record.verdict else ()
    return {
        "record": record,
        "headline": HEADLINES[record.outcome],
        "mark": _MARKS[record.outcome],
        "rows": metric_rows(record)[:rows],
        "hidden": max(0, len(record.metrics.scalars) - rows),
        "missed": missed[:_MOST_MISSED],
        "missed_more": max(0, len(missed) - _MOST_MISSED),
        "charts": charts_of(record)[:charts],
    }


def metric_rows(record: Record) -> list[dict[str, Any]]:
    """Give one row for each metric: value, base, change, in words whether that is better, gate, and curve.

    Gated metrics come first, for a table may have an end.
    """
    gated = {gate.metric for gate in record.gates}
    names = sorted(record.metrics.scalars, key=lambda name: (name not in gated, name))
    lines = {curve.name: sparkline(curve) for curve in record.metrics.curves or _over_versions(record)}
    return [{**_row(name, record), "curve": lines.get(name, "")} for name in names[:_MOST_ROWS]]


def charts_of(record: Record) -> list[Chart]:
    """Draw the curves that matter most: those of gated metrics, then that of the first metric, then the rest.

    Where training left none, it is a metric over the last versions.
    """
    first = headline(record.metrics.scalars, tuple(gate.metric for gate in record.gates))
    wanted = [*(gate.metric for gate in record.gates), *([first] if first else [])]
    ranks = {name: rank for rank, name in reversed(list(enumerate(wanted)))}
    curves = sorted(record.metrics.curves, key=lambda curve: (ranks.get(curve.name, len(wanted)), curve.name))
    drawn = [chart(curve) for curve in curves] or [
        chart(curve, axis="version") for curve in _over_versions(record)
    ]
    return [found for found in drawn if found is not None][:_MOST_CHARTS]


def _over_versions(record: Record) -> list[Curve]:
    """Give the history of a metric with this run's value as its last point; none without both."""
    before = record.history
    if before is None or not before.values or before.name not in record.metrics.scalars:
        return []
    now = record.metrics.scalars[before.name]
    return [Curve(name=before.name, steps=(*before.steps, before.steps[-1] + 1), values=(*before.values, now))]


def _row(name: str, record: Record) -> dict[str, Any]:
    value, base = record.metrics.scalars[name], record.baseline_metrics.get(name)
    good = better(name, value, base)
    moved = change(name, value, base)
    return {
        "name": name,
        "arrow": "↓" if lower_is_better(name) else "↑",
        "value": shown(value),
        "base": shown(base) if base is not None else "",
        "change": f"{_direction(value, base)} {moved}".strip() if moved else "",
        "word": "" if good is None else "better" if good else "worse",
        "gate": _gate(name, record.verdict),
    }


def _direction(value: float | str, base: float | str | None) -> str:
    difference = number(value) - number(base if base is not None else "nan")
    return "▲" if difference > 0 else "▼" if difference < 0 else ""


def _gate(name: str, verdict: Verdict | None) -> tuple[str, str]:
    """Say in a word how the metric's gate was judged, and by which comparisons; empty without a gate."""
    findings = [finding for finding in (verdict.findings if verdict else ()) if finding.metric == name]
    if not findings:
        return "", ""
    return ("met" if all(it.good for it in findings) else "missed"), cut("; ".join(_rules(findings)), 200)


def _rules(findings: Iterable[Finding]) -> Iterable[str]:
    """Give the findings without the name of the metric, which stands in the same row."""
    return (one_line(finding.text.removeprefix(f"{finding.metric} ")) for finding in findings)
