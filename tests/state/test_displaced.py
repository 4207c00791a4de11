from __future__ import annotations

from pathlib import Path

import pytest

from ci_mlsnap.errors import IntegrityDamage, Refused
from ci_mlsnap.state import displaced
from tests.state.conftest import SHA, KilledAtEachStep

TREE = Path("/store/snapshots/.trash-0123456789abcdef")
OTHER = TREE.with_name(".trash-fedcba9876543210")


def test_a_tree_that_was_never_compared_is_unknown(state: Path) -> None:
    assert displaced.find(state, TREE) is None
    assert not state.exists()


def test_what_is_noted_is_found_by_any_process(state: Path) -> None:
    displaced.note(state, TREE, saved=SHA, now=lambda: 12.5)
    assert displaced.find(state, TREE) == displaced.Displaced(saved=SHA, since=12.5)
    assert displaced.find(state, OTHER) is None


def test_noting_again_counts_and_leaves_others_alone(state: Path) -> None:
    displaced.note(state, OTHER, saved=SHA, now=lambda: 1.0)
    displaced.note(state, TREE, saved=SHA, now=lambda: 1.0)
    displaced.note(state, TREE, saved=f"{SHA}-keep-1", now=lambda: 2.0)
    assert displaced.find(state, TREE) == displaced.Displaced(saved=f"{SHA}-keep-1", since=2.0)
    assert displaced.find(state, OTHER) == displaced.Displaced(saved=SHA, since=1.0)


def test_forgetting_twice_is_forgetting_once(state: Path) -> None:
    displaced.note(state, TREE, saved=SHA)
    displaced.note(state, OTHER, saved=SHA)
    displaced.forget(state, TREE)
    displaced.forget(state, TREE)
    assert displaced.find(state, TREE) is None
    assert displaced.find(state, OTHER) is not None


def test_forgetting_where_nothing_is_makes_nothing(state: Path) -> None:
    displaced.forget(state, TREE)
    assert not state.exists()


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"format": "mlsnap/lease/1", "saved": "a", "since": 1}', '{"saved": "a"}', "\xff"]
)
def test_a_damaged_note_is_found_and_says_the_way_out(state: Path, content: str) -> None:
    """To take it for unknown would only compare again; but damage is said wherever it is met."""
    displaced.note(state, TREE, saved=SHA)
    (file,) = (state / "trash").iterdir()
    file.write_text(content, encoding="latin-1")
    with pytest.raises(IntegrityDamage) as damage:
        displaced.find(state, TREE)
    assert "remove the file" in damage.value.hint


def test_a_note_of_a_newer_mlsnap_is_left_to_it(state: Path) -> None:
    displaced.note(state, TREE, saved=SHA)
    (file,) = (state / "trash").iterdir()
    file.write_text('{"format": "mlsnap/trash/2", "saved": "a", "since": 1}')
    with pytest.raises(Refused, match="newer"):
        displaced.find(state, TREE)


def test_a_note_cut_off_at_any_step_is_there_or_not_and_never_damaged(
    state: Path, killed_at_each_step: KilledAtEachStep
) -> None:
    def forget() -> None:
        displaced.forget(state, TREE)

    def note() -> None:
        displaced.note(state, TREE, saved=SHA, now=lambda: 3.0)

    def whole() -> None:
        assert displaced.find(state, TREE) in (None, displaced.Displaced(saved=SHA, since=3.0))

    assert killed_at_each_step(forget, note, whole) > 2
    note()
    assert displaced.find(state, TREE) is not None
