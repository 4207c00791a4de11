"""How a run ends: its record, the live tree, the last status, the leases, the folders it used."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from ci_mlsnap import errors
from ci_mlsnap.domain import announcing
from ci_mlsnap.domain import plan as plans
from ci_mlsnap.domain.advancing import Advance, counts_descent
from ci_mlsnap.domain.models import in_short
from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.domain.plan import Plan
from ci_mlsnap.domain.record import Outcome, Record, VolumeRecord
from ci_mlsnap.domain.status import one_line
from ci_mlsnap.errors import MlsnapError, PlanMismatch, StorageUnknown, TrainingFailed, UsageError
from ci_mlsnap.flows import leases, staying
from ci_mlsnap.flows.announce import announce, publish_step
from ci_mlsnap.flows.commenting import leave_notices
from ci_mlsnap.flows.context import TOOL, Hands
from ci_mlsnap.flows.filling import filling_of
from ci_mlsnap.flows.holding import let_go, release_all
from ci_mlsnap.flows.live import Identity
from ci_mlsnap.flows.moving import advance_live_tree
from ci_mlsnap.flows.pinning import noted
from ci_mlsnap.flows.workspace import Tree, clear, link_view, trees
from ci_mlsnap.ports import Driver, Step
from ci_mlsnap.report.described import described
from ci_mlsnap.report.summary import summary
from ci_mlsnap.state import advances, live, pointers, rolled_back
from ci_mlsnap.state.journal import Run


def require_own_state(driver: Driver, run: Run) -> None:
    """Refuse a run whose journal is not in its volume's own state. Raises `PlanMismatch`.

    The pointer that led here lies where training could write; the plan's digest does not cover the journal.
    """
    if run.state.resolve() != driver.state_folder().resolve():
        raise PlanMismatch(
            f"run {run.run_id} is not in the state of its volume",
            why="somebody changed the file that leads to it",
            safe="nothing was snapshotted or published",
            hint="run again from `mlsnap begin`",
        )


def not_trained() -> UsageError:
    """The error of concluding too early."""
    return UsageError(
        "this run was not trained yet",
        safe="nothing was snapshotted; the run stays open",
        hint="`mlsnap train` runs the plan's command; `mlsnap finish` ends the run without a snapshot",
    )


def require_trained(run: Run) -> dict[str, Any]:
    """Give what training left in the journal. Raises the error that training ended with."""
    trained = run.facts("trained")
    if trained is None:
        raise not_trained()
    if trained.get("error"):
        raise error_named(
            str(trained["error"]),
            str(trained.get("reason", "training failed")),
            hint="the end of the training's output is above",
        )
    return trained


def error_named(slug: str, what: str, *, hint: str) -> MlsnapError:
    """Make the error again that an earlier phase ended with."""
    kinds = {kind.slug: kind for kind in _all_kinds(MlsnapError)}
    safe = "no snapshot was made; earlier versions are as they were"
    return kinds.get(slug, TrainingFailed)(what, safe=safe, hint=hint)


def identity_of(plan: Plan) -> Identity:
    """Whose the plan's volume is."""
    assert plan.volume is not None
    return Identity(project=plan.project, model=plan.model, volume=plan.volume.name)


def blank_record(hands: Hands, run: Run, outcome: Outcome) -> Record:
    """Start a record from the plan and the machine."""
    plan = run.plan
    event = plan.event
    training = run.facts("training") or {}
    return Record(
        format="mlsnap/record/1",
        outcome=outcome,
        project=plan.project,
        model=plan.model,
        commit=plan.commit,
        tree=plan.tree,
        parents=plan.parents,
        subject=plan.subject,
        parameters=plan.parameters,
        ref=event.ref,
        event=event.kind,
        pull_request=event.pull_request,
        actor=event.actor,
        run_url=event.run_url,
        run_attempt=event.run_attempt,
        argv=plan.training.command if plan.training else (),
        host=f"{os.uname().nodename} {platform.machine()}",
        image=hands.environ.get("ImageOS", ""),
        packages_digest=str(training.get("packages", "")),
        passed_variables=tuple(training.get("passed", ())),
        pins=noted(run),
        baseline=plan.baseline,
        baseline_metrics=plan.baseline_metrics,
        history=plan.history,
        gates=plan.gates,
        created=hands.now(),
        plan_digest=plans.digest(plan),
        tool=TOOL,
    )


def settle(hands: Hands, driver: Driver, run: Run, record: Record) -> None:
    """Write the record, then move the live tree or the view to the new version where the plan says so."""
    run.write_record(record)
    run.note("recorded")
    plan = run.plan
    if plan.volume is None or record.volume is None or plan.action != "train":
        return
    name = SnapshotName.parse(plan.name)
    path = Path(plan.volume.path)
    good = record.outcome == "good"
    if plan.volume.isolation == "in-place":
        advances.write(driver.state_folder(), path, _advance_of(run))
        frozen = (run.facts("frozen") or {}).get("volumes", {})
        for tree in trees(driver, plan, run.run_id):
            live.write(
                tree.driver.state_folder(),
                Path(tree.volume.path),
                version=plan.name,
                condition="equal",
                run=run.run_id,
                state_of_tree=frozen.get(tree.volume.name, {}).get("state", ""),
            )
        _let_move(hands, driver, path)
    elif good and plan.advance:
        _advance(hands, driver, run, name, path)
    stays = plan.volume.view and rolled_back.find(driver.state_folder(), Path(plan.volume.view))
    _settle_views(driver, run, name if good and not stays else None)


