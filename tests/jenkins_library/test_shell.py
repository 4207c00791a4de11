"""The shell texts of the steps, run for real: `/bin/sh -xe`, with the environment that the library makes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.jenkins_library.conftest import BUILD_URL, Build
from tests.promise.conftest import TOKEN

MakeBuild = Callable[..., Build]
HOSTILE = [
    ('x";touch$IFS"owned";#$(touch${IFS}owned)`touch owned`', "-wörk%2Fspace@2 $HOME;"),
    ("--upload-pack=ümläut/feature%2Fone 100% a\nb <script>alert(1)</script> ../../../etc", "a'b`c`"),
]


def test_the_steps_of_a_build_make_a_version_and_say_so(build: Build) -> None:
    sha = build.stage.repository.head()
    assert build.chain() == [0, 0, 0, 0]
    assert build.stage.states(sha) == ["pending", "success"]
    assert build.stage.last_status(sha)["target_url"] == BUILD_URL
    assert (build.answers["conclusion"], build.answers["snapshot-name"]) == ("good", sha)
    assert build.answers["description"] == f"mlsnap {sha[:7]} → snapshot, accuracy 0.9000"
    build.stage.require_truth()
    build.stage.require_rest()


def test_arguments_of_the_step_are_what_is_trained(build: Build) -> None:
    script = ["sh", "-c", 'printf "%s" "$1" >"$MLSNAP_MODEL_DIR/said"', "sh", 'a "b" $HOME `id` ü']
    assert build.chain(train=json.dumps(script), model="other", timeout="1h") == [0, 0, 0, 0]
    sha = build.stage.repository.head()
    assert (build.stage.volume / ".snapshot" / sha / "said").read_text() == script[-1]
    assert build.stage.last_status(sha)["context"] == "mlsnap/other"


def test_steps_of_their_own_find_the_run_without_its_plan_and_show_no_secret(build: Build) -> None:
    for name in ("mlsnapBegin", "mlsnapTrain", "mlsnapConclude"):
        done = build.step(name)
        assert done.code == 0, done.text
        assert "+ exec" in done.stderr
        assert TOKEN not in done.text
    assert json.loads(build.answers["result"])["plan_checked"] is False


def test_training_on_another_agent_goes_on_with_the_run(build: Build, tmp_path: Path) -> None:
    assert build.step("mlsnapBegin").code == 0
    plan, run = build.answers["plan"], build.answers["run"]
    here, there = build.environment["WORKSPACE_TMP"], tmp_path / "other agent@tmp"
    there.mkdir()
    build.environment["WORKSPACE_TMP"] = str(there)
    trained = build.step("mlsnapTrain", plan=plan, run=run)
    assert trained.code == 0, trained.text
    build.environment["WORKSPACE_TMP"] = here
    assert build.step("mlsnapConclude", plan=plan).code == 0
    build.stage.require_truth()
    build.stage.require_rest()


@pytest.mark.parametrize(("branch", "folder"), HOSTILE)
def test_a_hostile_branch_is_a_name_and_a_workspace_may_have_any(
    make_build: MakeBuild, tmp_path: Path, branch: str, folder: str
) -> None:
    ground = tmp_path / folder
    ground.mkdir()
    build = make_build(branch=branch, ground=ground)
    build.environment |= {"CHANGE_AUTHOR": branch, "CHANGE_TITLE": branch, "STAGE_NAME": branch}
    assert build.chain() == [0, 0, 0, 0]
    assert build.stage.states(build.stage.repository.head()) == ["pending", "success"]
    assert not list(tmp_path.rglob("owned"))
    build.stage.require_truth()
    build.stage.require_rest()


def test_versions_are_compared_promoted_and_brought_back_by_steps(build: Build, tmp_path: Path) -> None:
    first = build.stage.repository.head()
    build.chain()
    second = build.stage.another_commit("two")
    build.chain()
    compared = build.step("mlsnapCompare", before=first, after=second)
    assert compared.code == 0, compared.text
    assert f"{first[:7]} → {second[:7]}" in compared.stdout
    promoted = build.step("mlsnapPromote", revision=second, channel="production", reason="better")
    assert promoted.code == 0, promoted.text
    copy = tmp_path / "a copy"
    restored = build.step("mlsnapRestore", revision=first, to=str(copy))
    assert restored.code == 0, restored.text
    assert (copy / "model.bin").read_text() == "one\n"
    pruned = build.step("mlsnapPrune", dryRun="true")
    assert pruned.code == 0, pruned.text
    assert (build.stage.versions(first), build.stage.versions(second)) == ([first], [second])
