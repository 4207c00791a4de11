"""Events of GitHub Actions: the environment and the payload as a runner gives them."""

from __future__ import annotations

import copy
import json
import os
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ci_mlsnap.ci.detect import detect
from ci_mlsnap.domain.event import Event
from ci_mlsnap.errors import Refused, UsageError
from ci_mlsnap.git.repository import GitRepository

HEAD, BASE, MERGE, TAG = "a" * 40, "b" * 40, "c" * 40, "d" * 40
ZEROS = "0" * 40
EVIL = "x`$(touch y)`\n::set-output name=a::b%0A\N{RIGHT-TO-LEFT OVERRIDE}"

REPOSITORY = {"full_name": "acme/digits", "default_branch": "main", "fork": False}
FORK = {"full_name": "eve/digits", "default_branch": "main", "fork": True}
PUSH = {
    "ref": "refs/heads/main",
    "before": BASE,
    "after": HEAD,
    "created": False,
    "deleted": False,
    "forced": False,
    "head_commit": {"id": HEAD, "message": EVIL},
    "repository": REPOSITORY,
}
PULL_REQUEST = {
    "action": "synchronize",
    "number": 7,
    "pull_request": {
        "number": 7,
        "title": EVIL,
        "merge_commit_sha": MERGE,
        "head": {"sha": HEAD, "ref": "feature", "repo": REPOSITORY},
        "base": {"sha": BASE, "ref": "main", "repo": REPOSITORY},
    },
    "repository": REPOSITORY,
}
MERGE_GROUP = {
    "action": "checks_requested",
    "merge_group": {
        "head_sha": HEAD,
        "head_ref": "refs/heads/gh-readonly-queue/main/pr-7-abc",
        "base_sha": BASE,
        "base_ref": "refs/heads/main",
    },
    "repository": REPOSITORY,
}
WORKFLOW_RUN = {
    "action": "completed",
    "workflow_run": {
        "head_sha": HEAD,
        "head_branch": "feature",
        "event": "push",
        "actor": {"login": "ada"},
        "head_repository": REPOSITORY,
        "pull_requests": [],
    },
    "repository": REPOSITORY,
}


