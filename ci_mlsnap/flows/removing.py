"""Taking one version away, step by step, and bringing it back: what is cut off is finished by the next command.

Written down, told to its commits, out of sight, written down: in this order, so that at each moment what a commit
says is what is there or about to be, and a removed version is never forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from msgspec.structs import replace

from ci_mlsnap.domain import announcing
from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.domain.removed import Pruned
from ci_mlsnap.domain.retention import nearest
from ci_mlsnap.domain.status import one_line
from ci_mlsnap.domain.versions import Version
from ci_mlsnap.durable.atomic import make_folder
from ci_mlsnap.durable.locks import lock
from ci_mlsnap.errors import MlsnapError, SnapshotHeld
from ci_mlsnap.flows import holding
from ci_mlsnap.flows.context import Project
from ci_mlsnap.state import catalogue, pruned, reverting
from ci_mlsnap.state.outbox import Outbox

_LOCK_WAIT = 60.0
"""Seconds to wait for another who prunes."""


@contextmanager
def alone(project: Project) -> Iterator[None]:
    """Be the only one who removes versions or brings them back. Raises `Busy`, `StorageFailed`."""
    make_folder(project.state)
    with lock(project.state / "prune.lock", wait=_LOCK_WAIT):
        yield


def remove(
    project: Project,
    version: Version,
    reason: str,
    left: Sequence[Version],
    *,
    now: bool = False,
    even_held: bool = False,
) -> None:
    """Take a version away, for whoever is `alone`; `left` are those that stay.

    Raises `SnapshotHeld` when somebody holds it by now: it is then as it was. `StorageFailed`, `IntegrityDamage`.
    """
    hands = project.hands
    record = Pruned(
        header=version.header,
        digest=version.digest,
        condition="removing",
        reason=reason,
        by=hands.person(),
        at=hands.now(),
        since=hands.clock(),
        now=now,
        even_held=even_held,
        told=tuple(Outbox(project.state).told_of(version.header.name)),
    )
    if not even_held:
        _require_loose(project, version.name)
    pruned.write(project.state, record)
    _take(project, record, left)


def erase(project: Project, record: Pruned) -> Pruned:
    """Remove what lies in the trash for good, and give what stays known. Raises `StorageFailed`."""
    project.driver.delete(SnapshotName.parse(record.name))
    gone = replace(record, condition="gone")
    pruned.write(project.state, gone)
    return gone


def bring_back(project: Project, record: Pruned) -> None:
    """Bring a version back from the trash, and say so on its commits. Raises as `Driver.undelete` does."""
    project.driver.undelete(SnapshotName.parse(record.name))
    _settle_back(project, record)


def finish_cut_off(project: Project) -> tuple[str, ...]:
    """Finish what was cut off, and say what that was. Doing it twice is doing it once.

    What lies in the trash and nothing is known of comes back: then a policy decides anew.
    """
    driver, state = project.driver, project.state
    finish_lost(project)
    said: list[str] = []
    lying = {snapshot.name for snapshot in driver.pruned()}
    records = pruned.all_of(state)
    for record in records:
        try:
            said += _finished(project, record, lying=record.name in lying)
        except MlsnapError as error:  # one that cannot be finished is no reason to finish no other
            said.append(f"{record.name[:12]} stays as it is: {error.what}")
    for name in sorted(lying - {record.name for record in records}):
        driver.undelete(SnapshotName.parse(name))
        said.append(f"{name[:12]} is back from the trash: nothing was known of its removal")
    return tuple(said)


def finish_lost(project: Project) -> None:
    """Finish what a restore in place began: what it lost is gone for good, and is known. Doing it twice is once.

    For whoever is `alone`. What is still there was not lost, and stays what it was.
    """
    begun = reverting.find(project.state)
    if begun is None:
        return
    driver = project.driver
    there = {snapshot.name for snapshot in (*driver.list(), *driver.pruned())}
    left = [version for version in catalogue.versions(driver) if version.header.name in there]
    for record in begun.lost:
        if record.name not in there:
            near = nearest(record.header.sequence, left)
            pruned.write(project.state, record)
            driver.delete(SnapshotName.parse(record.name), even_held=True)
            _tell(project, record, near.header.name if near is not None else "")
    reverting.forget(project.state)


def release_pins(project: Project) -> None:
    """Remove pins of data that only versions held which are no more. Never raises for the storage's sake."""
    for volume in project.data:
        if volume.kind == "snapshot":
            data = project.hands.open_data(volume)
            try:
                if data.volume_id:
                    with holding.alone(data):
                        holding.sweep(data, project.driver)
            except MlsnapError:
                continue  # whoever pins this data next does it


def _finished(project: Project, record: Pruned, *, lying: bool) -> Iterator[str]:
    if record.condition == "removing":
        _finish(project, record)
        yield f"{record.name[:12]}: its removal was cut off, and is finished"
    elif record.condition == "trash" and project.driver.get(SnapshotName.parse(record.name)) is not None:
        _settle_back(project, record)
    elif record.condition == "trash" and not lying:
        pruned.write(project.state, replace(record, condition="gone"))


def _finish(project: Project, record: Pruned) -> None:
    left = [version for version in catalogue.versions(project.driver) if version.header.name != record.name]
    try:
        _take(project, record, left)
    except SnapshotHeld:
        return  # somebody held it meanwhile, and it is as it was


def _take(project: Project, record: Pruned, left: Sequence[Version]) -> None:
    """Tell the commits, then take the snapshot out of sight, then write that down."""
    near = nearest(record.header.sequence, left)
    _tell(project, record, near.header.name if near is not None else "")
    name = SnapshotName.parse(record.name)
    try:
        if record.now:
            project.driver.delete(name, even_held=record.even_held)
        else:
            project.driver.prune(name)
    except SnapshotHeld:
        _settle_back(project, record)
        raise
    pruned.write(project.state, replace(record, condition="gone" if record.now else "trash"))


def _tell(project: Project, record: Pruned, near: str) -> None:
    outbox = Outbox(project.state)
    for told in record.told:
        status = announcing.pruned(
            told.context,
            told.sha,
            told.state,
            name=record.name,
            day=record.at[:10],
            near=near,
            target_url=told.target_url,
        )
        outbox.put(told.repository, status)


def _settle_back(project: Project, record: Pruned) -> None:
    """Say on the commits that the version is there, then forget that it was removed."""
    outbox = Outbox(project.state)
    for told in record.told:
        status = announcing.brought_back(
            told.context,
            told.sha,
            told.state,
            name=record.name,
            manifest_digest=record.digest,
            target_url=told.target_url,
        )
        outbox.put(told.repository, status, snapshot=record.name)
    pruned.forget(project.state, record.name)


def _require_loose(project: Project, name: SnapshotName) -> None:
    """Release the holds of runs that have ended without doing so. Raises `SnapshotHeld` for others."""
    found = project.driver.get(name)
    holds = found.holds if found is not None else ()
    over = [hold for hold in holds if holding.is_over(project.state, hold)]
    for hold in over:
        project.driver.release_hold(name, hold)
    if left := [one_line(hold) for hold in holds if hold not in over]:
        raise SnapshotHeld(
            f"{name.short} is held by {', '.join(left)}",
            safe="it was not removed",
            hint="it goes with a later prune, once nobody holds it",
        )
