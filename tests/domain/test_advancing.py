"""Which of two runs has the last word on a live tree."""

from __future__ import annotations

import pytest

from ci_mlsnap.domain.advancing import Advance, counts_descent, is_overtaken
from ci_mlsnap.domain.event import Event, EventKind

A, B, C = ("a" * 40, "b" * 40, "c" * 40)
OLDER = Advance(token=1, commit=A)
NEWER = Advance(token=2, commit=B, ancestors=(A,))


def test_the_first_run_moves_the_tree() -> None:
    assert not is_overtaken(OLDER, None, by_descent=True)


def test_a_run_moves_the_tree_again_as_after_a_crash() -> None:
    assert not is_overtaken(NEWER, NEWER, by_descent=True)


@pytest.mark.parametrize("by_descent", [True, False])
def test_of_two_pushes_in_a_row_the_later_one_stays(by_descent: bool) -> None:
    assert is_overtaken(OLDER, NEWER, by_descent=by_descent)
    assert not is_overtaken(NEWER, OLDER, by_descent=by_descent)


def test_descent_counts_more_than_which_began_first() -> None:
    """Runners start jobs in any order, and failed ones are run again."""
    late_start = Advance(token=3, commit=A)
    assert is_overtaken(late_start, NEWER, by_descent=True)
    assert not is_overtaken(NEWER, late_start, by_descent=True)


def test_whoever_puts_a_branch_back_puts_the_tree_back() -> None:
    assert not is_overtaken(Advance(token=3, commit=A), NEWER, by_descent=False)


def test_what_has_no_history_in_common_goes_by_its_beginning() -> None:
    """A branch was rebuilt, or clones are too shallow to tell."""
    assert not is_overtaken(Advance(token=3, commit=C), NEWER, by_descent=True)
    assert is_overtaken(Advance(token=1, commit=C), NEWER, by_descent=True)


def test_runs_that_had_begun_leave_the_tree_where_a_person_put_it() -> None:
    """Also those of commits that come after the one that the person went back to."""
    choice = Advance(token=5, ancestors=(A,))
    assert is_overtaken(Advance(token=4, commit=C, ancestors=(B, A)), choice, by_descent=True)
    assert not is_overtaken(Advance(token=6, commit=C, ancestors=(B, A)), choice, by_descent=True)
    assert is_overtaken(Advance(token=6, commit=A), choice, by_descent=True)


@pytest.mark.parametrize(
    ("kind", "forced", "counted"), [("push", False, True), ("push", True, False), ("local", False, False)]
)
def test_descent_counts_for_pushes_that_were_not_forced(kind: EventKind, forced: bool, counted: bool) -> None:
    assert counts_descent(Event(kind=kind, sha=A, forced=forced)) is counted
