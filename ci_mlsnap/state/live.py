"""What a live tree is: which version, or in change, or changed by a run that failed."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from ci_mlsnap.state import documents

Condition = Literal["equal", "in-change", "changed-by-failed-run", "restoring", "mixed"]

_WAY_OUT = "move the file away; `mlsnap recover` then compares the tree anew"


class Live(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="format", tag="mlsnap/live/1"
):
    """What is recorded of one live tree.

    `version` is the one it last equalled, empty before the first; `target` the one it is on the way to; a
    tree is `mixed` when files of another version were brought into it, whatever their size and times say. `since`
    in seconds since the epoch. `state` is what the driver said of the tree when it equalled the version, empty
    where only a walk tells.
    """

    path: str
    version: str
    condition: Condition
    target: str
    run: str
    since: float
    state: str = ""


def read(state: Path, path: Path) -> Live | None:
    """Give what is recorded of the live tree; None for one never seen. Raises `IntegrityDamage`."""
    return documents.read(file_of(state, path), Live, way_out=_WAY_OUT)


def everywhere(state: Path) -> list[Live]:
    """Give what is recorded of all live trees of the store. Raises `IntegrityDamage`."""
    files = sorted((state / "live").glob("*.json"))
    return [live for file in files if (live := documents.read(file, Live, way_out=_WAY_OUT)) is not None]


def write(
    state: Path,
    path: Path,
    *,
    version: str,
    condition: Condition,
    target: str = "",
    run: str = "",
    state_of_tree: str = "",
    now: Callable[[], float] = time.time,
) -> None:
    """Record what the live tree is, durably: call it before a change begins. Raises `StorageFailed`."""
    live = Live(
        path=os.fsencode(path).decode(errors="backslashreplace"),
        version=version,
        condition=condition,
        target=target,
        run=run,
        since=now(),
        state=state_of_tree,
    )
    documents.write(file_of(state, path), live)


def forget(state: Path, path: Path) -> None:
    """Forget a tree that is gone; does nothing the second time. Raises `StorageFailed`."""
    documents.remove(file_of(state, path))


def key(path: Path) -> str:
    """Give what stands for the tree in the names of files: the same however its path is written."""
    # The folders above may be reached by links; the tree itself is never one.
    place = path.parent.resolve() / path.name
    return hashlib.sha256(os.fsencode(place)).hexdigest()[:16]


def file_of(state: Path, path: Path) -> Path:
    """Give the file of a live tree's record."""
    return state / "live" / f"{key(path)}.json"
