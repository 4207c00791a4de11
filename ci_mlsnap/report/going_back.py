"""What a rollback says to a person: before it, after it, and as long as it stands."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from ci_mlsnap.domain.status import one_line
from ci_mlsnap.domain.texts import counted, size
from ci_mlsnap.domain.versions import How, Version
from ci_mlsnap.report.rendering import short
from ci_mlsnap.report.told import HOW, headline_of


def proposal_lines(
    place: Path, now: str, now_version: Version | None, then: Version, *, why: str, how: How, code: str
) -> Iterator[str]:
    """Say what would be moved, from what to what, and what stays as it is; `code` is the commit checked out."""
    yield f"{place} goes to {then.name.short}: {why}"
    if HOW[how]:
        yield f"  used because {HOW[how]}"
    yield f"  now       {_held(now, now_version)}"
    yield f"  then      {_held(then.header.name, then)}"
    if not then.good and then.name.is_version:
        yield "            this version misses a gate"
    yield f"  code      stays at {code[:7]}"


def unsaved_line(added: int, changed: int, *, fits: bool) -> str:
    """Say what becomes of files that no version has."""
    if not fits:
        return "  kept      something there can be in no snapshot: the tree is put aside as a whole"
    counts = ", ".join(f"{count:,} {word}" for count, word in ((added, "added"), (changed, "changed")) if count)
    return f"  kept      what no version has is kept as a snapshot first ({counts})" if counts else ""


def done_lines(place: Path, then: Version, kept: str, aside: str, *, changed: bool, undone: bool) -> Iterator[str]:
    """Say where the place is now, what was kept, and how to go on."""
    if not changed:
        yield f"{place} is {then.name.short} already, and stays there"
    else:
        yield f"{place} is now {_held(then.header.name, then)}, checked against its manifest"
    if kept:
        yield f"  what only the live tree had is kept: mlsnap restore {short(kept)} --to DIR"
    if aside:
        yield f"  what was there can be in no snapshot and was put aside: {aside}"
    if undone:
        yield "  it moves again with the next run or `git pull`"
    else:
        yield "  it stays there: `mlsnap rollback --undo` goes back, `--release` lets it move again"


def stays_text(version: str, before: str, who: str, why: str, since: float) -> str:
    """Say that a place stays, since when, by whom, and the ways out."""
    at = datetime.fromtimestamp(since, UTC).isoformat(sep=" ", timespec="minutes")[:16]
    left = f" from {short(before)}" if before else ""
    said = f": {one_line(why)}" if why else ""
    return (
        f"stays at {short(version)}, rolled back{left} by {one_line(who)} on {at} UTC{said} "
        "(`mlsnap rollback --undo`, `--release`)"
    )


def _held(name: str, version: Version | None) -> str:
    if version is None:
        return short(name) if name else "no version that is known"
    first = headline_of(version)
    scored = f"{first[0]} {first[1]}, " if first else ""
    header = version.header
    return f"{short(header.name)}: {scored}{counted(header.files, 'file')}, {size(header.bytes)}"
