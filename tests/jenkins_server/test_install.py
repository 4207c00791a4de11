"""`mlsnap jenkins install`: what is wanted is put in, all else stays, and twice is once."""

from __future__ import annotations

import json
import subprocess
from xml.etree import ElementTree as ET

import pytest

from ci_mlsnap.ci.jenkins_api import Server
from ci_mlsnap.ci.jenkins_config import merged, read
from ci_mlsnap.errors import JenkinsNotFound, JenkinsRejected, JenkinsUnknown, Refused, UsageError
from ci_mlsnap.flows.jenkins_install import Wanted, install, plan
from ci_mlsnap.flows.jenkins_run import RUN_ID, SHA
from tests.jenkins_server.conftest import Command
from tests.jenkins_server.jobs import FOLDER, pipeline
from tests.jenkins_server.lookalike import JenkinsLookAlike

PIPELINE = Wanted(name="digits", repository="https://git.example/acme/digits.git", credentials="git")
BOOLEAN = "<model.BooleanParameterDefinition><name>X</name></model.BooleanParameterDefinition>"
HOSTILE = ["<script>&\"'", "]]>", "$(touch pwned)", "ü ✓", "{{ 7*7 }}", "-x"]


def test_a_job_is_made_and_takes_what_a_run_gives_it(server: Server, lookalike: JenkinsLookAlike) -> None:
    done = install(server, PIPELINE)
    assert (done.act, done.exists) == ("create", False)
    assert server.job("digits").names == (SHA, RUN_ID)
    root = read(lookalike.state.jobs["digits"].xml)
    assert root.findtext(".//url") == "https://git.example/acme/digits.git"
    assert root.findtext(".//credentialsId") == "git"
    assert root.findtext(".//hudson.plugins.git.BranchSpec/name") == "*/main"
    assert root.findtext(".//scriptPath") == "Jenkinsfile"


@pytest.mark.parametrize("kind", ["pipeline", "multibranch", "folder"])
@pytest.mark.parametrize("repository", ["octo/digits", "ssh://git@git.example/octo/digits.git"])
def test_doing_it_again_changes_nothing(
    server: Server, lookalike: JenkinsLookAlike, kind: str, repository: str
) -> None:
    wanted = Wanted(name="a job", kind=kind, repository=repository)  # type: ignore[arg-type]
    assert install(server, wanted).act == "create"
    before = lookalike.state.jobs["a job"].xml
    assert install(server, wanted).act == "nothing"
    assert lookalike.state.jobs["a job"].xml == before
    lookalike.state.save_all()
    assert install(server, wanted).act == "nothing"
    assert sum(line.startswith("POST") for line in lookalike.received) == 1


def test_a_multibranch_job_takes_the_heads_of_pull_requests_and_no_forks(
    server: Server, lookalike: JenkinsLookAlike
) -> None:
    install(server, Wanted(name="mb", kind="multibranch", repository="octo/digits", jenkinsfile="ci/Jenkinsfile"))
    root = read(lookalike.state.jobs["mb"].xml)
    source = root.find(".//source")
    assert source is not None
    assert (source.findtext("repoOwner"), source.findtext("repository")) == ("octo", "digits")
    traits = {each.tag.rpartition(".")[2]: each.findtext("strategyId") for each in source.iterfind("traits/*")}
    assert traits == {"BranchDiscoveryTrait": "1", "OriginPullRequestDiscoveryTrait": "2"}
    assert root.findtext("factory/scriptPath") == "ci/Jenkinsfile"


def test_what_people_added_stays(server: Server, lookalike: JenkinsLookAlike) -> None:
    install(server, PIPELINE)
    job = lookalike.state.jobs["digits"]
    root = read(job.xml)
    root.find("description").text = "Ask Ada."  # type: ignore[union-attr]
    ET.SubElement(root.find("properties"), "jenkins.model.BuildDiscarderProperty").text = "7"  # type: ignore[arg-type]
    definitions = root.find(".//parameterDefinitions")
    assert definitions is not None
    definitions.insert(
        0,
        ET.fromstring(
            "<hudson.model.BooleanParameterDefinition><name>X</name></hudson.model.BooleanParameterDefinition>"
        ),
    )
    definitions.remove(definitions[1])
    root.find(".//url").text = "https://git.example/old.git"  # type: ignore[union-attr]
    job.xml = ET.tostring(root, encoding="unicode")

    done = install(server, PIPELINE)
    assert done.act == "change"
    after = read(job.xml)
    assert after.findtext("description") == "Ask Ada."
    assert after.findtext("properties/jenkins.model.BuildDiscarderProperty") == "7"
    assert [each.findtext("name") for each in after.iterfind(".//parameterDefinitions/*")] == ["X", RUN_ID, SHA]
    assert after.findtext(".//url") == PIPELINE.repository
    assert plan(server, PIPELINE).act == "nothing"


def test_a_plan_shows_the_difference_and_changes_nothing(server: Server, lookalike: JenkinsLookAlike) -> None:
    install(server, PIPELINE)
    other = Wanted(name="digits", repository="https://git.example/new.git", credentials="git", branch="release/1")
    planned = plan(server, other)
    changed = {line.strip() for line in planned.changes if line[:1] in "+-" and line[:3] not in ("+++", "---")}
    assert "+          <url>https://git.example/new.git</url>" in changed
    assert "-          <name>*/main</name>" in changed
    assert "+          <name>release/1</name>" in changed
    assert len(changed) == 4
    assert plan(server, other) == planned


