"""Going on with a run in another job of the same build, which has a temporary folder of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ci_mlsnap.errors import Refused, UsageError
from ci_mlsnap.flows.context import Hands
from ci_mlsnap.flows.workspace import places
from ci_mlsnap.ports import Repository
from ci_mlsnap.state import pointers
from ci_mlsnap.state.journal import Run


def take_over(hands: Hands, run: Path | None, digest: str | None) -> None:
    """Let this job find the run that `begin` of another job opened; does nothing without one.

    Raises `UsageError` where no digest comes with it: without one anybody's run would do.
    """
    if run is None:
        return
    if digest is None:
        raise UsageError(
            "--run goes with --plan only",
            why="the plan's digest proves that the run found there is the one that is meant",
            safe="nothing was done",
            hint="hand on both outputs of `mlsnap begin`, `plan` and `run`",
        )
    pointers.take_over(hands.pointers, run, digest)


def require_checkout(run: Run, find: Callable[[str], Repository]) -> None:
    """Refuse to train in a checkout that is not the plan's commit, as another job may have made it.

    `find` gives the repository of a folder. Raises `Refused`, also where there is no checkout at the place that
    the plan names, and no work tree of the run's own beside the model.
    """
    plan = run.plan
    assert plan.training is not None
    if plan.training.worktree and places(plan, run.run_id).code.is_dir():
        return
    top = plan.training.top
    head = find(top).head() if Path(top).is_dir() else ""
    if head == plan.commit or (head and plan.dirty):
        return
    raise Refused(
        f"the plan is to train {plan.commit[:12]} in {top}",
        why=f"{head[:12]} is checked out there" if head else "there is no such folder on this machine",
        safe="nothing was trained; the run stays open",
        hint="`mlsnap begin --hand-on` puts the code where each job reaches it; else check out the same commit\n"
        "in each job of the run, all of them on one runner",
    )
