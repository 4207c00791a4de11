"""Which isolation is chosen; whole runs with each are in `tests/promise/test_spy.py`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from ci_mlsnap.training import isolation
from tests.conftest import need
from tests.training.conftest import answer

CHOOSES = """
import ctypes, json, os, sys
from ci_mlsnap.training.isolation import choose_isolation
chosen = choose_isolation(os.environ, trusted=sys.argv[1:] == ["trusted"])
print(json.dumps({"chosen": chosen, "dumpable": ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)}))
"""
TOKEN = {"MLSNAP_GITHUB_TOKEN": "x"}
Program = Callable[..., subprocess.Popen[bytes]]


@pytest.mark.parametrize("environment", [{}, {"AWS_SECRET_ACCESS_KEY": "x"}, {"GITHUB_TOKEN": ""}])
def test_without_a_secret_of_ours_there_is_nothing_to_isolate(
    program: Program, environment: dict[str, str]
) -> None:
    assert answer(program(CHOOSES, env=environment)) == {"chosen": None, "dumpable": 1}


def test_with_a_secret_training_gets_a_namespace_and_we_are_closed(program: Program) -> None:
    need(not isolation.why_no_namespace(), isolation.why_no_namespace())
    assert answer(program(CHOOSES, env=TOKEN)) == {"chosen": "own process namespace", "dumpable": 0}


def test_training_that_is_trusted_has_none_but_we_are_closed(program: Program) -> None:
    assert answer(program(CHOOSES, "trusted", env=TOKEN)) == {"chosen": "none", "dumpable": 0}


@pytest.mark.parametrize("interpreter", ["/nowhere/python", "/bin/false"])
def test_what_cannot_be_tried_is_not_there(monkeypatch: pytest.MonkeyPatch, interpreter: str) -> None:
    monkeypatch.setattr(sys, "executable", interpreter)
    assert "process namespace" in isolation.why_no_namespace()
