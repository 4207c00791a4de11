"""The actions as their users write them: `act` in host mode, offline, against a GitHub on loopback."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ci_mlsnap.demo.github import GitHubLookAlike
from tests.conftest import GitRepository, need

ROOT = Path(__file__).parents[2]
TOKEN = "ghs_canary0Xy7Kq2Wm5Zt9Rb4Nc8Vd1"
PASSWORD = "of-the-emulated-cluster"
REPOSITORY = "octo/digits"
ACTION = "org/mlsnap-action"
WORKFLOW, FORKS = (f".github/workflows/{name}.yml" for name in ("mlsnap", "mlsnap-forks"))
PATIENCE = 300.0

TRAIN = """\
set -eu
cp weights.txt "$MLSNAP_MODEL_DIR/model.bin"
echo '{"accuracy": 0.9}' > "$MLSNAP_METRICS"
"""

COMMON = """\
          install: skip
          python-path: PYTHON
          token: ${{ secrets.TOKEN }}
          github-url: URL
"""

ONE_JOB = f"""\
on:
  push:
  pull_request:
  merge_group:
  delete:
  schedule: [{{cron: 0 3 * * *}}]
  workflow_dispatch:
    inputs:
      sha: {{description: the commit, type: string}}
      dry-run: {{description: only print, type: boolean}}
env: {{MLSNAP__FORGE__PAUSE: 0s}}
jobs:
  train:
    runs-on: self-hosted
    steps:
      - uses: actions/checkout@v6
      - id: mlsnap
        uses: org/mlsnap-action@v1
        with:
          train: sh train.sh
          volume: VOLUME
{COMMON}MORE
      - if: always()
        env:
          OUTPUTS: ${{{{ toJSON(steps.mlsnap.outputs) }}}}
        run: printf '%s' "$OUTPUTS" > "FOLDER/outputs.json"
