"""A process with secrets starts itself anew, and its environment then shows none."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from ci_mlsnap.training.environment import own_secrets, shows_secrets
from tests.training.conftest import answer

Program = Callable[..., subprocess.Popen[bytes]]
CANARY = "canary-77e1"

STARTS_ANEW = """
import base64, ctypes, json, os, sys
from ci_mlsnap.training import hidden
again = hidden.VARIABLE in os.environ
if again:
    hidden.take_back()
else:
    hidden.hide_environment()
shown = open("/proc/self/environ", "rb").read() if os.geteuid() == 0 or not again else b""
print(json.dumps({
    "again": again,
    "pid": os.getpid(),
    "arguments": sys.argv[1:],
    "shown": base64.b64encode(shown).decode(),
    "environment": {k.decode(): base64.b64encode(v).decode() for k, v in os.environb.items()},
    "descriptors": sorted(int(it) for it in os.listdir("/proc/self/fd"))[:-1],
    "dumpable": ctypes.CDLL(None).prctl(3, 0, 0, 0, 0),
}))
"""


def started(program: Program, environment: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
    """Start a process that hides its environment; give its number and what it says of itself."""
    process = program(STARTS_ANEW, "an argument", env=environment)
    return process.pid, answer(process)


def test_the_same_process_goes_on_and_shows_no_secret(program: Program) -> None:
    secrets = {
        "MLSNAP_GITHUB_TOKEN": CANARY,
        "NOBODY_KNOWS_THIS_NAME": CANARY,
        "URL": f"https://ada:{CANARY}@host/",
    }
    pid, said = started(program, {**secrets, "LANG": "C.UTF-8"})
    assert said["again"]
    assert said["pid"] == pid
    assert said["arguments"] == ["an argument"]
    assert CANARY not in _plain(said["shown"])
    if os.geteuid() == 0:
        assert "LANG=C.UTF-8" in _plain(said["shown"])
    for name, value in secrets.items():
        assert _plain(said["environment"][name]) == value
    assert "MLSNAP_HIDDEN" not in said["environment"]
    assert said["descriptors"] == [0, 1, 2]
    assert said["dumpable"] == 0


def test_everything_comes_back_as_it_was(program: Program) -> None:
    odd = {
        "GITHUB_TOKEN": CANARY,
        "EMPTY": "",
        "LINES_OF": "one\ntwo=2\n",
        "BYTES": os.fsdecode(b"\xff\x01"),
        "LONG": "x" * 120_000,
    }
    _, said = started(program, odd)
    assert said["again"]
    for name, value in odd.items():
        assert _plain(said["environment"][name]) == value


@pytest.mark.parametrize(
    "environment", [{}, {"HARMLESS": "1"}, {"GITHUB_TOKEN": ""}, {"SITE": "https://host/path@x"}]
)
def test_without_a_secret_nothing_is_started_anew(program: Program, environment: dict[str, str]) -> None:
    _, said = started(program, environment)
    assert not said["again"]
    assert said["dumpable"] == 1


@pytest.mark.parametrize("arguments", [["--version"], ["status"], ["run", "--dry-run"]])
def test_a_command_that_does_not_train_works_with_secrets_too(tmp_path: Path, arguments: list[str]) -> None:
    done = subprocess.run(
        (sys.executable, "-m", "ci_mlsnap", *arguments),
        cwd=tmp_path,
        env={**os.environ, "GITHUB_TOKEN": CANARY},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == (0 if arguments == ["--version"] else 2), done.stderr
    assert CANARY not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "value", "ours", "anybodys"),
    [
        ("MLSNAP_GITHUB_TOKEN", "x", True, True),
        ("GH_TOKEN", "x", True, True),
        ("ONTAP_PASSWORD", "x", True, True),
        ("JENKINS_API_KEY", "x", True, True),
        ("ACTIONS_RUNTIME_TOKEN", "x", False, True),
        ("INPUT_DEPLOY", "x", False, True),
        ("AWS_SECRET_ACCESS_KEY", "x", False, True),
        ("DATABASE_URL", "postgres://ada:x@host/db", False, True),
        ("MLSNAP__FORGE__URL", "https://host/api", False, False),
        ("HOME", "/home/ada", False, False),
        ("GITHUB_TOKEN", "", False, False),
    ],
)
def test_what_counts_as_a_secret(name: str, value: str, ours: bool, anybodys: bool) -> None:
    assert own_secrets({name: value}) == ((name,) if ours else ())
    assert shows_secrets({name: value}) is anybodys


def _plain(text: str) -> str:
    return os.fsdecode(base64.b64decode(text))
