"""The search for the first bad version."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_mlsnap.domain.bisecting import (
    Border,
    Judgement,
    border,
    contradicted,
    judge_exit,
    judge_metric,
    next_to_judge,
)


def search(truth: list[Judgement]) -> tuple[list[Judgement | None], int]:
    """Judge what is asked for until nothing is; give what is known then, and how often was asked."""
    judged: list[Judgement | None] = [None] * len(truth)
    asked = 0
    while (index := next_to_judge(judged)) is not None:
        assert judged[index] is None, "a version was judged twice"
        judged[index] = truth[index]
        asked += 1
        assert asked <= len(truth), "the search does not end"
        if contradicted(judged):
            break
    return judged, asked


def turning(length: int, first: int) -> list[Judgement]:
    """Give a row that is good up to somewhere and bad from there on."""
    return ["good" if index < first else "bad" for index in range(length)]


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Judgement], int]:
    """A row that turns from good to bad, with the index of its first bad version."""
    length = draw(st.integers(2, 300))
    first = draw(st.integers(1, length - 1))
    return turning(length, first), first


@given(histories())
def test_the_first_bad_version_is_found(history: tuple[list[Judgement], int]) -> None:
    truth, first = history
    judged, _ = search(truth)
    assert border(judged) == Border(good=first - 1, bad=first)
    assert (judged[first - 1], judged[first]) == ("good", "bad"), "the answer rests on what nobody looked at"


@pytest.mark.parametrize("length", [*range(2, 70), 127, 128, 129, 1000])
def test_no_search_takes_more_than_log2_of_the_versions_and_one(length: int) -> None:
    for first in range(1, length):
        _, asked = search(turning(length, first))
        assert asked <= math.log2(length) + 1, f"first bad {first} of {length}"


@given(histories(), st.data())
def test_what_cannot_be_judged_costs_one_look_and_is_named(
    history: tuple[list[Judgement], int], data: st.DataObject
) -> None:
    truth, first = history
    for index in data.draw(st.sets(st.integers(1, len(truth) - 1), max_size=len(truth) // 2)):
        if index != len(truth) - 1:
            truth[index] = "skip"
    judged, asked = search(truth)
    found = border(judged)
    assert asked <= math.log2(len(truth)) + 1 + judged.count("skip")
    assert found.good < first <= found.bad
    between = range(found.good + 1, found.bad)
    assert found.skipped == tuple(between), "something between good and bad was not judged"


@given(st.lists(st.sampled_from(["good", "bad", "skip"]), min_size=2, max_size=60))
def test_of_any_history_a_turn_from_good_to_bad_is_found(truth: list[Judgement]) -> None:
    truth[0], truth[-1] = "good", "bad"
    found = border(search(truth)[0])
    assert truth[found.good] == "good" and truth[found.bad] == "bad"
    assert all(truth[index] == "skip" for index in range(found.good + 1, found.bad))


@given(st.integers(2, 60))
def test_a_wrong_word_of_a_person_is_noticed(length: int) -> None:
    assert contradicted(search(turning(length, length))[0]) == "bad"
    assert contradicted(search(turning(length, 0))[0]) == "good"


def test_when_all_is_known_the_first_bad_one_is_the_border() -> None:
    judged: list[Judgement | None] = ["good", "skip", "bad", "good", "bad", "bad"]
    assert border(judged) == Border(good=0, bad=2, skipped=(1,))


@pytest.mark.parametrize(
    ("code", "means"),
    [
        (0, "good"),
        (1, "bad"),
        (124, "bad"),
        (125, "skip"),
        (126, "bad"),
        (127, "bad"),
        (128, None),
        (137, None),
        (255, None),
    ],
)
def test_exit_codes_mean_what_they_mean_to_git(code: int, means: Judgement | None) -> None:
    assert judge_exit(code) == means


@pytest.mark.parametrize(
    ("value", "low", "high", "means"),
    [
        (0.9, 0.9, None, "good"),
        (0.89, 0.9, None, "bad"),
        (0.2, None, 0.2, "good"),
        (0.21, None, 0.2, "bad"),
        (0.5, 0.1, 0.4, "bad"),
        ("nan", 0.1, None, "bad"),
        ("nan", None, 0.1, "bad"),
        ("inf", 0.1, None, "bad"),
        ("inf", None, 1.0, "bad"),
        (None, 0.1, None, "skip"),
    ],
)
def test_a_metric_is_held_against_its_bounds(
    value: float | str | None, low: float | None, high: float | None, means: Judgement
) -> None:
    assert judge_metric(value, min=low, max=high) == means
