"""`mlsnap jenkins check`: what is there, what lacks, and what to do about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ci_mlsnap.ci.jenkins_api import Server
from ci_mlsnap.errors import JenkinsForbidden
from ci_mlsnap.flows.jenkins_check import NEEDED, USEFUL, check
from ci_mlsnap.flows.jenkins_run import RUN_ID, SHA
from tests.jenkins_server.conftest import Command
from tests.jenkins_server.jobs import add
from tests.jenkins_server.lookalike import JenkinsLookAlike


@pytest.fixture
def complete(lookalike: JenkinsLookAlike) -> JenkinsLookAlike:
    """Give a server that has all plug-ins, and a job as `install` makes it."""
    lookalike.state.plugins = dict.fromkeys([*NEEDED, *USEFUL], "1.0")
    add(lookalike, "ml/digits", [SHA, RUN_ID])
    return lookalike


def told(server: Server, state: str, **asked: str) -> list[str]:
    return [found.text for found in check(server, **asked) if found.state == state]


def test_a_server_that_has_all_is_fine(server: Server, complete: JenkinsLookAlike) -> None:
    assert told(server, "bad", job="ml/digits", jenkinsfile="pipeline { }") == []
    assert told(server, "note", job="ml/digits", jenkinsfile="pipeline { }") == []
    fine = told(server, "ok", job="ml/digits", jenkinsfile="pipeline { }")
    assert fine[0] == f"{complete.url}, as ada"
    assert "Jenkins 2.421" in fine
    assert "git 1.0" in fine
    assert not any(line.startswith("POST") and "validate" not in line for line in complete.received)


def test_each_plug_in_that_lacks_is_named(server: Server, complete: JenkinsLookAlike) -> None:
    del complete.state.plugins["git"], complete.state.plugins["junit"]
    assert told(server, "bad") == ["git is missing: checkouts"]
    assert told(server, "note") == ["junit is missing: gates as tests on the build's page"]


def test_rights_that_lack_are_notes(server: Server, complete: JenkinsLookAlike) -> None:
    complete.lacks = {"Overall/SystemRead", "Job/Create"}
    assert told(server, "bad", job="ml/digits") == []
    assert told(server, "note", job="ml/digits") == [
        "this user may not list them (the user lacks the permission Overall/SystemRead)",
        "may make no jobs in ml",
    ]


def test_a_job_without_our_parameters_and_a_bad_jenkinsfile_are_told(
    server: Server, complete: JenkinsLookAlike
) -> None:
    add(complete, "plain").disabled = True
    assert told(server, "note", job="plain") == [
        f"plain has no parameter {SHA}",
        f"plain has no parameter {RUN_ID}",
    ]
    assert told(server, "bad", job="plain", jenkinsfile="pipeline {") == [
        "plain cannot be built",
        "WorkflowScript: 1: expecting '}', found '' @ line 1, column 1.",
    ]
    assert len(told(server, "bad", job="nothing")) == 1
    del complete.state.plugins["pipeline-model-definition"]
    assert "not looked at: the server has no linter" in told(server, "note", jenkinsfile="pipeline {")


def test_without_a_login_there_is_no_more_to_ask(server: Server, complete: JenkinsLookAlike) -> None:
    server._client._auths = [("basic", None)]
    with pytest.raises(JenkinsForbidden):
        check(server)


def test_the_command_ends_with_20_where_something_lacks(
    mlsnap: Command, complete: JenkinsLookAlike, tmp_path: Path
) -> None:
    jenkinsfile = tmp_path / "Jenkinsfile"
    jenkinsfile.write_text("pipeline { agent any }")
    said = mlsnap("check", "ml/digits", "--jenkinsfile", str(jenkinsfile))
    assert (said.returncode, said.stderr) == (0, "")
    assert "the server finds nothing wrong with it" in said.stdout
    jenkinsfile.write_bytes(b"pipeline { \xff")
    said = mlsnap("check", "ml/digits", "--jenkinsfile", str(jenkinsfile), "--json")
    assert said.returncode == 20
    assert [found["topic"] for found in json.loads(said.stdout) if found["state"] == "bad"] == ["Jenkinsfile"]
