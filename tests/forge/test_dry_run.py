"""The dry run shows what would be sent, to the letter, and sends nothing."""

from __future__ import annotations

import json

import pytest

from ci_mlsnap.demo.github import GitHubLookAlike
from ci_mlsnap.domain.notices import Comment
from ci_mlsnap.domain.status import CommitStatus, status
from ci_mlsnap.errors import ForgeRejected
from ci_mlsnap.forge.dry_run import DryRun
from ci_mlsnap.forge.github import GitHub
from ci_mlsnap.ports import Forge
from tests.forge.conftest import REPOSITORY, SHA, STATUS

BARE = status(SHA, "mlsnap/digits", "error", "Cancelled; no snapshot was made")


def test_a_dry_run_shows_what_the_real_one_sends(lookalike: GitHubLookAlike, forge: GitHub) -> None:
    lookalike.conversations.open_request(REPOSITORY, 7, "f" * 40)
    dry = DryRun()
    forges: list[Forge] = [dry, forge]
    for each in forges:
        each.may_post(REPOSITORY)
        each.post_status(REPOSITORY, STATUS)
        each.post_status(REPOSITORY, BARE)
        each.newest_statuses(REPOSITORY, SHA)
        each.tell(REPOSITORY, Comment(sha="f" * 40, number=7, marker="<!-- x -->", body="<!-- x -->\n1"))
        each.tell(REPOSITORY, Comment(sha=SHA, marker="<!-- x -->", body="<!-- x -->\n2"))
    shown = [(request.method, request.path, dict(request.body)) for request in dry.requests]
    sent = [(each.method, each.path, json.loads(each.body or "{}")) for each in lookalike.received]
    assert shown == sent


def test_each_request_is_shown_in_one_line_of_plain_text() -> None:
    lines: list[str] = []
    dry = DryRun(show=lines.append)
    dry.may_post(REPOSITORY)
    dry.post_status(REPOSITORY, status(SHA, "mlsnap/größe", "failure", "Gate missed"))
    body = r'{"state": "failure", "description": "Gate missed", "context": "mlsnap/gr\u00f6\u00dfe"}'
    assert lines == [f"GET /repos/{REPOSITORY}", f"POST /repos/{REPOSITORY}/statuses/{SHA} {body}"]


def test_a_dry_run_refuses_what_the_real_one_would() -> None:
    dry = DryRun()
    with pytest.raises(ForgeRejected):
        dry.post_status("digits", STATUS)
    with pytest.raises(ForgeRejected):
        dry.post_status(REPOSITORY, CommitStatus(sha="main", context="mlsnap/x", state="success", description=""))
    assert dry.requests == []