def changed(payload: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Change values by path, written `pull_request__head__repo`."""
    result = copy.deepcopy(payload)
    for path, value in changes.items():
        *folders, name = path.split("__")
        place = result
        for folder in folders:
            place = place[folder]
        place[name] = value
    return result


@pytest.fixture
def event(tmp_path: Path) -> Any:
    def read(name: str, payload: Any, *, repository: Any = None, **environ: str) -> Event:
        file = tmp_path / "event.json"
        file.write_bytes(payload if isinstance(payload, bytes) else json.dumps(payload).encode())
        runner = {
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_NAME": name,
            "GITHUB_EVENT_PATH": str(file),
            "GITHUB_SHA": MERGE,
            "GITHUB_REF": "refs/heads/main",
            "GITHUB_ACTOR": "ada",
            "GITHUB_REPOSITORY": "acme/digits",
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_RUN_ID": "4711",
            "GITHUB_RUN_ATTEMPT": "1",
        }
        return detect(runner | environ, stdout=StringIO(), repository=repository).event()

    return read


# -- push and tags -------------------------------------------------------------------------------------


def test_a_push_names_the_commit_after_it(event: Any) -> None:
    assert event("push", PUSH) == Event(
        kind="push",
        sha=HEAD,
        ref="refs/heads/main",
        branch="main",
        repository="acme/digits",
        actor="ada",
        default_branch="main",
        ci="GitHub Actions",
        run_url="https://github.com/acme/digits/actions/runs/4711",
        run_id="4711",
    )


def test_a_sha_256_commit_is_named_by_64_digits(event: Any) -> None:
    assert event("push", changed(PUSH, after="e" * 64)).sha == "e" * 64


def test_a_forced_push_is_said_to_be_one(event: Any) -> None:
    assert event("push", changed(PUSH, forced=True, before=ZEROS)).forced


def test_a_branch_with_slashes_keeps_its_name(event: Any) -> None:
    assert event("push", changed(PUSH, ref="refs/heads/feature/refs/heads/x")).branch == "feature/refs/heads/x"


@pytest.mark.parametrize("gone", [{"deleted": True}, {"after": ZEROS}, {"after": "0" * 64}])
@pytest.mark.parametrize("ref", ["refs/heads/old", "refs/tags/v1"])
def test_a_deleted_ref_is_nothing_to_do_and_never_the_default_branchs_head(
    event: Any, gone: dict[str, Any], ref: str
) -> None:
    """GITHUB_SHA is the default branch's head then."""
    got = event("push", changed(PUSH, ref=ref, head_commit=None, **gone))
    assert "deleted" in got.nothing_to_do
    assert got.sha == ""


def test_a_deletion_event_is_nothing_to_do(event: Any) -> None:
    got = event("delete", {"ref": "old", "ref_type": "branch", "repository": REPOSITORY})
    assert got.nothing_to_do
    assert got.sha == ""


def test_a_tag_names_its_commit_and_no_branch(event: Any) -> None:
    got = event("push", changed(PUSH, ref="refs/tags/v1.0", after=TAG))
    assert (got.kind, got.sha, got.tag, got.branch) == ("tag", HEAD, "v1.0", "")


def test_an_annotated_tag_without_a_head_commit_is_followed_in_git(event: Any, repository: Any) -> None:
    repository.git("tag", "--annotate", "v1", "-m", "one")
    tag = repository.git("rev-parse", "v1")
    payload = changed(PUSH, ref="refs/tags/v1", after=tag, head_commit=None)
    assert event("push", payload, repository=GitRepository.find(repository.path)).sha == repository.head()
    assert event("push", changed(payload, after=TAG), repository=GitRepository.find(repository.path)).sha == TAG


# -- change requests -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pull_request", "pull_request_review", "pull_request_review_comment"])
def test_a_pull_request_names_its_head_and_never_the_test_merge(event: Any, name: str) -> None:
    got = event(name, PULL_REQUEST, GITHUB_REF="refs/pull/7/merge")
    assert (got.kind, got.sha, got.branch, got.pull_request) == ("pull_request", HEAD, "feature", 7)
    assert (got.base_ref, got.base_sha) == ("main", BASE)
    assert got.untrusted == ""
    assert got.is_change_request


@pytest.mark.parametrize(
    "head",
    [
        None,
        FORK,
        {},
        {"full_name": None, "fork": False},
        {"full_name": "eve/digits", "fork": False},
        "acme/digits",
    ],
)
def test_a_pull_request_of_a_fork_is_untrusted_also_when_the_fork_is_gone(event: Any, head: Any) -> None:
    got = event("pull_request", changed(PULL_REQUEST, pull_request__head__repo=head))
    assert "fork" in got.untrusted
    assert got.sha == HEAD


def test_a_repository_that_was_forked_once_takes_pull_requests_of_its_own(event: Any) -> None:
    own = {**FORK, "full_name": "acme/digits"}
    payload = changed(PULL_REQUEST, pull_request__head__repo=own, pull_request__base__repo=own)
    assert event("pull_request", payload).untrusted == ""


def test_naming_the_commit_does_not_make_a_fork_trusted(event: Any) -> None:
    payload = changed(PULL_REQUEST, pull_request__head__repo=FORK)
    got = event("pull_request", payload, MLSNAP_SHA=BASE)
    assert (got.sha, bool(got.untrusted)) == (BASE, True)


@pytest.mark.parametrize(("name", "payload"), [("pull_request", PULL_REQUEST), ("push", PUSH)])
def test_dependabot_is_untrusted_on_every_event(event: Any, name: str, payload: Any) -> None:
    assert "Dependabot" in event(name, payload, GITHUB_ACTOR="dependabot[bot]").untrusted


@pytest.mark.parametrize("environ", [{}, {"MLSNAP_SHA": BASE}])
def test_pull_request_target_is_refused_with_the_way_out(event: Any, environ: dict[str, str]) -> None:
    with pytest.raises(Refused, match="pull_request_target") as caught:
        event("pull_request_target", PULL_REQUEST, **environ)
    assert "on: pull_request" in caught.value.hint


def test_a_merge_group_names_the_queues_commit(event: Any) -> None:
    got = event("merge_group", MERGE_GROUP)
    assert (got.kind, got.sha, got.base_ref, got.base_sha) == ("merge_group", HEAD, "main", BASE)
    assert got.branch == "gh-readonly-queue/main/pr-7-abc"


# -- other events --------------------------------------------------------------------------------------


def test_a_workflow_run_names_the_commit_that_it_ran_on(event: Any) -> None:
    got = event("workflow_run", WORKFLOW_RUN)
    assert (got.kind, got.sha, got.branch, got.untrusted) == ("workflow_run", HEAD, "feature", "")


def test_a_workflow_run_of_a_pull_request_is_judged_by_that_requests_base(event: Any) -> None:
    request = {"number": 7, "head": {"sha": HEAD, "ref": "feature"}, "base": {"sha": BASE, "ref": "stable"}}
    payload = changed(WORKFLOW_RUN, workflow_run__event="pull_request", workflow_run__pull_requests=[request])
    got = event("workflow_run", payload)
    assert got.is_change_request
    assert (got.sha, got.pull_request, got.base_ref, got.base_sha) == (HEAD, 7, "stable", BASE)
    gone = event("workflow_run", changed(payload, workflow_run__pull_requests=[]))
    assert gone.is_change_request
    assert (gone.base_ref, gone.base_sha) == ("main", "")


@pytest.mark.parametrize(
    "change",
    [
        {"workflow_run__head_repository": FORK},
        {"workflow_run__head_repository": None},
        {"workflow_run__actor": {"login": "dependabot[bot]"}},
    ],
)
def test_a_workflow_run_that_a_fork_or_bot_started_is_untrusted(event: Any, change: dict[str, Any]) -> None:
    assert event("workflow_run", changed(WORKFLOW_RUN, **change)).untrusted


def test_a_run_by_hand_takes_the_commit_of_its_input(event: Any) -> None:
    got = event("workflow_dispatch", {"inputs": {"sha": f" {HEAD.upper()} "}, "repository": REPOSITORY})
    assert (got.kind, got.sha, got.branch) == ("manual", HEAD, "main")
    assert event("workflow_dispatch", {"inputs": None, "repository": REPOSITORY}).sha == MERGE


def test_a_schedule_takes_the_commit_of_the_branch_it_runs_on(event: Any) -> None:
    got = event("schedule", {"schedule": "0 3 * * *", "repository": REPOSITORY})
    assert (got.kind, got.sha, got.branch) == ("schedule", MERGE, "main")


@pytest.mark.parametrize("name", ["issue_comment", "release", "check_suite", "\x1b[2J"])
def test_an_event_that_names_no_commit_is_refused_unless_somebody_does(event: Any, name: str) -> None:
    with pytest.raises(UsageError, match=r"^GitHub Actions: ") as caught:
        event(name, {"comment": {"body": EVIL}, "repository": REPOSITORY})
    assert "MLSNAP_SHA" in caught.value.hint
    assert "\x1b" not in str(caught.value)
    assert event(name, {"repository": REPOSITORY}, MLSNAP_SHA=HEAD).sha == HEAD


# -- the explicit commit -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "payload"),
    [("push", PUSH), ("push", changed(PUSH, deleted=True)), ("pull_request", PULL_REQUEST), ("schedule", {})],
)
def test_the_explicit_commit_wins(event: Any, name: str, payload: Any) -> None:
    got = event(name, payload, MLSNAP_SHA="E" * 40)
    assert (got.sha, got.nothing_to_do) == ("e" * 40, "")


