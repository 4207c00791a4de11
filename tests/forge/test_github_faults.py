"""What GitHub, or something on the way to it, can do to a call; the caller meets three errors and no more."""

from __future__ import annotations

import json
import logging
import socket
import traceback

import pytest

from ci_mlsnap.demo.faults import LOST_ANSWER, WEB_PAGE, Fault
from ci_mlsnap.demo.github import GitHubLookAlike
from ci_mlsnap.errors import AnnouncingQueued, ForgeForbidden, ForgeRejected, ForgeUnavailable
from ci_mlsnap.forge.github import LAST_WORDS, GitHub, Patience
from tests.forge.conftest import BRISK, REPOSITORY, SHA, STATUS, TOKEN

ELSEWHERE = {"Location": "http://elsewhere.invalid/repos"}
SECONDARY = Fault(code=403, body='{"message": "You have exceeded a secondary rate limit. Wait."}')

PASSING = {
    "a bad gateway": Fault(),
    "an internal error": Fault(code=500, body=""),
    "not available": Fault(code=503, body="<html>Unicorn!</html>"),
    "a gateway's timeout": Fault(code=504),
    "too many requests, without a time": Fault(code=429),
    "too many requests, with a short time": Fault(code=429, headers={"Retry-After": "0"}),
    "too many requests, with a time nobody can read": Fault(code=429, headers={"Retry-After": "soon"}),
    "the secondary limit": SECONDARY,
    "forbidden, with a short time": Fault(code=403, headers={"Retry-After": "0"}),
    "a reset before the work": Fault(kind="reset"),
    "a reset after the work": LOST_ANSWER,
    "an error after the work": Fault(worked=True),
}

LASTING = {
    "a page of a portal": (WEB_PAGE, ForgeUnavailable),
    "a page with the right code": (Fault(code=201, body="<html></html>"), ForgeUnavailable),
    "an empty answer": (Fault(code=201, body=""), ForgeUnavailable),
    "half an answer": (Fault(code=201, body='{"state": "succ'), ForgeUnavailable),
    "a list": (Fault(code=201, body="[]"), ForgeUnavailable),
    "a number": (Fault(code=201, body="7"), ForgeUnavailable),
    "another status": (
        Fault(code=201, body='{"state": "pending", "context": "mlsnap/digits"}'),
        ForgeUnavailable,
    ),
    "another context": (Fault(code=201, body='{"state": "success", "context": "other"}'), ForgeUnavailable),
    "moved for good": (Fault(code=301, headers=ELSEWHERE, body=""), ForgeUnavailable),
    "found elsewhere": (Fault(code=302, headers=ELSEWHERE, body=""), ForgeUnavailable),
    "renamed": (Fault(code=307, headers=ELSEWHERE, body='{"message": "Moved Permanently"}'), ForgeUnavailable),
    "a teapot": (Fault(code=418), ForgeUnavailable),
    "a list as an error": (Fault(code=400, body="[1]"), ForgeUnavailable),
    "an hour to wait": (Fault(code=429, headers={"Retry-After": "3600"}), ForgeUnavailable),
    "forbidden, an hour to wait": (Fault(code=403, headers={"Retry-After": "3600"}), ForgeUnavailable),
    "the primary limit": (
        Fault(
            code=403,
            headers={"X-RateLimit-Reset": "32503680000"},
            body='{"message": "API rate limit exceeded for user."}',
        ),
        ForgeUnavailable,
    ),
    "bad credentials": (Fault(code=401, body='{"message": "Bad credentials"}'), ForgeForbidden),
    "a proxy's refusal": (Fault(code=403, body="<html>"), ForgeForbidden),
    "a refusal without an object": (Fault(code=403, body='["no"]'), ForgeForbidden),
    "a missing page": (Fault(code=404, body="<html>"), ForgeForbidden),
    "an error of one field": (
        Fault(code=422, body='{"message": "Validation Failed", "errors": [{"message": "too long"}, "x", 1]}'),
        ForgeRejected,
    ),
    "errors that are no list": (Fault(code=422, body='{"message": "no", "errors": "all"}'), ForgeRejected),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING.keys())
