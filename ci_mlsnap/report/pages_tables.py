"""The tables of a version's page, and the page that compares it with the one before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ci_mlsnap.domain.comparing import Differences, FileChange, TextChange
from ci_mlsnap.domain.manifest import Entry, Manifest
from ci_mlsnap.domain.models import ModelFile
from ci_mlsnap.domain.models import told as told_model
from ci_mlsnap.domain.record import Record
from ci_mlsnap.domain.texts import counted, size
from ci_mlsnap.report.compared import closing_lines, difference_sections, path_text
from ci_mlsnap.report.pages import moved

ROWS_SHOWN = 200
Table = dict[str, Any]


def tables_of(
    found: Differences | None, manifests: Sequence[Manifest] | None, record: Record | None
) -> Iterator[Table]:
    """Give all that has columns of its own, in the order of the page."""
    if record is not None and record.parameters:
        yield _parameters_table(record, found)
    if record is not None and record.models:
        yield _models_table(record.models)
    if manifests is not None:
        yield _files_table(manifests, found)


def _parameters_table(record: Record, found: Differences | None) -> Table:
    """List the parameters of a version, those first that are others than before; and those that are gone."""
    before = {(it.file, it.name): it for it in found.parameters} if found is not None else {}
    now = {(file, name): text for file, values in record.parameters.items() for name, text in values.items()}
    rows = [(name, text, _was(before.get((file, name)), found), file) for (file, name), text in now.items()]
    rows += [(it.name, "", f"{it.before} (gone)", it.file) for key, it in before.items() if key not in now]
    rows.sort(key=lambda row: row[2] == "")
    header = ("Parameter", "This", found.before.name.short if found is not None else "Before", "File")
    lead = "The first ones are others than before." if any(row[2] for row in rows) else ""
    return _table("Parameters", header, rows[:ROWS_SHOWN], lead=lead, of=len(rows))


def _was(change: TextChange | None, found: Differences | None) -> str:
    if change is None or found is None:
        return ""
    return "(hidden)" if change.hidden else "(new)" if change.before is None else change.before


def _models_table(files: Sequence[ModelFile]) -> Table:
    """Say what model files are, and whether loading one can run code."""
    some = files[:ROWS_SHOWN]
    rows = [(it.path, it.model.format, _parameters(it), _loading(it), told_model(it.model)) for it in some]
    header = ("Model file", "Format", "Parameters", "Loading it", "What it says of itself")
    return _table("Models", header, rows, numbers=("Parameters",), of=len(files))


def _files_table(manifests: Sequence[Manifest], found: Differences | None) -> Table:
    """List the files of a version, with what changed of each, and those that are gone."""
    changes = {row.path: row for row in found.files or ()} if found is not None else None
    rows = []
    for manifest in manifests:
        for entry in manifest.entries:
            path = entry.path if len(manifests) == 1 else manifest.header.volume.encode() + b"/" + entry.path
            if entry.kind != "dir":
                what = "" if changes is None else _what(changes.get(path))
                rows.append((path_text(path), _size(entry), entry.sha256[:12], what))
    gone = [row for row in (changes or {}).values() if row.sort == "removed"]
    rows += [(path_text(row.path), size(row.before or 0), "", "removed") for row in gone]
    held = counted(sum(it.header.files for it in manifests), "file")
    lead = f"{held}, {size(sum(it.header.bytes for it in manifests))}."
    header = ("File", "Size", "SHA-256", "Change")
    if found is None:
        return _table("Files", header, rows[:ROWS_SHOWN], numbers=("Size",), lead=lead, of=len(rows))
    before = found.before.name.short
    lead = f"{lead} Compared with {before}."
    table = _table("Files", header, rows[:ROWS_SHOWN], numbers=("Size",), lead=lead, of=len(rows))
    return table | {"link": "comparison.html", "link_text": f"All that differs from {before}"}


def comparison(found: Differences, subjects: Mapping[str, str]) -> dict[str, Any]:
    """Give what the page that compares says; `subjects` are the changes that both are of, by version."""
    before, after = found.before, found.after
    sections = [
        {"title": title, "rows": [_compared(row) for row in rows[:ROWS_SHOWN]], "more": _more(len(rows))}
        for title, rows in difference_sections(found)
        if rows
    ]
    return {
        "before": before.name.short,
        "after": after.name.short,
        "before_name": before.header.name,
        "before_message": subjects[before.header.name],
        "after_message": subjects[after.header.name],
        "sections": sections,
        "lines": list(closing_lines(found)),
        "command": f"mlsnap diff {before.name.short} {after.name.short}",
    }


def _compared(row: Sequence[str]) -> dict[str, Any]:
    sign, name, before, after, said = row
    word = {"+": "added", "-": "removed", "~": "changed"}.get(sign, "")
    return {
        "name": name,
        "before": before,
        "after": after,
        "change": moved(", ".join(part for part in (word, said) if part)),
    }


def _parameters(it: ModelFile) -> str:
    return f"{it.model.parameters:,}" if it.model.tensor_count else ""


def _loading(it: ModelFile) -> str:
    return {"no": "runs no code", "yes": "can run code", "unknown": "not known"}[it.model.runs_code]


def _size(entry: Entry) -> str:
    return size(entry.size) if entry.kind == "file" else f"link to {path_text(entry.target)}"


def _what(row: FileChange | None) -> str:
    if row is None:
        return "same"
    return f"changed ({row.what})" if row.sort == "changed" else row.sort


def _more(count: int) -> str:
    return f"And {count - ROWS_SHOWN} more, which are among the downloads." if count > ROWS_SHOWN else ""


def _table(
    title: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    lead: str = "",
    of: int = 0,
    numbers: Sequence[str] = (),
) -> Table:
    return {
        "title": title,
        "anchor": title.lower(),
        "header": header,
        "numbers": numbers,
        "rows": rows,
        "lead": lead,
        "more": _more(of),
        "link": "",
        "link_text": "",
    }
