"""A place for whole commands: a repository that trains, GitHub's look-alike, real `mlsnap` processes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import pytest

from ci_mlsnap.demo.github import GitHubLookAlike
from tests import warm
from tests.conftest import GitRepository
from tests.promise.checking import everything_of, faults_of

MLSNAP = Path(sys.executable).with_name("mlsnap")
REPOSITORY = "octo/digits"
TOKEN = "the-token-of-these-tests"
QUIET = {"MLSNAP_GITHUB_TOKEN": ""}
"""Lets a command that only prepares a test post nothing, and so load no client library."""
PATIENCE = 300.0
"""Seconds after which a command hangs, and its test fails; all of them take a second or two."""

TRAIN = """\
set -eu
cp weights.txt "$MLSNAP_MODEL_DIR/weights.txt"
echo '{"accuracy": 0.9}' > "$MLSNAP_METRICS"
"""


@dataclass(frozen=True, kw_only=True)
class Said:
    """How a command ended, and what it said."""

    code: int
    stdout: str
    stderr: str

    @property
    def facts(self) -> Any:
        """What it said on stdout as JSON."""
        return json.loads(self.stdout)

    @property
    def error(self) -> list[str]:
        """The lines of its error; none when there was none."""
        lines = self.stderr.splitlines()
        first = next(
            (number for number, line in enumerate(lines) if line.startswith("mlsnap: error[")), len(lines)
        )
        return lines[first:]

    @property
    def text(self) -> str:
        """All of it, for a failed assertion."""
        return f"exit code {self.code}\n{self.stdout}{self.stderr}"


@dataclass(frozen=True, kw_only=True)
class Place:
    """A repository with a volume and a store; statuses go to `server`. Commands run in `folder`."""

    repository: GitRepository
    server: GitHubLookAlike
    environment: Mapping[str, str]
    volume: Path
    store: Path
    folder: Path

    # -- acting ----------------------------------------------------------------------------------------

    def mlsnap(
        self,
        *arguments: str | bytes,
        expect: int = 0,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Said:
        """Run a command as a person does; another exit code than `expect` fails the test."""
        done = warm.mlsnap(
            *arguments,
            cwd=cwd or self.folder,
            env={**self.environment, **(env or {})},
            script=MLSNAP,
            timeout=PATIENCE,
        )
        said = Said(
            code=done.returncode,
            stdout=done.stdout.decode(errors="surrogateescape"),
            stderr=done.stderr.decode(errors="surrogateescape"),
        )
        assert said.code == expect, ascii(said.text).replace("\\n", "\n")
        return said

    def start(self, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a command and leave it alone."""
        quiet = subprocess.DEVNULL
        environment = {**self.environment, **(env or {})}
        return subprocess.Popen(
            (MLSNAP, *arguments), cwd=self.folder, env=environment, stdin=quiet, stdout=quiet, stderr=quiet
        )

    def refused(
        self,
        slug: str,
        code: int,
        *arguments: str,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Said:
        """Run a command that must be refused, in the form that every error has: a slug, six lines, a way out."""
        said = self.mlsnap(*(arguments or ("run",)), expect=code, cwd=cwd, env=env)
        assert said.error, said.text
        assert said.error[0].startswith(f"mlsnap: error[{slug}]: "), said.text
        assert len(said.error) <= 6, said.text
        assert any(re.match(r"  next +\S", line) for line in said.error), said.text
        assert "Traceback" not in said.text
        return said

    def commit(self, weights: str = "", **files: str | bytes) -> str:
        """Commit other weights, and what else is given, by name."""
        wanted: dict[str, str | bytes] = {**files, **({"weights.txt": weights} if weights else {})}
        return self.repository.commit(weights or "a change", wanted)

    def train_with(self, script: str) -> str:
        """Commit another training script."""
        return self.repository.commit("another script", {self._from_top("train.sh"): script})

    def configure(self, settings: str) -> str:
        """Commit another `mlsnap.toml`."""
        return self.repository.commit("other settings", {self._from_top("mlsnap.toml"): settings})

    def _from_top(self, name: str) -> str:
        return str((self.folder / name).relative_to(self.repository.path))

    # -- looking ---------------------------------------------------------------------------------------

    def statuses(self, sha: str) -> list[tuple[str, str]]:
        """Give the statuses of a commit, in order: state and description."""
        found = self.server.board.statuses(REPOSITORY, sha)[::-1]
        return [(str(status["state"]), str(status["description"])) for status in found]

    def states(self, sha: str) -> list[str]:
        """Give the states that a commit was given, in order."""
        return [state for state, _ in self.statuses(sha)]

    def snapshots(self) -> list[str]:
        """Give the names in the store, of unfinished ones too."""
        place = self.store / "snapshots"
        return sorted(os.listdir(place)) if place.is_dir() else []

    def snapshot(self, name: str) -> Path:
        """Give a snapshot's folder, which is reached through the volume, after holding it against its manifest."""
        shown = self.volume / ".snapshot" / name
        assert faults_of(shown) == []
        return shown

    def require_rest(self) -> None:
        """Make sure that no run, lease, workspace or part of a snapshot is left."""
        state = self.store / "state"
        assert [name for name in self.snapshots() if name.startswith(".partial-")] == []
        assert list((state / "leases" / "held").glob("*.json")) == []
        assert [run.name for run in (state / "runs").glob("[0-9a-f]*") if not (run / "ended").exists()] == []
        assert list((self.store / "work").glob("*.*")) == []

    @contextmanager
    def nothing_changed(self) -> Iterator[None]:
        """Hold that the block leaves versions, live tree, checkout and statuses as they are, and nothing open."""
        before = self._picture(self.store / "snapshots", self.volume)
        yield
        assert self._picture(self.store / "snapshots", self.volume) == before
        self.require_rest()

    @contextmanager
    def versions_kept(self) -> Iterator[None]:
        """Hold that the block leaves all versions as they are and makes none, with nothing open after it."""
        before = everything_of(self.store / "snapshots")
        yield
        assert everything_of(self.store / "snapshots") == before
        self.require_rest()

    def _picture(self, *trees: Path) -> tuple[object, ...]:
        ledger = self.store / "state" / "ledger"
        return (
            everything_of(*trees),
            sorted(file.read_bytes() for file in ledger.rglob("*") if file.is_file()) if ledger.is_dir() else (),
            ledger.read_bytes() if ledger.is_file() else b"",
            self._git("rev-parse", "HEAD"),
            self._git("status", "--porcelain", "--ignored"),
            [dict(status) for status in self.server.board._statuses],
        )

    def _git(self, *arguments: str) -> bytes:
        done = subprocess.run(("git", *arguments), cwd=self.repository.path, capture_output=True, check=False)
        return done.stdout


class MakePlace(Protocol):
    """Makes a repository and its first commit. A shared volume stands beside the checkout and has a view."""

    def __call__(
        self,
        name: str = "checkout",
        *,
        shared: bool = False,
        settings: str = "",
        train: str = TRAIN,
        folder: str = ".",
        volume: Path | None = None,
        object_format: Literal["sha1", "sha256"] = "sha1",
    ) -> Place: ...


@pytest.fixture
def make_place(tmp_path: Path) -> Iterator[MakePlace]:
    """Give a maker of places below the test's folder; their statuses go to one look-alike."""
    with GitHubLookAlike(tokens={TOKEN: "write"}, repositories=[REPOSITORY]) as server:

        def make(
            name: str = "checkout",
            *,
            shared: bool = False,
            settings: str = "",
            train: str = TRAIN,
            folder: str = ".",
            volume: Path | None = None,
            object_format: Literal["sha1", "sha256"] = "sha1",
        ) -> Place:
            top = tmp_path / name
            project = top / folder
            path = volume or (tmp_path / "shared" / "digits" if shared else project / "models")
            store = path.parent / ".mlsnap" / path.name if shared else top / ".git" / "mlsnap" / path.name
            project.mkdir(parents=True)
            (project / "mlsnap.toml").write_text(settings or _settings(path, shared=shared))
            (project / "train.sh").write_text(train)
            (project / "weights.txt").write_text("first\n")
            (project / ".gitignore").write_text("/models\n")
            repository = GitRepository(path=top)
            repository.git("init", "--quiet", f"--object-format={object_format}")
            repository.git("remote", "add", "origin", f"https://github.com/{REPOSITORY}.git")
            repository.commit("the first model")
            environment = {
                **os.environ,
                "MLSNAP__FORGE__URL": server.url,
                "MLSNAP__FORGE__REPOSITORY": REPOSITORY,
                "MLSNAP_GITHUB_TOKEN": TOKEN,
            }
            return Place(
                repository=repository,
                server=server,
                environment=environment,
                volume=path,
                store=store,
                folder=project,
            )

        yield make


@pytest.fixture
def place(make_place: MakePlace) -> Place:
    """Give a place with a private volume, `models`, and one commit that was not trained yet."""
    return make_place()


@pytest.fixture
def trained(place: Place) -> Place:
    """Give a place whose first commit has its version, which nothing may harm from then on."""
    place.mlsnap("run", env=QUIET)
    return place


def _settings(path: Path, *, shared: bool) -> str:
    lines = ['train = "sh train.sh"', "[volumes.models]", f'path = "{path}"' if shared else 'path = "models"']
    return "\n".join([*lines, *(['view = "models"'] if shared else []), ""])
