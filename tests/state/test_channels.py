"""Links and ledger of channels, with lines that are lost, changed and cut, and processes that die."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from ci_mlsnap.domain.channels import Move
from ci_mlsnap.errors import IntegrityDamage
from ci_mlsnap.state import channels
from tests.state.conftest import KilledAtEachStep

A, B, C = "a" * 40, "b" * 40, "c" * 40


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Give a state folder beside three snapshots."""
    for name in (A, B, C):
        (tmp_path / "snapshots" / name).mkdir(parents=True)
        (tmp_path / "snapshots" / name / "name").write_text(name)
    (tmp_path / "state").mkdir()
    return tmp_path / "state"


def move_of(state: Path, version: str, channel: str = "production") -> Move:
    finished = {move.channel: move.version for move in channels.moves(state)}
    link = channels.text_for(state, state.parent / "snapshots" / version) if version else ""
    return Move(
        channel=channel,
        before=finished.get(channel, ""),
        version=version,
        link=link,
        manifest="0" * 64,
        who="ada@ml-01",
        at="2026-11-25T10:00:00+00:00",
    )


def go(state: Path, version: str, channel: str = "production") -> None:
    with channels.alone(state):
        channels.finish(state)
        channels.begin(state, move_of(state, version, channel))
        channels.finish(state)


def test_before_the_first_move_nothing_is_live_and_nothing_is_made(state: Path) -> None:
    assert channels.live(state) == {}
    assert channels.moves(state) == ()
    assert channels.unfinished(state) is None
    assert list(state.iterdir()) == []


def test_a_reader_that_follows_the_link_is_in_the_version(state: Path) -> None:
    go(state, A)
    assert (channels.place(state, "production") / "name").read_text() == A
    go(state, B)
    assert (channels.place(state, "production") / "name").read_text() == B
    assert channels.live(state) == {"production": B}


def test_the_link_holds_where_the_storage_is_mounted_at_another_place(state: Path, tmp_path: Path) -> None:
    go(state, A)
    elsewhere = tmp_path.with_name(f"{tmp_path.name}-elsewhere")
    tmp_path.rename(elsewhere)
    try:
        assert (elsewhere / "state" / "channels" / "production" / "name").read_text() == A
        assert channels.live(elsewhere / "state") == {"production": A}
    finally:
        elsewhere.rename(tmp_path)


def test_all_moves_are_told_in_order_and_channels_are_apart(state: Path) -> None:
    go(state, A)
    go(state, B, "canary")
    go(state, B)
    assert [(move.channel, move.before, move.version) for move in channels.moves(state)] == [
        ("production", "", A),
        ("canary", "", B),
        ("production", A, B),
    ]
    assert channels.live(state) == {"canary": B, "production": B}


def test_a_channel_that_ended_leads_nowhere_and_may_begin_again(state: Path) -> None:
    go(state, A)
    go(state, "")
    assert channels.live(state) == {}
    assert not channels.is_there(state, "production")
    go(state, B)
    assert channels.live(state) == {"production": B}


def test_a_move_that_was_cut_off_after_its_line_is_known_and_finished(state: Path) -> None:
    go(state, A)
    with channels.alone(state):
        channels.begin(state, move_of(state, B))
    assert channels.live(state) == {"production": A}, "readers are still there"
    cut_off = channels.unfinished(state)
    assert cut_off is not None
    assert cut_off.version == B
    with channels.alone(state):
        assert channels.finish(state) == cut_off
        assert channels.finish(state) is None
    assert channels.live(state) == {"production": B}


def test_a_move_that_was_cut_off_after_its_link_is_told_as_readers_see_it(state: Path) -> None:
    go(state, A)
    with channels.alone(state):
        cut_off = move_of(state, B)
        channels.begin(state, cut_off)
        channels.point(state, cut_off)
    assert channels.live(state) == {"production": B}
    assert [move.version for move in channels.moves(state)] == [A], "it is not finished"


def test_killed_at_any_step_readers_see_the_old_or_the_new_and_the_next_move_finishes(
    state: Path, killed_at_each_step: KilledAtEachStep
) -> None:
    def whole() -> None:
        seen = (channels.place(state, "production") / "name").read_text()
        assert channels.live(state) == {"production": seen}
        assert seen in (A, B)
        with channels.alone(state):
            channels.finish(state)
        told = [move.version for move in channels.moves(state)]
        assert channels.live(state) == {"production": told[-1]}
        assert [name for name in os.listdir(state / "channels") if name.startswith(".")] == []

    assert killed_at_each_step(lambda: go(state, A), lambda: go(state, B), whole) > 5


def test_many_at_once_move_one_after_the_other(
    state: Path, together: Callable[[Sequence[Callable[[], object]]], list[int]]
) -> None:
    acts = [lambda version=version: go(state, version) for version in (A, B, C) for _ in range(3)]
    assert together(acts) == [0] * 9
    told = channels.moves(state)
    assert len(told) == 9
    assert [move.before for move in told[1:]] == [move.version for move in told[:-1]]
    assert channels.live(state) == {"production": told[-1].version}


