"""A repository as a person has it, and real `mlsnap` processes in it."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ci_mlsnap.demo.github import GitHubLookAlike
from ci_mlsnap.testing.ground import every_stat
from tests import warm
from tests.conftest import GitRepository, MakeRepository

MLSNAP = Path(sys.executable).with_name("mlsnap")
REPOSITORY = "octo/digits"
TOKEN, READER, STRANGER = "may-write", "may-only-read", "sees-nothing"
PATIENCE = 100.0
"""Seconds after which a command hangs; all of them take about one."""

SETTINGS = 'train = "sh train.sh"\nvolume = "models"\n'
TRAIN = """\
set -eu
echo weights > "$MLSNAP_MODEL_DIR/weights"
echo '{"accuracy": 0.9}' > "$MLSNAP_METRICS"
"""


@dataclass(frozen=True, kw_only=True)
class Said:
    """How a command ended, and what it said."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True, kw_only=True)
class Place:
    """A repository with settings, and what the environment of its commands has beside the tests' own."""

    repository: GitRepository
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """The work tree."""
        return self.repository.path

    def mlsnap(
        self, *arguments: str, expect: int = 0, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> Said:
        """Run a command as a person does; another exit code than `expect` fails the test."""
        done = warm.mlsnap(
            *arguments,
            cwd=cwd or self.path,
            env={**os.environ, **self.environment, **(env or {})},
            script=MLSNAP,
            timeout=PATIENCE,
        )
        said = Said(code=done.returncode, stdout=done.stdout.decode(), stderr=done.stderr.decode())
        assert said.code == expect, f"exit code {said.code}\n{said.stdout}{said.stderr}"
        assert "Traceback" not in said.stderr
        return said

    def doctor(self, env: Mapping[str, str] | None = None, *, expect: int = 0, cwd: Path | None = None) -> Screen:
        """Run doctor as scripts do, hold that nothing on disk changed, and give what it found."""
        before = every_stat(self.path.parent)
        said = self.mlsnap("doctor", "--json", expect=expect, cwd=cwd, env=env)
        assert every_stat(self.path.parent) == before
        return Screen(findings=json.loads(said.stdout))


@dataclass(frozen=True, kw_only=True)
class Screen:
    """What doctor found."""

    findings: list[dict[str, Any]]

    @property
    def text(self) -> str:
        """All of it but for where the place is."""
        lines = (f"{found['topic']}: {found['text']} {found['hint']}" for found in self.findings)
        return re.sub(r"/\S+/(checkout|shallow)", "", "\n".join(lines))

    def of(self, topic: str) -> dict[str, Any]:
        """Give the one finding of a topic that is not plainly well, else its only one."""
        found = [finding for finding in self.findings if finding["topic"] == topic]
        assert found, f"nothing about {topic}:\n{self.text}"
        return next((finding for finding in found if finding["state"] != "ok"), found[0])

    @property
    def bad(self) -> list[str]:
        """The topics of what would stop a run."""
        return [finding["topic"] for finding in self.findings if finding["state"] == "bad"]


@pytest.fixture
def place(make_repository: MakeRepository, tmp_path: Path) -> Place:
    """Give a repository with settings, a training script, and an origin on GitHub."""
    repository = make_repository("checkout", commits=())
    repository.git("remote", "add", "origin", f"https://github.com/{REPOSITORY}.git")
    files: Mapping[str, str] = {"mlsnap.toml": SETTINGS, "train.sh": TRAIN, ".gitignore": "/models/\n"}
    repository.commit("the first", dict(files))
    return Place(repository=repository)


@pytest.fixture
def forge() -> Iterator[GitHubLookAlike]:
    """Give a look-alike with tokens of every kind of right."""
    tokens: Any = {TOKEN: "write", READER: "read", STRANGER: "none"}
    with GitHubLookAlike(tokens=tokens, repositories=[REPOSITORY]) as server:
        yield server


@pytest.fixture
def told(place: Place, forge: GitHubLookAlike) -> Place:
    """Give the place with a token that may post to the look-alike."""
    place.environment.update(MLSNAP__FORGE__URL=forge.url, MLSNAP_GITHUB_TOKEN=TOKEN)
    return place
