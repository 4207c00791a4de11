"""conclude: writers stopped, frozen, inventoried, judged, sealed, read back, recorded, advanced, announced.

Acts on the plan alone and reads nothing from the checkout, which training could have changed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from ci_mlsnap.domain import announcing
from ci_mlsnap.domain import plan as plans
from ci_mlsnap.domain.gates import Verdict, judge
from ci_mlsnap.domain.manifest import Manifest, ManifestHeader
from ci_mlsnap.domain.metrics import Metrics, shown
from ci_mlsnap.domain.models import ModelFile
from ci_mlsnap.domain.models import told as told_model
from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.domain.plan import Plan
from ci_mlsnap.domain.record import Record, VolumeRecord
from ci_mlsnap.domain.status import cut, one_line
from ci_mlsnap.domain.texts import counted, size
from ci_mlsnap.errors import (
    AnnouncingQueued,
    Busy,
    ExitCode,
    GateMissed,
    LateWriter,
    LeaseLost,
    MlsnapError,
    ModelUnchanged,
    Remark,
    StorageFailed,
    StorageUnknown,
    WriterUnsettled,
)
from ci_mlsnap.flows import closing, leases, pinning, sealing
from ci_mlsnap.flows.announce import Announced, announce, publish_step
from ci_mlsnap.flows.context import TOOL, Hands
from ci_mlsnap.flows.modelling import STEP, Place, kept, model_files, require_allowed
from ci_mlsnap.flows.sealing import Taken
from ci_mlsnap.flows.settle import require_settled
from ci_mlsnap.flows.workspace import Tree, model_of, places, trees
from ci_mlsnap.ports import Driver, Step
from ci_mlsnap.state import known_models
from ci_mlsnap.state.journal import Run
from ci_mlsnap.state.sequences import next_sequence
from ci_mlsnap.training.metrics import find_metrics
from ci_mlsnap.training.writers import open_writers
from ci_mlsnap.trees.fingerprint import fingerprint

_CAN_BE_MENDED = (StorageFailed, StorageUnknown, WriterUnsettled, Busy)
"""What leaves the run open with its trained files, so that `conclude` can be run again."""
_MODELS_TOLD = 3


class _Clockwork(msgspec.Struct):
    """Seconds by step, for the record."""

    steps: dict[str, float] = msgspec.field(default_factory=dict)
    since: float = msgspec.field(default_factory=time.monotonic)

    def lap(self, name: str) -> float:
        now = time.monotonic()
        self.steps[name] = round(now - self.since, 4)
        self.since = now
        return self.steps[name]


def conclude(hands: Hands, driver: Driver, run: Run, *, plan_checked: bool) -> Record:
    """Turn what training left into a version and say so on the commit; or say why there is none.

    Raises the error that the record names (`TrainingFailed`, `ModelUnchanged`, `GateMissed`, `StorageFailed` …)
    after the run is at rest, `AnnouncingQueued` when all is good but a status could not be sent.
    """
    plan = run.plan
    closing.require_own_state(driver, run)
    if plan.action == "train" and run.facts("trained") is None:
        raise closing.not_trained()
    try:
        record = _reused(hands, driver, run) if plan.action == "announce" else _version(hands, driver, run)
        leases.check(driver, run)
    except MlsnapError as error:
        mended = isinstance(error, _CAN_BE_MENDED)
        closing.failed(hands, driver, run, error, stays_open=mended)
        if mended:
            error.hint = _way_on(error)
        raise
    record = msgspec.structs.replace(record, plan_digest=plans.digest(plan), plan_checked=plan_checked)
    closing.settle(hands, driver, run, record)
    try:
        announced = _announce(hands, driver, run, record)
    except LeaseLost as error:  # whoever moves the live tree may have had to wait for another's move
        closing.failed(hands, driver, run, error)
        raise
    record = msgspec.structs.replace(record, announced=announced.sent, queued=announced.queued)
    closing.close(hands, driver, run, record)
    _raise_what_remains(record, announced)
    return record


def _way_on(error: MlsnapError) -> str:
    """Say what to do about what can be mended: a run from the start would train again."""
    if isinstance(error, StorageUnknown):
        return "`mlsnap conclude` goes on with what was trained, and finds by its name what was done"
    if "conclude" in error.hint:
        return error.hint
    return f"{error.hint}; then `mlsnap conclude` goes on with what was trained".removeprefix("; then ")


def _version(hands: Hands, driver: Driver, run: Run) -> Record:
    plan, clock = run.plan, _Clockwork()
    trained = closing.require_trained(run)
    clock.steps["train"] = float(trained.get("seconds", 0.0))
    where = trees(driver, plan, run.run_id)
    for tree in where:
        _refuse_writers(tree.model)
    receipts = require_settled(run)
    metrics = _metrics(hands, plan, run)
    untouched = _refuse_unchanged(run, where)
    clock.lap("check")
    taken = _freeze(hands, driver, run, where)
    _refuse_same(run, taken, untouched, where)
    verdict = judge(plan.gates, metrics.scalars, plan.baseline_metrics)
    _say_verdict(hands, plan, metrics, verdict)
    clock.lap("freeze")
    models = _models(hands, driver, plan, taken)
    clock.lap(STEP)
    made = sealing.manifests(taken, _header(hands, driver, run, metrics, verdict))
    at_once = _publish(driver, run, taken, made)
    clock.lap("seal")
    driver.read_back(SnapshotName.parse(plan.name))
    run.note("read-back")
    clock.lap("read back")
    volume, *others = _volume_records(where, SnapshotName.parse(plan.name), taken, clock)
    hands.progress.step(_snapshot_step(plan, (volume, *others), at_once=at_once))
    record = _record(hands, run, made[0].header, metrics, volume, clock.steps)
    return msgspec.structs.replace(record, receipts=receipts, others=tuple(others), models=models)


def _refuse_writers(model: Path) -> None:
    writers = open_writers(model)
    if writers:
        first = writers[0]
        raise LateWriter(
            f"process {first.pid} ({first.command[:60]}) still has a file of the volume open for writing",
            why="a snapshot now could hold half of what it writes",
            safe="nothing was snapshotted; the trained files are where they were",
            hint="let the training command wait for its children before it ends",
        )


def _metrics(hands: Hands, plan: Plan, run: Run) -> Metrics:
    assert plan.training is not None
    where = places(plan, run.run_id)
    models = [model_of(volume, run.run_id) for volume in plan.volumes]
    roots = (where.out, *models, where.code)
    since = (run.facts("training") or {}).get("since_ns")

    def note(text: str) -> None:
        hands.progress.step(Step(name="metrics", state="note", text=text))

    metrics = find_metrics(roots, plan.training.metrics_file or None, since_ns=since, tell=note)
    if metrics.scalars:
        named = ", ".join(f"{name} {shown(value)}" for name, value in sorted(metrics.scalars.items())[:4])
        hands.progress.step(Step(name="metrics", state="ok", text=f"{metrics.source}: {named}"))
    else:
        hands.progress.step(Step(name="metrics", state="note", text="none found"))
    return metrics


def _refuse_unchanged(run: Run, where: Sequence[Tree]) -> set[str]:
    """Refuse trees that nothing was written to, as far as that can be told without reading files; name some."""
    untouched = {tree.volume.name for tree in where if _is_untouched(tree, _before(run, tree.volume.name))}
    if len(untouched) == len(where):
        raise _unchanged(where)
    return untouched


def _is_untouched(tree: Tree, before: Mapping[str, str]) -> bool:
    state, walked = before.get("state", ""), before.get("fingerprint", "")
    return bool(
        (state and tree.driver.state_of(tree.model) == state) or (walked and fingerprint(tree.model) == walked)
    )


def _refuse_same(run: Run, taken: Sequence[Taken], untouched: set[str], where: Sequence[Tree]) -> None:
    """Refuse what holds the same as before training: a tree's state changes also when it is only read."""
    contents = {it.volume: it.frozen.inventory.content_digest for it in taken}
    same = {volume for volume, digest in contents.items() if digest == _before(run, volume).get("content")}
    if len(untouched | same) == len(where):
        raise _unchanged(where)