def _let_move(hands: Hands, driver: Driver, path: Path) -> None:
    """End a rollback of the tree: what was trained there came after it, in the tree itself."""
    noted = rolled_back.find(driver.state_folder(), path)
    if noted is not None:
        staying.let_move(driver, path, noted)
        text = f"{path} was rolled back by {one_line(noted.who)}; this run trained on from there"
        hands.progress.step(Step(name="advance", state="note", text=text))


def _advance(hands: Hands, driver: Driver, run: Run, name: SnapshotName, path: Path) -> None:
    """Move the live tree to the run's version, unless something newer is there by now."""
    plan = run.plan
    moved = advance_live_tree(
        hands,
        driver,
        name,
        path,
        identity_of(plan),
        _advance_of(run),
        by_descent=counts_descent(plan.event),
        wait=plan.lease_wait,
    )
    if moved is None:
        noted = rolled_back.find(driver.state_folder(), path)
        text = f"{path} stays as it is: something newer than {name.short} is there"
        if noted is not None:
            who = one_line(noted.who)
            text = f"{path} stays at {noted.version[:7]}: {who} rolled it back (`mlsnap rollback --release`)"
        hands.progress.step(Step(name="advance", state="note", text=text))
        return
    run.note("advanced", version=plan.name)
    hands.progress.step(Step(name="advance", state="ok", text=f"{path} is now {name.short}"))


def _advance_of(run: Run) -> Advance:
    token = int((run.facts("begun") or {}).get("token", 0))
    return Advance(token=token, commit=run.plan.commit, ancestors=run.plan.ancestors)


def close(hands: Hands, driver: Driver, run: Run, record: Record) -> None:
    """End the run: record, summary, outputs, folders, then the journal's last line, then the leases.

    Without its leases a run that is still open would be taken for dead.
    """
    record = leave_notices(hands, driver, run.plan, record)
    run.write_record(record)
    tell_build(hands, record)
    _let_go(driver, run, keep_model=False)
    run.note("concluded", outcome=record.outcome)
    _forget(hands, driver, run)
    write_report(hands, driver, record)


def failed(
    hands: Hands,
    driver: Driver,
    run: Run,
    error: MlsnapError,
    *,
    stays_open: bool = False,
    silent: bool | None = None,
) -> Record:
    """Say on the commit why there is no version, and put the run to rest.

    `stays_open` leaves the run with its trained files and leases, so that `mlsnap conclude` can be run again.
    `silent` says nothing on the commit; unless it is given, that is so for a run that lost its lease: what is
    true there is another run's to say. A run that another process put to rest is left as it is.
    """
    if silent is None:
        silent = not leases.has_commit(driver, run)
    outcome: Outcome = "cancelled" if isinstance(error, errors.Cancelled) else "failed"
    trained = run.facts("trained") or {}
    record = msgspec.structs.replace(
        blank_record(hands, run, outcome),
        error=error.slug,
        reason=error.what,
        exit_code=int(error.exit_code),
        log_tail=str(trained.get("tail", "")),
        steps={"train": float(trained["seconds"])} if "seconds" in trained else {},
    )
    if run.ended:
        return record
    if not stays_open:
        _mark_live(driver, run)
        _settle_views(driver, run, None)
    if not silent:
        status = announcing.concluded(run.plan, record)
        hasty = outcome == "cancelled"
        gates = [] if hasty else announcing.gates_concluded(run.plan, record)
        announced = announce(hands, driver, run.plan, status, *gates, hasty=hasty)
        hands.progress.step(publish_step(announced, status))
        record = msgspec.structs.replace(record, announced=announced.sent, queued=announced.queued)
        record = leave_notices(hands, driver, run.plan, record)
    run.write_record(record)
    tell_build(hands, record)
    _discard_frozen(driver, run)
    if stays_open:
        run.note("failed-step", slug=error.slug)
        write_report(hands, driver, record)
        return record
    _let_go(driver, run, keep_model=isinstance(error, TrainingFailed | errors.Cancelled | errors.FormatRefused))
    run.note("failed", slug=error.slug, exit_code=int(error.exit_code))
    _forget(hands, driver, run)
    if outcome != "cancelled":  # a CI that stops us leaves no time for pages; the next run writes them
        write_report(hands, driver, record)
    return record


def volume_records(where: Sequence[Tree], name: SnapshotName) -> list[VolumeRecord]:
    """Say of each volume of a version what its snapshot and manifest say. Raises `StorageUnknown`."""
    return [_volume_record(tree, name) for tree in where]


