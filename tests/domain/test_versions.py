from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.domain.versions import MOST_SHOWN, Version, answer, baseline, history, next_attempt, preferred
from tests.domain.strategies import shas, version

A, B, C, D = ("a" * 40, "b" * 40, "c" * 40, "d" * 40)


def _how(found: object) -> str:
    return getattr(found, "how", "none")


@given(shas, st.lists(st.integers(1, 99), max_size=8, unique=True))
def test_the_next_attempt_is_a_number_never_used_before_and_newer_than_all(sha: str, used: list[int]) -> None:
    names = [SnapshotName(sha=sha, attempt=number) for number in used]
    following = next_attempt(sha, names)
    assert following not in names
    assert following.attempt == max(used, default=0) + 1


def test_other_commits_dirty_trees_and_keepsakes_use_up_no_attempt() -> None:
    used = [SnapshotName(sha=B, attempt=7), SnapshotName(sha=A, dirty="12345678"), SnapshotName(sha=A, keep=3)]
    assert next_attempt(A, used) == SnapshotName(sha=A)


@given(st.lists(st.booleans(), min_size=1, max_size=6), st.randoms())
def test_the_preferred_version_is_the_newest_good_one_else_the_newest(
    goods: list[bool], order: random.Random
) -> None:
    found = [version(A if n == 0 else f"{A}.{n + 1}", sequence=n, good=good) for n, good in enumerate(goods)]
    expected = max((n for n, good in enumerate(goods) if good), default=len(goods) - 1)
    order.shuffle(found)
    best = preferred(found)
    assert best is not None
    assert best.header.sequence == expected


def test_a_commits_own_version_answers_first() -> None:
    own = version(A, sequence=1, good=False, tree="t1")
    same = version(B, sequence=2, tree="t1", inputs_digest="i1")
    found = answer(A, [same, own], tree="t1", inputs_digest="i1", ancestors=[B])
    assert found is not None
    assert (found.version, found.how) == (own, "own")


def test_then_the_same_tree_then_the_same_inputs_then_the_nearest_ancestor() -> None:
    tree = version(B, tree="t1")
    inputs = version(C, tree="t2", inputs_digest="i1")
    near = version(D, tree="t3")
    everything = [near, inputs, tree]
    assert _how(answer(A, everything, tree="t1", inputs_digest="i1", ancestors=[D])) == "same-tree"
    assert _how(answer(A, everything, tree="tx", inputs_digest="i1", ancestors=[D])) == "same-inputs"
    assert _how(answer(A, everything, tree="tx", inputs_digest="ix", ancestors=[D])) == "nearest"
    assert answer(A, everything, tree="tx", inputs_digest="ix") is None


def test_the_nearest_ancestor_is_the_first_with_a_version() -> None:
    found = answer(A, [version(C, sequence=9), version(D, sequence=1)], ancestors=[B, D, C])
    assert found is not None
    assert found.version.name.sha == D


def test_an_unknown_tree_or_input_matches_nothing() -> None:
    """A version without these facts must not answer a commit without them."""
    assert answer(A, [version(B, tree="", inputs_digest="")], tree="", inputs_digest="") is None


def test_dirty_trees_and_keepsakes_never_answer_and_are_no_baseline() -> None:
    found = [version(f"{A}-dirty-12345678", tree="t"), version(f"{A}-keep-1", tree="t")]
    assert answer(A, found, tree="t", ancestors=[A]) is None
    assert baseline(found, [A]) is None


def test_the_baseline_is_the_newest_commits_good_version() -> None:
    found = [version(A, good=False), version(B, sequence=1), version(f"{B}.2", sequence=2), version(C, sequence=9)]
    best = baseline(found, [A, B, C])
    assert best is not None
    assert str(best.name) == f"{B}.2"
    assert baseline(found, []) is None
    assert baseline(found, [A]) is None


@given(st.permutations([version(A), version(f"{A}.2", sequence=2), version(B, sequence=3, tree="t")]))
def test_the_answer_does_not_depend_on_the_order_of_a_listing(found: list[Version]) -> None:
    best = answer(A, found, tree="t", ancestors=[B])
    assert best is not None
    assert str(best.version.name) == f"{A}.2"


def test_the_history_is_one_metric_of_the_good_versions_of_a_branch_oldest_first() -> None:
    found = [
        version(A, sequence=3, metrics={"accuracy": 0.9, "loss": 0.1}),
        version(B, sequence=2, metrics={"accuracy": 0.1, "loss": 0.9}, good=False),
        version(C, sequence=1, metrics={"accuracy": 0.8, "loss": 0.2}),
        version(D, sequence=4, metrics={"accuracy": 0.7}),
    ]
    line = history(found, [A, B, C])
    assert line is not None
    assert (line.name, line.values, line.steps) == ("accuracy", (0.8, 0.9), (0.0, 1.0))
    gated = history(found, [A, B, C], ("loss",))
    assert gated is not None
    assert (gated.name, gated.values) == ("loss", (0.2, 0.1))


def test_the_history_has_an_end_and_may_be_none() -> None:
    shas_in_order = [f"{number:040x}" for number in range(100)]
    found = [version(sha, sequence=n, metrics={"m": float(n)}) for n, sha in enumerate(shas_in_order)]
    line = history(found, shas_in_order[::-1])
    assert line is not None
    assert (len(line.values), line.values[-1]) == (MOST_SHOWN, 99.0)
    assert history([], [A]) is None
    assert history([version(A)], [A]) is None
    assert history(found, [A]) is None
