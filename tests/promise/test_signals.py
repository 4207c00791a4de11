"""Told to stop, a run ends all that it started, says so on the commit, and leaves what `recover` brings back."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from ci_mlsnap.training.descendants import processes
from tests.promise.checking import content_of
from tests.promise.conftest import Stage, ended, eventually, runs

MakeStage = Callable[..., Stage]
LONG = """\
echo half > "$MLSNAP_MODEL_DIR/model.bin"
sleep 1000 &
echo $! > "$MLSNAP_MODEL_DIR/pids"
setsid sh -c 'echo $$ > "$MLSNAP_MODEL_DIR/far"; exec sleep 1000' &
wait
"""


@pytest.fixture
def stage(make_stage: MakeStage) -> Stage:
    """Give a stage with a version whose next training does not end by itself."""
    stage = make_stage()
    first = stage.mlsnap("run")
    assert first.code == 0, first.text
    stage.train_with(LONG)
    return stage


def test_an_interrupt_ends_training_and_the_live_tree_can_be_brought_back(stage: Stage) -> None:
    run = stage.start("run")
    pids = training_pids(stage)
    run.send_signal(signal.SIGINT)
    done = ended(run)
    assert done.code == 130, done.text
    require_cancelled(stage, pids)
    recovered = stage.mlsnap("recover")
    assert recovered.code == 0, recovered.text
    assert content_of(stage.volume)["model.bin"] == b"one\n"
    assert stage.facts("status")["live"]["equal"] is True


def test_a_termination_ends_a_run_with_143(stage: Stage) -> None:
    run = stage.start("run")
    pids = training_pids(stage)
    run.send_signal(signal.SIGTERM)
    done = ended(run)
    assert done.code == 143, done.text
    require_cancelled(stage, pids)


def test_the_runners_sequence_of_signals_gives_one_final_status(stage: Stage) -> None:
    run = stage.start("run", environment={"PYTHONUNBUFFERED": "1"})
    pids = training_pids(stage)
    for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
        run.send_signal(number)
        time.sleep(0.02)
    assert ended(run).code == 130
    require_cancelled(stage, pids)


def test_signals_that_reach_the_leaves_first_still_mean_cancelled(stage: Stage) -> None:
    jenkins = {
        "JENKINS_URL": "http://127.0.0.1/",
        "JOB_NAME": "digits",
        "BUILD_NUMBER": "3",
        "BRANCH_NAME": "main",
    }
    del stage.environment["MLSNAP__FORGE__REPOSITORY"]
    store = stage.folder / "jenkins-store"
    settings = {"MLSNAP__VOLUMES__MODELS__STORE": str(store), "WORKSPACE_TMP": str(stage.folder / "tmp")}
    (stage.folder / "tmp").mkdir()
    path = stage.folder / "jenkins-volume"
    settings |= {"MLSNAP__VOLUMES__MODELS__PATH": str(path), "MLSNAP__VOLUMES__MODELS__ISOLATION": "in-place"}
    run = stage.start("run", environment={**jenkins, **settings})
    pids = training_pids(stage, path)
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    eventually(lambda: not any(map(runs, pids)), "training ends")
    run.send_signal(signal.SIGTERM)
    done = ended(run)
    assert done.code == 143, done.text
    assert stage.states(stage.repository.head()) == ["pending", "error"]


def test_a_run_stopped_while_it_waits_for_another_says_so_and_leaves_the_other_alone(stage: Stage) -> None:
    first = stage.start("run")
    training_pids(stage)
    stage.repository.commit("another", {"train.sh": LONG, "weights.txt": "another\n"})
    second = stage.start("run")
    sha = stage.repository.head()
    eventually(lambda: len(stage.states(sha)) == 2, "the second run waits")
    assert "Waiting" in str(stage.last_status(sha)["description"])
    second.send_signal(signal.SIGTERM)
    done = ended(second)
    assert done.code == 143, done.text
    assert stage.states(sha)[-1] == "error"
    assert first.poll() is None
    first.send_signal(signal.SIGINT)
    assert ended(first).code == 130
    stage.require_rest()


def test_a_run_whose_shell_was_killed_is_ended_by_finish(stage: Stage) -> None:
    run = stage.start("run")
    pids = training_pids(stage)
    run.kill()
    run.wait()
    assert all(map(runs, pids))
    finished = stage.mlsnap("finish")
    assert finished.code == 0, finished.text
    require_cancelled(stage, pids)
    again = stage.mlsnap("finish")
    assert again.code == 0, again.text
    assert stage.states(stage.repository.head()) == ["pending", "error"]


def test_a_second_interrupt_of_an_impatient_person_ends_at_once(stage: Stage) -> None:
    stage.train_with("trap '' INT TERM\n" + LONG.replace("wait\n", "while :; do sleep 0.05; done\n"))
    run = stage.start("run", environment={"TEST_GRACE": "1000"})
    pids = training_pids(stage)
    run.send_signal(signal.SIGINT)
    time.sleep(1.2)  # what makes the second wish another one is a second
    run.send_signal(signal.SIGINT)
    assert ended(run).code == 130
    eventually(lambda: not any(map(runs, pids)), "training ends")
    assert stage.mlsnap("finish").code == 0
    assert stage.states(stage.repository.head())[-1] == "error"
    stage.require_rest()


def training_pids(stage: Stage, volume: Path | None = None) -> list[int]:
    """Wait for training, and give the processes that it started."""
    files = [(volume or stage.volume) / name for name in ("pids", "far")]

    def started() -> bool:
        return all(file.exists() and file.read_text().strip() for file in files)

    eventually(started, "training started")
    return [seen_from_here(int(file.read_text()), files[0].parent) for file in files]


def seen_from_here(number: int, volume: Path) -> int:
    """Give our number of a process that trains for this volume, which knows itself by one of its namespace."""
    for process in processes():
        place = Path("/proc") / str(process.pid)
        with suppress(OSError):
            numbers = re.search(r"^NSpid:((?:\s+\d+)+)$", (place / "status").read_text(), re.MULTILINE)
            inner = numbers[1].split()[1:] if numbers else []
            if inner == [str(number)] and os.fsencode(volume) in (place / "environ").read_bytes():
                return process.pid
    return number


def require_cancelled(stage: Stage, pids: list[int]) -> None:
    eventually(lambda: not any(map(runs, pids)), "training ends")
    sha = stage.repository.head()
    assert stage.states(sha) == ["pending", "error"]
    assert "ancelled" in str(stage.last_status(sha)["description"])
    assert stage.versions(sha) == []
    stage.require_truth()
    stage.require_rest()
    live = stage.facts("status")["live"]
    assert (live["condition"], live["equal"]) == ("changed-by-failed-run", False)