def test_a_job_of_another_kind_is_left_alone(server: Server, lookalike: JenkinsLookAlike) -> None:
    lookalike.state.create("", "digits", FOLDER)
    with pytest.raises(Refused):
        install(server, PIPELINE)
    assert lookalike.state.jobs["digits"].xml == FOLDER


def test_a_definition_of_another_kind_is_replaced_whole() -> None:
    inline = read("<flow-definition><definition class='Inline'><script>x</script></definition></flow-definition>")
    wanted = read(
        "<flow-definition><definition class='FromScm'><scriptPath>J</scriptPath></definition></flow-definition>"
    )
    assert ET.tostring(merged(inline, wanted)) == ET.tostring(wanted)


@pytest.mark.parametrize("text", HOSTILE)
def test_every_value_is_text_in_the_xml(server: Server, lookalike: JenkinsLookAlike, text: str) -> None:
    wanted = Wanted(name="digits", repository=text, credentials=text, branch=text, jenkinsfile=text)
    install(server, wanted)
    root = read(lookalike.state.jobs["digits"].xml)
    assert [root.findtext(f".//{tag}") for tag in ("url", "credentialsId", "scriptPath")] == [text] * 3
    assert plan(server, wanted).act == "nothing"


@pytest.mark.parametrize(
    "wanted",
    [
        {"jenkinsfile": "a\x01b"},
        {"credentials": "a\nb"},
        {"repository": ""},
        {"repository": "https://ada:secret@git.example/x.git"},
        {"repository": "https://secret@git.example/x.git"},
        {"name": "a/../b"},
    ],
)
def test_what_no_job_may_hold_is_refused_before_anything_is_sent(
    server: Server, lookalike: JenkinsLookAlike, wanted: dict[str, str]
) -> None:
    with pytest.raises(UsageError) as caught:
        install(server, Wanted(**({"name": "digits", "repository": "octo/digits"} | wanted)))  # type: ignore[arg-type]
    assert "secret" not in str(caught.value)
    assert lookalike.received == []


@pytest.mark.parametrize("xml", ["<flow-definition", "<!DOCTYPE x [<!ENTITY a 'b'>]><flow-definition/>", "&#1;"])
def test_a_config_that_cannot_be_read_is_left_alone(xml: str) -> None:
    with pytest.raises(JenkinsRejected):
        read(xml)


def test_both_versions_of_xml_are_read() -> None:
    for declaration in ("<?xml version='1.1' encoding='UTF-8'?>\n", '<?xml version="1.0"?>', ""):
        assert read(declaration + "<flow-definition>ü</flow-definition>").text == "ü"


def test_a_lost_answer_is_looked_up(server: Server, lookalike: JenkinsLookAlike) -> None:
    lookalike.lose_next("createItem")
    assert install(server, PIPELINE).act == "create"
    lookalike.lose_next("createItem", worked=False)
    with pytest.raises(JenkinsUnknown):
        install(server, Wanted(name="other", repository="octo/digits"))
    assert "other" not in lookalike.state.jobs


def test_what_the_server_does_not_take_is_told(
    server: Server, lookalike: JenkinsLookAlike, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a plug-in is missing, whose part of the job is dropped."""
    create = lookalike.state.create
    dropping = "<lightweight>true</lightweight>"
    monkeypatch.setattr(
        lookalike.state, "create", lambda folder, name, xml: create(folder, name, xml.replace(dropping, ""))
    )
    with pytest.raises(JenkinsRejected) as caught:
        install(server, PIPELINE)
    assert caught.value.why == f"it lacks {dropping}"


def test_a_folder_comes_before_what_is_in_it(server: Server, lookalike: JenkinsLookAlike) -> None:
    inside = Wanted(name="ml team/digits", repository="octo/digits")
    with pytest.raises(JenkinsNotFound):
        install(server, inside)
    install(server, Wanted(name="ml team", kind="folder"))
    assert install(server, inside).act == "create"


# -- the command ---------------------------------------------------------------------------------------


def test_the_command_takes_the_repository_from_the_checkout(
    mlsnap: Command, lookalike: JenkinsLookAlike, make_repository: object
) -> None:
    made = make_repository()  # type: ignore[operator]
    made.git("remote", "add", "origin", "git@github.com:octo/digits.git")
    shown = mlsnap("install", "digits", "--dry-run", cwd=made.path)
    assert shown.returncode == 0, shown.stderr
    assert "<url>https://github.com/octo/digits.git</url>" in shown.stdout
    assert all(line[0] in "+-@" for line in shown.stdout.splitlines())
    assert "digits would be made" in shown.stderr
    assert lookalike.state.jobs == {}
    done = mlsnap("install", "digits", "--json", cwd=made.path)
    assert json.loads(done.stdout)["act"] == "create"
    again = mlsnap("install", "digits", cwd=made.path)
    assert "digits is as wanted" in again.stderr
    made.git("remote", "set-url", "origin", "https://git.example/octo/digits.git")
    changed = mlsnap("install", "digits", cwd=made.path)
    assert "digits was changed" in changed.stderr
    assert read(lookalike.state.jobs["digits"].xml).findtext(".//url") == "https://git.example/octo/digits.git"


def test_without_a_repository_it_has_to_be_given(mlsnap: Command, lookalike: JenkinsLookAlike) -> None:
    said: subprocess.CompletedProcess[str] = mlsnap("install", "digits")
    assert said.returncode == 2
    assert "--repository" in said.stderr
    assert pipeline() not in lookalike.bodies
