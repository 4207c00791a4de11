"""begin, train, conclude, finish as steps of a job on GitHub Actions: what each says, and what it leaves."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.promise.conftest import POINTS, REPOSITORY, TOKEN, TRAIN, Done, Stage, points

MakeStage = Callable[..., Stage]
SECRET = {"MLSNAP_GITHUB_TOKEN": TOKEN}
PHASES = ("begin", "train", "conclude")
OUTPUTS = {
    *("conclusion", "sha", "snapshot-name", "snapshot-path", "manifest-digest"),
    *("gate", "metrics", "reused", "queued", "comment-url", "description", "result"),
}


@dataclass(kw_only=True)
class Job:
    """A job: its steps share a temporary folder, and only those with secrets get the token."""

    stage: Stage
    environment: dict[str, str]
    folder: Path
    steps: int = 0

    def step(self, *arguments: str, secrets: bool, kill_at: int = 0) -> Done:
        """Run one step, whose outputs and summary then are in files of its own."""
        self.steps += 1
        files = {
            name: str(self.folder / f"{name}-{self.steps}") for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")
        }
        for path in files.values():
            Path(path).touch()
        environment = {**self.environment, **files, **(SECRET if secrets else {})}
        return self.stage.mlsnap(*arguments, environment=environment, kill_at=kill_at)

    def event(self, payload: Mapping[str, Any]) -> None:
        """Let the next steps be of another event."""
        (self.folder / "event.json").write_text(json.dumps(payload))

    def begin(self) -> str:
        """Begin, and give the plan's digest as the step's output has it."""
        done = self.step("begin", secrets=True)
        assert done.code == 0, done.text
        plan = self.outputs()["plan"]
        assert done.stdout.split() == [plan]
        return plan

    def outputs(self) -> dict[str, str]:
        """Give the outputs of the last step, as the runner reads them."""
        text = (self.folder / f"GITHUB_OUTPUT-{self.steps}").read_text()
        found = re.findall(r"^([a-z-]+)<<(\S+)\n(.*?)\n\2$", text, re.MULTILINE | re.DOTALL)
        return {name: value for name, _, value in found}

    def summary(self) -> str:
        """Give the summary of the last step."""
        return (self.folder / f"GITHUB_STEP_SUMMARY-{self.steps}").read_text()


def job(stage: Stage, event: str, payload: Mapping[str, Any], **changes: str) -> Job:
    """Set up a job of an event."""
    folder = stage.folder / "runner"
    folder.mkdir(exist_ok=True)
    (folder / "event.json").write_text(json.dumps(payload))
    del stage.environment["MLSNAP_GITHUB_TOKEN"], stage.environment["MLSNAP__FORGE__URL"]
    del stage.environment["MLSNAP__FORGE__REPOSITORY"]
    environment = {
        "CI": "true",
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": event,
        "GITHUB_EVENT_PATH": str(folder / "event.json"),
        "GITHUB_REPOSITORY": REPOSITORY,
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_API_URL": stage.server.url,
        "GITHUB_REF": "refs/heads/main",
        "GITHUB_SHA": stage.repository.head(),
        "GITHUB_RUN_ID": "4711",
        "GITHUB_RUN_ATTEMPT": "1",
        "GITHUB_ACTOR": "ada",
        "GITHUB_WORKSPACE": str(stage.repository.path),
        "RUNNER_TEMP": str(folder / "temp"),
        "RUNNER_ENVIRONMENT": "self-hosted",
    }
    (folder / "temp").mkdir(exist_ok=True)
    return Job(stage=stage, environment={**environment, **changes}, folder=folder)


def push(stage: Stage, **changes: Any) -> dict[str, Any]:
    return {
        "ref": "refs/heads/main",
        "after": stage.repository.head(),
        "repository": {"full_name": REPOSITORY, "default_branch": "main"},
        **changes,
    }


def pull_request(stage: Stage, head: str, base: str, *, head_repository: str = REPOSITORY) -> dict[str, Any]:
    there = {"full_name": head_repository, "id": len(head_repository)}
    return {
        "number": 7,
        "pull_request": {
            "number": 7,
            "head": {
                "sha": head,
                "ref": "topic",
                "repo": there,
            },
            "base": {"sha": base, "ref": "main", "repo": {"full_name": REPOSITORY, "id": len(REPOSITORY)}},
        },
        "repository": {"full_name": REPOSITORY, "default_branch": "main"},
    }


@pytest.fixture
def stage(make_stage: MakeStage) -> Stage:
    """Give a stage with a shared volume, whose store is outside of the job's workspace."""
    return make_stage(shared=True, settings="[gates.accuracy]\nmin = 0.5\n")


