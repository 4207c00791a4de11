from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_mlsnap.domain import plan as plans
from ci_mlsnap.domain.event import Event, EventKind
from ci_mlsnap.domain.gates import Gate
from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.domain.pins import DataPlan, Pin
from ci_mlsnap.domain.plan import Plan, TrainingPlan, VolumePlan
from ci_mlsnap.domain.planning import Facts, Rules, Wishes, decide
from ci_mlsnap.errors import DirtyTree, ForkRefused, UsageError
from tests.domain.strategies import shas, version

A, B, C = ("a" * 40, "b" * 40, "c" * 40)
PRIVATE = VolumePlan(
    name="models",
    path="/r/models",
    driver="local",
    store="/r/.git/mlsnap/models",
    private=True,
    isolation="in-place",
)
SHARED = msgspec.structs.replace(
    PRIVATE, path="/srv/ml/digits", private=False, isolation="workspace", view="models"
)
TRAINING = TrainingPlan(command=("python", "train.py"), top="/r")


def _event(kind: EventKind = "push", **changes: Any) -> Event:
    facts: dict[str, Any] = {"sha": A, "branch": "main", "default_branch": "main", "repository": "org/digits"}
    return Event(kind=kind, **(facts | changes))


def _rules(**changes: Any) -> Rules:
    facts: dict[str, Any] = {
        "project": "org/digits",
        "model": "digits",
        "gates": (Gate(metric="accuracy", min=0.9),),
        "files_mode": "changed",
        "follow": (),
        "lease_wait": 1.0,
        "on_fork": "skip",
        "context": "mlsnap/digits",
        "repository": "org/digits",
    }
    return Rules(**(facts | changes))


def _decide(
    facts: Facts,
    *,
    rules: Rules | None = None,
    wishes: Wishes | None = None,
    volume: VolumePlan = PRIVATE,
    training: TrainingPlan | None = TRAINING,
) -> Plan:
    return decide(facts, rules or _rules(), wishes or Wishes(), volume, training, tool="0.1.0")


def test_a_new_commit_is_trained_under_its_own_sha_in_the_checkout() -> None:
    plan = _decide(Facts(event=_event(), head=A))
    assert (plan.action, plan.name, plan.commit) == ("train", A, A)
    assert plan.volume == PRIVATE
    assert plan.training is not None
    assert not plan.training.worktree


@given(shas, st.lists(st.integers(1, 50), max_size=5, unique=True), st.booleans())
def test_what_is_trained_gets_a_name_of_its_commit_that_was_never_used(
    sha: str, attempts: list[int], dirty: bool
) -> None:
    used = [SnapshotName(sha=sha, attempt=attempt) for attempt in attempts]
    facts = Facts(event=_event(sha=sha), head=sha, used_names=used, dirty_paths=("x",) if dirty else ())
    plan = _decide(facts, wishes=Wishes(allow_dirty=True, nonce="12345678"))
    name = SnapshotName.parse(plan.name)
    assert name.sha == sha
    assert name not in used
    assert name.is_version == (not dirty)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (_event(sha="", nothing_to_do="the branch was deleted"), "the branch was deleted"),
        (_event("pull_request", untrusted="the head is a fork's"), "the head is a fork's"),
    ],
)
def test_a_deleted_ref_and_a_fork_are_nothing_to_do_and_say_why(event: Event, reason: str) -> None:
    plan = _decide(Facts(event=event, head=A, dirty_paths=("x",)))
    assert (plan.action, plan.reason, plan.name) == ("nothing", reason, "")


def test_a_fork_fails_where_that_is_wanted_but_a_deleted_ref_never_does() -> None:
    rules = _rules(on_fork="fail")
    with pytest.raises(ForkRefused):
        _decide(Facts(event=_event(untrusted="a fork"), head=A), rules=rules)
    deleted = _event(untrusted="a fork", nothing_to_do="deleted")
    assert _decide(Facts(event=deleted, head=A), rules=rules).action == "nothing"


