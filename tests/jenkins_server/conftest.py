"""A Jenkins look-alike that runs, and a client that speaks to it without pauses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ci_mlsnap.ci.jenkins_api import Patience, Server
from ci_mlsnap.ci.jenkins_facts import Endpoint
from tests.jenkins_server.lookalike import API_TOKEN, USER, JenkinsLookAlike

BRISK = Patience(timeout=0.3, deadline=0.6, tries=2, pause=0.001)


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
