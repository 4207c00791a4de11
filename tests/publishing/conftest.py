"""Runs as steps of GitHub Actions on a shared volume, before a look-alike that keeps statuses and comments."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.flows.conftest import REPOSITORY, MakePlace, Place, Said, make_place

__all__ = ["make_place"]

ACTION = "ghs_the-token-of-these-tests"
RUN_URL = f"https://github.com/{REPOSITORY}/actions/runs/4711"


@dataclass(kw_only=True)
class Job:
    """A place whose commands run as steps of a job; each step has files for its outputs and its summary."""

    place: Place
    folder: Path
    steps: int = 0

    def mlsnap(self, event: str, payload: dict[str, Any], *arguments: str, expect: int = 0, **env: str) -> Said:
        """Run a command as a step of a run that this event started."""
        self.steps += 1
        (self.folder / "event.json").write_text(json.dumps(payload))
        environment = {
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_NAME": event,
            "GITHUB_EVENT_PATH": str(self.folder / "event.json"),
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_API_URL": self.place.server.url,
            "GITHUB_REF": payload.get("ref", "refs/heads/main"),
            "GITHUB_SHA": self.place.repository.head(),
            "GITHUB_RUN_ID": "4711",
            "GITHUB_RUN_ATTEMPT": "1",
            "GITHUB_ACTOR": "ada",
            "RUNNER_TEMP": str(self.folder),
            "RUNNER_ENVIRONMENT": "self-hosted",
            "GITHUB_OUTPUT": str(self.folder / f"output-{self.steps}"),
            "GITHUB_STEP_SUMMARY": str(self.folder / f"summary-{self.steps}"),
            "MLSNAP_GITHUB_TOKEN": ACTION,
            "MLSNAP__FORGE__PAUSE": "0s",
            **env,
        }
        return self.place.mlsnap(*(arguments or ("run",)), expect=expect, env=environment)

    def push(self, *arguments: str, expect: int = 0, **env: str) -> Said:
        """Run a command for a push of the commit at hand to `main`."""
        return self.mlsnap("push", self.pushed(), *arguments, expect=expect, **env)

    def pull_request(self, number: int, *arguments: str, expect: int = 0, **env: str) -> Said:
        """Run a command for a pull request whose head is the commit at hand, and whose base its parent."""
        self.place.server.conversations.push(REPOSITORY, number, self.place.repository.head())
        return self.mlsnap("pull_request", self.requested(number), *arguments, expect=expect, **env)

    def pushed(self) -> dict[str, Any]:
        repository = {"full_name": REPOSITORY, "default_branch": "main"}
        return {"ref": "refs/heads/main", "after": self.place.repository.head(), "repository": repository}

    def requested(self, number: int) -> dict[str, Any]:
        head = self.place.repository.head()
        base = self.place.repository.git("rev-parse", "HEAD^")
        here = {"full_name": REPOSITORY}
        return {
            "number": number,
            "pull_request": {
                "number": number,
                "head": {"sha": head, "ref": "topic", "repo": here},
                "base": {"sha": base, "ref": "main", "repo": here},
            },
            "repository": {"full_name": REPOSITORY, "default_branch": "main"},
        }

    def comments(self, number: int) -> list[str]:
        """Give the comments on a pull request."""
        return [each["body"] for each in self.place.server.conversations.comments(REPOSITORY, number)]

    def contexts(self, sha: str = "") -> dict[str, tuple[str, str]]:
        """Give the newest status of each context of a commit: state and description."""
        combined: dict[str, Any] = self.place.server.board.combined(
            REPOSITORY, sha or self.place.repository.head()
        )
        return {each["context"]: (each["state"], each["description"]) for each in combined["statuses"]}

    def asked(self) -> list[str]:
        """Give the requests that the server got, and forget them."""
        found = [f"{it.method} {it.path.partition('?')[0]}" for it in self.place.server.received]
        self.place.server.received.clear()
        return found


MakeJob = Callable[..., Job]


@pytest.fixture
def make_job(make_place: MakePlace, tmp_path: Path) -> MakeJob:
    """Give a maker of jobs, whose `mlsnap.toml` has these further settings."""

    def make(settings: str = "", **more: Any) -> Job:
        volume = tmp_path / "shared" / "digits"
        head = f'train = "sh train.sh"\n[volumes.models]\npath = "{volume}"\nview = "models"\n'
        place = make_place(shared=True, settings=head + settings, **more)
        place.server.tokens[ACTION] = "write"
        folder = tmp_path / "runner"
        folder.mkdir()
        return Job(place=place, folder=folder)

    return make


@pytest.fixture
def job(make_job: MakeJob) -> Job:
    return make_job()
