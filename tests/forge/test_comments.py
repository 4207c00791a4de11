"""One comment for each marker: found, edited in place, never made twice, never written into another's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from ci_mlsnap.demo.faults import LOST_ANSWER, WEB_PAGE, Fault
from ci_mlsnap.demo.github import GitHubLookAlike
from ci_mlsnap.domain.notices import COMMENT_LIMIT, Comment, marker_of
from ci_mlsnap.errors import AnnouncingQueued, ForgeForbidden, ForgeRejected, ForgeUnavailable
from ci_mlsnap.forge.github import GitHub
from tests.forge.conftest import BRISK, READ_ONLY, REPOSITORY, SHA, TOKEN

ACTION = "ghs_0123456789abcdef"
MARKER = marker_of("digits")
OTHER = "f" * 40
COMMENT = Comment(sha=SHA, number=7, marker=MARKER, body=f"{MARKER}\nfirst")
UNDONE = {
    "a bad gateway": Fault(),
    "a reset before the work": Fault(kind="reset"),
    "too many requests": Fault(code=429, headers={"Retry-After": "0"}),
    "the secondary limit": Fault(code=403, body='{"message": "You have exceeded a secondary rate limit."}'),
}
DONE = {"a reset after the work": LOST_ANSWER, "an error after the work": Fault(worked=True)}


def saying(text: str, **changes: Any) -> Comment:
    """Give the comment with another text."""
    return msgspec.structs.replace(COMMENT, body=f"{MARKER}\n{text}", **changes)


@pytest.fixture
def lookalike() -> Iterator[GitHubLookAlike]:
    """Give a look-alike with a person's and an Action's token, and pull request 7, whose head is the commit."""
    with GitHubLookAlike(tokens={TOKEN: "write", READ_ONLY: "read", ACTION: "write"}) as server:
        server.conversations.open_request(REPOSITORY, 7, SHA)
        yield server


@pytest.fixture(params=[TOKEN, ACTION], ids=["a person's token", "an Action's token"])
def forge(lookalike: GitHubLookAlike, request: pytest.FixtureRequest) -> Iterator[GitHub]:
    with GitHub(token=request.param, api_url=lookalike.url, patience=BRISK) as github:
        yield github


@pytest.fixture
def bot(lookalike: GitHubLookAlike) -> Iterator[GitHub]:
    with GitHub(token=ACTION, api_url=lookalike.url, patience=BRISK) as github:
        yield github


def bodies(lookalike: GitHubLookAlike, number: int = 7) -> list[str]:
    return [each["body"] for each in lookalike.conversations.comments(REPOSITORY, number)]


def listed(lookalike: GitHubLookAlike) -> Fault:
    """Give the answer that lists the comments as they are now."""
    there = lookalike.conversations.comments(REPOSITORY, 7)
    return Fault(code=200, body=msgspec.json.encode(there).decode())


def found(lookalike: GitHubLookAlike) -> Fault:
    """Give the answer that describes the pull request."""
    return Fault(code=200, body=msgspec.json.encode(lookalike.conversations.request(REPOSITORY, 7)).decode())


def asked(lookalike: GitHubLookAlike) -> list[str]:
    """Give the requests: method and path."""
    return [f"{sent.method} {sent.path.partition('?')[0]}" for sent in lookalike.received]


# -- made once, then edited ---------------------------------------------------------------------------


def test_the_second_time_the_same_comment_is_edited(lookalike: GitHubLookAlike, forge: GitHub) -> None:
    lookalike.conversations.write(REPOSITORY, 7, "looks good")
    first = forge.tell(REPOSITORY, COMMENT)
    second = forge.tell(REPOSITORY, saying("second"))
    assert bodies(lookalike) == ["looks good", f"{MARKER}\nsecond"]
    assert first.url == second.url != ""


def test_the_same_text_again_is_no_edit(lookalike: GitHubLookAlike, bot: GitHub) -> None:
    bot.tell(REPOSITORY, COMMENT)
    bot.tell(REPOSITORY, COMMENT)
    assert [sent.method for sent in lookalike.received] == ["GET", "GET", "POST", "GET", "GET"]


def test_each_model_has_a_comment_of_its_own(lookalike: GitHubLookAlike, bot: GitHub) -> None:
    marker = marker_of("letters")
    for _ in range(2):
        bot.tell(REPOSITORY, COMMENT)
        bot.tell(REPOSITORY, Comment(sha=SHA, number=7, marker=marker, body=f"{marker}\nx"))
    assert [body.split("\n")[0] for body in bodies(lookalike)] == [MARKER, marker]


def test_it_is_found_behind_hundreds_of_comments(lookalike: GitHubLookAlike, bot: GitHub) -> None:
    for number in range(230):
        lookalike.conversations.write(REPOSITORY, 7, f"comment {number}")
    bot.tell(REPOSITORY, COMMENT)
    for number in range(80):
        lookalike.conversations.write(REPOSITORY, 7, f"later {number}")
    bot.tell(REPOSITORY, saying("second"))
    assert [body for body in bodies(lookalike) if MARKER in body] == [f"{MARKER}\nsecond"]


def test_one_that_was_deleted_is_made_anew(lookalike: GitHubLookAlike, bot: GitHub) -> None:
    bot.tell(REPOSITORY, COMMENT)
    lookalike.conversations.delete(lookalike.conversations.comments(REPOSITORY, 7)[0]["id"])
    bot.tell(REPOSITORY, saying("second"))
    assert bodies(lookalike) == [f"{MARKER}\nsecond"]


def test_one_that_is_deleted_while_we_look_is_made_anew(lookalike: GitHubLookAlike, bot: GitHub) -> None:
    bot.tell(REPOSITORY, COMMENT)
    gone = Fault(code=404, body='{"message": "Not Found"}')
    lookalike.faults.next(found(lookalike), listed(lookalike), gone)
    lookalike.conversations.delete(lookalike.conversations.comments(REPOSITORY, 7)[0]["id"])
    bot.tell(REPOSITORY, saying("second"))
    assert bodies(lookalike) == [f"{MARKER}\nsecond"]


def test_where_only_an_edit_is_wanted_none_is_made(lookalike: GitHubLookAlike, bot: GitHub) -> None:
    assert bot.tell(REPOSITORY, saying("x", only_edits=True)).url == ""
    assert bodies(lookalike) == []
    bot.tell(REPOSITORY, COMMENT)
    bot.tell(REPOSITORY, saying("x", only_edits=True))
    assert bodies(lookalike) == [f"{MARKER}\nx"]


# -- whose it is --------------------------------------------------------------------------------------


def test_a_comment_of_somebody_else_with_our_marker_is_left_alone(
    lookalike: GitHubLookAlike, forge: GitHub
) -> None:
    """They could change its text later, and it would look like ours."""
    lookalike.conversations.write(REPOSITORY, 7, f"{MARKER}\nforged", login="mallory")
    forge.tell(REPOSITORY, COMMENT)
    assert bodies(lookalike) == [f"{MARKER}\nforged", COMMENT.body]


def test_a_bots_comment_that_quotes_the_marker_is_left_alone(lookalike: GitHubLookAlike, bot: GitHub) -> None:
    lookalike.conversations.write(REPOSITORY, 7, f"Bumps x\n{MARKER}\n", login="dependabot[bot]", kind="Bot")
    bot.tell(REPOSITORY, COMMENT)
    assert len(bodies(lookalike)) == 2


def test_where_the_token_may_not_ask_whose_it_is_a_strangers_comment_is_left_alone(
    lookalike: GitHubLookAlike,
) -> None:
    lookalike.conversations.write(REPOSITORY, 7, f"{MARKER}\nforged", login="mallory")
    lookalike.faults.next(found(lookalike), listed(lookalike), Fault(code=403, body='{"message": "no"}'))
    with GitHub(token=TOKEN, api_url=lookalike.url, patience=BRISK) as github:
        github.tell(REPOSITORY, COMMENT)
    assert bodies(lookalike) == [f"{MARKER}\nforged", COMMENT.body]


# -- which pull request -------------------------------------------------------------------------------


def test_the_pull_request_is_found_by_its_head(lookalike: GitHubLookAlike, bot: GitHub) -> None:
    lookalike.conversations.open_request(REPOSITORY, 6, SHA, state="closed")
    lookalike.conversations.open_request(REPOSITORY, 8, OTHER)
    bot.tell(REPOSITORY, msgspec.structs.replace(COMMENT, number=0))
    assert (bodies(lookalike, 6), bodies(lookalike, 7), bodies(lookalike, 8)) == ([], [COMMENT.body], [])


def test_a_commit_with_an_older_head_gets_no_comment(lookalike: GitHubLookAlike, bot: GitHub) -> None:
    """GitHub lists every pull request that has the commit; by now somebody pushed again."""
    other = [{"number": 7, "state": "open", "head": {"sha": OTHER}}]
    lookalike.faults.next(Fault(code=200, body=msgspec.json.encode(other).decode()))
    assert bot.tell(REPOSITORY, msgspec.structs.replace(COMMENT, number=0)).url == ""
    assert bodies(lookalike) == []


def test_a_run_that_ends_late_does_not_cover_what_is_said_of_a_newer_push(
    lookalike: GitHubLookAlike, bot: GitHub
) -> None:
    lookalike.conversations.push(REPOSITORY, 7, OTHER)
    bot.tell(REPOSITORY, saying("the newer push", sha=OTHER))
    assert bot.tell(REPOSITORY, saying("the older one")).url == ""
    assert bodies(lookalike) == [f"{MARKER}\nthe newer push"]


def test_a_push_without_a_pull_request_costs_one_request(lookalike: GitHubLookAlike, bot: GitHub) -> None:
    assert bot.tell(REPOSITORY, Comment(sha=OTHER, marker=MARKER, body=COMMENT.body)).url == ""
    assert asked(lookalike) == [f"GET /repos/{REPOSITORY}/commits/{OTHER}/pulls"]


def test_a_forks_head_is_searched_for(lookalike: GitHubLookAlike, bot: GitHub) -> None:
    lookalike.conversations.open_request(REPOSITORY, 9, OTHER, fork="mallory/digits")
    bot.tell(REPOSITORY, Comment(sha=OTHER, from_fork=True, marker=MARKER, body=COMMENT.body))
    assert bodies(lookalike, 9) == [COMMENT.body]


# -- faults -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [*UNDONE.values(), *DONE.values()], ids=[*UNDONE, *DONE])
def test_whatever_becomes_of_the_answer_there_is_one_comment(
    lookalike: GitHubLookAlike, bot: GitHub, fault: Fault
) -> None:
    lookalike.faults.next(found(lookalike), Fault(code=200, body="[]"), fault)
    assert bot.tell(REPOSITORY, COMMENT).url != ""
    assert bodies(lookalike) == [COMMENT.body]


@pytest.mark.parametrize("fault", DONE.values(), ids=DONE)
def test_after_an_answer_was_lost_for_good_another_process_finds_the_comment(
    lookalike: GitHubLookAlike, bot: GitHub, fault: Fault
) -> None:
    """Each look after the lost answer fails too, so that nothing is known; yet it is not made again."""
    lookalike.faults.next(found(lookalike), Fault(code=200, body="[]"), fault)
    lookalike.faults.next(Fault(code=503), times=BRISK.retries + 1)
    with pytest.raises(ForgeUnavailable):
        bot.tell(REPOSITORY, COMMENT)
    with GitHub(token=ACTION, api_url=lookalike.url, patience=BRISK) as later:
        later.tell(REPOSITORY, saying("second"))
    assert bodies(lookalike) == [f"{MARKER}\nsecond"]


def test_an_edit_is_tried_again(lookalike: GitHubLookAlike, bot: GitHub) -> None:
    bot.tell(REPOSITORY, COMMENT)
    lookalike.faults.next(found(lookalike), listed(lookalike), Fault(code=502), LOST_ANSWER)
    bot.tell(REPOSITORY, saying("second"))
    assert bodies(lookalike) == [f"{MARKER}\nsecond"]


@pytest.mark.parametrize("fault", [Fault(code=503), Fault(kind="reset"), WEB_PAGE], ids=["503", "reset", "page"])
def test_github_away_is_unavailable_and_makes_nothing(
    lookalike: GitHubLookAlike, bot: GitHub, fault: Fault
) -> None:
    lookalike.faults.next(fault, times=40)
    with pytest.raises(ForgeUnavailable):
        bot.tell(REPOSITORY, COMMENT)
    assert bodies(lookalike) == []


def test_a_locked_conversation_is_forbidden_and_says_so(lookalike: GitHubLookAlike, bot: GitHub) -> None:
    lookalike.conversations.open_request(REPOSITORY, 9, SHA, locked=True)
    with pytest.raises(ForgeForbidden) as caught:
        bot.tell(REPOSITORY, msgspec.structs.replace(COMMENT, number=9))
    assert "locked" in caught.value.why


def test_a_token_without_the_right_is_told_which_one_it_needs(lookalike: GitHubLookAlike) -> None:
    github = GitHub(token=READ_ONLY, api_url=lookalike.url, patience=BRISK)
    with github, pytest.raises(ForgeForbidden) as caught:
        github.tell(REPOSITORY, COMMENT)
    assert "pull-requests: write" in caught.value.hint


def test_a_pull_request_that_is_not_there_is_an_error(bot: GitHub) -> None:
    with pytest.raises(AnnouncingQueued):
        bot.tell(REPOSITORY, msgspec.structs.replace(COMMENT, number=404))


def test_a_comment_that_is_too_long_is_not_sent(lookalike: GitHubLookAlike, bot: GitHub) -> None:
    with pytest.raises(ForgeRejected):
        bot.tell(REPOSITORY, saying("x" * COMMENT_LIMIT))
    assert [sent.method for sent in lookalike.received] == ["GET", "GET"]


def test_half_a_pair_of_surrogates_does_not_stop_a_comment(lookalike: GitHubLookAlike, bot: GitHub) -> None:
    bot.tell(REPOSITORY, saying("half \udc80"))
    assert bodies(lookalike) == [f"{MARKER}\nhalf ?"]


# -- the statuses of a commit -------------------------------------------------------------------------


def test_the_newest_status_of_each_context_is_given_beyond_the_first_page(
    lookalike: GitHubLookAlike, bot: GitHub
) -> None:
    for number in range(130):
        for state in ("pending", "success"):
            lookalike.board.post(REPOSITORY, SHA, {"state": state, "context": f"mlsnap/m{number}"})
    found = bot.newest_statuses(REPOSITORY, SHA)
    assert len({status.context for status in found}) == 130
    assert {status.state for status in found} == {"success"}
    assert len(lookalike.received) == 2
