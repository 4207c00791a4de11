"""Statuses: put durably into the outbox first, then sent; what cannot be sent waits there."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import msgspec

from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.domain.plan import Plan
from ci_mlsnap.domain.status import CommitStatus
from ci_mlsnap.flows.context import Announcer, Hands
from ci_mlsnap.ports import Driver, Step
from ci_mlsnap.state.notices import NoticeBox, Told
from ci_mlsnap.state.outbox import Outbox


class Announced(msgspec.Struct, frozen=True, kw_only=True):
    """Contexts that were sent, that wait, and that the forge will never take; and why not all were sent."""

    sent: tuple[str, ...] = ()
    queued: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    why: str = ""


def announce(
    hands: Hands,
    driver: Driver,
    plan: Plan,
    *statuses: CommitStatus,
    snapshot: str = "",
    hasty: bool = False,
    fence: AbstractContextManager[object] | None = None,
) -> Announced:
    """Send statuses, or leave them in the outbox. Never raises for the forge's sake; `hasty` tries once only.

    Nothing is queued where there is nobody to post to; a dirty tree's snapshot has no status at all. What the
    `fence` raises comes out, and nothing is queued then.
    """
    with fence or nullcontext():
        if plan.dirty:
            return Announced(why="a dirty tree has no commit to post on")
        if not plan.repository or hands.announcer.forge is None:
            return Announced(why=hands.announcer.silence or "the repository has no origin on a forge")
        for status in statuses:
            Outbox(driver.state_folder()).put(plan.repository, status, snapshot=snapshot)
    return send_waiting(driver, hands.announcer, hasty=hasty)


def send_waiting(driver: Driver, announcer: Announcer, *, hasty: bool = False) -> Announced:
    """Send all that waits. A success goes out only while its snapshot exists."""
    outbox = Outbox(driver.state_folder())
    forge = announcer.hasty if hasty else announcer.forge
    if forge is None:
        waiting = tuple(entry.status.context for entry in outbox.pending())
        return Announced(queued=waiting, why=announcer.silence)
    delivery = outbox.deliver(forge, exists=lambda name: _exists(driver, name))
    return Announced(
        sent=tuple(entry.status.context for entry in delivery.sent),
        queued=tuple(entry.status.context for entry in delivery.kept),
        refused=tuple(entry.status.context for entry in delivery.undeliverable),
        why=delivery.why,
    )


def send_notices(driver: Driver, announcer: Announcer) -> Told:
    """Send the comments that wait. What speaks of a snapshot goes out only while that exists."""
    if announcer.forge is None:
        return Told()
    return NoticeBox(driver.state_folder()).deliver(announcer.forge, exists=lambda name: _exists(driver, name))


def waiting_in(state: Path) -> int:
    """Count what a state folder has to be sent: statuses, and what else is told. Writes nothing."""
    return len(Outbox(state).pending()) + len(NoticeBox(state).pending())


def publish_step(announced: Announced, status: CommitStatus) -> Step:
    """Say in one line what became of a status."""
    if status.context in announced.sent:
        return Step(name="publish", state="ok", text=f"commit status {status.context}: {status.state}")
    if status.context in announced.refused:
        return Step(name="publish", state="note", text=f"the forge will not take the status: {announced.why}")
    if status.context in announced.queued:
        return Step(name="publish", state="note", text=f"status waits in the outbox: {announced.why}")
    return Step(name="publish", state="note", text=f"no status posted: {announced.why or 'not for this run'}")


def _exists(driver: Driver, name: str) -> bool:
    snapshot = driver.get(SnapshotName.parse(name))
    return snapshot is not None and snapshot.marker is not None