def test_a_fault_that_passes_is_outlived(lookalike: GitHubLookAlike, forge: GitHub, fault: Fault) -> None:
    lookalike.faults.next(fault, times=BRISK.retries)
    forge.post_status(REPOSITORY, STATUS)
    assert len(lookalike.received) == BRISK.retries + 1
    assert lookalike.board.combined(REPOSITORY, SHA)["state"] == "success"


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING.keys())
def test_a_fault_that_stays_ends_after_the_allowed_tries(
    lookalike: GitHubLookAlike, forge: GitHub, fault: Fault
) -> None:
    lookalike.faults.next(fault, times=20)
    with pytest.raises(ForgeUnavailable):
        forge.post_status(REPOSITORY, STATUS)
    assert len(lookalike.received) == BRISK.retries + 1


@pytest.mark.parametrize(("fault", "error"), LASTING.values(), ids=LASTING.keys())
def test_a_fault_that_another_try_cannot_help_costs_one_request(
    lookalike: GitHubLookAlike, forge: GitHub, fault: Fault, error: type[AnnouncingQueued]
) -> None:
    lookalike.faults.next(fault)
    with pytest.raises(AnnouncingQueued) as caught:
        forge.post_status(REPOSITORY, STATUS)
    assert type(caught.value) is error
    assert caught.value.what
    assert caught.value.hint
    assert len(lookalike.received) == 1
    assert lookalike.board.statuses(REPOSITORY, SHA) == []


def test_a_lost_answer_makes_two_statuses_that_read_as_one(lookalike: GitHubLookAlike, forge: GitHub) -> None:
    lookalike.faults.next(LOST_ANSWER)
    forge.post_status(REPOSITORY, STATUS)
    assert len(lookalike.board.statuses(REPOSITORY, SHA)) == 2
    assert lookalike.board.combined(REPOSITORY, SHA)["total_count"] == 1


@pytest.mark.parametrize("kind", ["hang", "drip"])
def test_a_call_ends_at_its_deadline_whatever_the_server_does(lookalike: GitHubLookAlike, kind: str) -> None:
    """A dripping answer never meets a timeout of the socket's."""
    lookalike.faults.next(Fault(kind="drip" if kind == "drip" else "hang"))
    hurried = Patience(deadline=0.2, between_requests=0, between_writes=0)
    with GitHub(token=TOKEN, api_url=lookalike.url, patience=hurried) as github:
        with pytest.raises(ForgeUnavailable) as caught:
            github.post_status(REPOSITORY, STATUS)
        assert "0.2 s" in caught.value.what
        lookalike.faults.clear()
        github.post_status(REPOSITORY, STATUS)  # the next call has a connection of its own


def test_no_answer_within_the_timeout_is_told_as_such(lookalike: GitHubLookAlike) -> None:
    lookalike.faults.next(Fault(kind="hang"))
    once = Patience(retries=0, timeout=1, deadline=20)
    with (
        GitHub(token=TOKEN, api_url=lookalike.url, patience=once) as github,
        pytest.raises(ForgeUnavailable) as caught,
    ):
        github.post_status(REPOSITORY, STATUS)
    assert len(lookalike.received) == 1
    assert "time" in f"{caught.value.what} {caught.value.why}"


def test_a_wait_beyond_the_deadline_is_not_begun(lookalike: GitHubLookAlike) -> None:
    """Were it begun, the call would end well after it."""
    lookalike.faults.next(Fault(code=429, headers={"Retry-After": "50"}))
    patience = Patience(deadline=30, longest_wait=60, between_requests=0, between_writes=0)
    with (
        GitHub(token=TOKEN, api_url=lookalike.url, patience=patience) as github,
        pytest.raises(ForgeUnavailable) as caught,
    ):
        github.post_status(REPOSITORY, STATUS)
    assert "50 s" in caught.value.why


def test_last_words_are_one_request(lookalike: GitHubLookAlike) -> None:
    lookalike.faults.next(Fault(), times=5)
    with GitHub(token=TOKEN, api_url=lookalike.url, patience=LAST_WORDS) as github:
        with pytest.raises(ForgeUnavailable):
            github.post_status(REPOSITORY, STATUS)
        assert len(lookalike.received) == 1
        lookalike.faults.clear()
        github.post_status(REPOSITORY, STATUS)