def _before(run: Run, volume: str) -> Mapping[str, str]:
    """How a volume's tree looked before training."""
    found: Mapping[str, str] = (run.facts("prepared") or {}).get("before", {}).get(volume, {})
    return found


def _unchanged(where: Sequence[Tree]) -> ModelUnchanged:
    return ModelUnchanged(
        "training ended well but changed no file of the volume",
        why=f"nothing below {' and '.join(str(tree.model) for tree in where)} is newer than the start of the run",
        safe="nothing was snapshotted",
        hint="write the model below $MLSNAP_MODEL_DIR",
    )


def _freeze(hands: Hands, driver: Driver, run: Run, where: Sequence[Tree]) -> list[Taken]:
    """Freeze all volumes, and note each before the next one is.

    The version's number and time are chosen once: concluding again then makes the same manifests.
    """
    parent = SnapshotName.parse(run.plan.parent) if run.plan.parent else None
    mode = run.plan.files_mode
    before = run.facts("frozen")
    sequence = before["sequence"] if before else next_sequence(driver.state_folder(), driver)
    created = before["created"] if before else hands.now()
    taken: list[Taken] = []
    for tree in where:
        frozen = tree.driver.freeze(tree.model, parent=parent, full=mode == "full", inventory=mode != "none")
        taken.append(Taken(volume=tree.volume.name, driver=tree.driver, tree=tree.model, frozen=frozen))
        volumes = {it.volume: {"token": it.frozen.token, "state": it.frozen.state} for it in taken}
        run.note("frozen", volumes=volumes, sequence=sequence, created=created)
    return taken