def test_four_steps_make_a_version_and_say_so(stage: Stage) -> None:
    sha = stage.repository.head()
    work = job(stage, "push", push(stage))
    plan = work.begin()
    assert work.outputs()["action"] == "train"
    assert stage.states(sha) == ["pending"]
    trained = work.step("train", "--plan", plan, secrets=False)
    assert trained.code == 0, trained.text
    concluded = work.step("conclude", "--plan", plan, secrets=True)
    assert concluded.code == 0, concluded.text
    outputs = work.outputs()
    assert set(outputs) == OUTPUTS
    assert (outputs["conclusion"], outputs["sha"], outputs["snapshot-name"]) == ("good", sha, sha)
    assert (Path(outputs["snapshot-path"]) / "model.bin").read_text() == "one\n"
    assert json.loads(outputs["metrics"]) == {"accuracy": 0.9}
    assert json.loads(outputs["result"])["plan_digest"] == plan
    assert "accuracy" in work.summary()
    assert stage.states(sha) == ["pending", "success"]
    assert str(stage.last_status(sha)["target_url"]).startswith("https://github.com/octo/digits/actions/runs/4711")
    stage.require_truth()
    stage.require_rest()
    finished = work.step("finish", secrets=True)
    assert finished.code == 0, finished.text
    assert (work.outputs(), work.summary()) == ({}, "")
    assert stage.states(sha) == ["pending", "success"]


def test_concluding_twice_changes_nothing(stage: Stage) -> None:
    sha = stage.repository.head()
    work = job(stage, "push", push(stage))
    plan = work.begin()
    work.step("train", "--plan", plan, secrets=False)
    assert work.step("conclude", "--plan", plan, secrets=True).code == 0
    before = stage.everything()
    again = work.step("conclude", "--plan", plan, secrets=True)
    assert again.code == 44, again.text
    assert stage.everything() == before
    assert stage.states(sha) == ["pending", "success"]


def test_training_that_fails_is_said_by_finish_where_the_job_stopped(stage: Stage) -> None:
    sha = stage.train_with("echo so far; exit 3\n")
    work = job(stage, "push", push(stage))
    plan = work.begin()
    assert work.step("train", "--plan", plan, secrets=False).code == 10
    assert stage.states(sha) == ["pending"]
    finished = work.step("finish", secrets=True)
    assert finished.code == 0, finished.text
    assert set(work.outputs()) == OUTPUTS
    assert work.outputs()["conclusion"] == "failed"
    assert stage.states(sha) == ["pending", "failure"]
    assert "code 3" in str(stage.last_status(sha)["description"])
    assert stage.snapshots() == []
    stage.require_rest()


def test_the_view_leads_to_the_workspace_and_back_when_training_fails(stage: Stage) -> None:
    view = stage.repository.path / "models"
    first = stage.repository.head()
    assert stage.mlsnap("run").code == 0
    assert view.resolve().name == first
    stage.train_with(f"readlink {view} > {stage.folder}/during; exit 3\n")
    work = job(stage, "push", push(stage))
    plan = work.begin()
    assert work.step("train", "--plan", plan, secrets=False).code == 10
    assert (stage.folder / "during").read_text().startswith(str(stage.store / "work"))
    assert work.step("finish", secrets=True).code == 0
    assert view.resolve().name == first
    assert stage.repository.git("status", "--porcelain") == ""


