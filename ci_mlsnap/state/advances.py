"""Who moved a live tree last: kept beside what the tree is, since a mark of a change must not forget it."""

from __future__ import annotations

from pathlib import Path

from ci_mlsnap.domain.advancing import Advance
from ci_mlsnap.state import documents, live

_WAY_OUT = "remove the file: the next good run then moves the live tree"


def read(state: Path, path: Path) -> Advance | None:
    """Give the last advance of the live tree; None before the first. Raises `IntegrityDamage`."""
    return documents.read(_file(state, path), Advance, way_out=_WAY_OUT)


def write(state: Path, path: Path, advance: Advance) -> None:
    """Note an advance, durably: before the tree is moved, under the write lease. Raises `StorageFailed`."""
    documents.write(_file(state, path), advance)


def _file(state: Path, path: Path) -> Path:
    return state / "advances" / f"{live.key(path)}.json"
