"""The decision, for any mixture of what git, the CI, the settings and the storage can say."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_mlsnap.domain.event import Event, EventKind
from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.domain.plan import Plan, TrainingPlan, VolumePlan
from ci_mlsnap.domain.planning import Facts, Rules, Wishes, decide
from ci_mlsnap.domain.versions import Version
from ci_mlsnap.errors import DirtyTree, ForkRefused
from tests.domain.strategies import version

A, B, C, D = "a" * 40, "b" * 40, "c" * 40, "d" * 40
KINDS: tuple[EventKind, ...] = get_args(EventKind)
TRAINING = TrainingPlan(command=("python", "train.py"), top="/r")

texts = st.sampled_from(["", "why not"])
events = st.builds(
    Event,
    kind=st.sampled_from(KINDS),
    sha=st.just(A),
    branch=st.sampled_from(["", "main", "topic"]),
    default_branch=st.sampled_from(["", "main"]),
    untrusted=texts,
    nothing_to_do=texts,
    forced=st.booleans(),
)
known = st.lists(
    st.builds(
        version,
        st.sampled_from([A, f"{A}.2", B, f"{C}.3", f"{B}-keep-1", f"{A}-dirty-12345678"]),
        sequence=st.integers(1, 9),
        good=st.booleans(),
        tree=st.sampled_from(["1" * 40, "2" * 40]),
        inputs_digest=st.sampled_from(["", "3" * 64]),
    ),
    max_size=5,
    unique_by=lambda found: found.header.name,
)
volumes = st.builds(
    VolumePlan,
    name=st.just("models"),
    path=st.just("/r/models"),
    driver=st.just("local"),
    store=st.just("/s"),
    private=st.booleans(),
    isolation=st.sampled_from(["workspace", "in-place"]),
)


@st.composite
def situations(draw: st.DrawFn) -> dict[str, Any]:
    """Give the arguments of `decide`."""
    found: list[Version] = draw(known)
    facts = Facts(
        event=draw(events),
        head=draw(st.sampled_from([A, B])),
        tree=draw(st.sampled_from(["1" * 40, "9" * 40])),
        dirty_paths=tuple(draw(st.lists(st.text(max_size=5), max_size=2))),
        inputs_digest=draw(st.sampled_from(["", "3" * 64, "8" * 64])),
        versions=found,
        used_names=[one.name for one in found] + draw(st.lists(st.just(SnapshotName(sha=A, attempt=7)))),
        ancestors=draw(st.sampled_from([[], [B], [B, C], [D]])),
        base_commits=draw(st.sampled_from([[], [C], [B, C], [A]])),
    )
    rules = Rules(
        project="org/digits",
        model="digits",
        gates=(),
        files_mode="changed",
        follow=tuple(draw(st.lists(st.sampled_from(["main", "topic", ""]), max_size=2))),
        lease_wait=1.0,
        on_fork=draw(st.sampled_from(["skip", "fail"])),
        context="mlsnap/digits",
        repository="org/digits",
    )
    wishes = Wishes(retrain=draw(st.booleans()), allow_dirty=draw(st.booleans()), nonce="87654321")
    return {"facts": facts, "rules": rules, "wishes": wishes, "volume": draw(volumes), "training": TRAINING}


def _decided(situation: dict[str, Any]) -> Plan | None:
    """Give the plan, or None where it must be, and is, refused."""
    facts, rules, wishes = situation["facts"], situation["rules"], situation["wishes"]
    event = facts.event
    fork = bool(event.untrusted) and not event.nothing_to_do and rules.on_fork == "fail"
    idle = bool(event.nothing_to_do or event.untrusted)
    dirty = not idle and facts.head == event.sha and bool(facts.dirty_paths) and not wishes.allow_dirty
    if fork or dirty:
        with pytest.raises(ForkRefused if fork else DirtyTree) as refused:
            decide(**situation, tool="t")
        assert refused.value.hint
        return None
    return decide(**situation, tool="t")


@given(situations())
def test_the_same_facts_give_the_same_plan(situation: dict[str, Any]) -> None:
    assert _decided(situation) == _decided(situation)


@given(situations())
def test_nothing_is_done_exactly_where_the_event_says_so(situation: dict[str, Any]) -> None:
    plan, event = _decided(situation), situation["facts"].event
    if plan is not None:
        assert (plan.action == "nothing") == bool(event.nothing_to_do or event.untrusted)
        assert plan.commit == A
        if plan.action == "nothing":
            assert plan.reason
            assert (plan.name, plan.volume, plan.training, plan.advance) == ("", None, None, False)


@given(situations())
def test_what_is_trained_has_a_new_name_and_a_place_of_its_own_where_it_needs_one(
    situation: dict[str, Any],
) -> None:
    plan, facts, volume = _decided(situation), situation["facts"], situation["volume"]
    if plan is None or plan.action != "train":
        return
    assert plan.volume is not None
    assert plan.training is not None
    name = SnapshotName.parse(plan.name)
    assert name.sha == A
    assert name not in facts.used_names
    assert name.is_version == (not plan.dirty)
    elsewhere = facts.head != A or (volume.private and volume.isolation == "workspace")
    assert plan.training.worktree == elsewhere
    assert plan.volume.isolation == ("workspace" if elsewhere else volume.isolation)
    assert plan.training.fresh == situation["wishes"].retrain
    assert not (facts.head != A and plan.dirty)


@given(situations())
def test_only_attempts_are_announced_started_from_or_compared_with(situation: dict[str, Any]) -> None:
    plan, facts = _decided(situation), situation["facts"]
    if plan is None or plan.action == "nothing":
        return
    by_name = {found.header.name: found for found in facts.versions}
    for name in filter(None, (plan.answered_by, plan.parent, plan.baseline)):
        assert by_name[name].name.is_version
    if plan.baseline:
        assert by_name[plan.baseline].good
        assert by_name[plan.baseline].header.commit in facts.base_commits
    if plan.parent:
        assert by_name[plan.parent].header.commit in facts.ancestors


@given(situations())
def test_a_version_is_announced_again_exactly_where_one_answers(situation: dict[str, Any]) -> None:
    plan, facts, wishes = _decided(situation), situation["facts"], situation["wishes"]
    if plan is None or plan.action == "nothing":
        return
    attempts = [found.header for found in facts.versions if found.name.is_version]
    own = any(header.commit == A for header in attempts)
    tree = any(header.tree == facts.tree for header in attempts)
    inputs = any(facts.inputs_digest and header.inputs_digest == facts.inputs_digest for header in attempts)
    asked = not wishes.retrain and not (facts.head == A and facts.dirty_paths)
    assert (plan.action == "announce") == (asked and (own or tree or inputs))
    if plan.action == "announce":
        assert plan.answered_how == ("own" if own else "same-tree" if tree else "same-inputs")
        assert not plan.advance


@given(situations())
def test_the_live_tree_advances_only_for_followed_branches_and_by_hand(situation: dict[str, Any]) -> None:
    plan, event, rules = _decided(situation), situation["facts"].event, situation["rules"]
    if plan is None or not plan.advance:
        return
    assert plan.action == "train"
    assert not plan.dirty
    assert event.kind in ("local", "push", "manual", "schedule")
    if event.kind != "local":
        assert event.branch
        assert event.branch in (rules.follow or (event.default_branch,))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_event_trains_its_commit(kind: EventKind) -> None:
    rules = Rules(
        project="p",
        model="m",
        gates=(),
        files_mode="none",
        follow=(),
        lease_wait=2.0,
        on_fork="skip",
        context="mlsnap/m",
        repository="",
    )
    volume = VolumePlan(name="m", path="/m", driver="local", store="/s", private=False, isolation="workspace")
    facts = Facts(event=Event(kind=kind, sha=A), head=A, tree="1" * 40, parents=(B,), subject="s", shallow=True)
    plan = decide(facts, rules, Wishes(), volume, TRAINING, tool="t")
    assert (plan.action, plan.name, plan.event.kind) == ("train", A, kind)
    assert (plan.tree, plan.parents, plan.subject, plan.shallow) == ("1" * 40, (B,), "s", True)
    assert (plan.files_mode, plan.lease_wait, plan.project, plan.model) == ("none", 2.0, "p", "m")
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan
