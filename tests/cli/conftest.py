"""A small repository whose `models` is the volume, and real `mlsnap` processes in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest

from tests import warm
from tests.conftest import GitRepository

TRAIN = """\
set -eu
cp weights.txt "$MLSNAP_MODEL_DIR/weights.txt"
echo '{"accuracy": 0.9}' > "$MLSNAP_METRICS"
echo 'epoch 1'
"""
MLSNAP = Path(sys.executable).with_name("mlsnap")
PATIENCE = 100.0
"""Seconds after which a command hangs, and its test fails."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """How a command ended, and what it said."""

    code: int
    stdout: str
    stderr: str

    @property
    def facts(self) -> Any:
        """Stdout, which must be one JSON document and nothing else."""
        return json.loads(self.stdout)

    @property
    def error(self) -> list[str]:
        """The lines of its error."""
        lines = self.stderr.splitlines()
        first = next(
            (number for number, line in enumerate(lines) if line.startswith("mlsnap: error[")), len(lines)
        )
        return lines[first:]


@dataclass(frozen=True, kw_only=True)
class Folder:
    """Where commands run."""

    path: Path

    def command(self, *arguments: str, options: tuple[str, ...] = ()) -> list[str]:
        """Give the words that run `mlsnap` with these arguments, and Python with these options."""
        return [sys.executable, *options, "-m", "ci_mlsnap", *arguments]

    def mlsnap(self, *arguments: str, env: Mapping[str, str] | None = None, options: tuple[str, ...] = ()) -> Said:
        """Run a command and give what it said; with options for Python, in a process that starts with them."""
        environment = {**os.environ, **(env or {})}
        if not options:
            done = warm.mlsnap(*arguments, cwd=self.path, env=environment, script=MLSNAP, timeout=PATIENCE)
            return Said(code=done.returncode, stdout=_text(done.stdout), stderr=_text(done.stderr))
        ran = subprocess.run(
            self.command(*arguments, options=options),
            cwd=self.path,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=PATIENCE,
        )
        return Said(code=ran.returncode, stdout=_text(ran.stdout), stderr=_text(ran.stderr))

    def mlsnap_into(self, stdout: int | IO[bytes], stderr: int | IO[bytes], *arguments: str) -> int:
        """Run a command with these streams and give its exit code."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.path,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            check=False,
            timeout=PATIENCE,
        )
        return done.returncode

    @property
    def repository(self) -> GitRepository:
        """The git repository that this is."""
        return GitRepository(path=self.path)

    @property
    def snapshots(self) -> list[str]:
        """The names in the store."""
        place = self.path / ".git" / "mlsnap" / "models" / "snapshots"
        return sorted(os.listdir(place)) if place.is_dir() else []


def _text(written: bytes) -> str:
    return written.decode(errors="surrogateescape")


def make_folder(path: Path) -> Folder:
    """Make the repository with one commit, which was not trained."""
    path.mkdir()
    repository = GitRepository(path=path)
    repository.git("init", "--quiet")
    files: dict[str, str | bytes] = {
        "mlsnap.toml": 'train = "sh train.sh"\nvolume = "models"\n',
        "train.sh": TRAIN,
        "weights.txt": "first\n",
        ".gitignore": "/models\n",
    }
    repository.commit("the first model", files)
    return Folder(path=path)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Give a repository whose commit was not trained yet."""
    return make_folder(tmp_path / "digits")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Give a repository whose commit has its version; for commands that only look."""
    made = make_folder(tmp_path_factory.mktemp("trained") / "digits")
    said = made.mlsnap("run")
    assert said.code == 0, said.stderr
    return made