def _models(hands: Hands, driver: Driver, plan: Plan, taken: Sequence[Taken]) -> tuple[ModelFile, ...]:
    """Say what the model files are. Raises `FormatRefused`."""
    where = [Place(volume=it.volume, root=_readable(it), entries=it.frozen.inventory.entries) for it in taken]
    known = known_models.read(driver.state_folder())
    looked = model_files(where, allowed=plan.formats, known=known)
    if looked.known != known:
        with suppress(MlsnapError):  # it can be found out again
            known_models.write(driver.state_folder(), looked.known)
    for file in looked.files[:_MODELS_TOLD]:
        hands.progress.step(
            Step(name="model", state="ok", text=f"{one_line(file.path)}: {told_model(file.model)}")
        )
    return kept(looked.files)


def _readable(taken: Taken) -> Path:
    """Where what was frozen can be read: where it follows its tree, that is the tree."""
    return taken.frozen.path if taken.driver.capabilities.apart else taken.tree


def _header(hands: Hands, driver: Driver, run: Run, metrics: Metrics, verdict: Verdict) -> ManifestHeader:
    """Say where the version comes from; what is in each volume is added to it."""
    plan, frozen = run.plan, run.facts("frozen")
    assert plan.volume is not None and frozen is not None
    return ManifestHeader(
        format="mlsnap/manifest/1",
        name=plan.name,
        volume=plan.volume.name,
        volume_id=driver.volume_id,
        members=tuple(volume.name for volume in plan.volumes),
        project=plan.project,
        model=plan.model,
        commit=plan.commit,
        tree=plan.tree if not plan.dirty else "",
        parents=plan.parents,
        attempt=SnapshotName.parse(plan.name).attempt,
        sequence=frozen["sequence"],
        created=frozen["created"],
        ref=plan.event.ref,
        event=plan.event.kind,
        inputs_digest=plan.inputs_digest if not plan.dirty else "",
        metrics=metrics.scalars,
        metrics_source=metrics.source,
        baseline=plan.baseline,
        gates=plan.gates,
        verdict=verdict,
        files_mode=plan.files_mode,
        pins=pinning.confirm(hands, driver, run),
        tool=TOOL,
    )


def _publish(driver: Driver, run: Run, taken: Sequence[Taken], made: Sequence[Manifest]) -> bool:
    """Publish the version; tell whether all its snapshots are of one instant."""
    marker = sealing.marker_of(made[0])
    run.note("sealing", digest=marker.digest)
    leases.check(driver, run)
    at_once = sealing.seal(taken, made, marker)
    run.note("published", digest=marker.digest)
    return at_once


def _volume_records(
    where: Sequence[Tree], name: SnapshotName, taken: Sequence[Taken], clock: _Clockwork
) -> list[VolumeRecord]:
    seconds = round(clock.steps["freeze"] + clock.steps["seal"], 4)
    return [
        msgspec.structs.replace(record, storage_seconds=seconds, copied_bytes=it.frozen.copied_bytes)
        for record, it in zip(closing.volume_records(where, name), taken, strict=True)
    ]


