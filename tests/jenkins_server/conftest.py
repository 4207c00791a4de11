"""A Jenkins look-alike that runs, and a client that speaks to it without pauses."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pytest

from ci_mlsnap.ci.jenkins_api import Server
from ci_mlsnap.ci.jenkins_client import Patience
from ci_mlsnap.ci.jenkins_facts import Endpoint
from tests.jenkins_server.lookalike import API_TOKEN, USER, JenkinsLookAlike

BRISK = Patience(timeout=20, deadline=40, tries=2, pause=0.001)
"""As patient with an answer as in use, so that a busy machine is no fault."""

HASTY = Patience(timeout=0.2, deadline=0.4, tries=2, pause=0.001)
"""For a server that is to stay silent."""


@pytest.fixture
def lookalike() -> Iterator[JenkinsLookAlike]:
    """Give a running look-alike without jobs."""
    with JenkinsLookAlike() as running:
        yield running


@pytest.fixture
def server(lookalike: JenkinsLookAlike) -> Iterator[Server]:
    """Give a client with an API token."""
    client = Server(Endpoint(url=lookalike.url, user=USER, token=API_TOKEN), patience=BRISK)
    yield client
    client.close()


@pytest.fixture
def hasty(lookalike: JenkinsLookAlike) -> Iterator[Server]:
    """Give a client that does not wait for long."""
    client = Server(Endpoint(url=lookalike.url, user=USER, token=API_TOKEN), patience=HASTY)
    yield client
    client.close()


class Command(Protocol):
    """Runs `mlsnap jenkins …` as a person does, with the login of the look-alike."""

    def __call__(
        self, *arguments: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture
def mlsnap(lookalike: JenkinsLookAlike, tmp_path: Path) -> Command:
    """Give the command; it runs in a folder that is no repository, unless another one is named."""

    def run(
        *arguments: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        given = {
            "MLSNAP__JENKINS__URL": lookalike.url,
            "MLSNAP_JENKINS_USER": USER,
            "MLSNAP_JENKINS_TOKEN": API_TOKEN,
        }
        return subprocess.run(
            (sys.executable, "-m", "ci_mlsnap", "jenkins", *arguments),
            cwd=cwd or tmp_path,
            env={**os.environ, **given, **(env or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    return run
