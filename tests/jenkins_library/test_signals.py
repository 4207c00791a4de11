"""Jenkins ends a step: SIGTERM for every process below it, from the leaves up, and all of it again a little later.

On a real server each process that does not end at once costs five seconds; here a fraction of one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.jenkins_library.conftest import Build
from tests.promise.conftest import Done, ended, eventually, runs

BETWEEN = 0.25
"""Seconds from one process to the next."""
TERMINATED = (143, -signal.SIGTERM)
"""A shell makes 143 of both: of mlsnap's own exit code, and of a signal that found it as good as ended."""
STARTED = 'touch "$MLSNAP_MODEL_DIR/../started"\n'
TRAININGS = {
    "one that dies of the signal": f"{STARTED}sleep 1000\n",
    "one that makes an error of it": f"{STARTED}sleep 1000 || exit 1\n",
    "one that hides it": f"{STARTED}sleep 1000 &\nsleep 1000 &\nwait || true\necho '{{}}' >\"$MLSNAP_METRICS\"\n",
    "one that does not listen": f"trap '' TERM\n{STARTED}while :; do sleep 0.05; done\n",
    "one that leaves its session": f"setsid sh -c '{STARTED.strip()}; exec sleep 1000' &\nwait\n",
}


@pytest.mark.parametrize("training", TRAININGS)
def test_an_aborted_build_has_an_error_on_its_commit_and_leaves_nothing(build: Build, training: str) -> None:
    sha = build.stage.train_with(TRAININGS[training])
    assert build.step("mlsnapBegin").code == 0
    plan = build.answers["plan"]
    step = build.start("mlsnapTrain", plan=plan)
    started(build)
    assert b"/bin/sh" not in Path(f"/proc/{step.pid}/cmdline").read_bytes(), (
        "the shell is between Jenkins and mlsnap"
    )
    below = list(leaves_first(step.pid))
    done = aborted(step)
    assert training == "one that hides it" or done.code in TERMINATED, done.text
    finished = build.step("mlsnapFinish", plan=plan)
    assert finished.code == 0, finished.text
    assert build.stage.states(sha) == ["pending", "error"]
    assert build.stage.versions(sha) == []
    eventually(lambda: not any(map(runs, below)), "all that training started has ended")
    build.stage.require_rest()
    assert build.step("mlsnapFinish").code == 0
    assert build.stage.states(sha) == ["pending", "error"]


def test_an_abort_while_it_concludes_makes_a_whole_version_or_none(build: Build) -> None:
    sha = build.stage.repository.head()
    assert build.step("mlsnapBegin").code == 0
    plan = build.answers["plan"]
    assert build.step("mlsnapTrain", plan=plan).code == 0
    step = build.start("mlsnapConclude", plan=plan)
    run = build.stage.runs()[0] / "journal"
    eventually(lambda: b"frozen" in run.read_bytes() or step.poll() is not None, "it concludes")
    aborted(step)
    assert build.step("mlsnapFinish", plan=plan).code == 0
    states = build.stage.states(sha)
    assert states[-1] == ("success" if build.stage.versions(sha) else "error")
    build.stage.require_truth()
    build.stage.require_rest()


def started(build: Build) -> None:
    eventually(lambda: list(build.stage.store.glob("work/**/started")), "training started")


def aborted(step: subprocess.Popen[str]) -> Done:
    """Signal the step's processes as Jenkins does, three times at most, and wait for its end."""
    for _ in range(3):
        for pid in leaves_first(step.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            time.sleep(BETWEEN)
        if step.poll() is not None:
            break
    return ended(step)


def leaves_first(pid: int) -> Iterator[int]:
    """Give a process and all below it, children before their parents."""
    with suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield from leaves_first(int(child))
    yield pid