def _volume_record(tree: Tree, name: SnapshotName) -> VolumeRecord:
    driver = tree.driver
    snapshot = driver.get(name)
    if snapshot is None or snapshot.marker is None:
        raise StorageUnknown(f"snapshot {name.short} of volume {tree.volume.name} was made and cannot be found")
    header = driver.manifest_header(name)
    return VolumeRecord(
        name=tree.volume.name,
        driver=tree.volume.driver,
        way=tree.driver.capabilities.way,
        volume_id=driver.volume_id,
        path=tree.volume.path,
        snapshot=header.name,
        native_id=snapshot.native_id,
        manifest_digest=snapshot.marker.digest,
        files=header.files,
        bytes=header.bytes,
        filling=filling_of(driver),
        read_back=driver.capabilities.reads_back,
    )


def outputs(record: Record) -> dict[str, str]:
    """What later steps of a CI may read; every key is set in every case."""
    volume = record.volume
    return {
        "conclusion": record.outcome,
        "sha": record.commit,
        "snapshot-name": volume.snapshot if volume else "",
        "snapshot-path": f"{volume.path}/.snapshot/{volume.snapshot}" if volume and volume.snapshot else "",
        "manifest-digest": volume.manifest_digest if volume else "",
        "gate": "" if record.verdict is None else "good" if record.verdict.good else "missed",
        "metrics": msgspec.json.encode(record.metrics.scalars, order="sorted").decode(),
        "reused": "true" if record.outcome == "reused" else "false",
        "queued": ",".join(record.queued),
        "comment-url": record.comment_url,
        "description": described(record),
        "result": msgspec.json.encode(
            msgspec.structs.replace(record, log_tail="", models=in_short(record.models))
        ).decode(),
    }


def tell_build(hands: Hands, record: Record) -> None:
    """Put the record on the build's page and hand its outputs to later steps; a bare checkout has neither."""
    if not hands.build.name:
        return  # rendering loads the template library, which would be for nobody
    hands.build.summary(summary(record))
    hands.build.output(outputs(record))


def write_report(hands: Hands, driver: Driver, record: Record) -> None:
    """Write the report where runs are asked for one. That it fails takes nothing from what the run did."""
    folder = hands.report.folder
    if folder is None:
        return
    try:
        done = hands.report.write(driver, record)
    except MlsnapError as error:
        text = f"not written: {error.what}" + (f" ({error.why})" if error.why else "")
        hands.progress.step(Step(name="report", state="failed", text=text))
    else:
        text = f"{folder / 'index.html'}, {done.written} files written"
        hands.progress.step(Step(name="report", state="ok", text=text))


def _discard_frozen(driver: Driver, run: Run) -> None:
    """Remove what was frozen and did not become a snapshot: another try freezes anew."""
    frozen = (run.facts("frozen") or {}).get("volumes", {})
    for tree in trees(driver, run.plan, run.run_id):
        if tree.volume.name in frozen:
            with suppress(
                MlsnapError
            ):  # the next command that writes removes it, and how the run ended is said here
                tree.driver.discard(frozen[tree.volume.name]["token"])


def _mark_live(driver: Driver, run: Run) -> None:
    """Say of the live tree that this run had in change whether it was changed."""
    plan = run.plan
    if plan.volume is None or plan.volume.isolation != "in-place":
        return
    condition: live.Condition = "equal" if run.facts("training") is None else "changed-by-failed-run"
    for tree in trees(driver, plan, run.run_id):
        state, path = tree.driver.state_folder(), Path(tree.volume.path)
        before = live.read(state, path)
        if before is not None and before.run == run.run_id:  # else not marked yet, or another run's by now
            live.write(
                state,
                path,
                version=before.version,
                condition=condition,
                run=run.run_id,
                state_of_tree=before.state,
            )


def _settle_views(driver: Driver, run: Run, version: SnapshotName | None) -> None:
    """Point the checkout's views at the new version's snapshots, or back to where they pointed before the run."""
    for tree in trees(driver, run.plan, run.run_id) if run.plan.action == "train" else ():
        if tree.volume.view:
            _settle_view(tree, run.facts("prepared") or {}, tree.driver.view(version) if version else None)


def _settle_view(tree: Tree, prepared: Mapping[str, Any], snapshot: Path | None) -> None:
    view, before = Path(tree.volume.view), prepared.get("views", {}).get(tree.volume.name)
    made_in = Path(prepared["links"]) if prepared.get("links") else None
    if snapshot is not None:
        if before is not None:
            link_view(view, snapshot, made_in=made_in)
    elif view.is_symlink() and view.readlink() == tree.model:
        if before:
            link_view(view, Path(before), made_in=made_in)
        else:
            view.unlink()


def _let_go(driver: Driver, run: Run, *, keep_model: bool) -> None:
    if run.plan.action == "train":
        clear(driver, run.plan, run.run_id, keep_model=keep_model)


def _forget(hands: Hands, driver: Driver, run: Run) -> None:
    let_go(hands, driver, run.plan)
    release_all(driver, run.run_id)
    leases.give_back(driver, run.run_id)
    pointers.drop(hands.pointers, run)


def _all_kinds(base: type[MlsnapError]) -> list[type[MlsnapError]]:
    return [base, *(kind for child in base.__subclasses__() for kind in _all_kinds(child))]
