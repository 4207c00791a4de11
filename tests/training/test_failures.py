from __future__ import annotations

import signal

import pytest
from msgspec.structs import replace

from ci_mlsnap.errors import (
    Cancelled,
    CommandMissing,
    ExitCode,
    LateWriter,
    MlsnapError,
    Terminated,
    TrainingFailed,
    TrainingTimeout,
)
from ci_mlsnap.training.failures import Trained, failure_of

GOOD = Trained(exit_code=0, seconds=61.0)
KILLED = replace(GOOD, exit_code=137, signal=9)


def test_a_good_end_is_no_failure() -> None:
    assert failure_of(GOOD, stopped=None) is None


@pytest.mark.parametrize(
    ("trained", "stopped", "kind"),
    [
        (replace(GOOD, exit_code=3), None, TrainingFailed),
        (KILLED, None, TrainingFailed),
        (replace(GOOD, exit_code=163, signal=35), None, TrainingFailed),
        (replace(GOOD, exit_code=127), None, CommandMissing),
        (replace(GOOD, exit_code=126), None, CommandMissing),
        (replace(KILLED, timed_out=True), None, TrainingTimeout),
        (KILLED, signal.SIGINT, Cancelled),
        (KILLED, signal.SIGTERM, Terminated),
        (KILLED, signal.SIGHUP, Terminated),
        (GOOD, signal.SIGTERM, Terminated),
        (replace(GOOD, survivors=1), None, LateWriter),
        (replace(GOOD, survivors=1), signal.SIGINT, LateWriter),
    ],
)
def test_each_end_has_its_error_with_a_way_out(
    trained: Trained, stopped: int | None, kind: type[MlsnapError]
) -> None:
    error = failure_of(trained, stopped=stopped)
    assert type(error) is kind
    assert error.hint


def test_a_stop_has_the_exit_code_of_its_signal() -> None:
    interrupted, terminated = (failure_of(KILLED, stopped=number) for number in (signal.SIGINT, signal.SIGTERM))
    assert interrupted is not None and interrupted.exit_code is ExitCode.INTERRUPTED
    assert terminated is not None and terminated.exit_code is ExitCode.TERMINATED


@pytest.mark.parametrize("trained", [KILLED, replace(KILLED, signal=0)])
def test_a_kill_hints_at_memory_also_when_a_shell_tells_of_it(trained: Trained) -> None:
    error = failure_of(trained, stopped=None)
    assert error is not None and "memory" in error.hint


def test_a_kill_is_told_by_its_name() -> None:
    error = failure_of(KILLED, stopped=None)
    assert error is not None
    assert "SIGKILL" in error.what and "1 min 1 s" in error.what
