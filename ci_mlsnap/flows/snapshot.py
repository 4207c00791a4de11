"""snapshot: make a version of the live tree as it is, without training; a run whose training already happened."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec.structs import replace

from ci_mlsnap.domain.plan import Plan
from ci_mlsnap.domain.record import Record
from ci_mlsnap.errors import ModelUnchanged
from ci_mlsnap.flows import leases
from ci_mlsnap.flows.begin import begin_planned, nothing_to_do
from ci_mlsnap.flows.conclude import conclude
from ci_mlsnap.flows.context import Project, Request
from ci_mlsnap.flows.live import look
from ci_mlsnap.flows.planning import gather, plan_of
from ci_mlsnap.training.signals import StopSignal


def snapshot(project: Project, request: Request, *, stop: StopSignal) -> Record:
    """Make the live tree a version of HEAD, judged and announced as a trained one is.

    A live tree that equals the commit's version is that version, and only its status is posted again; one that
    differs becomes the next attempt. Raises as `run` does, `ModelUnchanged` when there is no file.
    """
    _require_files(project)
    begun = begin_planned(project, request, stop=stop, phases=False, planner=_plan)
    if begun.run is None:
        return nothing_to_do(project, begun.plan)
    with leases.renewed(project.hands, project.driver, begun.run.run_id):
        if begun.plan.action == "train":
            begun.run.note("trained", seconds=0.0, adopted=True)
        return conclude(project.hands, project.driver, begun.run, plan_checked=True)


def _require_files(project: Project) -> None:
    paths = [project.volume_path, *(Path(volume.path) for volume in project.others)]
    if not any(map(_has_files, paths)):
        raise ModelUnchanged(
            f"{' and '.join(map(str, paths))} has no files",
            safe="nothing was snapshotted",
            hint="put the model there, or train it: `mlsnap run`",
        )


def _has_files(path: Path) -> bool:
    return path.is_dir() and any(entry.name not in (".mlsnap", ".snapshot") for entry in path.iterdir())


def _plan(project: Project, request: Request) -> Plan:
    """Plan as for a run, but in the live tree itself."""
    request = replace(request, command=("mlsnap", "snapshot"))
    facts = gather(project)  # without the data volumes: nobody can tell which data the tree was trained on
    plan = plan_of(project, request, facts)
    if plan.action == "announce" and not _equals(project, plan.answered_by):
        plan = plan_of(project, replace(request, retrain=True), facts)
    if plan.action != "train":
        return plan
    assert plan.volume is not None and plan.training is not None
    return msgspec.structs.replace(
        plan,
        volume=msgspec.structs.replace(plan.volume, isolation="in-place"),
        others=tuple(msgspec.structs.replace(other, isolation="in-place") for other in plan.others),
        training=msgspec.structs.replace(plan.training, worktree=False),
        adopts=True,
    )


def _equals(project: Project, version: str) -> bool:
    tree = look(project.driver, Path(project.volume_path))
    return tree.version == version and tree.equal
