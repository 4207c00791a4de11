"""Builds on Jenkins: plain jobs, multibranch jobs, change requests with and without a merge."""

from __future__ import annotations

import os
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from ci_mlsnap.ci.detect import detect
from ci_mlsnap.ci.jenkins import change_request_head
from ci_mlsnap.domain.event import Event
from ci_mlsnap.errors import NoCommit, Refused, UsageError
from ci_mlsnap.git.repository import GitRepository
from ci_mlsnap.ports import CommitFacts

HEAD, TARGET, MERGE, OTHER = "a" * 40, "b" * 40, "c" * 40, "d" * 40

PLAIN = {
    "CI": "true",
    "JOB_NAME": "digits",
    "BUILD_NUMBER": "12",
    "BUILD_TAG": "jenkins-digits-12",
    "JENKINS_HOME": "/var/lib/jenkins",
}
MULTIBRANCH = PLAIN | {
    "JOB_NAME": "mb/feat%2Fx-y",
    "BRANCH_NAME": "feat/x-y",
    "BUILD_URL": "https://ci.example/job/mb/job/feat%252Fx-y/12/",
}
CHANGE = MULTIBRANCH | {
    "BRANCH_NAME": "PR-7",
    "CHANGE_ID": "7",
    "CHANGE_TARGET": "main",
    "CHANGE_BRANCH": "feature",
    "CHANGE_AUTHOR": "ada",
    "CHANGE_TITLE": "x\n::set-output name=a::b",
}


def read(environ: dict[str, str], found: GitRepository | None = None) -> Event:
    return detect(environ, stdout=StringIO(), repository=found).event()


# -- branches and tags ---------------------------------------------------------------------------------


def test_a_branchs_build_names_head_and_its_page(repository: Any) -> None:
    repository.git("remote", "add", "origin", "git@github.com:acme/digits.git")
    assert read(MULTIBRANCH, GitRepository.find(repository.path)) == Event(
        kind="push",
        sha=repository.head(),
        ref="refs/heads/feat/x-y",
        branch="feat/x-y",
        repository="acme/digits",
        ci="Jenkins",
        run_url="https://ci.example/job/mb/job/feat%252Fx-y/12/",
        run_id="jenkins-digits-12",
    )


def test_a_server_without_a_url_has_no_page(repository: Any) -> None:
    assert read(PLAIN, GitRepository.find(repository.path)).run_url == ""
    assert read(PLAIN | {"BUILD_URL": "javascript:alert(1)"}).run_url == ""
    assert read(PLAIN | {"RUN_DISPLAY_URL": "https://ci.example/blue/12"}).run_url == "https://ci.example/blue/12"


@pytest.mark.parametrize(
    ("git_branch", "branch"),
    [("origin/main", "main"), ("refs/heads/main", "main"), ("origin/feat/x", "feat/x"), ("", "")],
)
def test_a_plain_jobs_branch_is_that_of_its_checkout(git_branch: str, branch: str) -> None:
    assert read(PLAIN | {"GIT_BRANCH": git_branch}).branch == branch


def test_the_commit_of_the_checkout_is_the_one_that_jenkins_says(make_repository: Any) -> None:
    made = make_repository(commits=("one", "two"))
    first = made.git("rev-parse", "HEAD~1")
    assert read(PLAIN | {"GIT_COMMIT": first}, GitRepository.find(made.path)).sha == first
    assert read(PLAIN | {"GIT_COMMIT": HEAD}).sha == HEAD


@pytest.mark.parametrize("stated", [OTHER, "HEAD", "", "--all"])
def test_a_commit_of_another_repository_is_not_taken_for_ours(repository: Any, stated: str) -> None:
    """The checkout of a shared library sets GIT_COMMIT as well."""
    assert read(PLAIN | {"GIT_COMMIT": stated}, GitRepository.find(repository.path)).sha == repository.head()


def test_a_tag_is_no_branch(repository: Any) -> None:
    got = read(MULTIBRANCH | {"BRANCH_NAME": "v1.0", "TAG_NAME": "v1.0"}, GitRepository.find(repository.path))
    assert (got.kind, got.tag, got.branch, got.ref) == ("tag", "v1.0", "", "refs/tags/v1.0")


