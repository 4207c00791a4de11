"""The number that says which version is newer, whatever any clock says."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ci_mlsnap.durable.atomic import make_folder
from ci_mlsnap.durable.locks import lock
from ci_mlsnap.ports import Driver
from ci_mlsnap.state import catalogue, documents

_LOCK_WAIT = 30.0
_WAY_OUT = "move the file away; counting then goes on from the newest snapshot"


class _Counter(msgspec.Struct, frozen=True, kw_only=True, tag_field="format", tag="mlsnap/sequence/1"):
    last: int


def never_below(state: Path, number: int) -> None:
    """Have numbers go on above this one: of versions that are gone, which no snapshot tells of.

    Raises `IntegrityDamage`, `Busy`, `StorageFailed`.
    """
    make_folder(state)
    with lock(state / "sequence.lock", wait=_LOCK_WAIT):
        counter = documents.read(state / "sequence.json", _Counter, way_out=_WAY_OUT)
        if counter is None or counter.last < number:
            documents.write(state / "sequence.json", _Counter(last=number))


def next_sequence(state: Path, driver: Driver) -> int:
    """Give a number above those of all versions, pruned ones included; the same one is never given twice.

    Raises `IntegrityDamage`, `Busy`, `StorageFailed`.
    """
    make_folder(state)
    with lock(state / "sequence.lock", wait=_LOCK_WAIT):
        counter = documents.read(state / "sequence.json", _Counter, way_out=_WAY_OUT)
        known = catalogue.versions(driver, remember=True)
        last = max([counter.last if counter else 0, *(version.header.sequence for version in known)])
        documents.write(state / "sequence.json", _Counter(last=last + 1))
        return last + 1
