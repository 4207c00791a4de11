"""A look-alike that runs, and a forge that speaks to it without pauses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ci_mlsnap.demo.github import GitHubLookAlike
from ci_mlsnap.domain.status import status
from ci_mlsnap.forge.github import GitHub, Patience

TOKEN = "ghp_0123456789abcdefghijklmnopqrstuvwxyz"
READ_ONLY = "ghp_mayonlyread"
STRANGER = "ghp_seesnothing"
REPOSITORY = "octo/digits"
SHA = "0123456789abcdef0123456789abcdef01234567"
STATUS = status(SHA, "mlsnap/digits", "success", "Snapshot 0123456789ab ready", "https://ci.example/run/7")

BRISK = Patience(
    retries=2,
    backoff=0.001,
    timeout=1,
    secondary_wait=0.01,
    longest_wait=0.2,
    deadline=20,
    between_requests=0,
    between_writes=0,
    settle=0.001,
)
"""As patient in number as in use, and quick in time."""


@pytest.fixture
def lookalike() -> Iterator[GitHubLookAlike]:
    """Give a running look-alike with one repository, where any commit is known."""
    with GitHubLookAlike(tokens={TOKEN: "write", READ_ONLY: "read", STRANGER: "none"}) as server:
        yield server


@pytest.fixture
def forge(lookalike: GitHubLookAlike) -> Iterator[GitHub]:
    """Give a forge with the token that may write."""
    with GitHub(token=TOKEN, api_url=lookalike.url, patience=BRISK) as github:
        yield github
