"""begin: plan, preflight, pending status, lease, data pinned, workspace. Runs no code of the repository."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec

from ci_mlsnap.domain import announcing
from ci_mlsnap.domain import plan as plans
from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.domain.plan import Plan
from ci_mlsnap.domain.record import Record
from ci_mlsnap.domain.texts import size
from ci_mlsnap.errors import Cancelled, MlsnapError, NoSuchVersion, SnapshotForeign, StorageFull, Terminated
from ci_mlsnap.flows import closing, holding, leases, pinning, workspace
from ci_mlsnap.flows.announce import announce, publish_step
from ci_mlsnap.flows.context import TOOL, Hands, Project, Request
from ci_mlsnap.flows.filling import ADVICE, filling
from ci_mlsnap.flows.live import require_known
from ci_mlsnap.flows.planning import plan_run
from ci_mlsnap.flows.tidying import tidy
from ci_mlsnap.flows.workspace import Tree
from ci_mlsnap.ports import Driver, Permitting, Probe, Step
from ci_mlsnap.state import live, pointers
from ci_mlsnap.state.journal import Run
from ci_mlsnap.training.signals import StopSignal
from ci_mlsnap.trees.fingerprint import fingerprint


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """What `begin` left: the plan with its digest, and the open run, None when there is nothing to do."""

    plan: Plan
    digest: str
    run: Run | None


def begin_planned(
    project: Project,
    request: Request,
    *,
    stop: StopSignal,
    phases: bool = True,
    planner: Callable[[Project, Request], Plan] = plan_run,
) -> Begun:
    """Plan and open a run; where there is nothing to do, say so on the build's page."""

    def make_plan() -> Plan:
        return planner(project, request)

    if request.break_lease:
        leases.break_all(project.hands, project.driver)
    try:
        begun = begin(project, make_plan, phases=phases, stop=lambda: bool(stop.received))
    except Cancelled as error:
        if stop.received == signal.SIGINT:
            raise
        raise Terminated(error.what, why=error.why, safe=error.safe, hint=error.hint) from None
    if begun.plan.action == "train" and project.hands.build.name and project.repository.keeps_login():
        text = (
            "git's configuration has the checkout's login, where training finds it: `persist-credentials: false`"
        )
        project.hands.progress.step(Step(name="checkout", state="note", text=text))
    if begun.run is None:
        if phases:
            pointers.point_idle(project.hands.pointers, begun.digest)
        record = nothing_to_do(project, begun.plan)
        closing.tell_build(project.hands, record)
        closing.write_report(project.hands, project.driver, record)
    return begun


def begin(
    project: Project, make_plan: Callable[[], Plan], *, phases: bool, stop: Callable[[], bool] = lambda: False
) -> Begun:
    """Open the run of the commit that the event names.

    `phases` says that other processes go on with the run, so that the end of this one means nothing. Raises what
    preflight finds (`VolumeRefused`, `StoreRefused`, `StorageFull`, `LiveTreeChanged` …) and `Busy`; nothing is
    left open then.
    """
    plan = make_plan()
    if plan.action == "nothing":
        project.hands.progress.step(Step(name="plan", state="note", text=f"nothing to do: {plan.reason}"))
        return Begun(plan=plan, digest=plans.digest(plan), run=None)
    tidy(project.hands, project.driver, closing.identity_of(plan))
    preflight(project, plan)
    project.driver.initialise(project=plan.project, model=plan.model)
    run_id = f"{plan.commit[:12]}-{secrets.token_hex(4)}"
    try:
        waited = leases.take_commit(project.hands, project.driver, plan, run_id, stop)
        if waited or _is_overtaken(project.driver, plan):
            plan = make_plan()  # the run before us may have made the version
        plan = _held(project.driver, plan, make_plan, run_id)
        return _opened(project, plan, run_id, phases=phases, stop=stop)
    except BaseException:
        holding.release_all(project.driver, run_id)
        leases.give_back(project.driver, run_id)
        raise


def _held(driver: Driver, plan: Plan, make_plan: Callable[[], Plan], run_id: str) -> Plan:
    """Hold what the plan begins from, or announces; planned anew where that was pruned meanwhile."""
    try:
        holding.hold_needed(driver, plan, run_id)
    except NoSuchVersion:
        plan = make_plan()
        holding.hold_needed(driver, plan, run_id)
    return plan


def _is_overtaken(driver: Driver, plan: Plan) -> bool:
    """Tell whether another run may have made the version, and given the commit back, before we asked for it.

    Its name is used then. Where that came to be while we planned, the plan is for a further attempt.
    """
    if plan.action != "train":
        return False
    return SnapshotName.parse(plan.name).attempt > 1 or any(str(name) == plan.name for name in driver.used_names())


def _opened(project: Project, plan: Plan, run_id: str, *, phases: bool, stop: Callable[[], bool]) -> Begun:
    hands, driver = project.hands, project.driver
    run = Run.create(driver.state_folder(), plan, run_id)
    pointers.point(hands.pointers, run)  # first: what is begun in phases, `finish` must be able to find
    token = leases.commit_token(driver, plan)
    run.note("begun", host=os.uname().nodename, way=driver.capabilities.way, phases=phases, token=token)
    try:
        if plan.action == "train":
            _say_pending(hands, driver, plan)
            leases.take_volume(hands, driver, plan, run_id, stop)
            if not plan.adopts:
                pinning.take(hands, driver, run)
                _prepare(project, run)
    except MlsnapError as error:
        closing.failed(hands, driver, run, error)
        raise
    return Begun(plan=plan, digest=plans.digest(plan), run=run)