@pytest.mark.parametrize(
    "text", ["main", "a" * 39, "a" * 41, "g" * 40, ZEROS, "HEAD", f"--x={HEAD}", f"{HEAD}\n{BASE}"]
)
def test_an_explicit_commit_that_is_no_sha_is_refused(event: Any, text: str) -> None:
    with pytest.raises(UsageError, match="MLSNAP_SHA names no commit"):
        event("push", PUSH, MLSNAP_SHA=text)


# -- hostile and broken payloads -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("push", changed(PUSH, after="main")),
        ("push", changed(PUSH, after=["x"])),
        ("push", changed(PUSH, after=HEAD + "\n::stop-commands::x")),
        ("push", {}),
        ("pull_request", {}),
        ("pull_request", changed(PULL_REQUEST, pull_request=None)),
        ("pull_request", changed(PULL_REQUEST, pull_request__head__sha="HEAD")),
        ("merge_group", {"merge_group": {"head_sha": None}}),
        ("workflow_run", {}),
        ("workflow_dispatch", {"inputs": {"sha": "main"}}),
    ],
)
def test_a_payload_without_a_usable_commit_is_an_error_of_ours(event: Any, name: str, payload: Any) -> None:
    with pytest.raises(UsageError, match=r"^GitHub Actions: ") as caught:
        event(name, payload)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 200_000, b'"text"'])
