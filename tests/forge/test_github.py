"""What reaches GitHub through the real PyGithub, and what is known of a token's rights."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ci_mlsnap.demo.faults import Fault
from ci_mlsnap.demo.github import GitHubLookAlike
from ci_mlsnap.domain.status import CommitStatus, status
from ci_mlsnap.errors import ConfigInvalid, ForgeForbidden, ForgeRejected, ForgeUnavailable
from ci_mlsnap.forge.github import GitHub
from tests.forge.conftest import BRISK, READ_ONLY, REPOSITORY, SHA, STATUS, STRANGER, TOKEN


def test_a_status_arrives_as_it_was_built(lookalike: GitHubLookAlike, forge: GitHub) -> None:
    sent = forge.post_status(REPOSITORY, STATUS)
    (kept,) = lookalike.board.statuses(REPOSITORY, SHA)
    assert {name: kept[name] for name in ("state", "description", "context", "target_url")} == {
        "state": "success",
        "description": STATUS.description,
        "context": "mlsnap/digits",
        "target_url": "https://ci.example/run/7",
    }
    assert sent.url == f"{lookalike.url}/repos/{REPOSITORY}/statuses/{SHA}"


def test_a_status_costs_one_request(lookalike: GitHubLookAlike, forge: GitHub) -> None:
    forge.post_status(REPOSITORY, STATUS)
    assert [(each.method, each.path) for each in lookalike.received] == [
        ("POST", f"/repos/{REPOSITORY}/statuses/{SHA}")
    ]


def test_a_status_without_a_page_sends_no_target(lookalike: GitHubLookAlike, forge: GitHub) -> None:
    forge.post_status(REPOSITORY, status(SHA, "mlsnap/digits", "pending", "Training started"))
    assert "target_url" not in json.loads(lookalike.received[0].body)


@pytest.mark.parametrize("text", ["é" * 200, "🧪" * 200, "a" * 140, "plain \u202e and\x00 hostile ::error::"])
def test_any_description_that_the_domain_builds_is_taken(
    lookalike: GitHubLookAlike, forge: GitHub, text: str
) -> None:
    built = status(SHA, "mlsnap/digits", "failure", text)
    forge.post_status(REPOSITORY, built)
    assert lookalike.board.statuses(REPOSITORY, SHA)[0]["description"] == built.description


def test_a_sha256_commit_is_posted_to(lookalike: GitHubLookAlike, forge: GitHub) -> None:
    sha = "a" * 64
    forge.post_status(REPOSITORY, status(sha, "mlsnap/digits", "success", "ready"))
    assert len(lookalike.board.statuses(REPOSITORY, sha)) == 1


def test_the_path_of_an_enterprise_server_is_kept() -> None:
    with (
        GitHubLookAlike(tokens={TOKEN: "write"}, prefix="/api/v3") as server,
        GitHub(token=TOKEN, api_url=server.url + "/", patience=BRISK) as github,
    ):
        github.post_status(REPOSITORY, STATUS)
        assert github.may_post(REPOSITORY) == ""
        assert [each.path.partition("/repos/")[0] for each in server.received] == ["/api/v3", "/api/v3"]


def test_a_closed_forge_opens_again(lookalike: GitHubLookAlike, forge: GitHub) -> None:
    forge.post_status(REPOSITORY, STATUS)
    forge.close()
    forge.close()
    forge.post_status(REPOSITORY, STATUS)
    assert len(lookalike.board.statuses(REPOSITORY, SHA)) == 2


@pytest.mark.parametrize(
    "repository", ["digits", "octo/", "octo/..", "../octo", "a/b/c", "octo/di gits", "o/d?x=1"]
)
def test_what_is_no_repository_is_sent_nowhere(lookalike: GitHubLookAlike, forge: GitHub, repository: str) -> None:
    with pytest.raises(ForgeRejected):
        forge.post_status(repository, STATUS)
    with pytest.raises(ForgeRejected):
        forge.may_post(repository)
    assert lookalike.received == []


@pytest.mark.parametrize("sha", ["", "main", SHA[:12], SHA.upper(), SHA + "/../x"])
def test_what_is_no_full_sha_is_sent_nowhere(lookalike: GitHubLookAlike, forge: GitHub, sha: str) -> None:
    hostile = CommitStatus(sha=sha, context="mlsnap/digits", state="success", description="")
    with pytest.raises(ForgeRejected):
        forge.post_status(REPOSITORY, hostile)
    assert lookalike.received == []


def test_an_unknown_commit_is_rejected_for_good() -> None:
    with (
        GitHubLookAlike(tokens={TOKEN: "write"}, knows=lambda sha: False) as server,
        GitHub(token=TOKEN, api_url=server.url, patience=BRISK) as github,
    ):
        with pytest.raises(ForgeRejected) as caught:
            github.post_status(REPOSITORY, STATUS)
        assert "No commit found for SHA" in caught.value.why
        assert len(server.received) == 1


def test_the_thousand_and_first_status_is_rejected_for_good(lookalike: GitHubLookAlike, forge: GitHub) -> None:
    for _ in range(1000):
        lookalike.board.post(REPOSITORY, SHA, {"state": "pending", "context": "MLSNAP/digits"})
    with pytest.raises(ForgeRejected) as caught:
        forge.post_status(REPOSITORY, STATUS)
    assert "maximum number" in caught.value.why


@pytest.mark.parametrize(
    ("token", "repository", "way_out"),
    [
        (READ_ONLY, REPOSITORY, "statuses: write"),
        (STRANGER, REPOSITORY, "access"),
        (TOKEN, "octo/unseen", "repository's name"),
        ("ghp_unknown", REPOSITORY, "renew"),
    ],
)
def test_a_token_without_the_right_is_told_what_to_add(
    lookalike: GitHubLookAlike, token: str, repository: str, way_out: str
) -> None:
    with GitHub(token=token, api_url=lookalike.url, patience=BRISK) as github:
        with pytest.raises(ForgeForbidden) as caught:
            github.post_status(repository, STATUS)
        assert way_out in caught.value.hint
        assert github.may_post(repository) != ""


def test_nothing_stops_a_token_that_may_write(forge: GitHub) -> None:
    assert forge.may_post(REPOSITORY) == ""


def test_looking_sends_nothing_that_changes(lookalike: GitHubLookAlike, forge: GitHub) -> None:
    forge.may_post(REPOSITORY)
    assert [each.method for each in lookalike.received] == ["GET"]


def test_an_installations_token_is_not_judged_by_the_right_to_push(lookalike: GitHubLookAlike) -> None:
    """`contents: read` with `statuses: write` is what the documentation asks for."""
    lookalike.tokens["ghs_action"] = "read"
    with GitHub(token="ghs_action", api_url=lookalike.url, patience=BRISK) as github:
        assert github.may_post(REPOSITORY) == ""


@pytest.mark.parametrize(
    ("scopes", "stopped"), [("repo", False), ("gist, repo:status", False), ("gist, read:org", True), ("", True)]
)
def test_the_scopes_of_a_classic_token_are_read(
    lookalike: GitHubLookAlike, forge: GitHub, scopes: str, stopped: bool
) -> None:
    facts = json.dumps({"full_name": REPOSITORY, "permissions": {"push": True}})
    lookalike.faults.next(Fault(code=200, headers={"X-OAuth-Scopes": scopes}, body=facts))
    assert ("scopes" in forge.may_post(REPOSITORY)) is stopped


@pytest.mark.parametrize(
    ("facts", "word"), [({"full_name": "octo/numbers"}, "octo/numbers"), ({"archived": True}, "archived")]
)
def test_a_repository_that_moved_or_rests_is_named(
    lookalike: GitHubLookAlike, forge: GitHub, facts: dict[str, object], word: str
) -> None:
    lookalike.faults.next(Fault(code=200, body=json.dumps({"full_name": REPOSITORY, **facts})))
    assert word in forge.may_post(REPOSITORY)


def test_a_silent_forge_is_no_verdict_on_the_token(lookalike: GitHubLookAlike, forge: GitHub) -> None:
    lookalike.faults.next(Fault(), times=3)
    with pytest.raises(ForgeUnavailable):
        forge.may_post(REPOSITORY)


@pytest.mark.parametrize(
    "url",
    [
        "http://github.example/api/v3",
        "ftp://127.0.0.1",
        "https://user:pass@github.example",
        "https://",
        "https://github.example:port",
        "https://github.example/?token=",
        "api.github.com",
        "",
    ],
)
def test_a_token_is_offered_only_over_tls_or_on_loopback(url: str) -> None:
    with pytest.raises(ConfigInvalid):
        GitHub(token=TOKEN, api_url=url)


@pytest.mark.parametrize("token", ["", "  ", "two words", "line\nbreak", "clé"])
def test_what_can_be_no_token_is_refused_without_showing_it(token: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        GitHub(token=token)
    assert not token.strip() or token not in f"{caught.value.what}{caught.value.why}{caught.value.hint}"


def test_the_line_end_of_a_secrets_file_is_no_part_of_the_token(lookalike: GitHubLookAlike) -> None:
    with GitHub(token=f"{TOKEN}\n", api_url=lookalike.url, patience=BRISK) as github:
        github.post_status(REPOSITORY, STATUS)
    assert len(lookalike.board.statuses(REPOSITORY, SHA)) == 1


def test_a_bundle_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid):
        GitHub(token=TOKEN, ca=tmp_path / "missing.pem")


def test_no_client_library_is_loaded_before_the_first_call() -> None:
    script = (
        "import sys; from ci_mlsnap.forge.github import GitHub; from ci_mlsnap.forge.dry_run import DryRun;"
        "GitHub(token='t').close(); print([m for m in ('github', 'requests', 'urllib3') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
