"""The job summary of a run, in Markdown."""

from __future__ import annotations

from typing import Any

from ci_mlsnap.domain.metrics import lower_is_better, shown
from ci_mlsnap.domain.record import Record
from ci_mlsnap.domain.texts import better, change
from ci_mlsnap.report.rendering import render_markdown

TEMPLATE = "summary.md.j2"
HEADLINES = {
    "good": "snapshot ready",
    "gate-missed": "gate missed",
    "failed": "failed",
    "cancelled": "cancelled",
    "reused": "not trained, an earlier version is used",
    "nothing": "nothing to train",
}


def summary(record: Record) -> str:
    """Render the summary; text from training and from git is shown literally."""
    return render_markdown(
        TEMPLATE, {"record": record, "headline": HEADLINES[record.outcome], "rows": metric_rows(record)}
    )


def metric_rows(record: Record) -> list[dict[str, Any]]:
    """Give one row for each metric: value, baseline, change, and in words whether that is better."""
    return [_row(name, record) for name in sorted(record.metrics.scalars)[:100]]


def _row(name: str, record: Record) -> dict[str, Any]:
    value, base = record.metrics.scalars[name], record.baseline_metrics.get(name)
    good = better(name, value, base)
    return {
        "name": name,
        "arrow": "↓" if lower_is_better(name) else "↑",
        "value": shown(value),
        "base": shown(base) if base is not None else "",
        "change": change(name, value, base),
        "word": "" if good is None else "better" if good else "worse",
    }