def test_training_that_fails_is_said_by_conclude_too(stage: Stage) -> None:
    sha = stage.train_with("exit 3\n")
    work = job(stage, "push", push(stage))
    plan = work.begin()
    work.step("train", "--plan", plan, secrets=False)
    assert work.step("conclude", "--plan", plan, secrets=True).code == 10
    assert set(work.outputs()) == OUTPUTS
    assert work.step("finish", secrets=True).code == 0
    assert stage.states(sha) == ["pending", "failure"]


def test_a_digest_of_another_plan_is_refused_and_the_run_stays_open(stage: Stage) -> None:
    sha = stage.repository.head()
    work = job(stage, "push", push(stage))
    plan = work.begin()
    work.step("train", "--plan", plan, secrets=False)
    refused = work.step("conclude", "--plan", "f" * 64, secrets=True)
    assert refused.code == 40, refused.text
    assert stage.states(sha) == ["pending"]
    assert work.step("conclude", "--plan", plan, secrets=True).code == 0


def test_a_plan_changed_after_begin_is_damage(stage: Stage) -> None:
    sha = stage.repository.head()
    work = job(stage, "push", push(stage))
    plan = work.begin()
    work.step("train", "--plan", plan, secrets=False)
    [run] = stage.runs()
    (run / "plan.json").write_text((run / "plan.json").read_text().replace('"min":0.5', '"min":0.1'))
    damaged = work.step("conclude", "--plan", plan, secrets=True)
    assert damaged.code == 60, damaged.text
    assert stage.states(sha) == ["pending"]
    assert stage.versions(sha) == []


def test_a_pointer_to_a_run_elsewhere_is_refused(stage: Stage, tmp_path: Path) -> None:
    sha = stage.repository.head()
    work = job(stage, "push", push(stage))
    plan = work.begin()
    work.step("train", "--plan", plan, secrets=False)
    [run] = stage.runs()
    planted = tmp_path / "planted" / "runs" / run.name
    planted.parent.mkdir(parents=True)
    planted.mkdir()
    for file in run.iterdir():
        (planted / file.name).write_bytes(file.read_bytes())
    [pointer] = (work.folder / "temp" / "mlsnap").glob("*.json")
    pointer.write_text(pointer.read_text().replace(str(run), str(planted)))
    refused = work.step("conclude", "--plan", plan, secrets=True)
    assert refused.code == 40, refused.text
    assert stage.states(sha) == ["pending"]


@pytest.mark.parametrize(
    ("event", "changes"),
    [
        ("fork", {}),
        ("dependabot", {"GITHUB_ACTOR": "dependabot[bot]"}),
        ("deleted", {}),
    ],
)
def test_what_gets_no_secrets_or_is_gone_trains_nothing_and_asks_nobody(
    stage: Stage, event: str, changes: dict[str, str]
) -> None:
    head = stage.repository.head()
    if event == "fork":
        work = job(stage, "pull_request", pull_request(stage, head, head, head_repository="mallory/digits"))
    elif event == "deleted":
        work = job(stage, "push", push(stage, after="0" * 40, deleted=True))
    else:
        work = job(stage, "push", push(stage), **changes)
    plan = work.begin()
    assert work.outputs()["action"] == "nothing"
    for name in ("train", "conclude"):
        done = work.step(name, "--plan", plan, secrets=name == "conclude")
        assert done.code == 0, done.text
    assert work.step("finish", secrets=True).code == 0
    assert stage.server.connections == 0
    assert stage.snapshots() == []
    assert not stage.store.exists()


