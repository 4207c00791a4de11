"""`mlsnap diff`: what differs between two versions, as lines, as JSON's values and as Markdown."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from ci_mlsnap.domain.code import LineChange
from ci_mlsnap.domain.comparing import Differences, FileChange, MetricPair, TextChange
from ci_mlsnap.domain.metrics import Scalar, shown
from ci_mlsnap.domain.models import ModelChange
from ci_mlsnap.domain.status import cut, one_line
from ci_mlsnap.domain.texts import change, counted, size
from ci_mlsnap.report.rendering import render_markdown

TEMPLATE = "diff.md.j2"
SHOWN = 20
"""How many files and parameters are listed one by one; JSON has all."""
_METRICS_SHOWN = 100
_CELL = 40
_SIGNS = {"added": "+", "removed": "-", "changed": "~"}
_WORDS = {True: "better", False: "worse", None: ""}

Row = tuple[str, str, str, str, str]
"""A sign, a name, both values, and what is said of them."""


def difference_rows(found: Differences, width: int | None = None) -> list[tuple[str, ...]]:
    """Give the lines as cells: headings, and names with both values and what is said of them.

    Cells are cut so that lines are no longer than `width`.
    """
    limit = _CELL if width is None else min(_CELL, max(8, width // 4 - 2))
    lines: list[tuple[str, ...]] = [("", found.before.name.short, found.after.name.short, "")]
    for title, rows in difference_sections(found):
        lines += [(title.lower(), "", "", "")] if rows else []
        for sign, *cells in rows[:SHOWN]:
            name, *values = (cut(cell, limit) for cell in cells)
            lines.append((f"{sign or ' '} {name}", *values))
        if len(rows) > SHOWN:
            lines.append((f"  and {len(rows) - SHOWN} more", "", "", "--json has all"))
    return lines


def difference_sections(found: Differences) -> Iterator[tuple[str, list[Row]]]:
    """Give all that has columns, with a title each; a section may be empty."""
    yield "Metrics", [_metric(pair) for pair in found.metrics]
    yield from _sections(found)


def _sections(found: Differences) -> Iterator[tuple[str, list[Row]]]:
    """Give all but the metrics, with a title each."""
    yield "Parameters", [_text(it) for it in found.parameters]
    yield "Models", [_model(it) for it in found.models]
    yield "Files", [_file(it) for it in found.files or ()]
    yield "Data", [_text(it) for it in found.data]
    yield "Environment", [_text(it) for it in found.environment]


def closing_lines(found: Differences) -> Iterator[str]:
    """Say in words what has no columns: the code, what is the same, and what could not be compared."""
    if found.code:
        commits = f"git diff {found.before.header.commit[:7]} {found.after.header.commit[:7]}"
        yield f"code: {code_text(found.code)}   ({commits})"
    if same := same_text(found):
        yield f"the same: {same}"
    for note in _notes(found):
        yield f"note: {note}"


def _notes(found: Differences) -> list[str]:
    return [*(f"{one_line(file)} differs, and is not shown: {why}" for file, why in found.unread), *found.notes]


def code_text(code: Sequence[LineChange]) -> str:
    """Write how much of the code differs: `2 files, +14 -3`."""
    added, removed = sum(it.added or 0 for it in code), sum(it.removed or 0 for it in code)
    binary = sum(it.added is None for it in code)
    return f"{counted(len(code), 'file')}, +{added} -{removed}" + (f", {binary} binary" if binary else "")


def same_text(found: Differences) -> str:
    """Name what is known to be the same in both."""
    same = {
        "metrics": found.metrics and all(pair.before == pair.after for pair in found.metrics),
        "files": found.files == (),
        "code": found.code == (),
        "data": not found.data and (found.before.header.pins or found.after.header.pins),
    }
    return ", ".join(name for name, is_same in same.items() if is_same)


def _metric(pair: MetricPair) -> Row:
    moved = change(pair.name, pair.after, pair.before) if pair.after is not None else ""
    word = _WORDS[pair.better]
    return ("", one_line(pair.name), _value(pair.before), _value(pair.after), f"{moved} {word}".strip())


def _value(value: Scalar | None) -> str:
    return "" if value is None else shown(value)


def _text(it: TextChange) -> Row:
    said = "not shown" if it.hidden else one_line(it.file)
    return (_sign(it), one_line(it.name), one_line(it.before or ""), one_line(it.after or ""), said)


def _sign(it: TextChange) -> str:
    return _SIGNS["added" if it.before is None else "removed" if it.after is None else "changed"]


def _file(it: FileChange) -> Row:
    before, after = ("" if count is None else size(count) for count in (it.before, it.after))
    return (_SIGNS[it.sort], one_line(path_text(it.path)), before, after, "" if it.what == "content" else it.what)


def _model(it: ModelChange) -> Row:
    sign = "added" if it.before is None else "removed" if it.after is None else "changed"
    return (
        _SIGNS[sign],
        one_line(it.name),
        one_line(it.before or ""),
        one_line(it.after or ""),
        one_line(it.file),
    )


def path_text(path: bytes) -> str:
    """Write a path as text; bytes that are no UTF-8 have escapes."""
    return os.fsdecode(path).encode("utf-8", "backslashreplace").decode()


# -- for scripts ---------------------------------------------------------------------------------------


def difference_facts(found: Differences) -> dict[str, Any]:
    """Give all of it as JSON's values."""
    return {
        "from": _version(found.before.header.name, found.before.header.commit),
        "to": _version(found.after.header.name, found.after.header.commit),
        "same_model": found.same_model,
        "metrics": found.metrics,
        "parameters": found.parameters,
        "models": found.models,
        "unread": [{"file": file, "why": why} for file, why in found.unread],
        "files": None if found.files is None else [_file_facts(it) for it in found.files],
        "code": None if found.code is None else [_line_facts(it) for it in found.code],
        "data": [_text_facts(it) for it in found.data],
        "environment": [_text_facts(it) for it in found.environment],
        "notes": found.notes,
    }


def _version(name: str, commit: str) -> dict[str, str]:
    return {"version": name, "commit": commit}


def _file_facts(it: FileChange) -> dict[str, Any]:
    return {"path": path_text(it.path), "sort": it.sort, "before": it.before, "after": it.after, "what": it.what}


def _line_facts(it: LineChange) -> dict[str, Any]:
    return {"path": path_text(os.fsencode(it.path)), "added": it.added, "removed": it.removed}


def _text_facts(it: TextChange) -> dict[str, Any]:
    return {"name": it.name, "before": it.before, "after": it.after}


# -- for pull requests ---------------------------------------------------------------------------------


def difference_markdown(found: Differences) -> str:
    """Render a table for a pull request; strangers' text is shown literally."""
    values = {
        "found": found,
        "metrics": [(it.lower, _metric(it)) for it in found.metrics[:_METRICS_SHOWN]],
        "sections": [(title, rows[:SHOWN], len(rows) - SHOWN) for title, rows in _sections(found) if rows],
        "code": code_text(found.code) if found.code else "",
        "same": same_text(found),
        "notes": _notes(found),
    }
    return render_markdown(TEMPLATE, values)
