"""A build on Jenkins without Jenkins: its environment, and the steps' own shell texts run as Jenkins runs them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.jenkins_library import steps
from tests.promise import conftest as promise
from tests.promise.conftest import REPOSITORY, TOKEN, Done, Stage
from tests.promise.launching import LAUNCHER, ROOT, Launcher

CALL = 'exec "$MLSNAP" '
BUILD_URL = "https://ci.example/job/digits/job/main/7/"

make_stage = promise.make_stage


@pytest.fixture(scope="session")
def launcher() -> Iterator[Launcher]:
    """Give the process that has all loaded and forks for each command."""
    with Launcher() as launcher:
        yield launcher


def environment_of_build(workspace: Path, temporary: Path, branch: str = "main") -> dict[str, str]:
    """Give what a multibranch build has in its environment."""
    return {
        "CI": "true",
        "JENKINS_URL": "https://ci.example/",
        "JOB_NAME": f"digits/{branch.replace('/', '%2F')}",
        "BUILD_NUMBER": "7",
        "BUILD_TAG": "jenkins-digits-main-7",
        "BUILD_URL": BUILD_URL,
        "BRANCH_NAME": branch,
        "BRANCH_IS_PRIMARY": "true",
        "WORKSPACE": str(workspace),
        "WORKSPACE_TMP": str(temporary),
    }


@dataclass(kw_only=True)
class Build:
    """A build: `environment` is what Jenkins gives each of its shells, `answers` what the last step was told.

    With `quick` the commands of the shells run without a shell and a start, which take longer than most commands.
    """

    stage: Stage
    environment: dict[str, str]
    program: Path
    quick: bool = False
    answers: dict[str, str] = field(default_factory=dict)

    def step(self, name: str, **arguments: str) -> Done:
        """Run a step's shell to its end, and read what it answered."""
        output = Path(self.environment["WORKSPACE_TMP"]) / str(uuid.uuid4())
        if self.quick:
            done = self._forked(name, output, arguments)
        else:
            done = promise.ended(self.start(name, output=output, **arguments))
        self.answers = read_outputs(output.read_text(encoding="utf-8")) if output.exists() else {}
        return done

    def start(self, name: str, *, output: Path | None = None, **arguments: str) -> subprocess.Popen[str]:
        """Start a step's shell as Jenkins does: a file for `/bin/sh -xe`. It is killed at the test's end."""
        script = self.stage.folder / f"script-{name}.sh"
        script.write_text(shell_of(name))
        process = subprocess.Popen(
            ("/bin/sh", "-xe", str(script)),
            cwd=self.environment["WORKSPACE"],
            env=self._environment(name, output, arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self.stage._started.callback(promise._end, process)
        return process

    def _forked(self, name: str, output: Path, arguments: Mapping[str, str]) -> Done:
        """Run the command of a step's shell in a child of a process that has all loaded."""
        stage = self.stage
        before, stage.environment = stage.environment, self._environment(name, output, arguments)
        done = stage.mlsnap(*shell_of(name).removeprefix(CALL).split())
        stage.environment = before
        return done

    def _environment(self, name: str, output: Path | None, arguments: Mapping[str, str]) -> dict[str, str]:
        training = name == "mlsnapTrain"
        servers = {"githubUrl": self.stage.server.url, "githubRepository": REPOSITORY}
        return {
            **self.environment,
            **({} if training else {"MLSNAP_GITHUB_TOKEN": TOKEN}),
            **handed_over({} if training else servers),
            **handed_over(arguments),
            "MLSNAP": str(self.program),
            **({"MLSNAP_OUTPUT": str(output), "GITHUB_OUTPUT": str(output)} if output else {}),
        }

    def chain(self, **arguments: str) -> list[int]:
        """Run the four phases as the step `mlsnap` does, and give their exit codes."""
        begun = self.step("mlsnapBegin", **arguments)
        if begun.code or self.answers["action"] == "nothing":
            return [begun.code]
        plan, action = self.answers["plan"], self.answers["action"]
        codes: list[int] = [begun.code]
        codes += [self.step("mlsnapTrain", plan=plan).code] if action == "train" else []
        concluded, answers = self.step("mlsnapConclude", plan=plan).code, self.answers
        finished = self.step("mlsnapFinish", plan=plan).code
        self.answers = answers
        return [*codes, concluded, finished]


def shell_of(name: str) -> str:
    """Give the text by which a step calls mlsnap."""
    (text,) = (one for one in steps.shells(name) if one.startswith(CALL))
    return text


def handed_over(arguments: Mapping[str, str]) -> dict[str, str]:
    """Give arguments of a step as the environment variables that the library makes of them."""
    return {variable(name): value for name, value in arguments.items()}


def variable(name: str) -> str:
    """Give the environment variable by which an argument is handed over."""
    shouted = "".join(f"_{letter}" if letter.isupper() else letter for letter in name).upper()
    return "MLSNAP_SHA" if name == "sha" else f"MLSNAP_INPUT_{shouted}"


def read_outputs(text: str) -> dict[str, str]:
    """Read a file of outputs: the library's `name=value`, or what GitHub's runner reads."""
    if found := re.findall(r"^([a-z-]+)<<(\S+)\n(.*?)\n\2$", text, re.MULTILINE | re.DOTALL):
        return {name: value for name, _, value in found}
    pairs = (line.split("=", 1) for line in text.splitlines())
    return {name: value.replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%") for name, value in pairs}


@pytest.fixture
def make_build(make_stage: Callable[..., Stage], tmp_path: Path) -> Callable[..., Build]:
    """Give `make_build(branch=…, ground=…, settings=…)`: a build of a repository whose volume is shared."""
    program = tmp_path / "mlsnap"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} {LAUNCHER} "$@"\n')
    program.chmod(0o755)

    def make(branch: str = "main", ground: Path = tmp_path, settings: str = "") -> Build:
        stage = make_stage(shared=True, ground=ground, settings=settings)
        temporary = ground / "checkout@tmp"
        temporary.mkdir()
        given = environment_of_build(stage.repository.path, temporary, branch)
        return Build(stage=stage, environment={**os.environ, **given}, program=program)

    return make


@pytest.fixture
def build(make_build: Callable[..., Build]) -> Build:
    """Give a build of the main branch."""
    return make_build()