def test_whoever_looks_meanwhile_takes_no_move_for_damage(
    state: Path, together: Callable[[Sequence[Callable[[], object]]], list[int]]
) -> None:
    go(state, A)

    def write() -> None:
        for number in range(40):
            go(state, (B, A)[number % 2])

    def look() -> None:
        while len(channels.moves(state)) < 41:
            assert channels.live(state)["production"] in (A, B)

    assert together([write, look, look]) == [0, 0, 0]


# -- damage --------------------------------------------------------------------------------------------


@pytest.fixture
def moved(state: Path) -> Path:
    """Give a state in which production went to A, B, A, B."""
    for version in (A, B, A, B):
        go(state, version)
    return state


def require_damage(state: Path, *texts: str) -> None:
    for look in (channels.live, channels.moves, channels.unfinished):
        with pytest.raises(IntegrityDamage) as damage:
            look(state)
        assert damage.value.hint
        assert all(text in f"{damage.value.what} {damage.value.why}" for text in texts), damage.value.what


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_line_that_was_changed_is_named(moved: Path, number: int) -> None:
    ledger = moved / "channels.jsonl"
    told = ledger.read_text().splitlines(keepends=True)
    told[number - 1] = told[number - 1].replace("ada@ml-01", "eve@ml-01")
    ledger.write_text("".join(told))
    # A line is held by the one after it; the last one by the note of what was finished.
    require_damage(moved, f"line {min(number + 1, 4)}")


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_line_that_was_removed_is_named(moved: Path, number: int) -> None:
    ledger = moved / "channels.jsonl"
    told = ledger.read_text().splitlines(keepends=True)
    del told[number - 1]
    ledger.write_text("".join(told))
    require_damage(moved, f"line {number}")


@pytest.mark.parametrize("left", [0, 1, 2, 3])
def test_an_end_that_was_cut_off_is_found_though_the_rest_holds_together(moved: Path, left: int) -> None:
    """Without that, a cut would look like a move that was not finished, and lead production back."""
    ledger = moved / "channels.jsonl"
    ledger.write_text("".join(ledger.read_text().splitlines(keepends=True)[:left]))
    require_damage(moved, f"line {left + 1}", "missing")


def test_an_end_that_was_torn_off_in_a_line_is_found(moved: Path) -> None:
    ledger = moved / "channels.jsonl"
    ledger.write_bytes(ledger.read_bytes()[:-20])
    require_damage(moved, "line 4", "missing")


def test_a_ledger_that_is_gone_is_found(moved: Path) -> None:
    (moved / "channels.jsonl").unlink()
    require_damage(moved, "line 1", "missing")


def test_a_note_of_what_is_finished_that_is_gone_or_old_is_found(moved: Path) -> None:
    note = moved / "channels.json"
    old = note.read_bytes()
    note.unlink()
    require_damage(moved, "line 2")
    note.write_bytes(old)
    go(moved, A)
    go(moved, B)
    note.write_bytes(old)
    require_damage(moved, "line 6")


def test_a_chain_that_was_made_anew_is_found(moved: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for version in (A, B, A, C):
        go(other, version)
    (other / "channels.jsonl").replace(moved / "channels.jsonl")
    require_damage(moved, "line 4")


def test_a_line_of_something_else_is_named(moved: Path) -> None:
    from ci_mlsnap.durable import lines

    lines.append(moved / "channels.jsonl", {"op": "hold"})
    require_damage(moved, "line 5")


def test_a_torn_line_of_a_move_that_never_was_is_nothing(moved: Path) -> None:
    with (moved / "channels.jsonl").open("ab") as ledger:
        ledger.write(b'{"n":5,"prev":"')
    assert channels.live(moved) == {"production": B}
    go(moved, A)
    assert channels.live(moved) == {"production": A}


@pytest.mark.parametrize("text", ["/etc", f"../../snapshots/{C}", f"../../snapshots/{B}/../{A}", "."])
def test_a_link_that_no_move_made_is_followed_by_nobody(moved: Path, text: str) -> None:
    link = channels.place(moved, "production")
    link.unlink()
    link.symlink_to(text)
    with pytest.raises(IntegrityDamage, match="leads elsewhere") as damage:
        channels.live(moved)
    assert "mlsnap promote" in damage.value.hint


def test_a_link_that_is_gone_or_stands_under_a_name_without_moves_is_found(moved: Path) -> None:
    link = channels.place(moved, "production")
    link.rename(channels.place(moved, "canary"))
    with pytest.raises(IntegrityDamage, match="canary"):
        channels.live(moved)
    channels.place(moved, "canary").unlink()
    with pytest.raises(IntegrityDamage, match="production") as damage:
        channels.live(moved)
    assert "gone" in damage.value.why


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_no_link_is_neither_followed_nor_replaced(moved: Path, kind: str) -> None:
    link = channels.place(moved, "production")
    link.unlink()
    link.write_text("mine") if kind == "file" else link.mkdir()
    with pytest.raises(IntegrityDamage, match="a channel is a link"):
        channels.live(moved)
    with channels.alone(moved):
        channels.begin(moved, move_of(moved, A))
        with pytest.raises(IntegrityDamage):
            channels.finish(moved)
    assert link.read_text() == "mine" if kind == "file" else link.is_dir()
