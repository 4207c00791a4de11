"""Which CI it is, by the environment alone."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest

from ci_mlsnap.ci.detect import detect
from ci_mlsnap.domain.event import Event
from ci_mlsnap.errors import NoCommit, UsageError
from ci_mlsnap.git.repository import GitRepository

ACTIONS = {"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "push"}
JENKINS = {"JOB_NAME": "digits", "BUILD_NUMBER": "1", "BUILD_TAG": "jenkins-digits-1"}


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({}, ""),
        ({"CI": "true"}, ""),
        (ACTIONS, "GitHub Actions"),
        (ACTIONS | JENKINS, "GitHub Actions"),
        ({"GITHUB_ACTIONS": "false", "GITHUB_EVENT_NAME": "push"}, ""),
        ({"GITHUB_TOKEN": "x", "GITHUB_REPOSITORY": "acme/digits"}, ""),
        (JENKINS, "Jenkins"),
        ({"JOB_NAME": "a", "BUILD_NUMBER": "1", "JENKINS_URL": "https://ci.example/"}, "Jenkins"),
        ({"JOB_NAME": "a", "BUILD_NUMBER": "1", "JENKINS_HOME": "/var/lib/jenkins"}, "Jenkins"),
        ({"JENKINS_HOME": "/var/lib/jenkins"}, ""),
        ({"JOB_NAME": "a", "BUILD_NUMBER": "1", "BUILD_TAG": "other-a-1"}, ""),
        ({"BUILD_NUMBER": "1", "WORKSPACE": "/w"}, ""),
    ],
)
def test_each_ci_is_known_by_its_own_variables(environ: dict[str, str], name: str) -> None:
    assert detect(environ, stdout=StringIO()).name == name


def test_actions_without_an_event_are_unusable_and_say_so() -> None:
    with pytest.raises(UsageError, match=r"^GitHub Actions: "):
        detect({"GITHUB_ACTIONS": "true"}, stdout=StringIO())


def test_by_hand_head_is_meant(repository: Any) -> None:
    repository.git("remote", "add", "origin", "https://github.com/acme/digits")
    assert detect({}, repository=GitRepository.find(repository.path)).event() == Event(
        kind="local", sha=repository.head(), ref="refs/heads/main", branch="main", repository="acme/digits"
    )


def test_by_hand_a_detached_head_has_no_branch_and_another_commit_may_be_named(make_repository: Any) -> None:
    made = make_repository(commits=("one", "two"))
    made.git("checkout", "--quiet", "--detach")
    found = GitRepository.find(made.path)
    assert (detect({}, repository=found).event().branch, detect({}, repository=found).event().ref) == ("", "")
    first = found.resolve("HEAD~1")
    assert detect({"MLSNAP_SHA": first}, repository=found).event().sha == first
    with pytest.raises(UsageError, match="MLSNAP_SHA"):
        detect({"MLSNAP_SHA": "main"}, repository=found).event()


def test_by_hand_an_unborn_branch_is_an_error_and_without_a_repository_nothing_is_known(
    make_repository: Any,
) -> None:
    with pytest.raises(NoCommit):
        detect({}, repository=GitRepository.find(make_repository(commits=()).path)).event()
    assert detect({}).event() == Event(kind="local")


def test_by_hand_nothing_is_written_besides_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    build = detect({})
    build.group("train")
    build.error("text", file="a", line=1)
    build.fence()
    build.unfence()
    build.output({"plan": "x"})
    build.summary("# x")
    assert capsys.readouterr() == ("", "")


def test_the_log_is_standard_output_when_none_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    detect(ACTIONS).group("train")
    assert capsys.readouterr().out == "::group::train\n"
