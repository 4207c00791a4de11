"""Judging a version by a command that somebody gives: it sees a read-only view, no shell and no secret."""

from __future__ import annotations

import shlex
import signal
import sys
from pathlib import Path
from typing import BinaryIO

import msgspec

from ci_mlsnap.domain.bisecting import Judgement, judge_exit
from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.errors import Cancelled, Terminated, TrainingFailed, UsageError
from ci_mlsnap.flows.context import Project
from ci_mlsnap.training.environment import training_environment
from ci_mlsnap.training.isolation import Isolation
from ci_mlsnap.training.process import Trained, run_training
from ci_mlsnap.training.signals import StopSignal

PLACE = "{path}"
_SAFE = "nothing was changed"


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """How a version is judged by a command: its words, where it runs, its `timeout` in seconds, what hears it."""

    command: tuple[str, ...]
    folder: Path
    timeout: float | None = None
    sink: BinaryIO | None = None
    isolation: Isolation | None = None


def read_command(text: str) -> tuple[str, ...]:
    """Take a command apart into words, as a shell would, but without one. Raises `UsageError`."""
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(
            "the command of --eval cannot be read", why=str(error), safe=_SAFE, hint="check its quotes"
        ) from None
    if not any(PLACE in word for word in words):
        raise UsageError(
            f"the command of --eval says nowhere where the version's files go: {text[:100]!r}",
            safe=_SAFE,
            hint=f"write {PLACE} there, as in --eval 'python check.py {PLACE}'",
        )
    return words


def evaluate(
    project: Project, name: SnapshotName, commit: str, evaluation: Evaluation, stop: StopSignal
) -> Judgement:
    """Run the command on a version, end all that it started, and say what its exit code means.

    One that takes longer than the timeout judges nothing. Raises `UsageError` when the command cannot be run, or
    ends in a way that means nothing; `IntegrityDamage` for a version that is not what was sealed, `NoSuchVersion`,
    `Cancelled`.
    """
    project.driver.read_back(name)
    return _judgement(name, _run(project, name, commit, evaluation, stop), stop)


def _run(project: Project, name: SnapshotName, commit: str, evaluation: Evaluation, stop: StopSignal) -> Trained:
    path, hands = str(project.driver.view(name)), project.hands
    environment, _ = training_environment(
        hands.environ,
        passed=project.settings.train.env,
        own={"MLSNAP_VERSION": str(name), "MLSNAP_COMMIT": commit},
    )
    hands.build.fence()
    try:
        return run_training(
            [word.replace(PLACE, path) for word in evaluation.command],
            folder=evaluation.folder,
            environment=environment,
            timeout=evaluation.timeout,
            sink=evaluation.sink or sys.stderr.buffer,
            stop=stop,
            grace_seconds=hands.timing.grace,
            namespace=evaluation.isolation is Isolation.NAMESPACE,
        )
    except TrainingFailed as error:
        raise UsageError(
            f"the command of --eval cannot be run: {evaluation.command[0][:100]!r}",
            why=error.why,
            safe=_SAFE,
            hint="check its name, that the file is executable with a `#!` line, and PATH",
        ) from error
    finally:
        hands.build.unfence()


def _judgement(name: SnapshotName, ended: Trained, stop: StopSignal) -> Judgement:
    if stop.received:
        kind = Cancelled if stop.received == signal.SIGINT else Terminated
        raise kind("bisect was stopped", safe=_SAFE, hint="run it again")
    if ended.timed_out:
        return "skip"
    found = None if ended.signal else judge_exit(ended.exit_code)
    if found is None:
        how = f"was killed by signal {ended.signal}" if ended.signal else f"ended with code {ended.exit_code}"
        raise UsageError(
            f"the command of --eval {how} on {name.short}",
            why="0 means good, 125 not to be judged, 1 to 127 bad; any other end means that the command broke",
            safe=_SAFE,
            hint="its own output above says more",
        )
    return found
