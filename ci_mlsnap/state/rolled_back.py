"""What a person rolled back: while that is noted, neither git nor a run moves the place on.

A place is a live tree or a view.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from ci_mlsnap.state import documents, live

_WAY_OUT = "remove the file: the place then moves on with the next run or `git pull`"


class RolledBack(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="format",
    tag="mlsnap/rolled-back/1",
):
    """One place that a person put at an earlier version, where it stays.

    `version` is what it is at now. `version_before` and `commit_before` say what it was before; they are empty
    where nothing was known of it. `condition_before` is what was recorded of the tree then; `writable`: it was a
    copy in the place of a view. `kept` names the snapshot of what no version had. `head` is the commit that was
    checked out. `since` in seconds since the epoch.
    """

    place: str
    version: str
    version_before: str
    commit_before: str
    head: str
    who: str
    since: float
    condition_before: live.Condition = "equal"
    writable: bool = False
    kept: str = ""
    why: str = ""


def find(state: Path, place: Path) -> RolledBack | None:
    """Say how the place was rolled back; None when it may move. Raises `IntegrityDamage`, `StorageFailed`."""
    return documents.read(file_of(state, place), RolledBack, way_out=_WAY_OUT)


def write(
    state: Path,
    place: Path,
    *,
    version: str,
    version_before: str,
    commit_before: str,
    head: str,
    who: str,
    condition_before: live.Condition = "equal",
    writable: bool = False,
    kept: str = "",
    why: str = "",
    now: Callable[[], float] = time.time,
) -> None:
    """Let the place stay at `version`, durably: before it is moved there. Raises `StorageFailed`."""
    noted = RolledBack(
        place=os.fsencode(place).decode(errors="backslashreplace"),
        version=version,
        version_before=version_before,
        commit_before=commit_before,
        head=head,
        who=who,
        since=now(),
        condition_before=condition_before,
        writable=writable,
        kept=kept,
        why=why,
    )
    documents.write(file_of(state, place), noted)


def clear(state: Path, place: Path) -> None:
    """Let the place move again; does nothing the second time. Raises `StorageFailed`."""
    documents.remove(file_of(state, place))


def file_of(state: Path, place: Path) -> Path:
    """Give the file whose being there means that the place stays."""
    return _file(state, live.key(place))


def is_noted(state: Path, key: str) -> bool:
    """Tell whether a place stays that is known by its key alone."""
    return _file(state, key).exists()


def _file(state: Path, key: str) -> Path:
    return state / "rolled-back" / f"{key}.json"