def _record(
    hands: Hands,
    run: Run,
    header: ManifestHeader,
    metrics: Metrics,
    volume: VolumeRecord,
    steps: dict[str, float],
) -> Record:
    verdict = header.verdict
    return msgspec.structs.replace(
        closing.blank_record(hands, run, "good" if verdict.good else "gate-missed"),
        attempt=header.attempt,
        sequence=header.sequence,
        volume=volume,
        pins=header.pins,
        metrics=metrics,
        verdict=verdict,
        steps=steps,
        created=header.created,
        exit_code=int(ExitCode.DONE if verdict.good else ExitCode.GATE_MISSED),
    )


def _reused(hands: Hands, driver: Driver, run: Run) -> Record:
    """The record of a commit that needs no training: that of the version which answers it."""
    plan = run.plan
    name = SnapshotName.parse(plan.answered_by)
    driver.read_back(name)
    header = driver.manifest_header(name)
    where = trees(driver, plan, run.run_id)
    require_allowed(where, name, plan.formats)
    volume, *others = closing.volume_records(where, name)
    text = f"{plan.answered_how} version {name.short}: nothing was trained"
    hands.progress.step(Step(name="version", state="ok", text=text))
    return msgspec.structs.replace(
        closing.blank_record(hands, run, "reused"),
        attempt=header.attempt,
        sequence=header.sequence,
        metrics=Metrics(source=header.metrics_source, scalars=header.metrics),
        baseline=header.baseline,
        gates=header.gates,
        verdict=header.verdict,
        created=header.created,
        reason=text,
        volume=volume,
        others=tuple(others),
        pins=header.pins,
        exit_code=int(ExitCode.DONE if header.verdict.good else ExitCode.GATE_MISSED),
    )


def _say_verdict(hands: Hands, plan: Plan, metrics: Metrics, verdict: Verdict) -> None:
    for finding in verdict.findings:
        hands.progress.step(Step(name="gate", state="ok" if finding.good else "missed", text=finding.text))


def _snapshot_step(plan: Plan, volumes: Sequence[VolumeRecord], *, at_once: bool) -> Step:
    held = f"{counted(sum(it.files for it in volumes), 'file')}, {size(sum(it.bytes for it in volumes))}"
    instant = "at one instant" if at_once else "one after the other, not at one instant"
    where = f" in {len(volumes)} volumes, {instant}" if len(volumes) > 1 else ""
    ways = " and ".join(dict.fromkeys(it.way for it in volumes))
    unread = "" if all(it.read_back for it in volumes) else ", not read back"
    how = f"({ways}, {size(sum(it.copied_bytes for it in volumes))} written anew{unread})"
    short = SnapshotName.parse(plan.name).short
    text = f"{short}  {held}{where} {how}"
    return Step(name="snapshot", state="ok", text=text, seconds=volumes[0].storage_seconds)


def _announce(hands: Hands, driver: Driver, run: Run, record: Record) -> Announced:
    assert record.volume is not None
    status = announcing.concluded(run.plan, record)
    gates = announcing.gates_concluded(run.plan, record)
    fence = leases.fenced(driver, run)
    announced = announce(hands, driver, run.plan, status, *gates, snapshot=record.volume.snapshot, fence=fence)
    hands.progress.step(publish_step(announced, status))
    return announced


def _raise_what_remains(record: Record, announced: Announced) -> None:
    assert record.volume is not None and record.verdict is not None
    short = SnapshotName.parse(record.volume.snapshot).short
    if not record.verdict.good:
        missed = "; ".join(finding.text for finding in record.verdict.missed)
        raise GateMissed(
            f"gate missed: {missed}",
            safe=f"snapshot {short} is kept for study and was not advanced",
            hint=f"`mlsnap show {short}` shows it; `mlsnap log` shows what it is compared with",
            remarks=[
                Remark(finding.text, title=f"mlsnap: {cut(one_line(finding.metric), 60)} missed its gate")
                for finding in record.verdict.missed
            ],
        )
    if announced.queued:
        raise AnnouncingQueued(
            "the version is good, but its status could not be sent",
            why=announced.why,
            safe=f"snapshot {short} is complete; the status waits in the outbox",
            hint="`mlsnap publish` sends it, and so does the next run",
        )
