"""Deployments and check runs: there once, whatever becomes of an answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from ci_mlsnap.demo.faults import LOST_ANSWER, Fault
from ci_mlsnap.demo.github import GitHubLookAlike
from ci_mlsnap.domain.notices import CheckRun, Deployment
from ci_mlsnap.errors import ForgeForbidden, ForgeRejected
from ci_mlsnap.forge.github import GitHub
from tests.forge.conftest import BRISK, READ_ONLY, REPOSITORY, SHA, TOKEN

ACTION = "ghs_0123456789abcdef"
OTHER = "f" * 40
DEPLOYMENT = Deployment(
    sha=SHA,
    environment="production",
    move="2026-11-25T19:00:00+00:00 production",
    description="digits 0123456: accuracy 0.9583",
    model="digits",
    snapshot=SHA,
    url="https://ci.example/run/7",
)
CHECK = CheckRun(
    sha=SHA, name="digits report", run="7.1", conclusion="success", title="snapshot ready", summary="### fine"
)


@pytest.fixture
def lookalike() -> Iterator[GitHubLookAlike]:
    with GitHubLookAlike(tokens={TOKEN: "write", READ_ONLY: "read", ACTION: "write"}) as server:
        yield server


@pytest.fixture
def bot(lookalike: GitHubLookAlike) -> Iterator[GitHub]:
    with GitHub(token=ACTION, api_url=lookalike.url, patience=BRISK) as github:
        yield github


def states(lookalike: GitHubLookAlike) -> list[tuple[str, list[str]]]:
    """Give the deployments in order: commit, and the states of each."""
    found: list[dict[str, Any]] = lookalike.deliveries.all_deployments
    return [(it["sha"], [status["state"] for status in it["statuses"]]) for it in found]


# -- deployments --------------------------------------------------------------------------------------


def test_a_move_is_one_deployment_that_is_live(lookalike: GitHubLookAlike, bot: GitHub) -> None:
    bot.tell(REPOSITORY, DEPLOYMENT)
    bot.tell(REPOSITORY, DEPLOYMENT)
    assert states(lookalike) == [(SHA, ["success"])]
    assert lookalike.deliveries.all_deployments[0]["payload"]["snapshot"] == SHA


def test_a_later_move_ends_the_one_before_and_sending_that_again_changes_nothing(
    lookalike: GitHubLookAlike, bot: GitHub
) -> None:
    bot.tell(REPOSITORY, DEPLOYMENT)
    bot.tell(REPOSITORY, msgspec.structs.replace(DEPLOYMENT, sha=OTHER, move="later"))
    bot.tell(REPOSITORY, DEPLOYMENT)
    assert states(lookalike) == [(SHA, ["success", "inactive"]), (OTHER, ["success"])]


def test_going_back_to_the_same_commit_is_a_move_of_its_own(lookalike: GitHubLookAlike, bot: GitHub) -> None:
    for move in ("one", "two", "three"):
        sha = OTHER if move == "two" else SHA
        bot.tell(REPOSITORY, msgspec.structs.replace(DEPLOYMENT, sha=sha, move=move))
    assert [sha for sha, _ in states(lookalike)] == [SHA, OTHER, SHA]
    assert states(lookalike)[-1] == (SHA, ["success"])


@pytest.mark.parametrize("step", [1, 2], ids=["the deployment", "its status"])
@pytest.mark.parametrize("fault", [LOST_ANSWER, Fault(worked=True), Fault(code=503)], ids=["lost", "500", "503"])
def test_whatever_becomes_of_an_answer_there_is_one_deployment(
    lookalike: GitHubLookAlike, bot: GitHub, step: int, fault: Fault
) -> None:
    right = [Fault(code=200, body="[]"), Fault(worked=True, code=201, body='{"id": 5001, "url": "x"}')]
    lookalike.faults.next(*right[:step], fault)
    bot.tell(REPOSITORY, DEPLOYMENT)
    assert [(sha, set(found)) for sha, found in states(lookalike)] == [(SHA, {"success"})]


def test_a_payload_that_comes_as_text_is_read_too(lookalike: GitHubLookAlike, bot: GitHub) -> None:
    bot.tell(REPOSITORY, DEPLOYMENT)
    there = lookalike.deliveries.all_deployments[0]
    there["payload"] = msgspec.json.encode(there["payload"]).decode()
    bot.tell(REPOSITORY, DEPLOYMENT)
    assert len(lookalike.deliveries.all_deployments) == 1


def test_a_commit_that_was_not_pushed_cannot_be_deployed(lookalike: GitHubLookAlike, bot: GitHub) -> None:
    lookalike.board._knows = lambda sha: False
    with pytest.raises(ForgeRejected):
        bot.tell(REPOSITORY, DEPLOYMENT)


def test_the_right_that_is_missing_is_named(lookalike: GitHubLookAlike) -> None:
    github = GitHub(token=READ_ONLY, api_url=lookalike.url, patience=BRISK)
    with github, pytest.raises(ForgeForbidden) as caught:
        github.tell(REPOSITORY, DEPLOYMENT)
    assert "deployments: write" in caught.value.hint


# -- check runs ---------------------------------------------------------------------------------------


def test_a_run_has_one_check_that_is_edited_and_another_run_has_its_own(
    lookalike: GitHubLookAlike, bot: GitHub
) -> None:
    bot.tell(REPOSITORY, CHECK)
    bot.tell(REPOSITORY, msgspec.structs.replace(CHECK, conclusion="failure"))
    bot.tell(REPOSITORY, msgspec.structs.replace(CHECK, run="7.2"))
    found = lookalike.deliveries.all_checks
    assert [(it["external_id"], it["conclusion"], it["edits"]) for it in found] == [
        ("7.1", "failure", 1),
        ("7.2", "success", 0),
    ]


@pytest.mark.parametrize("fault", [LOST_ANSWER, Fault(worked=True), Fault(code=503)], ids=["lost", "500", "503"])
def test_whatever_becomes_of_an_answer_there_is_one_check(
    lookalike: GitHubLookAlike, bot: GitHub, fault: Fault
) -> None:
    lookalike.faults.next(Fault(code=200, body='{"total_count": 0, "check_runs": []}'), fault)
    assert bot.tell(REPOSITORY, CHECK).url
    assert len(lookalike.deliveries.all_checks) == 1


def test_a_persons_token_may_make_no_check(lookalike: GitHubLookAlike) -> None:
    github = GitHub(token=TOKEN, api_url=lookalike.url, patience=BRISK)
    with github, pytest.raises(ForgeForbidden) as caught:
        github.tell(REPOSITORY, CHECK)
    assert "App" in caught.value.why