def preflight(project: Project, plan: Plan) -> None:
    """Find before training what would stop the snapshot after it."""
    assert plan.volume is not None
    if plan.action != "train":
        return
    found = [(tree, _probe(tree, plan)) for tree in workspace.trees(project.driver, plan, run_id="")]
    pinning.require_possible(project.hands, plan.data)
    if plan.volume.isolation == "in-place" and not plan.adopts and not leases.is_volume_taken(project.driver):
        _require_known(project.driver, plan)
    if plan.reason:
        project.hands.progress.step(Step(name="plan", state="note", text=f"trained again: {plan.reason}"))
    for tree, probe in found:
        text = f"volume {tree.volume.name}: {probe.way} on {probe.file_system}, {size(probe.free_bytes)} free"
        project.hands.progress.step(Step(name="preflight", state="ok", text=text))
        if full := filling(probe):
            project.hands.progress.step(Step(name="preflight", state="note", text=f"{full}: {ADVICE}"))


def _probe(tree: Tree, plan: Plan) -> Probe:
    """Look at one volume. Raises `StorageFull`, `StorageForbidden`, `SnapshotForeign`, and as `Driver.probe`."""
    probe = tree.driver.probe()
    if isinstance(tree.driver, Permitting):
        tree.driver.require_rights()
    needed = _expected_bytes(tree, plan)
    if needed > probe.free_bytes:
        raise StorageFull(
            f"the store has {size(probe.free_bytes)} free, and a version needs up to {size(needed)}",
            safe="nothing was trained",
            hint="free some space there, or set `store` to another place",
        )
    _require_free_name(tree.driver, plan)
    return probe


def _require_free_name(driver: Driver, plan: Plan) -> None:
    found = driver.get(SnapshotName.parse(plan.name))
    if found is not None and found.marker is None:
        raise SnapshotForeign(
            f"something that is not ours has the name of the snapshot, {plan.name}",
            why="the ledger does not say that we published it",
            safe="it was not touched; nothing was trained",
            hint="move it away if nobody needs it there, then run again",
        )


def _say_pending(hands: Hands, driver: Driver, plan: Plan) -> None:
    status = announcing.pending(plan)
    announced = announce(hands, driver, plan, status)
    if hands.announcer.forge is not None:
        hands.progress.step(publish_step(announced, status))


def _prepare(project: Project, run: Run) -> None:
    """Make the workspace, and note how the model's files looked before training."""
    plan, driver = run.plan, project.driver
    assert plan.volume is not None
    if plan.volume.isolation == "in-place":
        _require_known(driver, plan)  # again, now that nobody else may change it
        for tree in workspace.trees(driver, plan, run.run_id):
            _mark_in_change(tree, run)
    resumed = workspace.fill(driver, plan, run.run_id)
    views = workspace.show(project.repository, plan, run.run_id)
    links = str(workspace.links_folder(project.repository))
    before = {it.volume.name: _before_training(it, plan) for it in workspace.trees(driver, plan, run.run_id)}
    run.note("prepared", views=views, links=links, resumed=resumed, before=before)
    if resumed:
        text = "goes on with what an interrupted run of this commit had trained (--retrain starts anew)"
        project.hands.progress.step(Step(name="workspace", state="note", text=text))


def _require_known(driver: Driver, plan: Plan) -> None:
    assert plan.volume is not None
    path = Path(plan.volume.path)
    # A snapshot that takes no time, of files that nobody is to look at, must not wait for a look at them.
    walk = plan.files_mode != "none" or not driver.capabilities.instant or bool(driver.state_of(path))
    require_known(driver, path, shared=not plan.volume.private, walk=walk)


def _mark_in_change(tree: Tree, run: Run) -> None:
    state, path = tree.driver.state_folder(), Path(tree.volume.path)
    before = live.read(state, path)
    live.write(state, path, version=before.version if before else "", condition="in-change", run=run.run_id)


def _before_training(tree: Tree, plan: Plan) -> dict[str, str]:
    """How the model looks before training: by the driver's word where it has one, else by a walk of the files."""
    state = tree.driver.state_of(tree.model)
    if plan.files_mode == "none":
        return {"state": state}
    if not state:
        return {"fingerprint": fingerprint(tree.model)}
    return {"state": state, "content": _content_before(tree, plan)}


def _content_before(tree: Tree, plan: Plan) -> str:
    """Give the content digest of the version that the model is before training; empty when it is none."""
    assert plan.training is not None
    driver = tree.driver
    if tree.volume.isolation == "in-place":
        recorded = live.read(driver.state_folder(), tree.model)
        name = recorded.version if recorded else ""
    else:
        name = plan.parent if plan.training.start == "parent" else ""
    try:
        return driver.manifest_header(SnapshotName.parse(name)).content_digest if name else ""
    except NoSuchVersion:
        return ""


def _expected_bytes(tree: Tree, plan: Plan) -> int:
    if not plan.parent or tree.driver.capabilities.shares:
        return 0
    try:
        return tree.driver.manifest_header(SnapshotName.parse(plan.parent)).bytes
    except MlsnapError:
        return 0


def nothing_to_do(project: Project, plan: Plan) -> Record:
    """The record of an event that asks for nothing: a deleted ref, a fork."""
    return msgspec.structs.replace(
        Record(
            format="mlsnap/record/1",
            outcome="nothing",
            project=plan.project,
            model=plan.model,
            commit=plan.commit,
            event=plan.event.kind,
            ref=plan.event.ref,
            run_url=plan.event.run_url,
            tool=TOOL,
        ),
        reason=plan.reason,
        created=project.hands.now(),
    )