def test_a_dirty_tree_is_refused_and_hostile_names_are_shown_escaped() -> None:
    with pytest.raises(DirtyTree) as refused:
        _decide(Facts(event=_event(), head=A, dirty_paths=("a\n\x1b[2Jb", "c", "d", "e")))
    assert "\n" not in refused.value.what
    assert "\x1b" not in refused.value.what
    assert "--allow-dirty" in refused.value.hint


def test_a_dirty_tree_does_not_matter_where_another_commit_is_trained() -> None:
    plan = _decide(Facts(event=_event(), head=B, dirty_paths=("x",)))
    assert (plan.action, plan.dirty, plan.name) == ("train", False, A)


def test_a_dirty_version_that_was_asked_for_is_never_advanced_and_never_answered_by_another() -> None:
    facts = Facts(event=_event(), head=A, dirty_paths=("x",), versions=[version(A)])
    plan = _decide(facts, wishes=Wishes(allow_dirty=True, nonce="12345678"))
    assert (plan.action, plan.name, plan.dirty, plan.advance) == ("train", f"{A}-dirty-12345678", True, False)


def test_a_commit_that_has_a_version_is_announced_again_and_needs_no_command() -> None:
    plan = _decide(
        Facts(event=_event(), head=A, versions=[version(A)], used_names=[SnapshotName(sha=A)]), training=None
    )
    assert (plan.action, plan.answered_by, plan.answered_how) == ("announce", A, "own")


def test_retraining_makes_the_next_attempt() -> None:
    facts = Facts(event=_event(), head=A, versions=[version(A)], used_names=[SnapshotName(sha=A)])
    assert _decide(facts, wishes=Wishes(retrain=True)).name == f"{A}.2"


def test_the_nearest_ancestors_version_is_where_training_starts_but_never_the_answer() -> None:
    plan = _decide(Facts(event=_event(), head=A, versions=[version(C)], ancestors=[B, C]))
    assert (plan.action, plan.parent) == ("train", C)


def test_the_baseline_is_the_bases_newest_good_version_with_its_metrics() -> None:
    found = [version(B, good=False), version(C, metrics={"accuracy": 0.91})]
    plan = _decide(Facts(event=_event(), head=A, versions=found, base_commits=[B, C]))
    assert (plan.baseline, plan.baseline_metrics) == (C, {"accuracy": 0.91})


@pytest.mark.parametrize("training", [None, msgspec.structs.replace(TRAINING, command=())])
def test_without_a_command_the_way_out_is_said(training: TrainingPlan | None) -> None:
    with pytest.raises(UsageError) as error:
        _decide(Facts(event=_event(), head=A), training=training)
    assert "mlsnap run --" in error.value.hint


def test_another_commit_than_the_one_checked_out_is_trained_in_a_work_tree_of_its_own() -> None:
    """The CI checked out a merge; the commit is the pull request's head."""
    plan = _decide(Facts(event=_event("pull_request"), head=B))
    assert plan.training is not None
    assert plan.training.worktree
    assert plan.volume is not None
    assert plan.volume.isolation == "workspace"


def test_a_shared_volume_is_trained_beside_and_the_checkout_stays_in_use() -> None:
    plan = _decide(Facts(event=_event(), head=A), volume=SHARED)
    assert plan.training is not None
    assert not plan.training.worktree
    assert plan.volume == SHARED


@pytest.mark.parametrize(
    ("event", "follow", "advances"),
    [
        (_event("push"), (), True),
        (_event("push", branch="topic"), (), False),
        (_event("push", branch="topic"), ("topic",), True),
        (_event("push"), ("topic",), False),
        (_event("manual"), (), True),
        (_event("schedule"), (), True),
        (_event("local", branch="topic"), (), True),
        (_event("pull_request"), ("main",), False),
        (_event("merge_group"), ("main",), False),
        (_event("workflow_run"), ("main",), False),
        (_event("tag"), ("main",), False),
        (_event("push", branch="", default_branch=""), (), False),
        (_event("manual", branch="", default_branch=""), ("",), False),
    ],
)
def test_only_followed_branches_and_runs_by_hand_advance(
    event: Event, follow: tuple[str, ...], advances: bool
) -> None:
    """An unknown branch is none that is followed, also where the default branch is unknown too."""
    assert _decide(Facts(event=event, head=A), rules=_rules(follow=follow)).advance is advances


