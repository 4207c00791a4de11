"""The comment on a change request, in Markdown: what the job summary shows, within what a comment may hold."""

from __future__ import annotations

from ci_mlsnap.domain.event import Event
from ci_mlsnap.domain.notices import CHECK_LIMIT, COMMENT_LIMIT, marker_of
from ci_mlsnap.domain.record import Record
from ci_mlsnap.report.rendering import render_markdown
from ci_mlsnap.report.summary import PART, facts
from ci_mlsnap.report.summary import TEMPLATE as SUMMARY

TEMPLATE = "comment.md.j2"
WAITING = "waiting.md.j2"
ALL_TEMPLATES = (PART, SUMMARY, TEMPLATE)
"""Those of the summary and the comment, to be loaded before training can change a file."""
_SIZES = ((100, 3), (50, 1), (20, 0), (5, 0), (0, 0))
"""How many metrics and charts are shown at most, until it fits: names may be long."""


def comment_body(record: Record) -> str:
    """Render the comment, which begins with the marker of its model. Text of strangers is shown literally.

    It is shortened, and says so, where it would be longer than a comment may be.
    """
    marker = f"{marker_of(record.model)}\n"
    return marker + _fitting(record, COMMENT_LIMIT - len(marker))


def waiting_body(model: str, event: Event) -> str:
    """Render what is told on a change that may use no secrets: who can have it trained, and how."""
    workflow = event.workflow.rpartition("/")[2]
    text = render_markdown(WAITING, {"model": model, "event": event, "workflow": workflow})
    return f"{marker_of(model)}\n{text}"


def check_text(record: Record) -> str:
    """Render the same for a check run, within what that may hold."""
    return _fitting(record, CHECK_LIMIT)


def _fitting(record: Record, limit: int) -> str:
    """Show as much as fits. How GitHub counts is not written down: as bytes it is at most four times as much."""
    texts = (render_markdown(TEMPLATE, facts(record, rows=rows, charts=charts)) for rows, charts in _SIZES)
    return next(text for text in texts if len(text) <= limit and len(text.encode()) <= 4 * limit)
