"""Two runs at one time: of one commit, of two commits in one live tree, side by side, and with a lease lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.promise.conftest import Stage, ended, eventually
from tests.promise.test_phases_on_actions import job, push

MakeStage = Callable[..., Stage]

GATED = """\
echo start >> "$TRACE"
while [ ! -e "$GATE" ]; do sleep 0.02; done
cp weights.txt "$MLSNAP_MODEL_DIR/model.bin"
echo end >> "$TRACE"
"""


@pytest.fixture
def gated(make_stage: MakeStage) -> Callable[..., Stage]:
    """Give a maker of stages whose training waits until the file `gate` is there."""

    def make(*, shared: bool) -> Stage:
        stage = make_stage(shared=shared, settings='[train]\nenv = ["GATE", "TRACE"]\n')
        text = (stage.repository.path / "mlsnap.toml").read_text().replace('train = "sh train.sh"\n', "")
        text = text.replace("[train]\n", '[train]\ncommand = "sh train.sh"\n')
        stage.repository.commit("a gate", {"mlsnap.toml": text, "train.sh": GATED})
        stage.environment |= {"GATE": str(stage.folder / "gate"), "TRACE": str(stage.folder / "trace")}
        return stage

    return make


def test_two_runs_of_one_commit_train_once(gated: Callable[..., Stage]) -> None:
    stage = gated(shared=True)
    sha = stage.repository.head()
    first = stage.start("run")
    eventually(lambda: trace(stage) == ["start"], "the first run trains")
    second = stage.start("run", "--json")
    eventually(lambda: len(stage.leases()) == 1, "one has the commit")
    open_gate(stage)
    one, other = ended(first), ended(second)
    assert one.code == 0, one.text
    assert other.code == 0, other.text
    assert trace(stage) == ["start", "end"]
    assert json.loads(other.stdout)["outcome"] == "reused"
    assert stage.versions(sha) == [sha]
    assert stage.states(sha) == ["pending", "success", "success"]
    stage.require_truth()
    stage.require_rest()


def test_two_commits_in_one_live_tree_are_trained_one_after_the_other(gated: Callable[..., Stage]) -> None:
    stage = gated(shared=False)
    older = stage.repository.head()
    first = stage.start("run")
    eventually(lambda: trace(stage) == ["start"], "the first run trains")
    newer = stage.another_commit("two")
    second = stage.start("run")
    eventually(lambda: len(stage.states(newer)) == 2, "the second run says that it waits")
    assert "Waiting" in str(stage.last_status(newer)["description"])
    open_gate(stage)
    one, other = ended(first), ended(second)
    assert (one.code, other.code) == (0, 0), one.text + other.text
    assert trace(stage) == ["start", "end", "start", "end"]
    assert stage.states(newer)[-1] == stage.states(older)[-1] == "success"
    stage.require_truth()
    stage.require_rest()
    assert stage.facts("status")["live"]["version"] == newer


def test_two_commits_in_workspaces_train_side_by_side(gated: Callable[..., Stage], tmp_path: Path) -> None:
    stage = gated(shared=True)
    older = stage.repository.head()
    first = stage.start("run")
    eventually(lambda: trace(stage) == ["start"], "the first run trains")
    worktree = tmp_path / "beside"
    stage.repository.git("worktree", "add", "--quiet", "-b", "beside", str(worktree))
    newer = stage.another_commit("two")
    stage.repository.git("-C", str(worktree), "reset", "--quiet", "--hard", newer)
    second = stage.start("--project", str(worktree), "run")
    eventually(lambda: trace(stage) == ["start", "start"], "both train")
    open_gate(stage)
    one, other = ended(first), ended(second)
    assert (one.code, other.code) == (0, 0), one.text + other.text
    assert {older, newer} <= set(stage.snapshots())
    assert stage.states(older) == stage.states(newer) == ["pending", "success"]
    stage.require_truth()
    stage.require_rest()


def test_a_run_that_planned_before_the_other_had_ended_finds_its_version(make_stage: MakeStage) -> None:
    """The other publishes between the plan and the lease of this one, so that there is nothing to wait for."""
    stage = make_stage(shared=True)
    sha = stage.repository.head()
    late = stage.start("run", "--json", environment={"TEST_PAUSE_AT_LEASE": str(stage.folder / "paused")})
    eventually((stage.folder / "paused").exists, "the late run has its plan")
    first = stage.run("run")
    assert first.code == 0, first.text
    (stage.folder / "paused").unlink()
    done = ended(late)
    assert done.code == 0, done.text
    assert json.loads(done.stdout)["outcome"] == "reused"
    assert stage.versions(sha) == [sha]
    assert stage.states(sha) == ["pending", "success", "success"]


@pytest.mark.parametrize("shared", [False, True], ids=["in place", "in a workspace"])
def test_a_run_that_lost_its_lease_publishes_nothing_and_says_nothing(
    gated: Callable[..., Stage], shared: bool
) -> None:
    stage = gated(shared=shared)
    sha = stage.repository.head()
    stale = stage.start("run")
    eventually(lambda: trace(stage) == ["start"], "the run trains")
    for lease in (stage.store / "state" / "leases" / "held").iterdir():
        lease.unlink()
    open_gate(stage)
    done = ended(stale)
    assert done.code == 40, done.text
    assert "error[lease-lost]" in done.stderr
    assert stage.states(sha) == ["pending"]
    assert stage.versions(sha) == []
    stage.require_rest()


@pytest.mark.parametrize("shared", [False, True], ids=["in place", "in a workspace"])
def test_a_broken_lease_fences_out_a_run_that_lives_after_all(gated: Callable[..., Stage], shared: bool) -> None:
    stage = gated(shared=shared)
    sha = stage.repository.head()
    stale = stage.start("run")
    eventually(lambda: trace(stage) == ["start"], "the run trains")
    other = stage.start("run", "--break-lease", environment={"GATE": str(stage.folder)})
    done = ended(other)
    assert done.code == 0, done.text
    ended_stale = ended(stale)
    assert ended_stale.code in (10, 40), ended_stale.text
    assert stage.states(sha)[-1] == "success"
    live = stage.facts("status")["live"]
    assert (live["version"], live["equal"]) == (sha, True)
    stage.require_truth()
    stage.require_rest()


def test_a_second_job_of_one_commit_waits_for_the_phases_of_the_first(make_stage: MakeStage) -> None:
    stage = make_stage(shared=True)
    sha = stage.repository.head()
    work = job(stage, "push", push(stage))
    plan = work.begin()
    refused = stage.mlsnap("run", environment={**work.environment, "MLSNAP__LEASE__WAIT": "0s"})
    assert refused.code == 50, refused.text
    assert "actions/runs/4711" in refused.stderr
    assert work.step("train", "--plan", plan, secrets=False).code == 0
    assert work.step("conclude", "--plan", plan, secrets=True).code == 0
    assert stage.states(sha) == ["pending", "success"]


def test_long_training_in_its_own_step_keeps_the_lease(make_stage: MakeStage) -> None:
    stage = make_stage(shared=True)
    sha = stage.train_with('sleep 1.5\necho x > "$MLSNAP_MODEL_DIR/model.bin"\n')
    work = job(stage, "push", push(stage))
    work.environment |= {"TEST_LEASE_TTL": "0.8", "TEST_LEASE_RENEWAL": "0.1"}
    plan = stage.run("begin", environment={**work.environment, "MLSNAP_GITHUB_TOKEN": "x"}).stdout.split()[-1]
    training = stage.start("train", "--plan", plan, environment=work.environment)
    eventually(lambda: any("training" in (run / "journal").read_text() for run in stage.runs()), "training began")
    other = stage.run("run", environment={**work.environment, "MLSNAP__LEASE__WAIT": "0s"})
    assert other.code == 50, other.text
    assert ended(training).code == 0
    concluded = stage.run("conclude", "--plan", plan, environment=work.environment)
    assert concluded.code == 0, concluded.text
    assert stage.versions(sha) == [sha]


def trace(stage: Stage) -> list[str]:
    file = stage.folder / "trace"
    return file.read_text().split() if file.exists() else []


def open_gate(stage: Stage) -> None:
    (stage.folder / "gate").touch()
