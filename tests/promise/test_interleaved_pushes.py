"""Pushes whose runs end in another order than they were made: the newest one has the live tree."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.promise.checking import content_of
from tests.promise.conftest import Stage
from tests.promise.test_phases_on_actions import Job, job, push

MakeStage = Callable[..., Stage]


def live_model(stage: Stage) -> str:
    return content_of(stage.volume)["model.bin"].decode().strip()


def trained(stage: Stage) -> str:
    """Begin and train what is checked out, and give the plan that is left to conclude."""
    begun = stage.mlsnap("begin")
    assert begun.code == 0, begun.text
    plan = begun.stdout.split()[-1]
    assert stage.mlsnap("train", "--plan", plan).code == 0
    return plan


def test_an_older_push_that_ends_later_leaves_the_live_tree(make_stage: MakeStage) -> None:
    stage = make_stage(shared=True)
    older = trained(stage)
    first = stage.repository.head()
    second = stage.another_commit("two")
    assert stage.mlsnap("run").code == 0
    late = stage.mlsnap("conclude", "--plan", older)
    assert late.code == 0, late.text
    assert "something newer" in late.text
    assert live_model(stage) == "two"
    assert stage.facts("status")["live"]["version"] == second
    assert stage.states(first)[-1] == stage.states(second)[-1] == "success"
    stage.require_truth()
    stage.require_rest()


def test_a_run_that_died_after_its_snapshot_is_adopted_without_moving_the_tree_back(make_stage: MakeStage) -> None:
    stage = make_stage(shared=True)
    older = trained(stage)
    first = stage.repository.head()
    rehearsed = stage.mlsnap("conclude", "--plan", older)
    sealed = next(n for n, effect in enumerate(rehearsed.effects, start=1) if "read-back" in effect)
    dying = trained_again(stage, "two")
    second = stage.repository.head()
    killed = stage.mlsnap("conclude", "--plan", dying, kill_at=sealed)
    assert killed.code == -9, killed.text
    assert stage.versions(second) == [second]
    third = stage.another_commit("three")
    assert stage.mlsnap("run").code == 0
    assert stage.mlsnap("finish", "--plan", dying).code == 0
    assert live_model(stage) == "three"
    assert [stage.states(sha)[-1] for sha in (first, second, third)] == ["success"] * 3
    stage.require_truth()
    stage.require_rest()


def trained_again(stage: Stage, weights: str) -> str:
    stage.another_commit(weights)
    return trained(stage)


@pytest.mark.parametrize("forced", [False, True], ids=["run again", "forced back"])
def test_an_older_commit_moves_the_tree_back_only_where_the_branch_was_put_back(
    make_stage: MakeStage, forced: bool
) -> None:
    stage = make_stage(shared=True)
    older = stage.another_commit("older")
    stage.another_commit("never trained")
    stage.another_commit("newer")
    work = job(stage, "push", push(stage))
    whole_job(work)
    assert live_model(stage) == "newer"
    work.event({**push(stage), "after": older, "forced": forced})
    work.environment["GITHUB_SHA"] = older
    whole_job(work)
    assert stage.versions(older) == [older]
    assert live_model(stage) == ("older" if forced else "newer")
    stage.require_truth()
    stage.require_rest()


def whole_job(work: Job) -> None:
    plan = work.begin()
    assert work.step("train", "--plan", plan, secrets=False).code == 0
    done = work.step("conclude", "--plan", plan, secrets=True)
    assert done.code == 0, done.text


def test_a_run_that_had_begun_leaves_the_tree_where_a_person_put_it(make_stage: MakeStage) -> None:
    stage = make_stage(shared=True)
    first = stage.repository.head()
    assert stage.mlsnap("run").code == 0
    plan = trained_again(stage, "two")
    assert stage.mlsnap("restore", "--shared", first).code == 0
    assert stage.mlsnap("conclude", "--plan", plan).code == 0
    assert live_model(stage) == "one"
    stage.another_commit("three")
    assert stage.mlsnap("run").code == 0
    assert live_model(stage) == "three"
