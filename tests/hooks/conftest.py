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

from ci_mlsnap.trees.remove import remove_tree
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


class Places:
    """What tests begin with, made once for each worker and copied to the same path for each test: what mlsnap
    records of a tree goes by its path."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "place"

    @property
    def desk(self) -> Desk:
        """The work tree."""
        return Desk(path=self._path / "desk")

    def give(self, name: str) -> Desk:
        """Give the place in the state of this name."""
        saved = self._folder / name
        if not saved.exists():
            getattr(self, f"_make_{name}")()
            shutil.copytree(self._path, saved, symlinks=True)
        self._clear()
        shutil.copytree(saved, self._path, symlinks=True)
        return self.desk

    def _clear(self) -> None:
        if self._path.exists():
            remove_tree(self._path)

    def _make_bare(self) -> None:
        self._clear()
        desk = self.desk
        desk.path.mkdir(parents=True)
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

    def _make_hooked(self) -> None:
        desk = self.give("bare")
        desk.git("checkout", "--quiet", "-B", "main", "two")
        desk.mlsnap("hooks", "install")

    def _make_shared(self) -> None:
        desk = self.give("bare")
        shutil.rmtree(desk.path / "models")
        desk.settings(SHARED.format(volume=self._path / "volume" / "digits"))
        for number in ("1", "2"):
            desk.commit(f"s{number}", params=f"shared {number}\n")
            desk.git("tag", f"s{number}")
            desk.mlsnap("run")
        desk.mlsnap("hooks", "install")


@pytest.fixture(scope="session")
def _places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    return Places(tmp_path_factory.mktemp("hooks"))


@pytest.fixture
def bare_desk(_places: Places) -> Desk:
    """Give a work tree with versions and an upstream, and no hooks of ours: commits `one` and `two` with versions,
    then `doc`, which has the inputs of `two`."""
    return _places.give("bare")


@pytest.fixture
def desk(_places: Places) -> Desk:
    """Give the same with hooks, at `two`, whose version the models are."""
    return _places.give("hooked")


@pytest.fixture
def shared_desk(_places: Places) -> Desk:
    """Give a work tree with hooks whose volume is beside it: `s1` and `s2` have versions, shown by a view."""
    return _places.give("shared")