def test_nobody_at_the_port_is_unavailable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused, and nobody else's
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with (
            GitHub(token=TOKEN, api_url=url, patience=BRISK) as github,
            pytest.raises(ForgeUnavailable) as caught,
        ):
            github.post_status(REPOSITORY, STATUS)
    assert "refused" in caught.value.why


def test_a_name_that_nobody_has_is_unavailable() -> None:
    with (
        GitHub(token=TOKEN, api_url="https://github.invalid/api/v3", patience=BRISK) as github,
        pytest.raises(ForgeUnavailable) as caught,
    ):
        github.post_status(REPOSITORY, STATUS)
    assert "github.invalid" in caught.value.what


def test_a_redirect_to_another_host_gets_no_token(lookalike: GitHubLookAlike, forge: GitHub) -> None:
    with GitHubLookAlike(tokens={TOKEN: "write"}) as thief:
        for code in (301, 302, 303, 307, 308):
            away = thief.url.replace("127.0.0.1", "localhost") + f"/repos/{REPOSITORY}/statuses/{SHA}"
            lookalike.faults.next(Fault(code=code, headers={"Location": away}, body=""))
            with pytest.raises(ForgeUnavailable) as caught:
                forge.post_status(REPOSITORY, STATUS)
            assert "elsewhere" in caught.value.what
        assert thief.received == []


def test_a_redirect_without_an_end_ends_at_the_deadline(lookalike: GitHubLookAlike) -> None:
    away = f"{lookalike.url}/repos/{REPOSITORY}/statuses/"
    for number in range(2000):
        lookalike.faults.next(Fault(code=301, headers={"Location": f"{away}{number}"}, body=""))
    hurried = Patience(deadline=0.2, between_requests=0, between_writes=0)
    with (
        GitHub(token=TOKEN, api_url=lookalike.url, patience=hurried) as github,
        pytest.raises(ForgeUnavailable),
    ):
        github.post_status(REPOSITORY, STATUS)


@pytest.mark.parametrize(
    "fault",
    [*(fault for fault, _ in LASTING.values()), *PASSING.values()],
    ids=[*LASTING.keys(), *PASSING.keys()],
)
def test_the_token_is_in_no_log_error_or_trace(
    lookalike: GitHubLookAlike, forge: GitHub, fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    lookalike.faults.next(fault, times=20)
    with pytest.raises(AnnouncingQueued) as caught:
        forge.post_status(REPOSITORY, STATUS)
    told = caught.value
    assert TOKEN not in caplog.text
    assert TOKEN not in "".join(traceback.TracebackException.from_exception(told, capture_locals=True).format())
    assert TOKEN not in f"{told.what}{told.why}{told.safe}{told.hint}{forge!r}"
    assert (told.__cause__, told.__context__) == (None, None)
    assert all(TOKEN not in each.path + each.body + json.dumps(dict(each.headers)) for each in lookalike.received)


def test_a_token_that_the_server_repeats_is_blotted_out(lookalike: GitHubLookAlike, forge: GitHub) -> None:
    lookalike.faults.next(Fault(code=401, body=json.dumps({"message": f"token {TOKEN} is not good"})))
    with pytest.raises(ForgeForbidden) as caught:
        forge.post_status(REPOSITORY, STATUS)
    assert caught.value.why == "401: token *** is not good"


def test_what_the_server_says_is_one_short_harmless_line(lookalike: GitHubLookAlike, forge: GitHub) -> None:
    lookalike.faults.next(Fault(code=403, body=json.dumps({"message": "a\n::error::\x1b[31m" + "b" * 5000})))
    with pytest.raises(ForgeForbidden) as caught:
        forge.post_status(REPOSITORY, STATUS)
    assert len(caught.value.why) <= 200
    assert caught.value.why.isprintable()


def test_the_libraries_lines_are_for_debugging_only(
    lookalike: GitHubLookAlike, forge: GitHub, caplog: pytest.LogCaptureFixture
) -> None:
    lookalike.faults.next(Fault(kind="reset"), SECONDARY)
    caplog.set_level(logging.INFO)
    forge.post_status(REPOSITORY, STATUS)
    assert caplog.records == []
    caplog.set_level(logging.DEBUG)
    lookalike.faults.next(Fault(kind="reset"), SECONDARY)
    forge.post_status(REPOSITORY, STATUS)
    assert {record.levelno for record in caplog.records} == {logging.DEBUG}
