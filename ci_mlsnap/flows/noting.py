"""Versions told as git notes: written from manifests, exchanged with `origin` when a person or a CI asks for it.

Nothing waits in between: what has no note yet is found each time by looking, so nothing can be lost on the way.
"""

from __future__ import annotations

import msgspec

from ci_mlsnap.domain.notes import NOTE_LIMIT, Note, joined, line_of, note_of, read
from ci_mlsnap.flows.context import Project
from ci_mlsnap.git.notes import Notes
from ci_mlsnap.state.catalogue import versions


class Noted(msgspec.Struct, frozen=True, kw_only=True):
    """How many notes were written here, whether `origin` has them all, and else why not.

    `skipped` are commits that this clone does not have, or whose note is too large to be added to.
    """

    written: int
    pushed: bool
    why: str = ""
    skipped: int = 0


def note(project: Project) -> Noted:
    """Write a line for each version that has none, then exchange all notes with `origin`.

    Raises `GitFailed` when git cannot write them, `StorageFailed`.
    """
    notes = Notes(project.repository.top)
    lines: dict[str, list[str]] = {}
    for version in versions(project.driver):
        if version.name.is_version:
            lines.setdefault(version.header.commit, []).append(line_of(note_of(version.header, version.digest)))
    known = notes.known(lines)
    there = {sha: notes.own(sha, limit=NOTE_LIMIT) for sha in sorted(known)}
    texts = {
        sha: text
        for sha, before in there.items()
        if before is not None and (text := joined(before, lines[sha])) is not None
    }
    notes.write(texts)
    giants = sum(before is None for before in there.values())
    exchanged = notes.exchange()
    return Noted(
        written=len(texts),
        pushed=exchanged.pushed,
        why=exchanged.why,
        skipped=len(lines) - len(known) + giants,
    )


def told(project: Project, sha: str) -> tuple[Note, ...]:
    """Give what notes tell of a commit: nothing vouches for it. Never raises for a note's sake."""
    return read(Notes(project.repository.top).of(sha, limit=NOTE_LIMIT))
