"""finish: end what a stopped run left over, by asking the storage what is true."""

from __future__ import annotations

import msgspec

from ci_mlsnap.domain import announcing
from ci_mlsnap.domain.manifest import ManifestHeader
from ci_mlsnap.domain.metrics import Metrics
from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.domain.record import Record
from ci_mlsnap.errors import Cancelled, ExitCode, IntegrityDamage, MlsnapError
from ci_mlsnap.flows import closing, leases
from ci_mlsnap.flows.announce import announce, publish_step
from ci_mlsnap.flows.context import Hands
from ci_mlsnap.flows.workspace import trees
from ci_mlsnap.ports import Driver, Snapshot, Step
from ci_mlsnap.state.journal import Run
from ci_mlsnap.training.process import end_leftovers


def finish(hands: Hands, driver: Driver, run: Run) -> Record | None:
    """Bring one open run to rest: adopt its version when the storage has it, else undo and say so.

    Does nothing for a run that ended in order, nor for one whose own process lives and will end it; doing it
    twice is doing it once.
    """
    closing.require_own_state(driver, run)
    if run.ended or leases.has_process(driver, run):
        return None
    end_leftovers(run.run_id, grace_seconds=hands.timing.grace)
    leases.free_orphans(driver)  # among them the one that a move of the live tree held when it was cut off
    try:
        snapshot = _made(driver, run)
    except IntegrityDamage as damage:
        closing.failed(hands, driver, run, damage, silent=leases.are_taken_over(driver, run))
        raise
    if snapshot is not None:
        return _adopt(hands, driver, run, snapshot)
    return closing.failed(hands, driver, run, _what_happened(run), silent=_is_anothers(driver, run))


def _is_anothers(driver: Driver, run: Run) -> bool:
    """Tell whether another run has the commit, or made its version: this one must not cover what that says."""
    found = driver.get(SnapshotName.parse(run.plan.name))
    return leases.are_taken_over(driver, run) or (found is not None and found.marker is not None)


def _made(driver: Driver, run: Run) -> Snapshot | None:
    """Give the snapshot that this run made: it has the digest that the journal names, and reads back."""
    sealing = run.facts("sealing")
    if sealing is None:
        return None
    name = SnapshotName.parse(run.plan.name)
    snapshot = driver.get(name)
    if snapshot is None or snapshot.marker is None or snapshot.marker.digest != sealing["digest"]:
        return None
    driver.read_back(name)
    return snapshot


def _adopt(hands: Hands, driver: Driver, run: Run, snapshot: Snapshot) -> Record:
    header = driver.manifest_header(SnapshotName.parse(run.plan.name))
    record = _record_of(hands, driver, run, header)
    closing.settle(hands, driver, run, record)
    status = announcing.concluded(run.plan, record)
    gates = announcing.gates_concluded(run.plan, record)
    announced = announce(hands, driver, run.plan, status, *gates, snapshot=snapshot.name)
    hands.progress.step(publish_step(announced, status))
    record = msgspec.structs.replace(record, announced=announced.sent, queued=announced.queued)
    closing.close(hands, driver, run, record)
    return record


def _record_of(hands: Hands, driver: Driver, run: Run, header: ManifestHeader) -> Record:
    """Make the record of a version whose run was cut off after it was published."""
    where = trees(driver, run.plan, run.run_id)
    volume, *others = closing.volume_records(where, SnapshotName.parse(run.plan.name))
    hands.progress.step(Step(name="recover", state="ok", text=f"version {header.name[:12]} was complete: adopted"))
    return msgspec.structs.replace(
        closing.blank_record(hands, run, "good" if header.verdict.good else "gate-missed"),
        attempt=header.attempt,
        sequence=header.sequence,
        metrics=Metrics(source=header.metrics_source, scalars=header.metrics),
        verdict=header.verdict,
        created=header.created,
        volume=volume,
        others=tuple(others),
        pins=header.pins,
        exit_code=int(ExitCode.DONE if header.verdict.good else ExitCode.GATE_MISSED),
    )


def _what_happened(run: Run) -> MlsnapError:
    """Say why the run has no version: with the error of the phase that failed, else that it was cut off."""
    record = run.record()
    if record is not None and record.error:
        return closing.error_named(record.error, record.reason, hint="run again")
    if run.facts("trained") is not None:
        try:
            closing.require_trained(run)
        except MlsnapError as error:
            return error
        return Cancelled("the run was stopped after training and before its snapshot")
    if run.facts("training") is not None:
        return Cancelled("the run was stopped while it trained")
    return Cancelled("the run was stopped before it trained")
