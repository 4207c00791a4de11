"""Where leases stand: one file per held lease, and the counter that their fencing tokens come from.

The file goes when the lease is given back, so that the folder does not grow; the counter stays, so that a token
is never given twice.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from ci_mlsnap.durable.atomic import make_folder
from ci_mlsnap.durable.locks import lock
from ci_mlsnap.errors import IntegrityDamage, UsageError
from ci_mlsnap.state import documents
from ci_mlsnap.state.holder import Holder

_KEY = re.compile(r"[a-z0-9][a-z0-9.-]{0,127}")
_LOCK_WAIT = 30.0
_WAY_OUT = "when nothing runs there, `--break-lease` removes it"


class Lease(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="format", tag="mlsnap/lease/1"
):
    """Who may change what `key` names; times in seconds since the epoch, `token` grows with each new owner.

    `needs_proof`: even when expired it is taken over only once its process is proven dead.
    """

    key: str
    token: int
    owner: str
    run: str
    holder: Holder
    needs_proof: bool
    since: float
    expires: float


class _Counter(msgspec.Struct, frozen=True, kw_only=True, tag_field="format", tag="mlsnap/lease-counter/1"):
    last: int


def locked(state: Path) -> AbstractContextManager[None]:
    """Keep every other process from taking, renewing or giving back a lease during the block."""
    folder = state / "leases"
    make_folder(folder)
    return lock(folder / "lock", wait=_LOCK_WAIT)


def read(state: Path, key: str) -> Lease | None:
    """Give the lease; None while nobody has it. Raises `IntegrityDamage`, `UsageError` for a bad key."""
    lease = documents.read(_path(state, key), Lease, way_out=_WAY_OUT)
    if lease is not None and lease.key != key:
        raise IntegrityDamage(f"the lease {key!r} is damaged", why="it is that of another key", hint=_WAY_OUT)
    return lease


def write(state: Path, lease: Lease) -> None:
    """Write the lease durably."""
    documents.write(_path(state, lease.key), lease)


def remove(state: Path, key: str) -> None:
    """Take the lease away; gone is fine."""
    documents.remove(_path(state, key))


def keys(state: Path) -> list[str]:
    """Name the leases that are held, or were when their owner died."""
    found = (path.stem for path in (state / "leases" / "held").glob("*.json"))
    return sorted(key for key in found if _KEY.fullmatch(key))


def next_token(state: Path, now: float) -> int:
    """Give a token above all that were ever given; durable before it is used."""
    path = state / "leases" / "counter.json"
    try:
        counter = documents.read(path, _Counter, way_out=_WAY_OUT)
        last = counter.last if counter else _highest(state)
    except IntegrityDamage:
        last = int(now)  # a count of seconds is far beyond any number of leases
    documents.write(path, _Counter(last=last + 1))
    return last + 1


def _highest(state: Path) -> int:
    leases = (read(state, key) for key in keys(state))
    return max((lease.token for lease in leases if lease), default=0)


def _path(state: Path, key: str) -> Path:
    if _KEY.fullmatch(key) is None:
        raise UsageError(f"{key[:100]!r} is no name of a lease")
    return state / "leases" / "held" / f"{key}.json"
