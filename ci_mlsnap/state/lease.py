"""The write lease: who may change something, and until when, with a fencing token that only grows.

A lease spans processes: `begin` takes it, later phases find it by their run and go on with its token. Whoever
lost it finds another token there, and stops. Times are seconds since the epoch, by the clock that is handed in.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from ci_mlsnap.domain.status import cut, one_line
from ci_mlsnap.errors import Busy, Cancelled, IntegrityDamage, LeaseLost
from ci_mlsnap.state import lease_file
from ci_mlsnap.state.holder import Holder, proven_dead, this_process
from ci_mlsnap.state.lease_file import Lease
from ci_mlsnap.state.renewal import Renewal

__all__ = [
    "Lease",
    "acquire",
    "break_lease",
    "check",
    "find",
    "held",
    "is_over",
    "of_run",
    "release",
    "release_all",
    "renew",
    "renewing",
]


_NEARLY_ALL = 0.9

_Obstacle = Literal["held", "unproven"]


class _Wish(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    owner: str
    run: str
    ttl: float
    needs_proof: bool
    holder: Holder


def acquire(
    state: Path,
    key: str,
    *,
    owner: str,
    ttl: float,
    run: str = "",
    wait: float = 0.0,
    needs_proof: bool = False,
    on_wait: Callable[[Lease], None] = lambda other: None,
    stop: Callable[[], bool] = lambda: False,
    now: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
    poll: float = 1.0,
    heartbeat: float = 60.0,
    holder: Holder | None = None,
) -> Lease:
    """Take the lease for `ttl` seconds, waiting up to `wait` seconds while another has it.

    `on_wait` hears whom we wait for: at first, when that changes, and every `heartbeat` seconds. A run that
    already holds the lease gets it again, with the same token. Raises `Busy`, `Cancelled` once `stop()` is true,
    `IntegrityDamage`, `StorageFailed`.
    """
    wish = _Wish(key=key, owner=owner, run=run, ttl=ttl, needs_proof=needs_proof, holder=holder or this_process())
    waited, said_at, said = 0.0, 0.0, 0
    while True:
        lease, obstacle = _attempt(state, wish, now())
        if obstacle is None:
            return lease
        if waited >= wait:
            raise _busy(lease, obstacle)
        if lease.token != said or waited - said_at >= heartbeat:
            said, said_at = lease.token, waited
            on_wait(lease)
        if stop():
            raise Cancelled(f"stopped while waiting for {_name(lease)}", safe="nothing was changed")
        # Slept time is counted rather than a clock read: no clock that jumps makes this wait longer or shorter.
        sleep(poll)
        waited += poll


def find(state: Path, key: str) -> Lease | None:
    """Give the lease as it stands; None while nobody has it. Writes nothing. Raises `IntegrityDamage`."""
    return lease_file.read(state, key)


def of_run(state: Path, run: str) -> list[Lease]:
    """Give the leases that a run holds, by key, so that a later phase goes on with them. Writes nothing."""
    found = (lease_file.read(state, key) for key in lease_file.keys(state))
    return [lease for lease in found if lease is not None and run and lease.run == run]


def is_over(lease: Lease, *, now: float, holder: Holder | None = None) -> bool:
    """Tell whether another may take the lease over: it is expired and, where asked for, its process is dead."""
    if now < lease.expires:
        return False
    return not lease.needs_proof or proven_dead(lease.holder, holder or this_process())


def check(state: Path, lease: Lease) -> Lease:
    """Give the lease as it is, which nobody took over. Raises `LeaseLost`. Writes nothing."""
    return _require_same(lease_file.read(state, lease.key), lease)


def renew(
    state: Path, lease: Lease, *, ttl: float, now: Callable[[], float] = time.time, holder: Holder | None = None
) -> Lease:
    """Hold the lease for `ttl` seconds from now, in the name of the process that asks.

    An expired lease that nobody took over is still ours. Raises `LeaseLost`, `StorageFailed`.
    """
    with lease_file.locked(state):
        current = _require_same(lease_file.read(state, lease.key), lease)
        renewed = msgspec.structs.replace(current, expires=now() + ttl, holder=holder or this_process())
        lease_file.write(state, renewed)
        return renewed


def renewing(
    state: Path, lease: Lease, *, ttl: float, interval: float, now: Callable[[], float] = time.time
) -> Renewal:
    """Give a context that renews the lease at once and then every `interval` seconds, in the background.

    One that this process took just now has nearly all its time yet, and is only looked at.
    """
    fresh = lease.holder == this_process() and lease.expires - now() > _NEARLY_ALL * ttl

    def again() -> Lease:
        return renew(state, lease, ttl=ttl, now=now)

    return Renewal(again, (lambda: check(state, lease)) if fresh else again, interval=interval)


@contextmanager
def held(
    state: Path,
    key: str,
    *,
    owner: str,
    ttl: float,
    wait: float = 0.0,
    poll: float = 1.0,
    needs_proof: bool = False,
    now: Callable[[], float] = time.time,
) -> Iterator[Renewal]:
    """Hold a lease for the block, renewed all along, and give it back at the end.

    Raises `Busy` while another has it, and `LeaseLost` after a block that lost it on the way.
    """
    taken = acquire(state, key, owner=owner, ttl=ttl, wait=wait, poll=poll, needs_proof=needs_proof, now=now)
    try:
        with renewing(state, taken, ttl=ttl, interval=ttl / 3, now=now) as renewal:
            yield renewal
        check(state, taken)
    finally:
        release(state, taken)


def release(state: Path, lease: Lease) -> None:
    """Give the lease back; does nothing when it is no longer this one."""
    with lease_file.locked(state):
        if _is_same(lease_file.read(state, lease.key), lease):
            lease_file.remove(state, lease.key)


def release_all(state: Path, run: str) -> None:
    """Give back all that a run holds; does nothing the second time. A damaged lease is left to be broken."""
    for key in lease_file.keys(state):
        with suppress(IntegrityDamage):
            lease = lease_file.read(state, key)
            if lease is not None and run and lease.run == run:
                release(state, lease)


def break_lease(state: Path, key: str) -> Lease | None:
    """Take the lease from whoever has it, dead or alive, and give what it was; its holder is fenced out.

    For a person who knows that nothing runs there. Removes a damaged one too.
    """
    with lease_file.locked(state):
        broken: Lease | None = None
        with suppress(IntegrityDamage):
            broken = lease_file.read(state, key)
        lease_file.remove(state, key)
        return broken


def _attempt(state: Path, wish: _Wish, now: float) -> tuple[Lease, _Obstacle | None]:
    """Give the lease that was taken and no obstacle, or the lease that is in the way and why it may not go."""
    with lease_file.locked(state):
        current = lease_file.read(state, wish.key)
        if current is not None and wish.run and current.run == wish.run:
            lease = msgspec.structs.replace(current, expires=now + wish.ttl, holder=wish.holder)
        elif current is not None and (obstacle := _obstacle(current, wish, now)) is not None:
            return current, obstacle
        else:
            lease = _new(wish, lease_file.next_token(state, now), now)
        lease_file.write(state, lease)
        return lease, None


def _obstacle(current: Lease, wish: _Wish, now: float) -> _Obstacle | None:
    if now < current.expires:
        return "held"
    strict = msgspec.structs.replace(current, needs_proof=current.needs_proof or wish.needs_proof)
    return None if is_over(strict, now=now, holder=wish.holder) else "unproven"


def _new(wish: _Wish, token: int, now: float) -> Lease:
    return Lease(
        key=wish.key,
        token=token,
        owner=wish.owner,
        run=wish.run,
        holder=wish.holder,
        needs_proof=wish.needs_proof,
        since=now,
        expires=now + wish.ttl,
    )


def _is_same(current: Lease | None, lease: Lease) -> bool:
    return current is not None and (current.token, current.run) == (lease.token, lease.run)


def _require_same(current: Lease | None, lease: Lease) -> Lease:
    if current is not None and _is_same(current, lease):
        return current
    if current is not None:
        why = f"{_name(current)} took it over at {_time(current.since)}"
    else:
        why = "it was given back, or taken away with `--break-lease`"
    what = f"this run does not hold the lease {lease.key!r} any more"
    raise LeaseLost(what, why=why, safe="it publishes nothing", hint="run again")


def _busy(lease: Lease, obstacle: _Obstacle) -> Busy:
    if obstacle == "held":
        why = f"it has the lease {lease.key!r} since {_time(lease.since)}, until {_time(lease.expires)}"
        hint = "run again when it has ended; when it is dead, `--break-lease` takes the lease from it"
    else:
        why = f"its lease {lease.key!r} ended at {_time(lease.expires)}, but nothing proves that it is dead"
        hint = f"look on {_shown(lease.holder.host)} whether it still runs; when not, use `--break-lease`"
    return Busy(f"{_name(lease)} is at work here", why=why, safe="nothing was changed", hint=hint)


def _name(lease: Lease) -> str:
    return _shown(lease.owner) or "another run"


def _shown(text: str) -> str:
    return cut(one_line(text), 200)


def _time(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(sep=" ", timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return "an impossible time"