def test_settings_of_a_pull_request_are_those_of_its_base(stage: Stage, tmp_path: Path) -> None:
    base = stage.repository.head()
    stage.repository.git("checkout", "--quiet", "-b", "topic")
    file = stage.repository.path / "mlsnap.toml"
    elsewhere = tmp_path / "elsewhere"
    text = file.read_text().replace(str(stage.volume), str(elsewhere)).replace("min = 0.5", "min = 0.0")
    script = 'cp weights.txt "$MLSNAP_MODEL_DIR/model.bin"; echo \'{"accuracy": 0.3}\' > "$MLSNAP_METRICS"\n'
    head = stage.repository.commit("a lower gate", {"mlsnap.toml": text, "train.sh": script})
    work = job(stage, "pull_request", pull_request(stage, head, base))
    plan = work.begin()
    assert work.step("train", "--plan", plan, secrets=False).code == 0
    missed = work.step("conclude", "--plan", plan, secrets=True)
    assert missed.code == 12, missed.text
    assert stage.states(head) == ["pending", "failure"]
    assert not elsewhere.exists()
    assert stage.versions(head) == [head]
    # A change request never moves the shared live tree.
    assert not (stage.volume / "model.bin").exists()


def test_a_merge_that_ci_checked_out_is_not_what_is_trained(stage: Stage) -> None:
    base = stage.another_commit("base")
    stage.repository.git("checkout", "--quiet", "-b", "topic", "HEAD~1")
    head = stage.repository.commit("topic", {"weights.txt": "topic\n"})
    stage.repository.git("checkout", "--quiet", "--detach", base)
    stage.repository.git("merge", "--quiet", "--strategy=ours", "--no-edit", head)
    merge = stage.repository.head()
    work = job(stage, "pull_request", pull_request(stage, head, base), GITHUB_SHA=merge)
    plan = work.begin()
    work.step("train", "--plan", plan, secrets=False)
    concluded = work.step("conclude", "--plan", plan, secrets=True)
    assert concluded.code == 0, concluded.text
    assert (stage.volume / ".snapshot" / head / "model.bin").read_text() == "topic\n"
    assert stage.states(merge) == []
    assert stage.states(head) == ["pending", "success"]
    assert stage.repository.head() == merge
    # The checkout is of another commit, so its view stays as it was.
    assert not os.path.lexists(stage.repository.path / "models")
    stage.require_rest()
    assert stage.repository.git("worktree", "list", "--porcelain").count("worktree ") <= 2