def test_the_primary_branch_is_the_default_one(repository: Any) -> None:
    assert read(MULTIBRANCH | {"BRANCH_IS_PRIMARY": "true"}).default_branch == "feat/x-y"
    assert read(MULTIBRANCH).default_branch == ""


def test_the_explicit_commit_wins_and_is_checked(repository: Any) -> None:
    assert read(CHANGE | {"MLSNAP_SHA": OTHER}, GitRepository.find(repository.path)).sha == OTHER
    with pytest.raises(UsageError, match="MLSNAP_SHA"):
        read(PLAIN | {"MLSNAP_SHA": "main"})


# -- the head of a change request, as a rule -----------------------------------------------------------


def facts(sha: str, *parents: str) -> CommitFacts:
    return CommitFacts(sha=sha, tree="e" * 40, parents=parents, subject="")


@pytest.mark.parametrize(
    ("head", "fetched", "explicit", "expected"),
    [
        (facts(HEAD, OTHER), None, "", HEAD),
        (facts(HEAD), None, "", HEAD),
        (facts(HEAD, OTHER), HEAD, "", HEAD),
        (facts(MERGE, HEAD, TARGET), HEAD, "", HEAD),
        (facts(MERGE, TARGET, HEAD), HEAD, "", HEAD),
        (facts(MERGE, HEAD, TARGET), MERGE, "", MERGE),
        (facts(MERGE, TARGET, OTHER), None, HEAD, HEAD),
        (facts(HEAD, OTHER), None, OTHER, OTHER),
    ],
)
def test_the_head_is_told_where_it_can_be(
    head: CommitFacts, fetched: str | None, explicit: str, expected: str
) -> None:
    assert change_request_head(head, fetched, explicit) == expected


@pytest.mark.parametrize(
    ("head", "fetched"),
    [
        (facts(MERGE, HEAD, TARGET), None),
        (facts(MERGE, HEAD, TARGET), OTHER),
        (facts(MERGE, HEAD, TARGET, OTHER), None),
        # A fast-forward leaves the job at the target's commit, and a squash on top of it.
        (facts(TARGET, OTHER), HEAD),
        (facts(MERGE, HEAD), HEAD),
    ],
)
def test_the_head_is_never_guessed(head: CommitFacts, fetched: str | None) -> None:
    with pytest.raises(Refused, match=r"^Jenkins: ") as caught:
        change_request_head(head, fetched, "")
    assert "MLSNAP_SHA" in caught.value.hint


# -- the head of a change request, in real checkouts ---------------------------------------------------


@pytest.fixture
def change(make_repository: Any, tmp_path: Path) -> Any:
    """The workspace as the branch source leaves it: HEAD detached at a local merge of the target into the head."""
    origin = make_repository("origin")
    origin.git("checkout", "--quiet", "-b", "feature")
    origin.commit("the change", {"change": "1"})
    origin.git("checkout", "--quiet", "main")
    origin.commit("on main", {"main": "2"})
    origin.git("clone", "--quiet", "--no-checkout", ".", str(tmp_path / "workspace"))
    workspace = type(origin)(path=tmp_path / "workspace")
    workspace.git("fetch", "--quiet", "origin", "+refs/heads/feature:refs/remotes/origin/PR-7")
    workspace.git("checkout", "--quiet", "--detach", "origin/PR-7")
    workspace.git("merge", "--quiet", "--no-edit", "origin/main")
    return workspace


def test_a_merged_change_request_is_its_head_and_not_the_local_merge(change: Any) -> None:
    environ = CHANGE | {"GIT_COMMIT": change.head()}
    got = read(environ, GitRepository.find(change.path))
    assert got.sha == change.git("rev-parse", "origin/PR-7")
    assert (got.kind, got.pull_request, got.branch, got.actor) == ("pull_request", 7, "feature", "ada")
    assert (got.base_ref, got.base_sha) == ("main", change.git("rev-parse", "origin/main"))
    assert got.ref == "refs/pull/7/merge"


def test_the_head_is_found_under_the_branchs_name_too(change: Any) -> None:
    change.git("update-ref", "-d", "refs/remotes/origin/PR-7")
    got = read(CHANGE, GitRepository.find(change.path))
    assert got.sha == change.git("rev-parse", "origin/feature")


