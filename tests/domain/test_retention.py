"""Which versions a policy keeps: rules one by one, and what holds whatever the policy is."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_mlsnap.domain.policy import Amount, Best, Branch, Decision, Facts, Judged, Policy
from ci_mlsnap.domain.retention import FEW, decide, nearest, neighbours
from ci_mlsnap.domain.versions import Version
from tests.domain.strategies import version


def sha(number: int) -> str:
    return f"{number:040x}"


def made(number: int, *, good: bool = True, **changes: Any) -> Version:
    """Give the version with this number, of a commit and tree of its own."""
    facts = {"tree": f"{number:040x}"[::-1], **changes}
    return version(sha(number), sequence=number, good=good, **facts)


def decided(policy: Policy, versions: list[Version], **facts: Any) -> Decision:
    """Decide without a limit of what one run may remove."""
    return decide(policy, Facts(versions=versions, **facts), everything=True)


def kept(decision: Decision) -> list[int]:
    return sorted(judged.version.header.sequence for judged in decision.kept)


def reasons(decision: Decision, number: int) -> tuple[str, ...]:
    judged: list[Judged] = [*decision.kept, *decision.removed]
    return next(found.reasons for found in judged if found.version.header.sequence == number)


TEN = [made(number) for number in range(1, 11)]


# -- rules ---------------------------------------------------------------------------------------------


def test_without_a_rule_that_limits_nothing_is_removed() -> None:
    for policy in (Policy(), Policy(keep_tagged=True), Policy(keep_best=Best(metric="accuracy", count=1))):
        assert kept(decided(policy, TEN)) == list(range(1, 11))


def test_the_last_ones_by_number_are_kept_whatever_the_clock_said() -> None:
    clocks = [made(number, created=f"20{60 - number}-01-01T00:00:00+00:00") for number in range(1, 11)]
    decision = decided(Policy(keep_last=3), clocks)
    assert kept(decision) == [8, 9, 10]
    assert reasons(decision, 9) == ("one of the last 3 versions",)
    assert reasons(decision, 7) == ("no rule keeps it",)
    assert [judged.version.header.sequence for judged in decision.removed] == list(range(1, 8))


def test_the_best_by_a_metric_are_kept_and_a_loss_is_best_when_low() -> None:
    scored = [made(n, metrics={"accuracy": n % 4 / 10, "loss": float(n)}) for n in range(1, 11)]
    assert kept(decided(Policy(keep_last=1, keep_best=Best(metric="accuracy", count=2)), scored)) == [3, 7, 10]
    assert kept(decided(Policy(keep_last=1, keep_best=Best(metric="loss", count=2)), scored)) == [1, 2, 10]


def test_a_value_that_is_no_number_is_never_best_and_neither_is_a_missed_gate() -> None:
    scored = [made(1, metrics={"f1": "nan"}), made(2, good=False, metrics={"f1": 0.9}), *TEN[2:]]
    assert kept(decided(Policy(keep_last=1, keep_best=Best(metric="f1", count=5)), scored)) == [10]


def test_what_has_a_tag_is_kept_where_that_is_wanted() -> None:
    tagged = {sha(2), TEN[3].header.tree}
    assert kept(decided(Policy(keep_last=1, keep_tagged=True), TEN, tagged=tagged)) == [2, 4, 10]
    assert kept(decided(Policy(keep_last=1), TEN, tagged=tagged)) == [10]


def test_one_a_day_is_the_newest_good_one_of_each_of_the_last_days() -> None:
    days = [made(n, good=n % 2 == 1, created=f"2026-01-{1 + n // 3:02d}T10:00:00+00:00") for n in range(1, 11)]
    decision = decided(Policy(keep_daily=2), days)
    assert kept(decision) == [7, 9, 10]
    assert reasons(decision, 9) == ("the last good version", "one good version a day, for 2 days")
    assert reasons(decision, 7) == ("one good version a day, for 2 days",)


def test_weeks_and_months_are_those_of_the_calendar() -> None:
    dates = ("2025-12-28", "2025-12-29", "2026-01-04", "2026-01-05", "2026-02-01")
    made_on = [made(n, created=f"{date}T00:00:00+00:00") for n, date in enumerate(dates, start=1)]
    assert kept(decided(Policy(keep_weekly=9), made_on)) == [1, 3, 4, 5]
    assert kept(decided(Policy(keep_monthly=2), made_on)) == [4, 5]


def test_the_last_good_and_the_newest_are_kept_by_any_policy() -> None:
    missed = [made(n, good=n == 3) for n in range(1, 11)]
    decision = decided(Policy(keep_last=1), missed)
    assert kept(decision) == [3, 10]
    assert reasons(decision, 3) == ("the last good version",)
    assert "the newest version" in reasons(decision, 10)


def test_of_each_open_branch_its_head_and_its_last_good_version_are_kept() -> None:
    bad_head = made(5, good=False)
    versions = [*TEN[:4], bad_head, *TEN[5:]]
    branches = [
        Branch(name="main", commits=[sha(5), sha(4), sha(3)]),
        Branch(name="docs", commits=[sha(99), sha(2)], tree="elsewhere"),
        Branch(name="squashed", commits=[sha(98)], tree=TEN[0].header.tree),
    ]
    decision = decided(Policy(keep_last=1), versions, branches=branches)
    assert kept(decision) == [1, 2, 4, 5, 10]
    assert reasons(decision, 4) == ("the last good version of main",)
    assert reasons(decision, 5) == ("what the head of main means",)
    assert "what the head of docs means" in reasons(decision, 2)
    assert "what the head of squashed means" in reasons(decision, 1)


def test_what_something_needs_is_kept_with_its_reason() -> None:
    decision = decided(Policy(keep_last=1), TEN, needed={sha(2): ["the live tree /m", "held by ada"]})
    assert reasons(decision, 2) == ("the live tree /m", "held by ada")


def test_kept_work_stays_as_long_as_the_versions_around_it() -> None:
    old, young = (version(f"{sha(50 + n)}-keep-1", sequence=n, good=False) for n in (2, 9))
    versions = [*(TEN[n] for n in (0, 2, 3, 4, 5, 6, 7, 9)), old, young]
    assert kept(decided(Policy(keep_last=3), versions)) == [7, 8, 9, 10]
    assert 2 in kept(decided(Policy(keep_last=99), versions))


def test_what_is_in_no_branch_goes_where_that_is_wanted_and_known() -> None:
    policy = Policy(keep_last=9, keep_unreachable=False)
    reachable = {sha(n) for n in (1, 2, 10)} | {TEN[3].header.tree}
    decision = decided(policy, TEN, reachable=reachable)
    assert kept(decision) == [1, 2, 4, 10]
    assert reasons(decision, 9) == ("its commit is in no branch",)
    assert kept(decided(policy, TEN, reachable=None)) == list(range(2, 11))
    assert kept(decided(Policy(keep_last=9), TEN, reachable=reachable)) == list(range(2, 11))


# -- space ---------------------------------------------------------------------------------------------


def test_the_oldest_go_until_all_has_room_and_shared_files_count_once() -> None:
    contents = {sha(n): {"shared": 100, f"own {n}": 10} for n in range(1, 11)}
    decision = decided(Policy(max_space=Amount(count=150)), TEN, contents=contents)
    assert kept(decision) == [6, 7, 8, 9, 10]
    assert reasons(decision, 5) == ("over max_space",)
    assert kept(decided(Policy(max_space=Amount(share=0.5)), TEN, contents=contents, total_bytes=300)) == [
        *(6, 7, 8, 9, 10)
    ]


def test_space_takes_nothing_that_is_named_by_a_rule_or_a_person() -> None:
    sized = [made(n, bytes=100) for n in range(1, 11)]
    policy = Policy(max_space=Amount(count=1), keep_tagged=True)
    decision = decided(policy, sized, tagged={sha(1)}, needed={sha(2): ["held by ada"]})
    assert kept(decision) == [1, 2, 10]


def test_a_version_of_which_no_files_are_known_counts_by_its_size() -> None:
    sized = [made(n, bytes=100) for n in range(1, 11)]
    assert kept(decided(Policy(max_space=Amount(count=350)), sized)) == [8, 9, 10]


# -- the limit of one run ------------------------------------------------------------------------------


def test_one_run_removes_only_a_share_and_the_oldest_first() -> None:
    many = [made(n) for n in range(1, 101)]
    decision = decide(Policy(keep_last=1), Facts(versions=many))
    assert [judged.version.header.sequence for judged in decision.removed] == list(range(1, 26))
    assert len(decision.postponed) == 74
    assert len(decide(Policy(keep_last=1), Facts(versions=many), everything=True).removed) == 99
    few = decide(Policy(keep_last=1), Facts(versions=TEN))
    assert len(few.removed) == 9 <= FEW
    two = decide(Policy(keep_last=1, max_removed=Amount(count=2)), Facts(versions=TEN))
    assert len(two.removed) == 2


# -- neighbours ----------------------------------------------------------------------------------------


def test_the_neighbours_of_a_number_are_the_attempts_around_it() -> None:
    before, after = neighbours(5, [TEN[1], TEN[2], TEN[7], version(f"{sha(77)}-keep-1", sequence=4)])
    assert (before, after) == (TEN[2], TEN[7])
    assert neighbours(1, []) == (None, None)
    assert nearest(5, [TEN[2], TEN[6]]) == TEN[6]
    assert nearest(5, []) is None


# -- whatever the policy -------------------------------------------------------------------------------

_counts = st.integers(0, 6)
_policies = st.builds(
    Policy,
    keep_last=_counts,
    keep_daily=_counts,
    keep_weekly=_counts,
    keep_monthly=_counts,
    keep_tagged=st.booleans(),
    keep_unreachable=st.booleans(),
    keep_best=st.none() | st.builds(Best, metric=st.sampled_from(["accuracy", "loss"]), count=st.integers(1, 3)),
    max_space=st.none() | st.builds(Amount, count=st.integers(1, 900)),
    max_removed=st.builds(Amount, count=st.integers(1, 30)) | st.builds(Amount, share=st.floats(0.01, 1.0)),
)


@st.composite
def _histories(draw: st.DrawFn) -> Facts:
    """Give facts with clocks that jump, versions that miss gates, kept work, holds, branches and tags."""
    versions = []
    for number in draw(st.lists(st.integers(1, 60), max_size=14, unique=True)):
        day = draw(st.integers(1, 28))
        facts = {
            "created": f"20{draw(st.integers(10, 90))}-0{draw(st.integers(1, 9))}-{day:02d}T00:00:00+00:00",
            "metrics": {"accuracy": draw(st.sampled_from([0.1, 0.5, 0.9, "nan"])), "loss": float(number)},
            "bytes": draw(st.integers(0, 300)),
        }
        if draw(st.integers(0, 5)) == 0:
            versions.append(version(f"{sha(number)}-keep-1", sequence=number, good=False, **facts))
        else:
            versions.append(made(number, good=draw(st.booleans()), **facts))
    numbers = st.integers(1, 60).map(sha)
    return Facts(
        versions=versions,
        needed={name: ["held by ada"] for name in draw(st.lists(numbers, max_size=3))},
        tagged=draw(st.frozensets(numbers, max_size=4)),
        reachable=draw(st.none() | st.frozensets(numbers, max_size=30)),
        branches=[Branch(name="main", commits=draw(st.lists(numbers, max_size=8, unique=True)))],
        total_bytes=1000,
    )


@given(_policies, _histories())
def test_the_last_good_what_is_held_and_what_a_branch_means_are_never_removed(
    policy: Policy, facts: Facts
) -> None:
    decision = decide(policy, facts, everything=True)
    gone = {judged.version.header.name for judged in (*decision.removed, *decision.postponed)}
    assert not gone & set(facts.needed)
    good = [v for v in facts.versions if v.good and v.name.is_version]
    if good:
        assert max(good, key=lambda v: v.header.sequence).header.name not in gone
    on_main = [name for name in facts.branches[0].commits if any(v.header.name == name and v.good for v in good)]
    assert not gone & set(on_main[:1])


@given(_policies, _histories(), st.randoms())
def test_the_same_facts_in_any_order_give_the_same_decision_with_each_version_once(
    policy: Policy, facts: Facts, order: random.Random
) -> None:
    decision = decide(policy, facts)
    shuffled = list(facts.versions)
    order.shuffle(shuffled)
    assert decide(policy, msgspec.structs.replace(facts, versions=shuffled)) == decision
    judged = [found.version for found in (*decision.kept, *decision.removed, *decision.postponed)]
    assert sorted(v.header.name for v in judged) == sorted(v.header.name for v in facts.versions)
    assert all(found.reasons for found in (*decision.kept, *decision.removed))


@given(_policies, _histories())
def test_after_a_run_without_limit_the_next_one_removes_nothing(policy: Policy, facts: Facts) -> None:
    first = decide(policy, facts, everything=True)
    left = msgspec.structs.replace(facts, versions=[judged.version for judged in first.kept])
    assert decide(policy, left, everything=True).removed == ()


@given(_policies, _histories())
def test_as_many_limited_runs_as_it_takes_end_where_one_without_limit_does(policy: Policy, facts: Facts) -> None:
    whole = decide(policy, facts, everything=True)
    versions = list(facts.versions)
    for _ in range(len(versions) + 1):
        decision = decide(policy, msgspec.structs.replace(facts, versions=versions))
        gone = {judged.version.header.name for judged in decision.removed}
        versions = [v for v in versions if v.header.name not in gone]
    assert {v.header.name for v in versions} == {judged.version.header.name for judged in whole.kept}


@given(_policies, _histories(), st.sampled_from(["keep_last", "keep_daily", "keep_weekly", "keep_monthly"]))
def test_a_policy_that_asks_for_more_keeps_no_less(policy: Policy, facts: Facts, rule: str) -> None:
    policy = msgspec.structs.replace(policy, max_space=None)
    if not policy.limits or getattr(policy, rule) == policy.keep_last == 0:
        return  # a first limit, also one of kept work, is meant to remove
    more = msgspec.structs.replace(policy, **{rule: getattr(policy, rule) + 1})
    wider = msgspec.structs.replace(more, keep_tagged=True)
    before, after, widest = (set(kept(decide(p, facts, everything=True))) for p in (policy, more, wider))
    assert before <= after <= widest


@given(_policies, _histories(), st.integers(1, 500), st.integers(0, 500))
def test_more_room_keeps_no_less(policy: Policy, facts: Facts, room: int, more: int) -> None:
    small, large = (
        set(kept(decide(msgspec.structs.replace(policy, max_space=Amount(count=n)), facts, everything=True)))
        for n in (room, room + more)
    )
    assert small <= large


@pytest.mark.parametrize(("amount", "of"), [(Amount(count=7), 7), (Amount(share=0.2), 20), (Amount(share=0.0), 0)])
def test_an_amount_is_a_number_or_a_share(amount: Amount, of: int) -> None:
    assert amount.of(100) == of
