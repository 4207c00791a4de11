"""What a restore in place is about to lose, written down before: so that it is known, whatever is cut off."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ci_mlsnap.domain.removed import Pruned
from ci_mlsnap.state import documents

_WAY_OUT = "move the file away; versions that are gone are then missing, and `mlsnap verify` names them"


class Reverting(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="format",
    tag="mlsnap/reverting/1",
):
    """The version that a volume is to be as a whole, and the records of those that are lost by it."""

    target: str
    lost: tuple[Pruned, ...]


def write(state: Path, reverting: Reverting) -> None:
    """Write it down, durably. Raises `StorageFailed`."""
    documents.write(_file(state), reverting)


def find(state: Path) -> Reverting | None:
    """Give what is under way, or was cut off. Raises `IntegrityDamage`."""
    return documents.read(_file(state), Reverting, way_out=_WAY_OUT)


def forget(state: Path) -> None:
    """Forget it; does nothing the second time."""
    documents.remove(_file(state))


def _file(state: Path) -> Path:
    return state / "reverting.json"
