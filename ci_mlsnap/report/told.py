"""What commands say to a person, from values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ci_mlsnap.domain.channels import Move
from ci_mlsnap.domain.metrics import headline, shown
from ci_mlsnap.domain.texts import counted, size
from ci_mlsnap.domain.versions import How, Version
from ci_mlsnap.report.rendering import short

HOW: dict[str, str] = {
    "own": "",
    "same-tree": "trained on the same files",
    "same-inputs": "no training input differs",
    "nearest": "the nearest ancestor with a version",
    "channel": "the channel of this name leads to it, and git has no such name",
}
"""Why a version answers a revision that is not its own commit."""


def back_lines(
    version: Version,
    how: How,
    place: Path,
    moved: tuple[str, str, int] | None,
    *,
    aside: str = "",
    clone: str = "",
    lost: Sequence[str] = (),
) -> list[str]:
    """Say what was brought back: `moved` is the way, the name of what was kept, and how many files differed."""
    header = version.header
    held = f"{counted(header.files, 'file')}, {size(header.bytes)}"
    because = [f"  used because {HOW[how]}"] if HOW[how] else []
    if moved is not None and moved[0] == "none":
        return [f"{place} is {short(header.name)} already: {_metrics(version)}{held}", *because]
    lines = [f"{place} is now {short(header.name)}: {_metrics(version)}{held}, checked against its manifest"]
    lines += because
    if moved is not None and moved[2]:
        lines.append(f"  {counted(moved[2], 'entry')} brought back")
    if moved is not None and moved[1]:
        lines.append(f"  what only the live tree had is kept: mlsnap restore {short(moved[1])} --to DIR")
    if aside:
        lines.append(f"  what was there can be in no snapshot and was put aside: {aside}")
    if clone:
        lines.append(f"  it is the volume {clone}, a clone by the storage: nothing was copied")
        lines.append("  the version's snapshot cannot be deleted while that is there")
    if lost:
        lines.append(f"  newer snapshots are lost: {', '.join(lost)}")
    if not version.good and version.name.is_version:
        lines.append("  this version misses a gate")
    return lines


def part_lines(
    version: Version, how: How, place: Path, paths: Sequence[bytes], *, changed: int, kept: str
) -> list[str]:
    """Say which paths were brought back, and that the rest of the tree is as it was."""
    named = ", ".join(path.decode("utf-8", "backslashreplace") for path in paths[:5])
    more = f" and {len(paths) - 5} more" if len(paths) > 5 else ""
    done = f"{counted(changed, 'entry')} brought back" if changed else "already so, nothing was changed"
    lines = [f"{named}{more} in {place}: as in {short(version.header.name)}, {done}"]
    if HOW[how]:
        lines.append(f"  used because {HOW[how]}")
    if kept:
        lines.append(f"  what only the live tree had is kept: mlsnap restore {short(kept)} --to DIR")
    if changed:
        lines.append("  the rest of the tree is as it was: `mlsnap status` says what it is now")
    return lines


def promoted_lines(move: Move, version: Version | None, how: How, link: Path, *, changed: bool) -> list[str]:
    """Say where a channel leads now, where it led before, and how to go back; `version` is None at its end."""
    if version is None:
        was = short(move.before) if move.before else "nowhere"
        return [f"{move.channel} leads nowhere any more; it led to {was}, which is held no longer"]
    header = version.header
    held = f"{_metrics(version)}{counted(header.files, 'file')}, {size(header.bytes)}"
    if not changed:
        return [f"{move.channel} leads to {short(header.name)} already, since {move.at} by {move.who}: {held}"]
    lines = [f"{move.channel} leads to {short(header.name)}: {held}, checked against its manifest"]
    if HOW[how]:
        lines.append(f"  used because {HOW[how]}")
    if not version.good:
        lines.append("  this version misses a gate")
    if move.before and move.before != move.version:
        lines.append(
            f"  before: {short(move.before)}; to go back: mlsnap promote {short(move.before)} {move.channel}"
        )
    lines.append(f"  readers follow {link}")
    return lines


def headline_of(version: Version) -> tuple[str, str] | None:
    """Give the name and value of the metric to show first."""
    name = headline(version.metrics, tuple(gate.metric for gate in version.header.gates))
    return (name, shown(version.metrics[name])) if name is not None else None


def _metrics(version: Version) -> str:
    first = headline_of(version)
    return f"{first[0]} {first[1]}, " if first else ""
