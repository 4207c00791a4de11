from __future__ import annotations

import pytest

from ci_mlsnap.domain.channels import Move, broken_at, digest, last_moves, live_at, require_channel
from ci_mlsnap.errors import UsageError

A, B, C = "a" * 40, "b" * 40, "c" * 40


def move(before: str, version: str, *, channel: str = "production", at: str = "2026-11-25T10:00:00+00:00") -> Move:
    link = f"../../snapshots/{version}" if version else ""
    return Move(channel=channel, before=before, version=version, link=link, manifest="0" * 64, who="ada", at=at)


HISTORY = [
    move("", A, at="2026-11-01T10:00:00+00:00"),
    move("", B, channel="canary", at="2026-11-02T10:00:00+00:00"),
    move(A, B, at="2026-11-03T10:00:00+00:00"),
    move(B, "", channel="canary", at="2026-11-04T10:00:00+00:00"),
]


@pytest.mark.parametrize("name", ["production", "a", "0", "eu-west-1", "x" * 63])
def test_a_label_may_name_a_channel(name: str) -> None:
    assert require_channel(name) == name


@pytest.mark.parametrize("name", ["", "-x", ".", "..", "a/b", "A", "é", "x" * 64, "a b", "a\n", "prod.link"])
def test_nothing_else_may(name: str) -> None:
    with pytest.raises(UsageError) as refused:
        require_channel(name)
    assert refused.value.hint


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-10-31T00:00:00+00:00", {}),
        ("2026-11-01T10:00:00+00:00", {"production": A}),
        ("2026-11-02T23:00:00+00:00", {"canary": B, "production": A}),
        ("2026-11-03T10:00:01+00:00", {"canary": B, "production": B}),
        ("2027-01-01T00:00:00+00:00", {"production": B}),
    ],
)
def test_what_was_live_at_a_moment(moment: str, expected: dict[str, str]) -> None:
    assert live_at(HISTORY, moment) == expected


def test_a_clock_that_went_back_does_not_change_the_order_of_moves() -> None:
    """The second move has the earlier time; before the first one was made, nothing was live all the same."""
    moves = [move("", A, at="2026-11-25T10:00:00+00:00"), move(A, B, at="2026-11-25T09:00:00+00:00")]
    assert live_at(moves, "2026-11-25T09:30:00+00:00") == {}
    assert live_at(moves, "2026-11-25T10:00:00+00:00") == {"production": B}


def test_the_last_move_of_each_channel_counts() -> None:
    assert {name: last.version for name, last in last_moves(HISTORY).items()} == {"production": B, "canary": ""}


def test_moves_that_go_on_from_each_other_are_whole() -> None:
    assert broken_at(HISTORY) == 0


@pytest.mark.parametrize(
    ("moves", "number"),
    [
        ([move(A, B)], 1),
        ([move("", A), move("", B)], 2),
        ([move("", A), move(A, B), move(C, A)], 3),
        ([move("", A, channel="../up")], 1),
    ],
)
def test_the_first_move_from_elsewhere_is_named(moves: list[Move], number: int) -> None:
    assert broken_at(moves) == number


def test_any_other_move_has_another_digest() -> None:
    one = move("", A)
    others = [move("", B), move("", A, channel="canary"), move("", A, at="2026-11-25T10:00:01+00:00"), move(A, A)]
    assert len({digest(one), *map(digest, others)}) == 5
    assert digest(one) == digest(move("", A))
