"""A command that is forked does and says what one does that is started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import GitRepository, MakeRepository
from tests.warm import mlsnap

SCRIPT = Path(sys.executable).with_name("mlsnap")
PATIENCE = 100.0
COMMANDS: dict[str, tuple[str | bytes, ...]] = {
    "an answer": ("status", "--json"),
    "words": ("--help",),
    "an error": ("restore", "nothing-of-that-name"),
    "a wrong word": ("statsu",),
    "bytes that are no text": ("restore", b"\xff\xfe"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_forked_command_says_what_a_started_one_says(repository: GitRepository, name: str) -> None:
    repository.commit(
        "settings", {"mlsnap.toml": 'train = "true"\nvolume = "models"\n', ".gitignore": "/models\n"}
    )
    environment = {**os.environ, "COLUMNS": "80"}
    started = subprocess.run(
        (SCRIPT, *COMMANDS[name]),
        cwd=repository.path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    forked = mlsnap(*COMMANDS[name], cwd=repository.path, env=environment, script=SCRIPT, timeout=PATIENCE)
    assert (forked.returncode, forked.stdout, forked.stderr) == (
        started.returncode,
        started.stdout,
        started.stderr,
    )


def test_what_an_interpreter_reads_at_its_start_is_read(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONWARNINGS": "no such action"}
    done = mlsnap("--help", cwd=tmp_path, env=environment, script=SCRIPT, timeout=PATIENCE)
    assert b"Invalid -W option" in done.stderr


def test_a_command_that_hangs_is_ended(repository: GitRepository, tmp_path: Path) -> None:
    git = tmp_path / "git"
    git.write_text("#!/bin/sh\nwhile [ -d /proc/$PPID ]; do sleep 0.02; done\n")
    git.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    with pytest.raises(subprocess.TimeoutExpired):
        mlsnap("status", cwd=repository.path, env=environment, script=SCRIPT, timeout=0.5)


def test_each_command_has_its_own_environment_and_folder(make_repository: MakeRepository) -> None:
    for name in ("one", "other"):
        repository = make_repository(name)
        repository.commit("settings", {"mlsnap.toml": 'train = "true"\nvolume = "models"\n'})
        environment = {**os.environ, "MLSNAP__MODEL": f"model-of-{name}"}
        done = mlsnap("run", "--dry-run", cwd=repository.path, env=environment, script=SCRIPT, timeout=PATIENCE)
        assert f"model-of-{name}".encode() in done.stdout + done.stderr, done
