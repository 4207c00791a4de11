"""Trees that a restore displaced: which are known to be saved, and since when they lie in the trash."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from ci_mlsnap.state import documents

_WAY_OUT = "remove the file: the displaced tree is then compared anew"


class Displaced(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="format", tag="mlsnap/trash/1"
):
    """One displaced tree whose files are all in the version `saved`; `since` in seconds since the epoch.

    Where the driver knows a tree's `state`, that holds only as long as the state is still this one.
    """

    saved: str
    since: float
    state: str = ""


def note(
    state: Path, tree: Path, *, saved: str, state_of_tree: str = "", now: Callable[[], float] = time.time
) -> None:
    """Remember that all that a displaced tree holds is saved. Raises `StorageFailed`."""
    documents.write(_file(state, tree), Displaced(saved=saved, since=now(), state=state_of_tree))


def find(state: Path, tree: Path) -> Displaced | None:
    """Give what is remembered of a displaced tree; None when it was never compared. Raises `IntegrityDamage`."""
    return documents.read(_file(state, tree), Displaced, way_out=_WAY_OUT)


def forget(state: Path, tree: Path) -> None:
    """Forget a displaced tree that is gone; does nothing the second time."""
    documents.remove(_file(state, tree))


def _file(state: Path, tree: Path) -> Path:
    return state / "trash" / f"{tree.name.removeprefix('.trash-')}.json"
