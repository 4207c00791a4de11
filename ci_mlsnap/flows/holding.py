"""Who holds versions and the pins of data, and removing pins that nobody holds.

A pin of ours is held by the run while it is open, and by the version from just before it is published. Whoever
makes, takes or removes pins has the lock of the data's store, so that what nobody holds then is needed by nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ci_mlsnap.domain.holds import OF_RUN
from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.domain.pins import holder
from ci_mlsnap.domain.plan import Plan
from ci_mlsnap.durable.locks import lock
from ci_mlsnap.errors import MlsnapError
from ci_mlsnap.flows.context import Hands
from ci_mlsnap.ports import Driver, Snapshot
from ci_mlsnap.state import lease
from ci_mlsnap.state.journal import is_known, open_runs

_LOCK_WAIT = 60.0
"""Seconds to wait for another run that makes a pin, or removes some."""


def hold_needed(driver: Driver, plan: Plan, run_id: str) -> None:
    """Hold what the run begins from, or announces, until it ends: prune takes nothing that is held.

    Raises `NoSuchVersion` when it was pruned since it was planned.
    """
    for name in sorted({plan.parent, plan.answered_by} - {""}):
        driver.hold(SnapshotName.parse(name), OF_RUN + run_id)


def release_all(driver: Driver, run_id: str) -> None:
    """Take a run's holds back. Never raises for the storage's sake: prune sees by itself that the run is over."""
    with suppress(MlsnapError):
        for snapshot in driver.list():
            if snapshot.marker is not None and OF_RUN + run_id in snapshot.holds:
                driver.release_hold(snapshot.marker.name, OF_RUN + run_id)


def is_over(state: Path, hold: str) -> bool:
    """Tell whether a hold is that of a run that has ended; `hold` was read before this is asked.

    A run that is not known yet may be about to begin, and has a lease then.
    """
    run_id = hold.removeprefix(OF_RUN)
    if run_id == hold:
        return False
    if is_known(state, run_id):
        return run_id not in {run.run_id for run in open_runs(state)}
    return not lease.of_run(state, run_id)


@contextmanager
def alone(data: Driver) -> Iterator[None]:
    """Be the only one who makes or removes pins of this data. Raises `Busy`, `StorageFailed`."""
    with lock(data.state_folder() / "pins.lock", wait=_LOCK_WAIT):
        yield


def owner(driver: Driver, name: str = "", run_id: str = "") -> str:
    """Write who holds a pin: a version on the model volume of `driver`, or a run that is on its way there."""
    project, model = driver.bound() or ("", "")
    return holder(project, model, driver.volume_id, name, run_id)


def let_go(hands: Hands, driver: Driver, plan: Plan) -> None:
    """Take back the holds of a run that has ended, and remove what nobody holds then.

    Never raises for the storage's sake: whoever pins this data next does the rest.
    """
    for volume in plan.data if plan.action == "train" else ():
        if volume.kind == "snapshot":
            with suppress(MlsnapError):
                data = hands.open_data(volume)
                if data.volume_id:
                    with alone(data):
                        sweep(data, driver)


def sweep(data: Driver, driver: Driver) -> None:
    """Remove what was cut off, holds of runs and versions of this model that are no more, and pins without holds.

    Only for whoever is `alone`.
    """
    for token in data.unfinished():
        data.discard(token)
    project, _model = driver.bound() or ("", "")
    living = _living(driver)
    for snapshot in data.list():
        if snapshot.marker is not None and snapshot.marker.is_of(project, ""):
            left = _release_dead(data, snapshot, owner(driver), living)
            if not left:
                with suppress(MlsnapError):  # damaged: it stays, for a person to look at
                    data.delete(snapshot.marker.name)


def _release_dead(data: Driver, snapshot: Snapshot, ours: str, living: set[str]) -> int:
    """Release the holds of this model volume that count no more, and count those that are left."""
    assert snapshot.marker is not None
    dead = [holds for holds in snapshot.holds if holds.startswith(ours) and holds not in living]
    for holds in dead:
        data.release_hold(snapshot.marker.name, holds)
    return len(snapshot.holds) - len(dead)


def _living(driver: Driver) -> set[str]:
    """Give the holders that count: open runs, what they will publish, versions that are there or can come back."""
    # In this order: a run that ends meanwhile is found as a version.
    runs = open_runs(driver.state_folder())
    names = [run.plan.name for run in runs]
    # Twice: a version that comes back from the trash is in neither place between two looks.
    there = (*driver.list(), *driver.pruned(), *driver.list())
    names += [snapshot.name for snapshot in there if snapshot.marker is not None]
    return {owner(driver, name) for name in names} | {owner(driver, run.plan.name, run.run_id) for run in runs}
