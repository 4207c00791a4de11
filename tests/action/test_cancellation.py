"""A job that is cancelled: the runner's signals on the steps' own texts, and the last step that always comes.

The runner sends SIGINT to the step's shell, SIGTERM 7.5 seconds later, and kills all that is left 2.5 seconds
after that. `act` does none of it, so the steps are run here as the runner runs them, its waits shortened.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from ci_mlsnap.ci.inputs import OUTPUTS
from tests.action.conftest import PATIENCE, REPOSITORY, TOKEN, Workplace
from tests.action.test_files import script, steps

Make = Callable[..., Workplace]
TRAINS = 'echo $$ > FOLDER/pid; echo begun > "$MLSNAP_MODEL_DIR/model.bin"; '


@dataclass(kw_only=True)
class Job:
    """A job of the root action, step by step, on a runner of which nothing is left out but the runner."""

    place: Workplace
    plan: str = ""

    def start(self, name: str) -> subprocess.Popen[str]:
        """Start a step as the runner does: a shell that reads the step's text from a file."""
        folder = self.place.folder
        (folder / "step.sh").write_text(script(steps("action.yml")[name]))
        (folder / "temp").mkdir(exist_ok=True)
        for file in ("output", "summary"):
            (folder / file).write_text("")
        secrets = {"MLSNAP_GITHUB_TOKEN": TOKEN} if name != "train" else {}
        given = {"MLSNAP_INPUT_TRAIN": "sh train.sh", "MLSNAP_INPUT_VOLUME": str(self.place.volume)}
        return subprocess.Popen(
            ("bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(folder / "step.sh")),
            cwd=self.place.repository.path,
            env={
                **os.environ,
                **secrets,
                **(given if name == "begin" else {}),
                "MLSNAP_PYTHON": sys.executable,
                "MLSNAP_SEAL": "-",
                "MLSNAP_INPUT_PLAN": self.plan if name != "begin" else "",
                "MLSNAP_INPUT_GITHUB_URL": self.place.server.url if secrets else "",
                "CI": "true",
                "GITHUB_ACTIONS": "true",
                "GITHUB_EVENT_NAME": "push",
                "GITHUB_EVENT_PATH": str(folder / "event.json"),
                "GITHUB_REPOSITORY": REPOSITORY,
                "GITHUB_OUTPUT": str(folder / "output"),
                "GITHUB_STEP_SUMMARY": str(folder / "summary"),
                "RUNNER_TEMP": str(folder / "temp"),
                "RUNNER_ENVIRONMENT": "self-hosted",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, name: str) -> str:
        """Run a step that must end well, and give its output."""
        step = self.start(name)
        said, _ = step.communicate(timeout=PATIENCE)
        assert step.returncode == 0, said
        return said

    def outputs(self) -> dict[str, str]:
        """Give the outputs of the last step."""
        text = (self.place.folder / "output").read_text()
        return {
            name: value
            for name, _, value in re.findall(r"^([a-z-]+)<<(\S+)\n(.*?)\n\2$", text, re.MULTILINE | re.DOTALL)
        }


@pytest.fixture
def begun(workplace: Make) -> Callable[[str], Job]:
    """Give `begun(script)`: a job whose training is about to start."""

    def begin(text: str) -> Job:
        place = workplace()
        place.train_with(text)
        (place.folder / "event.json").write_text(json.dumps(place.push()))
        job = Job(place=place)
        job.run("begin")
        job.plan = job.outputs()["plan"]
        return job

    return begin


def training(job: Job) -> int:
    """Wait until training runs, and give its process."""
    file = job.place.folder / "pid"
    deadline = time.monotonic() + PATIENCE
    while not (file.exists() and file.read_text().strip()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return int(file.read_text())


def runs(pid: int) -> bool:
    """Tell whether a process is there and not merely unreaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2][:1] not in (b"Z", b"X")
    except OSError:
        return False


def test_a_cancelled_step_ends_training_at_the_first_signal_and_finish_says_so(
    begun: Callable[[str], Job],
) -> None:
    job = begun(TRAINS + "sleep 1000\n")
    sha = job.place.repository.head()
    step = job.start("train")
    pid = training(job)
    step.send_signal(signal.SIGINT)
    said, _ = step.communicate(timeout=PATIENCE)
    assert step.returncode == 130, said
    assert not runs(pid)
    job.run("finish")
    assert job.outputs()["conclusion"] == "cancelled"
    assert set(OUTPUTS) <= set(job.outputs())
    assert job.place.states(sha) == ["pending", "error"]
    assert job.place.snapshots() == []


def test_a_step_that_is_killed_before_it_could_end_is_brought_to_rest_by_finish(
    begun: Callable[[str], Job],
) -> None:
    job = begun("trap '' INT TERM HUP; " + TRAINS + "while :; do sleep 0.1; done\n")
    sha = job.place.repository.head()
    step = job.start("train")
    pid = training(job)
    for number, wait in ((signal.SIGINT, 0.75), (signal.SIGTERM, 0.25), (signal.SIGKILL, 0.0)):
        step.send_signal(number)
        time.sleep(wait)
    step.communicate(timeout=PATIENCE)
    job.run("finish")
    assert not runs(pid)
    assert job.outputs()["conclusion"] == "cancelled"
    assert job.place.states(sha) == ["pending", "error"]
    job.run("finish")
    assert (job.outputs(), job.place.states(sha)) == ({}, ["pending", "error"])