def test_a_plan_keeps_its_digest_through_a_file_and_any_change_shows() -> None:
    plan = _decide(Facts(event=_event(), head=A, subject="a\u2028<b>"))
    again = msgspec.json.decode(plans.encode(plan), type=Plan)
    assert again == plan
    assert plans.digest(again) == plans.digest(plan)
    for change in ({"advance": False}, {"gates": ()}, {"name": B}, {"baseline_metrics": {"accuracy": 0.1}}):
        assert plans.digest(msgspec.structs.replace(plan, **change)) != plans.digest(plan)


@given(st.dictionaries(st.text(max_size=5), st.floats(-10, 10), max_size=5), st.randoms())
def test_the_digest_does_not_depend_on_the_order_of_metrics(metrics: dict[str, float], order: Any) -> None:
    mixed = list(metrics.items())
    order.shuffle(mixed)
    plan = _decide(Facts(event=_event(), head=A))
    one = msgspec.structs.replace(plan, baseline_metrics=metrics)
    other = msgspec.structs.replace(plan, baseline_metrics=dict(mixed))
    assert plans.digest(one) == plans.digest(other)


# -- data ----------------------------------------------------------------------------------------------


def _pins(token: str) -> tuple[Pin, ...]:
    return (Pin(volume="images", kind="snapshot", path="/s", token=token),)


def _retrained(**changes: Any) -> Plan:
    known = [version(A, pins=_pins("t 1"), tree="1" * 40, inputs_digest="2" * 64)]
    facts: dict[str, Any] = {"event": _event(), "head": A, "versions": known, "used_names": [SnapshotName(sha=A)]}
    return _decide(Facts(**(facts | changes)))


def test_a_commit_that_was_trained_on_the_data_as_it_is_needs_no_training() -> None:
    assert _retrained(data=_pins("t 1")).action == "announce"


def test_where_data_is_no_matter_any_version_of_the_commit_answers() -> None:
    assert _retrained(data=None).action == "announce"
    assert _retrained(data=None, versions=[version(A)]).action == "announce"


def test_a_version_that_says_nothing_of_its_data_is_no_answer() -> None:
    plan = _retrained(versions=[version(A)], data=_pins("t 1"))
    assert (plan.name, plan.reason) == (f"{A}.2", "aaaaaaa does not say which data it was trained on (images)")


@pytest.mark.parametrize("now", [_pins("t 2"), _pins(""), ()])
def test_data_that_changed_since_makes_the_next_attempt_and_says_why(now: tuple[Pin, ...]) -> None:
    plan = _retrained(data=now)
    assert (plan.action, plan.name) == ("train", f"{A}.2")
    assert plan.reason == "aaaaaaa was trained on other data (images)"


@pytest.mark.parametrize("same", [{"tree": "1" * 40}, {"inputs_digest": "2" * 64}])
def test_equal_files_answer_only_with_equal_data(same: dict[str, str]) -> None:
    assert _retrained(event=_event(sha=B), head=B, data=_pins("t 1"), **same).action == "announce"
    plan = _retrained(event=_event(sha=B), head=B, data=_pins("t 2"), **same)
    assert (plan.action, plan.name) == ("train", B)
    assert plan.reason == "aaaaaaa was trained on other data (images)"


def test_an_attempt_on_the_data_as_it_is_answers_before_a_better_one_on_other_data() -> None:
    known = [
        version(A, sequence=1, pins=_pins("t 1")),
        version(f"{A}.2", sequence=2, good=False, pins=_pins("t 2")),
    ]
    assert _retrained(versions=known, data=_pins("t 2")).answered_by == f"{A}.2"


def test_the_plan_names_the_data_volumes() -> None:
    data = DataPlan(name="images", path="/d", driver="local", store="/s", pin="snapshot")
    facts = Facts(event=_event(), head=A)
    plan = decide(facts, _rules(), Wishes(), PRIVATE, TRAINING, data=[data], tool="0.1.0")
    assert plan.data == (data,)
    assert plan.reason == ""