def test_a_payload_that_is_no_json_object_is_an_error_of_ours(event: Any, content: bytes) -> None:
    with pytest.raises(UsageError, match="event's file cannot be used"):
        event("push", content)


def test_a_payload_of_more_than_32_mib_is_refused(event: Any, tmp_path: Path) -> None:
    large = tmp_path / "large.json"
    with large.open("wb") as file:
        file.truncate((32 << 20) + 1)
    with pytest.raises(UsageError) as caught:
        event("push", PUSH, GITHUB_EVENT_PATH=str(large))
    assert "bytes" in caught.value.why


def test_a_fifo_in_the_payloads_place_is_refused_without_waiting(event: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(UsageError) as caught:
        event("push", PUSH, GITHUB_EVENT_PATH=str(tmp_path / "fifo"))
    assert "regular file" in caught.value.why


@pytest.mark.parametrize("path", ["", "/nowhere/event.json", "/"])
def test_a_missing_payload_is_an_error_of_ours(event: Any, path: str) -> None:
    with pytest.raises(UsageError, match="event's file cannot be used"):
        event("push", PUSH, GITHUB_EVENT_PATH=path)


@pytest.mark.parametrize("branch", [EVIL, "\udc80\ud800", "b" * 100_000, "\x00"])
def test_strangers_texts_can_be_stored(event: Any, branch: str) -> None:
    """Half a surrogate pair is legal in JSON, and in no file."""
    got = event("pull_request", changed(PULL_REQUEST, pull_request__head__ref=branch))
    assert msgspec.json.decode(msgspec.json.encode(got), type=Event) == got
    assert len(got.branch) <= 1024


@pytest.mark.parametrize("number", [True, -1, 0, 1.5, "7", None, 10**30])
def test_a_pull_requests_number_is_a_number_or_nothing(event: Any, number: Any) -> None:
    payload = changed(PULL_REQUEST, number=None, pull_request__number=number)
    assert event("pull_request", payload).pull_request == 0


# -- the run -------------------------------------------------------------------------------------------


def test_a_second_attempt_has_a_page_of_its_own(event: Any) -> None:
    got = event("push", PUSH, GITHUB_RUN_ATTEMPT="2", GITHUB_SERVER_URL="https://forge.example/")
    assert got.run_url == "https://forge.example/acme/digits/actions/runs/4711/attempts/2"
    assert got.run_attempt == 2


@pytest.mark.parametrize(
    "environ",
    [
        {"GITHUB_SERVER_URL": ""},
        {"GITHUB_SERVER_URL": "javascript:alert(1)"},
        {"GITHUB_SERVER_URL": "https://ada:s3cret@forge.example"},
        {"GITHUB_REPOSITORY": "acme/digits/../x"},
        {"GITHUB_RUN_ID": "4711?x"},
        {"GITHUB_RUN_ID": ""},
    ],
)
def test_a_run_without_a_usable_page_has_none(event: Any, environ: dict[str, str]) -> None:
    assert event("push", PUSH, **environ).run_url == ""


@pytest.mark.parametrize("attempt", ["", "x", "-1", "0", "9" * 30])
def test_an_attempt_that_is_no_number_is_the_first(event: Any, attempt: str) -> None:
    assert event("push", PUSH, GITHUB_RUN_ATTEMPT=attempt).run_attempt == 1
