"""What git notes tell, on the terminal: always said to be no more than that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ci_mlsnap.cli.printing import emit_json, printable

if TYPE_CHECKING:
    from ci_mlsnap.domain.notes import Note
    from ci_mlsnap.flows.context import Project
    from ci_mlsnap.flows.noting import Noted

METRICS_SHOWN = 5
LINES_SHOWN = 10


def noted_text(noted: Noted) -> str:
    """Say in one line what became of the notes."""
    from ci_mlsnap.domain.texts import counted

    where = "origin has all" if noted.pushed else f"not pushed: {noted.why}"
    skipped = (
        f"; {counted(noted.skipped, 'commit')} left out, not here or with a giant note" if noted.skipped else ""
    )
    return f"notes: {noted.written} written, {where}{skipped}"


def tell_noted(project: Project, revision: str, as_json: bool) -> None:
    """Say what notes tell of a revision that has no version here; nothing when they tell nothing."""
    from ci_mlsnap.errors import MlsnapError
    from ci_mlsnap.flows.noting import told

    try:
        notes = told(project, project.repository.resolve(revision))
    except MlsnapError:
        return  # git does not know the commit, so there is no note of it
    if as_json and notes:
        emit_json({"noted": notes, "proven": False})
    elif not as_json:
        for note in notes[-LINES_SHOWN:]:
            click.echo(printable(_line(note)))


def _line(note: Note) -> str:
    from ci_mlsnap.domain.metrics import shown
    from ci_mlsnap.domain.names import SnapshotName
    from ci_mlsnap.domain.texts import counted, size

    metrics = ", ".join(f"{name} {shown(value)}" for name, value in list(note.metrics.items())[:METRICS_SHOWN])
    name, verdict = SnapshotName.parse(note.snapshot).short, "good" if note.good else "gate missed"
    facts = ", ".join(filter(None, (verdict, metrics, counted(note.files, "file"), size(note.bytes))))
    return f"from a git note, unproven: {name} of model {note.model}, {facts}, made {note.created}"