"""


def tool(name: str) -> str:
    """Find a program of the tests' set-up, see `.ci/run`."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    need(found, f"{name} is not installed (`make tools`)")
    assert found is not None
    return found


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How a workflow ended: act's exit code, its log, and the outputs of the action."""

    code: int
    log: str
    outputs: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Workplace:
    """A repository with a workflow, the volume that it trains, and the GitHub that it speaks to."""

    repository: GitRepository
    folder: Path
    volume: Path
    server: GitHubLookAlike
    action: Path

    def workflow(
        self, text: str, *, more: str = "", names: Mapping[str, object] | None = None, file: str = WORKFLOW
    ) -> None:
        """Commit a workflow, in which the names in capitals stand for this place's."""
        places = {"VOLUME": self.volume, "PYTHON": sys.executable, "URL": self.server.url, "FOLDER": self.folder}
        indented = "".join(f"          {line}\n" for line in more.splitlines()).rstrip("\n")
        text = text.replace("MORE\n", f"{indented}\n" if more else "")
        for name, value in {**places, **(names or {})}.items():
            text = re.sub(rf"\b{name}\b", str(value), text)
        self.repository.commit("a workflow", {file: text})

    def train_with(self, script: str) -> str:
        """Commit another training script."""
        return self.repository.commit("another script", {"train.sh": script.replace("FOLDER", str(self.folder))})

    def act(
        self,
        event: str = "push",
        payload: Mapping[str, Any] | None = None,
        *,
        variables: Mapping[str, str] | None = None,
        file: str = WORKFLOW,
    ) -> Ran:
        """Run the workflow for an event, on this machine itself and offline."""
        (self.folder / "event.json").write_text(json.dumps(payload if payload is not None else self.push()))
        (self.folder / "secrets").write_text(f"TOKEN={TOKEN}\nPASSWORD={PASSWORD}\n")
        outputs = self.folder / "outputs.json"
        outputs.unlink(missing_ok=True)
        done = subprocess.run(
            (
                *(tool("act"), event, "--eventpath", str(self.folder / "event.json")),
                *("--workflows", file, "--platform", "self-hosted=-self-hosted"),
                *("--local-repository", f"{ACTION}@v1={self.action}", "--action-offline-mode"),
                *("--secret-file", str(self.folder / "secrets")),
                *("--actor", "ada", "--env", "RUNNER_ENVIRONMENT=self-hosted"),
                *(word for name, value in (variables or {}).items() for word in ("--var", f"{name}={value}")),
            ),
            cwd=self.repository.path,
            env={**os.environ, "XDG_CACHE_HOME": str(self.folder / "cache"), "HOME": str(self.folder)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE,
            check=False,
        )
        found = json.loads(outputs.read_text()) if outputs.exists() else {}
        return Ran(code=done.returncode, log=done.stdout + done.stderr, outputs=found)

    # -- events ----------------------------------------------------------------------------------------

    def push(self, **changes: Any) -> dict[str, Any]:
        """Give the payload of a push of what is checked out."""
        return {
            "ref": "refs/heads/main",
            "before": "0" * 40,
            "after": self.repository.head(),
            "repository": self.described(),
            **changes,
        }

    def described(self) -> dict[str, Any]:
        """Give the repository as payloads have it."""
        return {"full_name": REPOSITORY, "name": "digits", "default_branch": "main", "owner": {"login": "octo"}}

    def pull_request(self, head: str, base: str, *, fork: str = REPOSITORY) -> dict[str, Any]:
        """Give the payload of a pull request."""
        return {
            "action": "synchronize",
            "number": 7,
            "pull_request": {
                "number": 7,
                "head": {"sha": head, "ref": "topic", "repo": {"full_name": fork}},
                "base": {"sha": base, "ref": "main", "repo": {"full_name": REPOSITORY}},
            },
            "repository": self.described(),
        }

    def mlsnap(self, *arguments: str) -> str:
        """Run a command by hand and give its output."""
        return subprocess.check_output(
            (sys.executable, "-m", "ci_mlsnap", *arguments),
            cwd=self.repository.path,
            env={**os.environ, "MLSNAP__VOLUME": str(self.volume)},
            text=True,
        )

    # -- what came of it -------------------------------------------------------------------------------

    def states(self, sha: str) -> list[str]:
        """Give the states that a commit was given, in order."""
        return [str(status["state"]) for status in self.server.board.statuses(REPOSITORY, sha)][::-1]

    def snapshots(self) -> list[str]:
        """Give the names of the volume's snapshots."""
        place = self.volume / ".snapshot"
        return sorted(it for it in os.listdir(place) if not it.startswith(".")) if place.is_dir() else []


@pytest.fixture(scope="session")
def action(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy of what the action's repository is for a runner: no tests, no environment of ours."""
    place = tmp_path_factory.mktemp("action")
    for name in ("action.yml", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, place)
    for name in ("actions", "ci_mlsnap"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    return place


@pytest.fixture
def workplace(tmp_path: Path, action: Path) -> Iterator[Callable[..., Workplace]]:
    """Give `workplace()`: a repository with a training script and the workflow of one job."""
    with GitHubLookAlike(tokens={TOKEN: "write"}, repositories=[REPOSITORY]) as server:

        def make(workflow: str = ONE_JOB, *, more: str = "", files: Mapping[str, str] | None = None) -> Workplace:
            repository = GitRepository(path=tmp_path / "digits")
            repository.path.mkdir()
            repository.git("init", "--quiet", "--initial-branch=main")
            repository.git("remote", "add", "origin", f"https://github.com/{REPOSITORY}.git")
            repository.commit("code", {"train.sh": TRAIN, "weights.txt": "one\n", **(files or {})})
            place = Workplace(
                repository=repository,
                folder=tmp_path,
                volume=tmp_path / "shared" / "digits",
                server=server,
                action=action,
            )
            place.volume.parent.mkdir()
            place.workflow(workflow, more=more)
            return place

        yield make
