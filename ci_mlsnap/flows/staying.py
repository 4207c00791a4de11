"""Places that stay where a person rolled them back to: the note of it, and the holds on what it names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.durable.atomic import make_folder
from ci_mlsnap.durable.locks import lock
from ci_mlsnap.errors import MlsnapError, NoSuchVersion
from ci_mlsnap.ports import Driver
from ci_mlsnap.state import live, rolled_back
from ci_mlsnap.state.rolled_back import RolledBack

_HOLD = "rollback "
_LOCK_WAIT = 60.0
"""Seconds to wait for another who rolls back, or ends that."""


@contextmanager
def alone(driver: Driver, *, wait: float = _LOCK_WAIT) -> Iterator[None]:
    """Be the only one who notes or forgets that places stay. Raises `Busy`, `StorageFailed`."""
    state = driver.state_folder()
    make_folder(state)
    with lock(state / "rolled-back.lock", wait=wait):
        yield


def hold(driver: Driver, place: Path, names: Iterable[str]) -> None:
    """Keep what a note will name from being pruned; for whoever is `alone`. What is not there is passed over."""
    for name in filter(None, names):
        with suppress(NoSuchVersion):
            driver.hold(SnapshotName.parse(name), _owner(place))


def let_move(driver: Driver, place: Path, seen: RolledBack) -> None:
    """Let a place move again, unless somebody rolled it back anew since it was `seen`. Raises `Busy`."""
    state = driver.state_folder()
    with alone(driver):
        if rolled_back.find(state, place) == seen:
            _release(driver, _owner(place), but=())
            rolled_back.clear(state, place)


def hold_only(driver: Driver, place: Path, names: Iterable[str]) -> None:
    """Release what the place's note names no more; for whoever is `alone`."""
    _release(driver, _owner(place), but=tuple(names))


def release_left(driver: Driver) -> None:
    """Release what was held for a note that was then never written; does nothing the second time. Never raises."""
    state = driver.state_folder()
    if (state / "rolled-back.lock").is_file():
        with suppress(MlsnapError), alone(driver, wait=0.0):
            for owner in {owner for snapshot in driver.list() for owner in snapshot.holds}:
                if owner.startswith(_HOLD) and not rolled_back.is_noted(state, owner.removeprefix(_HOLD)):
                    _release(driver, owner, but=())


def _release(driver: Driver, owner: str, *, but: tuple[str, ...]) -> None:
    for snapshot in driver.list():
        if snapshot.marker and owner in snapshot.holds and snapshot.name not in but:
            driver.release_hold(snapshot.marker.name, owner)


def _owner(place: Path) -> str:
    return _HOLD + live.key(place)
