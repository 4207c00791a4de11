"""Each step is documented, and takes the inputs that its command takes."""

from __future__ import annotations

import re

import pytest

from ci_mlsnap import __version__
from ci_mlsnap.ci.inputs import INPUTS
from ci_mlsnap.errors import ExitCode
from tests.jenkins_library import steps

COMMANDS = {
    "mlsnapBegin": "begin",
    "mlsnapTrain": "train",
    "mlsnapConclude": "conclude",
    "mlsnapFinish": "finish",
    "mlsnapRestore": "restore",
    "mlsnapCompare": "diff",
    "mlsnapPromote": "promote",
    "mlsnapPrune": "prune",
    "mlsnapReport": "publish",
}
SECRETS = {"token", "ontap-password", "ontap-token"}
"""Inputs that hold a secret: on Jenkins they come from credentials and are no arguments."""
OF_THE_STEP = {"checkout", "gateMissed", "description", "archive", "junit"}
"""Arguments that a step acts on by itself."""
POSTING = ("mlsnapBegin", "mlsnapReport")
"""The steps that say what is posted besides the status; others read that, and do nothing with it."""


def test_the_reference_is_what_the_steps_say() -> None:
    assert steps.PAGE.read_text(encoding="utf-8") == steps.page(), "run: python -m tests.jenkins_library.steps"


@pytest.mark.parametrize("step", steps.steps())
def test_a_step_has_help_that_names_its_promise_and_its_own_arguments(step: str) -> None:
    text = (steps.LIBRARY / "vars" / f"{step}.txt").read_text(encoding="utf-8")
    assert steps.promise(step) in text
    assert "<" not in text, "the help is shown as plain text or as markup, as the administrator chose"
    if step != "mlsnap":
        assert [one.name for one in steps.own_arguments(step) if not re.search(rf"\b{one.name}\b", text)] == []


@pytest.mark.parametrize(("step", "command"), COMMANDS.items())
def test_a_step_takes_the_inputs_of_its_command(step: str, command: str) -> None:
    silent = set() if step in POSTING else {"comment", "gateStatuses", "checkRuns"}
    wanted = {camel(one.name) for one in INPUTS if command in one.commands and one.name not in SECRETS} - silent
    named = {one.name for one in steps.arguments(step)} - OF_THE_STEP
    assert named - {one.name for group in ("secrets", "tool") for one in steps.shared(group)} == wanted


def test_every_command_of_a_step_is_one_of_the_program() -> None:
    for step, command in COMMANDS.items():
        assert f'exec "$MLSNAP" {command}' in " ".join(steps.shells(step))
    assert set(steps.steps()) == {*COMMANDS, "mlsnap"}


def test_the_one_step_takes_what_its_four_take_but_what_goes_between_them() -> None:
    four = {one.name for step in list(COMMANDS)[:4] for one in steps.arguments(step)}
    assert {one.name for one in steps.arguments("mlsnap")} == four - {"plan", "run"}


def test_the_library_locks_what_the_action_locks() -> None:
    ours = steps.LIBRARY / "resources" / "org" / "mlsnap" / "requirements.txt"
    assert ours.read_bytes() == (steps.ROOT / "actions" / "setup" / "requirements.txt").read_bytes(), "copy it"


def test_the_library_installs_its_own_version() -> None:
    default = {one.name: one.default for one in steps.shared("tool")}["requirement"]
    assert default == f"'ci-mlsnap=={__version__}'"


def test_each_exit_code_has_its_meaning() -> None:
    text = (steps.LIBRARY / "src" / "org" / "mlsnap" / "Answers.groovy").read_text(encoding="utf-8")
    told = {int(number) for number in re.findall(r"^ +(\d+): '", text, re.MULTILINE)}
    assert told == {int(code) for code in ExitCode} - {0}


def camel(name: str) -> str:
    first, *others = name.split("-")
    return first + "".join(map(str.capitalize, others))
