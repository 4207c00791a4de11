"""Which leases a run holds, and whether the run still lives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

from ci_mlsnap.domain import announcing
from ci_mlsnap.domain.plan import Plan
from ci_mlsnap.errors import IntegrityDamage, LeaseLost
from ci_mlsnap.flows.announce import announce
from ci_mlsnap.flows.context import Hands
from ci_mlsnap.ports import Driver, Step
from ci_mlsnap.state import lease, lease_file
from ci_mlsnap.state.holder import proven_dead, this_process
from ci_mlsnap.state.journal import Run, is_known, open_runs
from ci_mlsnap.state.lease import Lease

VOLUME = "volume"
"""The key of the write lease: held by whoever changes the live tree."""


def take_commit(hands: Hands, driver: Driver, plan: Plan, run_id: str, stop: Callable[[], bool]) -> bool:
    """Take the commit's lease, so that two events of one commit train once; tell whether we had to wait.

    Raises `Busy` after the plan's wait, which says whose run it is. No status is posted meanwhile: the other
    run's statuses are this commit's.
    """
    waited = False

    def on_wait(other: Lease) -> None:
        nonlocal waited
        waited = True
        hands.progress.step(
            Step(name="lease", state="waiting", text=f"this commit is being trained by {other.owner}")
        )

    lease.acquire(
        driver.state_folder(),
        f"commit-{plan.commit}",
        owner=hands.owner(),
        run=run_id,
        ttl=hands.timing.lease_ttl,
        wait=plan.lease_wait,
        poll=hands.timing.lease_poll,
        on_wait=on_wait,
        stop=stop,
        now=hands.clock,
    )
    return waited


def take_volume(hands: Hands, driver: Driver, plan: Plan, run_id: str, stop: Callable[[], bool]) -> None:
    """Take the write lease where the run trains in place; waits, and says on the commit for whom."""
    assert plan.volume is not None
    if plan.volume.isolation != "in-place":
        return

    def on_wait(other: Lease) -> None:
        hands.progress.step(Step(name="lease", state="waiting", text=f"waiting for {other.owner}"))
        announce(hands, driver, plan, announcing.waiting(plan, other.owner))

    with renewed(hands, driver, run_id):
        lease.acquire(
            driver.state_folder(),
            VOLUME,
            owner=hands.owner(),
            run=run_id,
            ttl=hands.timing.lease_ttl,
            wait=plan.lease_wait,
            poll=hands.timing.lease_poll,
            needs_proof=True,
            on_wait=on_wait,
            stop=stop,
            now=hands.clock,
        )


def is_volume_taken(driver: Driver) -> bool:
    """Tell whether somebody has the write lease: what the live tree is can then only be said after them."""
    return lease.find(driver.state_folder(), VOLUME) is not None


def volume_token(driver: Driver) -> int:
    """The fencing token of whoever has the write lease; above those of all runs that began before it was taken."""
    taken = lease.find(driver.state_folder(), VOLUME)
    return taken.token if taken is not None else 0


def commit_token(driver: Driver, plan: Plan) -> int:
    """The fencing token of the run that has the commit, which says when it began."""
    taken = lease.find(driver.state_folder(), f"commit-{plan.commit}")
    return taken.token if taken is not None else 0


def volume_held(hands: Hands, driver: Driver, *, wait: float = 0.0) -> AbstractContextManager[object]:
    """Hold the write lease during a block. Raises `Busy` when another has it for longer than `wait` seconds."""
    return lease.held(
        driver.state_folder(),
        VOLUME,
        owner=hands.owner(),
        ttl=hands.timing.lease_ttl,
        wait=wait,
        poll=hands.timing.lease_poll,
        needs_proof=True,
        now=hands.clock,
    )


@contextmanager
def renewed(hands: Hands, driver: Driver, run_id: str) -> Iterator[None]:
    """Keep all leases of a run alive while this process works for it."""
    with ExitStack() as stack:
        for taken in lease.of_run(driver.state_folder(), run_id):
            stack.enter_context(
                lease.renewing(
                    driver.state_folder(),
                    taken,
                    ttl=hands.timing.lease_ttl,
                    interval=hands.timing.lease_renewal,
                    now=hands.clock,
                )
            )
        yield


def check(driver: Driver, run: Run) -> None:
    """Make sure that the run still has all its leases. Raises `LeaseLost`: it may then publish nothing."""
    plan = run.plan
    assert plan.volume is not None
    in_place = plan.action == "train" and plan.volume.isolation == "in-place"
    wanted = {f"commit-{plan.commit}", *([VOLUME] if in_place else [])}
    if missing := wanted - {taken.key for taken in lease.of_run(driver.state_folder(), run.run_id)}:
        raise LeaseLost(
            f"this run's lease was taken over ({', '.join(sorted(missing))})",
            why="it was not renewed in time, or somebody broke it",
            safe="nothing was published by this run",
            hint="run again; the run that has the lease now may already have made the version",
        )


@contextmanager
def fenced(driver: Driver, run: Run) -> Iterator[None]:
    """Make sure that the run has all its leases, and keeps them during the block, which takes only moments.

    A look alone would not do: a process may sleep between its look and what it does then. Raises `LeaseLost`.
    """
    with lease_file.locked(driver.state_folder()):
        check(driver, run)
        yield


def has_commit(driver: Driver, run: Run) -> bool:
    """Tell whether the run still has its commit, which it then may speak of."""
    taken = lease.find(driver.state_folder(), f"commit-{run.plan.commit}")
    return taken is not None and taken.run == run.run_id


def are_taken_over(driver: Driver, run: Run) -> bool:
    """Tell whether another run has this one's commit by now: what is said of it is then that run's to say."""
    taken = lease.find(driver.state_folder(), f"commit-{run.plan.commit}")
    return taken is not None and taken.run != run.run_id


def break_all(hands: Hands, driver: Driver) -> None:
    """Take every lease of the volume from whoever has it: a person said that nobody works there.

    Their holders are fenced out: they may publish nothing any more. Damaged leases go too.
    """
    state = driver.state_folder()
    for key in lease_file.keys(state):
        broken = lease.break_lease(state, key)
        owner = broken.owner if broken is not None else "nobody known: the file was damaged"
        hands.progress.step(Step(name="lease", state="note", text=f"taken from {owner}"))


def free_orphans(driver: Driver) -> None:
    """Free the leases that nobody will give back: those of runs at rest, and of dead processes that had no run."""
    state = driver.state_folder()
    for key in lease_file.keys(state):
        with suppress(IntegrityDamage):
            taken = lease.find(state, key)
            if taken is not None and _is_orphan(state, taken):
                lease.release(state, taken)


def _is_orphan(state: Path, taken: Lease) -> bool:
    # In this order: a run that is there and then not open has ended, one that is not there may yet be made.
    if is_known(state, taken.run):
        return taken.run not in {run.run_id for run in open_runs(state)}
    return proven_dead(taken.holder, this_process())


def give_back(driver: Driver, run_id: str) -> None:
    """Free all leases of a run."""
    lease.release_all(driver.state_folder(), run_id)


def has_process(driver: Driver, run: Run) -> bool:
    """Tell whether a run of one process is still in the hands of that process, another one than this."""
    if (run.facts("begun") or {}).get("phases"):
        return False
    here = this_process()
    holders = [taken.holder for taken in lease.of_run(driver.state_folder(), run.run_id)]
    return any(holder != here and not proven_dead(holder, here) for holder in holders)


def is_living(hands: Hands, driver: Driver, run: Run) -> bool:
    """Tell whether somebody may still work on the run: it has a lease that counts.

    Between phases no process is there, so only the lease's end says that nobody goes on with the run; a run
    of one process is over when that process is, and so is one whose `begin` was cut off.
    """
    handed_on = run.plan.action != "train" or run.facts("prepared") is not None
    phases = handed_on and bool((run.facts("begun") or {}).get("phases"))
    here = this_process()
    return any(
        taken.expires > hands.clock() and (phases or not proven_dead(taken.holder, here))
        for taken in lease.of_run(driver.state_folder(), run.run_id)
    )
