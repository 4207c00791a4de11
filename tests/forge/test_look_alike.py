"""The look-alike keeps GitHub's rules, so that what passes against it means something."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from ci_mlsnap.demo.github import GitHubLookAlike, main
from tests.forge.conftest import READ_ONLY, REPOSITORY, SHA, STRANGER, TOKEN

STATUSES = f"/repos/{REPOSITORY}/statuses/{SHA}"
COMMIT = f"/repos/{REPOSITORY}/commits/{SHA}"


def ask(
    url: str, method: str, path: str, body: object = None, *, authorization: str = f"Bearer {TOKEN}"
) -> tuple[int, Any]:
    """Do one request and give the code and the decoded body."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        raw = json.dumps(body) if body is not None else None
        connection.request(method, path, raw, {"Authorization": authorization} if authorization else {})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def post(server: GitHubLookAlike, state: str, context: str = "mlsnap/digits") -> None:
    """Post a status that is taken."""
    code, _ = ask(server.url, "POST", STATUSES, {"state": state, "context": context})
    assert code == 201


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"state": "neutral"}, "state"),
        ({}, "state"),
        ({"state": "success", "description": "é" * 141}, "description"),
        ({"state": "success", "target_url": "nfs://store/models"}, "target_url"),
        ({"state": "success", "context": "c" * 256}, "context"),
    ],
)
def test_a_status_against_the_rules_is_refused_as_github_does(
    lookalike: GitHubLookAlike, body: dict[str, str], field: str
) -> None:
    code, answer = ask(lookalike.url, "POST", STATUSES, body)
    assert code == 422
    assert answer["message"] == "Validation Failed"
    (detail,) = answer["errors"]
    assert (detail["resource"], detail["field"]) == ("Status", field)


def test_a_description_of_140_characters_is_taken(lookalike: GitHubLookAlike) -> None:
    code, answer = ask(lookalike.url, "POST", STATUSES, {"state": "success", "description": "é" * 140})
    assert (code, answer["context"]) == (201, "default")


@pytest.mark.parametrize(
    ("states", "combined"),
    [
        ({}, "pending"),
        ({"a": "success"}, "success"),
        ({"a": "success", "b": "pending"}, "pending"),
        ({"a": "failure", "b": "pending"}, "failure"),
        ({"a": "success", "b": "error"}, "failure"),
    ],
)
def test_the_worst_context_is_the_commits_state(
    lookalike: GitHubLookAlike, states: dict[str, str], combined: str
) -> None:
    for context, state in states.items():
        post(lookalike, state, context)
    code, answer = ask(lookalike.url, "GET", f"{COMMIT}/status")
    assert (code, answer["state"], answer["total_count"]) == (200, combined, len(states))


def test_the_newest_status_of_a_context_counts_whatever_its_case(lookalike: GitHubLookAlike) -> None:
    post(lookalike, "failure", "mlsnap/digits")
    post(lookalike, "success", "MLSNAP/Digits")
    _, answer = ask(lookalike.url, "GET", f"{COMMIT}/status")
    assert (answer["state"], answer["total_count"]) == ("success", 1)


def test_statuses_are_listed_newest_first_and_in_pages(lookalike: GitHubLookAlike) -> None:
    for number in range(35):
        post(lookalike, "pending", f"context {number}")
    _, first = ask(lookalike.url, "GET", f"{COMMIT}/statuses")
    _, second = ask(lookalike.url, "GET", f"{COMMIT}/statuses?page=2")
    assert [each["context"] for each in first + second] == [f"context {number}" for number in range(34, -1, -1)]
    assert len(first) == 30


def test_the_thousandth_status_is_taken_and_no_more(lookalike: GitHubLookAlike) -> None:
    body = {"state": "pending", "context": "mlsnap/digits"}
    for _ in range(999):
        lookalike.board.post(REPOSITORY, SHA, body)
    assert [ask(lookalike.url, "POST", STATUSES, body)[0] for _ in range(2)] == [201, 422]
    post(lookalike, "pending", "another context")


@pytest.mark.parametrize(
    ("authorization", "code", "message"),
    [
        ("", 401, "Requires authentication"),
        ("Bearer wrong", 401, "Bad credentials"),
        (f"token {READ_ONLY}", 403, "Resource not accessible by integration"),
        (f"Bearer {STRANGER}", 404, "Not Found"),
        (f"token {TOKEN}", 201, None),
    ],
)
def test_a_token_may_do_what_was_given_to_it(
    lookalike: GitHubLookAlike, authorization: str, code: int, message: str | None
) -> None:
    answer = ask(lookalike.url, "POST", STATUSES, {"state": "success"}, authorization=authorization)
    assert (answer[0], answer[1].get("message")) == (code, message)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/repos/octo/other"),
        ("GET", STATUSES + "/status"),
        ("DELETE", STATUSES),
        ("POST", COMMIT),
        ("GET", "/"),
    ],
)
def test_what_is_not_there_is_not_found(lookalike: GitHubLookAlike, method: str, path: str) -> None:
    assert ask(lookalike.url, method, path)[0] == 404


def test_only_the_commits_that_were_added_are_known() -> None:
    with GitHubLookAlike(tokens={TOKEN: "write"}, knows=lambda sha: False) as server:
        assert ask(server.url, "GET", COMMIT)[0] == 422
        server.board.add_commit(SHA)
        assert ask(server.url, "GET", COMMIT)[1]["sha"] == SHA
        post(server, "success")


def test_a_body_that_is_no_json_is_refused(lookalike: GitHubLookAlike) -> None:
    assert ask(lookalike.url, "POST", STATUSES)[0] == 400


def test_the_token_is_not_kept_with_the_request(lookalike: GitHubLookAlike) -> None:
    post(lookalike, "success")
    assert TOKEN not in repr(lookalike.received)


@contextmanager
def served(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the look-alike as a process of its own, and give it with its URL."""
    command = [sys.executable, "-m", "ci_mlsnap.demo.github", "--token-env", "LOOK_ALIKE", *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "LOOK_ALIKE": TOKEN}
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_as_a_process_it_serves_until_it_is_told_to_stop(number: signal.Signals) -> None:
    with served("--repository", "demo/letters") as (process, url):
        assert ask(url, "GET", "/repos/demo/letters")[0] == 200
        process.send_signal(number)
        assert process.wait(timeout=20) == 0


def test_as_a_process_it_does_not_outlive_its_time() -> None:
    with served("--seconds", "0.1") as (process, url):
        assert url.startswith("http://127.0.0.1:")
        assert process.wait(timeout=20) == 0


def test_as_a_process_it_wants_a_token(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--token-env", "MLSNAP_NO_SUCH_VARIABLE"])
    assert caught.value.code == 2
    assert "MLSNAP_NO_SUCH_VARIABLE is not set" in capsys.readouterr().err
