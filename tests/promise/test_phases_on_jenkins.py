"""The phases as steps of a Jenkins build: from its environment alone, with the merge that Jenkins makes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ci_mlsnap.cli.printing import Lines
from ci_mlsnap.services import Site, open_hands
from tests.promise.conftest import REPOSITORY, TOKEN, Stage

MakeStage = Callable[..., Stage]
SECRET = {"MLSNAP_GITHUB_TOKEN": TOKEN}
BUILD_URL = "https://ci.example/job/digits/job/main/7/"


@pytest.fixture
def stage(make_stage: MakeStage) -> Stage:
    """Give a stage whose environment is that of a multibranch build, without a token."""
    stage = make_stage(shared=True)
    temporary = stage.folder / "checkout@tmp"
    temporary.mkdir()
    del stage.environment["MLSNAP_GITHUB_TOKEN"]
    stage.environment |= {
        "CI": "true",
        "JENKINS_URL": "https://ci.example/",
        "JOB_NAME": "digits/main",
        "BUILD_NUMBER": "7",
        "BUILD_TAG": "jenkins-digits-main-7",
        "BUILD_URL": BUILD_URL,
        "BRANCH_NAME": "main",
        "BRANCH_IS_PRIMARY": "true",
        "WORKSPACE": str(stage.repository.path),
        "WORKSPACE_TMP": str(temporary),
    }
    return stage


def test_steps_of_a_build_make_a_version_and_link_the_build(stage: Stage) -> None:
    sha = stage.repository.head()
    plan = begin(stage)
    assert stage.states(sha) == ["pending"]
    steps(stage, plan)
    assert stage.states(sha) == ["pending", "success"]
    assert stage.last_status(sha)["target_url"] == BUILD_URL
    assert (stage.volume / "model.bin").read_text() == "one\n"
    stage.require_truth()
    stage.require_rest()


def test_the_calling_step_gets_the_outputs_in_a_file(stage: Stage) -> None:
    output = Path(stage.environment["WORKSPACE_TMP"]) / "output"
    stage.environment["MLSNAP_OUTPUT"] = str(output)
    plan = begin(stage)
    assert output.read_text().startswith(f"plan={plan}\naction=train\n")
    steps(stage, plan)
    found = dict(line.split("=", 1) for line in output.read_text().splitlines())
    sha = stage.repository.head()
    assert (found["conclusion"], found["sha"], found["snapshot-name"]) == ("good", sha, sha)
    assert found["description"] == f"mlsnap {sha[:7]} → snapshot, accuracy 0.9000"


def test_without_a_digest_conclude_takes_the_one_open_run(stage: Stage) -> None:
    sha = stage.repository.head()
    begin(stage)
    assert stage.mlsnap("train").code == 0
    concluded = stage.mlsnap("conclude", "--json", environment=SECRET)
    assert concluded.code == 0, concluded.text
    assert '"plan_checked": false' in concluded.stdout
    assert stage.states(sha) == ["pending", "success"]


def test_a_build_without_a_url_posts_without_a_link(stage: Stage) -> None:
    sha = stage.repository.head()
    del stage.environment["BUILD_URL"]
    steps(stage, begin(stage))
    assert stage.states(sha) == ["pending", "success"]
    assert not stage.last_status(sha)["target_url"]


@pytest.mark.parametrize("order", ["head first", "target first"])
def test_a_merged_change_request_is_trained_and_told_as_its_head(stage: Stage, order: str) -> None:
    base, head, merge = merged(stage, order)
    stage.environment |= {
        "BRANCH_NAME": "PR-7",
        "CHANGE_ID": "7",
        "CHANGE_TARGET": "main",
        "CHANGE_BRANCH": "topic",
        "GIT_COMMIT": merge,
    }
    del stage.environment["BRANCH_IS_PRIMARY"]
    steps(stage, begin(stage))
    assert stage.states(head) == ["pending", "success"]
    assert (stage.states(merge), stage.states(base)) == ([], [])
    assert (stage.volume / ".snapshot" / head / "model.bin").read_text() == "topic\n"
    assert not (stage.volume / "model.bin").exists()
    stage.require_truth()
    stage.require_rest()


def test_a_change_request_of_a_fork_is_not_trained(stage: Stage) -> None:
    merged(stage, "head first")
    stage.environment |= {
        "BRANCH_NAME": "PR-7",
        "CHANGE_ID": "7",
        "CHANGE_TARGET": "main",
        "CHANGE_BRANCH": "topic",
        "CHANGE_FORK": "mallory",
    }
    steps(stage, begin(stage))
    assert stage.server.connections == 0
    assert stage.snapshots() == []


def test_finish_ends_what_an_agent_that_vanished_left(stage: Stage) -> None:
    sha = stage.repository.head()
    plan = begin(stage)
    killed = stage.mlsnap("train", "--plan", plan, kill_at=4)
    assert killed.code == -9
    assert stage.mlsnap("finish", environment=SECRET).code == 0
    assert stage.states(sha) == ["pending", "error"]
    stage.require_rest()
    assert stage.mlsnap("finish", environment=SECRET).code == 0
    assert stage.states(sha) == ["pending", "error"]


def test_a_store_inside_the_workspace_is_refused_before_training(stage: Stage) -> None:
    inside = stage.repository.path / "store"
    done = stage.mlsnap("begin", environment={**SECRET, "MLSNAP__VOLUMES__MODELS__STORE": str(inside)})
    assert done.code == 40, done.text
    assert "error[store-refused]" in done.stderr
    assert stage.server.connections == 0
    assert not inside.exists()


@pytest.mark.parametrize(("environ", "seconds"), [({"JENKINS_HOME": "/var/lib/jenkins"}, 10.0), ({}, 0.0)])
def test_a_server_without_a_url_signals_the_leaves_first_too(
    tmp_path: Path, environ: dict[str, str], seconds: float
) -> None:
    job = {"JOB_NAME": "digits", "BUILD_NUMBER": "1", "WORKSPACE_TMP": str(tmp_path), **environ}
    assert open_hands(Site(progress_for=Lines, environ=job), secrets=False).timing.own_signal_wait == seconds


def begin(stage: Stage) -> str:
    begun = stage.mlsnap("begin", environment=SECRET)
    assert begun.code == 0, begun.text
    return begun.stdout.split()[-1]


def steps(stage: Stage, plan: str) -> None:
    trained = stage.mlsnap("train", "--plan", plan)
    assert trained.code == 0, trained.text
    concluded = stage.mlsnap("conclude", "--plan", plan, environment=SECRET)
    assert concluded.code == 0, concluded.text
    finished = stage.mlsnap("finish", environment=SECRET)
    assert finished.code == 0, finished.text


def merged(stage: Stage, order: str) -> tuple[str, str, str]:
    """Check out what Jenkins makes of a change request: a merge that is in no other place."""
    git = stage.repository.git
    base = stage.another_commit("base")
    git("checkout", "--quiet", "-b", "topic", "HEAD~1")
    head = stage.repository.commit("topic", {"weights.txt": "topic\n"})
    git("update-ref", "refs/remotes/origin/main", base)
    git("update-ref", "refs/remotes/origin/PR-7", head)
    one, other = (head, base) if order == "head first" else (base, head)
    git("checkout", "--quiet", "--detach", one)
    git("merge", "--quiet", "--strategy=ours", "--no-edit", other)
    git("branch", "--quiet", "-D", "topic")
    assert REPOSITORY in git("remote", "get-url", "origin")
    return base, head, stage.repository.head()


def test_the_build_leaves_its_workspace_as_it_was(stage: Stage) -> None:
    before = set(Path(stage.repository.path).iterdir())
    steps(stage, begin(stage))
    after = set(Path(stage.repository.path).iterdir())
    assert after - before == {stage.repository.path / "models"}
    assert stage.repository.git("status", "--porcelain") == ""
