"""train: run the command of the plan. Needs no secret and gets none."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import BinaryIO, Literal

from ci_mlsnap.domain.pins import variable
from ci_mlsnap.domain.plan import Plan, model_variable
from ci_mlsnap.domain.texts import counted, duration
from ci_mlsnap.errors import LateWriter, TrainingFailed, UsageError
from ci_mlsnap.flows import settle
from ci_mlsnap.flows.context import Hands
from ci_mlsnap.flows.pinning import noted
from ci_mlsnap.flows.workspace import model_of, places
from ci_mlsnap.ports import Step
from ci_mlsnap.state import receipts
from ci_mlsnap.state.journal import Run
from ci_mlsnap.training.environment import passed_names, training_environment
from ci_mlsnap.training.isolation import Isolation
from ci_mlsnap.training.packages import packages_digest
from ci_mlsnap.training.process import Trained, failure_of, run_training
from ci_mlsnap.training.signals import StopSignal


def train(
    hands: Hands,
    run: Run,
    stop: StopSignal,
    *,
    sink: BinaryIO | None = None,
    isolation: Isolation | None = None,
) -> Trained:
    """Train, stream the output unchanged, stop every descendant, and note how it ended.

    `isolation` is what keeps it from secrets of this process, None when that has none. Raises `TrainingFailed` (or
    `TrainingTimeout`, `CommandMissing`), and `Cancelled` when we were stopped; the journal has it in each case, so
    `conclude` can say it on the commit.
    """
    plan = run.plan
    if plan.action != "train" or plan.training is None:
        raise UsageError(f"this run has nothing to train: {plan.reason or plan.answered_by}")
    environment, left_out = environment_for(plan, run, hands.environ)
    # A storage's clock may be a little behind: what changed just before the start still counts as of this run.
    run.note(
        "training",
        since_ns=int((hands.clock() - hands.timing.clock_slack) * 1e9),
        packages=packages_digest(environment),
        passed=passed_names(hands.environ, plan.training.environment),
        isolation=isolation or "",
    )
    _say_left_out(hands, left_out)
    _say_isolation(hands, isolation)
    hands.build.fence()
    try:
        trained = run_training(
            plan.training.command,
            folder=places(plan, run.run_id).code,
            environment=environment,
            timeout=plan.training.timeout or None,
            sink=sink or sys.stdout.buffer,
            stop=stop,
            heartbeat=lambda seconds: _heartbeat(hands, seconds),
            heartbeat_seconds=hands.timing.heartbeat,
            grace_seconds=hands.timing.grace,
            own_signal_wait=hands.timing.own_signal_wait,
            namespace=isolation is Isolation.NAMESPACE,
        )
    except TrainingFailed as error:
        run.note("trained", error=error.slug, reason=error.what, seconds=0.0)
        raise
    finally:
        hands.build.unfence()
    return _noted(hands, run, trained, stop)


def environment_for(plan: Plan, run: Run, environ: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The variables that training gets, and the names of those that it does not."""
    assert plan.training is not None
    where = places(plan, run.run_id)
    prepared = run.facts("prepared") or {}
    own = {
        "MLSNAP_MODEL_DIR": str(where.model),
        **{model_variable(volume.name): str(model_of(volume, run.run_id)) for volume in plan.volumes},
        "MLSNAP_METRICS": str(where.out / "metrics.json"),
        settle.VARIABLE: str(receipts.folder_of(where.out, run.run_id)),
        "MLSNAP_COMMIT": plan.commit,
        "MLSNAP_PARENT": plan.parent,
        "MLSNAP_RESUME": "1" if prepared.get("resumed") else "",
        **{variable(pin.volume): pin.path for pin in noted(run)},
    }
    return training_environment(environ, passed=plan.training.environment, own={k: v for k, v in own.items() if v})


def _noted(hands: Hands, run: Run, trained: Trained, stop: StopSignal) -> Trained:
    error = failure_of(trained, stopped=stop.received)
    run.note(
        "trained",
        exit_code=trained.exit_code,
        seconds=round(trained.seconds, 3),
        leftovers=trained.leftovers,
        tail=trained.tail.decode(errors="replace")[-8000:],
        error=error.slug if error else "",
        reason=error.what if error else "",
        signal=stop.received or 0,
    )
    if error is not None:
        raise error
    if trained.leftovers:
        raise _left_behind(run, trained)
    hands.progress.step(Step(name="train", state="ok", text=_command(run.plan), seconds=trained.seconds))
    if trained.unshown:
        hands.progress.step(Step(name="train", state="note", text=f"not all output was shown: {trained.unshown}"))
    return trained


def _left_behind(run: Run, trained: Trained) -> LateWriter:
    """The training command ended before its children did: what they still wrote is half of something."""
    error = LateWriter(
        f"{counted(trained.leftovers, 'process')} of training still ran when the command had ended",
        why="they were ended, and a file that one of them was writing may be cut off",
        safe="no snapshot was made; earlier versions are as they were",
        hint="let the training command wait for its children",
    )
    facts = run.facts("trained") or {}
    run.note("trained", **{**facts, "error": error.slug, "reason": error.what})
    return error


def _command(plan: Plan) -> str:
    assert plan.training is not None
    command = plan.training.command
    return command if isinstance(command, str) else " ".join(command)


def _heartbeat(hands: Hands, seconds: float) -> None:
    hands.progress.step(Step(name="train", state="waiting", text=f"training since {duration(seconds)}"))


def _say_left_out(hands: Hands, names: tuple[str, ...]) -> None:
    if names:
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        text = f"training does not get {shown}; `train.env` passes variables by name"
        hands.progress.step(Step(name="environment", state="note", text=text))


def _say_isolation(hands: Hands, isolation: Isolation | None) -> None:
    if isolation is not None:
        text = f"isolation of training: {isolation}"
        state: Literal["ok", "note"] = "note" if isolation is Isolation.NONE else "ok"
        hands.progress.step(Step(name="isolation", state=state, text=text))