def test_a_forks_branch_is_never_looked_up_among_our_own(change: Any) -> None:
    """Nothing is trained for it, so it may stay without a name; a branch of ours must not give it one."""
    change.git("update-ref", "-d", "refs/remotes/origin/PR-7")
    got = read(CHANGE | {"CHANGE_FORK": "eve", "CHANGE_BRANCH": "main"}, GitRepository.find(change.path))
    assert "fork" in got.untrusted
    assert got.sha == ""


def test_a_merge_whose_head_was_not_fetched_is_refused(change: Any) -> None:
    change.git("update-ref", "-d", "refs/remotes/origin/PR-7")
    with pytest.raises(Refused):
        read(CHANGE | {"CHANGE_BRANCH": "gone"}, GitRepository.find(change.path))


def test_a_shallow_checkout_of_the_merge_is_not_taken_for_the_head(change: Any, tmp_path: Path) -> None:
    """To git the merge has no parents there."""
    change.git("branch", "merged")
    change.git(
        "clone", "--quiet", "--depth=1", "--branch=merged", f"file://{change.path}", str(tmp_path / "shallow")
    )
    with pytest.raises(Refused):
        read(CHANGE, GitRepository.find(tmp_path / "shallow"))


@pytest.mark.parametrize("name", ["main^", "main~1", "feature@{0}", "-x", "a b", "x\n", "", "../../heads/main"])
def test_a_branchs_name_is_never_read_as_a_revision(change: Any, name: str) -> None:
    change.git("update-ref", "-d", "refs/remotes/origin/PR-7")
    with pytest.raises(Refused):
        read(CHANGE | {"BRANCH_NAME": name, "CHANGE_BRANCH": name}, GitRepository.find(change.path))


@pytest.mark.parametrize("number", ["PR-7", "", "7; x", "9" * 40])
def test_a_change_requests_number_is_a_number_or_nothing(change: Any, number: str) -> None:
    assert read(CHANGE | {"CHANGE_ID": number}, GitRepository.find(change.path)).pull_request == 0


def test_a_change_request_without_its_checkout_cannot_be_named() -> None:
    with pytest.raises(NoCommit):
        read(CHANGE)


# -- the log -------------------------------------------------------------------------------------------


def test_each_line_has_our_stamp_and_obeys_nobody() -> None:
    log = StringIO()
    build = detect(PLAIN, stdout=log)
    build.group("train")
    build.group("")
    build.error("one\ntwo \x1b[8mha:x\x1b[0m\r", file="mlsnap.toml", line=3)
    build.error("three", file="train.py")
    build.fence()
    build.unfence()
    build.output({"plan": "x"})
    build.summary("# x")
    assert log.getvalue().splitlines() == [
        "[mlsnap] train",
        "[mlsnap] error: mlsnap.toml:3: one",
        "[mlsnap] two \\x1b[8mha:x\\x1b[0m\\r",
        "[mlsnap] error: train.py: three",
    ]


# -- outputs -------------------------------------------------------------------------------------------


def read_outputs(file: Path) -> dict[str, str]:
    """Read the file as the step does: lines, then the first `=`, then the escapes, `%25` last."""
    lines = [line.partition("=") for line in file.read_bytes().decode().split("\n")[:-1]]
    return {name: value.replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%") for name, _, value in lines}


HOSTILE = [
    "a\nconclusion=good",
    "a\r\nb",
    "100%",
    "%0A",
    "%250A",
    "ü → \u2028 ",
    "",
    "=",
    "\udcff",
    "\x00\x1b[8mha:",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_value_of_an_output_is_more_than_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "output"
    build = detect(PLAIN | {"MLSNAP_OUTPUT": str(file)}, stdout=StringIO())
    build.output({"plan": "x"})
    build.output({"result": text, "sha": HEAD})
    assert read_outputs(file) == {"plan": "x", "result": text.replace("\udcff", "?"), "sha": HEAD}


def test_outputs_are_written_through_no_link_and_into_no_pipe(tmp_path: Path) -> None:
    log, secret = StringIO(), tmp_path / "secret"
    secret.write_text("mine")
    (tmp_path / "link").symlink_to(secret)
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", "no/folder"):
        detect(PLAIN | {"MLSNAP_OUTPUT": str(tmp_path / name)}, stdout=log).output({"sha": HEAD})
    assert secret.read_text() == "mine"
    assert log.getvalue().count("[mlsnap] warning: MLSNAP_OUTPUT cannot be written: ") == 3
