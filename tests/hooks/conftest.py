"""Repositories with versions, in which real git calls the installed hooks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests import warm

MLSNAP = Path(sys.executable).with_name("mlsnap")
PATIENCE = 100.0
"""Seconds after which a command hangs; all of them take about one."""

SETTINGS = """\
volume = "models"
[train]
command = "sh train.sh"
inputs = ["train.sh", "params"]
"""
SHARED = """\
[train]
command = "sh train.sh"
inputs = ["train.sh", "params"]
[volumes.models]
path = "{volume}"
view = "models"
"""
TRAIN = """\
set -eu
cat params > "$MLSNAP_MODEL_DIR/weights"
echo '{"accuracy": 0.9}' > "$MLSNAP_METRICS"
"""


@dataclass(frozen=True, kw_only=True)
class Said:
    """How a command ended, and what it said."""

    code: int
    stdout: str
    stderr: str

    @property
    def hook(self) -> list[str]:
        """What the hook said, without its own name before it."""
        lines = self.stderr.splitlines()
        return [line.removeprefix("mlsnap: ") for line in lines if line.startswith("mlsnap: ")]


@dataclass(frozen=True, kw_only=True)
class Desk:
    """A work tree, and what the environment of its commands has beside the tests' own."""

    path: Path
    environment: dict[str, str] = field(default_factory=lambda: {"MLSNAP_HOOK_SECONDS": "60"})

    def git(self, *arguments: str, expect: int = 0, env: Mapping[str, str] | None = None) -> Said:
        """Run git as a person does; another exit code than `expect` fails the test."""
        done = subprocess.run(
            ("git", *arguments),
            cwd=self.path,
            env={**os.environ, **self.environment, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert done.returncode == expect, f"git {' '.join(arguments)}: {done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        return Said(code=done.returncode, stdout=done.stdout.rstrip("\n"), stderr=done.stderr)

    def mlsnap(self, *arguments: str, expect: int = 0, env: Mapping[str, str] | None = None) -> Said:
        """Run a command of mlsnap; another exit code than `expect` fails the test."""
        environ = {**os.environ, **self.environment, **(env or {})}
        done = warm.mlsnap(*arguments, cwd=self.path, env=environ, script=MLSNAP, timeout=PATIENCE)
        said = Said(code=done.returncode, stdout=done.stdout.decode(), stderr=done.stderr.decode())
        assert said.code == expect, f"exit code {said.code}\n{said.stdout}{said.stderr}"
        return said

    def commit(self, message: str, **files: str) -> str:
        """Write these files, commit all, and give the SHA."""
        for name, text in files.items():
            (self.path / name).write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", f"--message={message}")
        return self.head

    def settings(self, text: str) -> str:
        """Commit other settings, and give the SHA."""
        (self.path / "mlsnap.toml").write_text(text)
        return self.commit("other settings")

    def standing(self) -> dict[str, Any]:
        """Say what `mlsnap hooks status` does."""
        facts: dict[str, Any] = json.loads(self.mlsnap("hooks", "status", "--json").stdout)
        return facts

    @property
    def head(self) -> str:
        return self.git("rev-parse", "HEAD").stdout

    @property
    def model(self) -> str:
        """What the model is, as training wrote it."""
        return (self.path / "models" / "weights").read_text().strip()


@pytest.fixture(scope="session")
def _history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make once what each test copies: commits `one` and `two` with versions, `doc` with the inputs of `two`."""
    folder = tmp_path_factory.mktemp("history")
    desk = Desk(path=folder / "desk")
    desk.path.mkdir()
    desk.git("init", "--quiet")
    files = {"mlsnap.toml": SETTINGS, "train.sh": TRAIN, ".gitignore": "/models\n/metrics.json\n"}
    desk.commit("one", params="one\n", **files)
    desk.git("tag", "one")
    desk.mlsnap("run")
    desk.commit("two", params="two\n")
    desk.git("tag", "two")
    desk.mlsnap("run")
    desk.commit("doc", README="text\n")
    desk.git("tag", "doc")
    desk.git("clone", "--quiet", "--bare", ".", "../upstream.git")
    desk.git("remote", "add", "origin", "../upstream.git")
    desk.git("fetch", "--quiet")
    desk.git("branch", "--quiet", "--set-upstream-to=origin/main")
    return folder


@pytest.fixture
def bare_desk(_history: Path, tmp_path: Path) -> Desk:
    """Give a work tree with versions and an upstream, and no hooks of ours."""
    shutil.copytree(_history, tmp_path / "place", symlinks=True)
    return Desk(path=tmp_path / "place" / "desk")


@pytest.fixture
def desk(bare_desk: Desk) -> Desk:
    """Give the same with hooks, at `two`, whose version the models are."""
    bare_desk.git("checkout", "--quiet", "-B", "main", "two")
    bare_desk.mlsnap("hooks", "install")
    return bare_desk


@pytest.fixture
def shared_desk(bare_desk: Desk, tmp_path: Path) -> Desk:
    """Give a work tree whose volume is elsewhere: commits `s1` and `s2` have versions, and a view shows them."""
    shutil.rmtree(bare_desk.path / "models")
    bare_desk.settings(SHARED.format(volume=tmp_path / "volume" / "digits"))
    for number in ("1", "2"):
        bare_desk.commit(f"s{number}", params=f"shared {number}\n")
        bare_desk.git("tag", f"s{number}")
        bare_desk.mlsnap("run")
    bare_desk.mlsnap("hooks", "install")
    return bare_desk