@pytest.mark.parametrize("phase", PHASES)
def test_finish_ends_what_a_killed_step_left(stage: Stage, phase: str) -> None:
    work = job(stage, "push", push(stage))
    total = len(until(work, phase).effects)
    assert total > 5
    work.step("finish", secrets=True)
    for point in points(total, most=POINTS // 2):
        sha = stage.another_commit(f"{phase} killed at {point}")
        work.event(push(stage))
        assert until(work, phase, kill_at=point).code in (-9, 0)
        finished = work.step("finish", secrets=True)
        assert finished.code == 0, f"{phase} killed before effect {point}\n{finished.text}"
        stage.require_truth()
        said = stage.states(sha)
        assert not said or said[-1] == ("success" if stage.versions(sha) else "error"), said
        assert work.step("finish", secrets=True).code == 0
        assert stage.states(sha) == said
        again = work.step("run", secrets=True)
        assert again.code == 0, f"{phase} killed before effect {point}\n{again.text}"
        assert stage.states(sha)[-1] == "success"
        stage.require_truth()
        stage.require_rest()


def until(work: Job, phase: str, *, kill_at: int = 0) -> Done:
    """Do the steps of a job up to this one, which may be killed."""
    plan: list[str] = []
    for name in PHASES:
        last = name == phase
        done = work.step(name, *plan, secrets=name != "train", kill_at=kill_at if last else 0)
        if last:
            return done
        assert done.code == 0, done.text
        plan = plan or ["--plan", work.outputs()["plan"]]
    raise AssertionError(phase)


# -- jobs of their own ---------------------------------------------------------------------------------


def in_another_job(work: Job) -> Job:
    """Give another job of the same run: it has a temporary folder of its own."""
    folder = work.folder.with_name(work.folder.name + "-next")
    (folder / "temp").mkdir(parents=True)
    event = (work.folder / "event.json").read_text()
    (folder / "event.json").write_text(event)
    places = {"RUNNER_TEMP": str(folder / "temp"), "GITHUB_EVENT_PATH": str(folder / "event.json")}
    return Job(stage=work.stage, environment={**work.environment, **places}, folder=folder)


def test_training_and_concluding_may_be_jobs_of_their_own(stage: Stage) -> None:
    sha = stage.repository.head()
    first = job(stage, "push", push(stage))
    plan = first.begin()
    handed = ("--plan", plan, "--run", first.outputs()["run"])
    second = in_another_job(first)
    trained = second.step("train", *handed, secrets=False)
    assert trained.code == 0, trained.text
    third = in_another_job(second)
    concluded = third.step("conclude", *handed, secrets=True)
    assert concluded.code == 0, concluded.text
    assert third.outputs()["snapshot-name"] == sha
    assert third.step("finish", *handed, secrets=True).code == 0
    assert stage.states(sha) == ["pending", "success"]
    stage.require_truth()
    stage.require_rest()


def test_finish_of_another_job_ends_a_run_whose_training_never_came(stage: Stage) -> None:
    sha = stage.repository.head()
    first = job(stage, "push", push(stage))
    plan = first.begin()
    handed = ("--plan", plan, "--run", first.outputs()["run"])
    finished = in_another_job(first).step("finish", *handed, secrets=True)
    assert finished.code == 0, finished.text
    assert stage.states(sha) == ["pending", "error"]
    stage.require_rest()


def test_a_run_of_another_job_is_taken_over_with_its_plan_only(stage: Stage) -> None:
    first = job(stage, "push", push(stage))
    plan = first.begin()
    run = first.outputs()["run"]
    second = in_another_job(first)
    assert second.step("train", "--run", run, secrets=False).code == 2
    assert second.step("train", "--run", run, "--plan", "f" * 64, secrets=False).code == 40
    assert second.step("conclude", "--run", f"{run}-none", "--plan", plan, secrets=True).code == 44
    assert second.step("train", "--run", run, "--plan", plan, secrets=False).code == 0


def test_another_jobs_checkout_must_be_of_the_planned_commit(stage: Stage) -> None:
    first = job(stage, "push", push(stage))
    plan = first.begin()
    handed = ("--plan", plan, "--run", first.outputs()["run"])
    stage.another_commit("two")
    refused = in_another_job(first).step("train", *handed, secrets=False)
    assert refused.code == 40, refused.text
    assert "check out the same commit" in refused.stderr


def test_a_job_without_the_checkout_trains_what_begin_handed_on(stage: Stage) -> None:
    sha = stage.train_with(TRAIN + 'test "$(readlink models)" = "$MLSNAP_MODEL_DIR"\n')
    first = job(stage, "push", push(stage))
    assert first.step("begin", "--hand-on", secrets=True).code == 0
    handed = ("--plan", first.outputs()["plan"], "--run", first.outputs()["run"])
    stage.repository.path.rename(stage.folder / "gone")
    stage.repository.path.mkdir()
    second = in_another_job(first)
    trained = second.step("train", *handed, secrets=False)
    assert trained.code == 0, trained.text
    concluded = second.step("conclude", *handed, secrets=True)
    assert concluded.code == 0, concluded.text
    assert stage.versions(sha) == [sha]
    assert stage.states(sha) == ["pending", "success"]
    stage.require_rest()


def test_a_login_that_the_checkout_left_for_training_is_told_and_not_shown(stage: Stage) -> None:
    work = job(stage, "push", push(stage))
    stage.repository.git("config", "http.extraheader", "AUTHORIZATION: basic c2VjcmV0")
    begun = work.step("begin", secrets=True)
    assert begun.code == 0, begun.text
    assert "persist-credentials: false" in begun.text
    assert "c2VjcmV0" not in begun.text
    stage.repository.git("config", "--unset", "http.extraheader")
    assert work.step("finish", secrets=True).code == 0
    work.event(push(stage, after=stage.another_commit("two")))
    again = work.step("begin", secrets=True)
    assert again.code == 0, again.text
    assert "persist-credentials" not in again.text
