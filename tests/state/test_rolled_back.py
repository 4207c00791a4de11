from __future__ import annotations

from pathlib import Path

import pytest

from ci_mlsnap.errors import IntegrityDamage, Refused
from ci_mlsnap.state import rolled_back
from tests.state.conftest import SHA, KilledAtEachStep

NEWER = "b" * 40
FULL = rolled_back.RolledBack(
    place="/srv/digits",
    version=SHA,
    version_before=NEWER,
    commit_before=NEWER,
    head=NEWER,
    who="ada@ml-01",
    since=12.5,
    condition_before="changed-by-failed-run",
    kept=f"{NEWER}-keep-1",
    why="worse on the new camera",
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "models"


def note(state: Path, place: Path, version: str = SHA) -> None:
    rolled_back.write(
        state, place, version=version, version_before=NEWER, commit_before=NEWER, head=NEWER, who="ada@ml-01"
    )


def test_a_place_that_nobody_rolled_back_may_move(state: Path, place: Path) -> None:
    assert rolled_back.find(state, place) is None
    assert not state.exists()


def test_what_is_noted_comes_back_whole(state: Path, tmp_path: Path) -> None:
    place = tmp_path / "models"
    rolled_back.write(
        state,
        place,
        version=FULL.version,
        version_before=FULL.version_before,
        commit_before=FULL.commit_before,
        head=FULL.head,
        who=FULL.who,
        condition_before=FULL.condition_before,
        kept=FULL.kept,
        why=FULL.why,
        now=lambda: FULL.since,
    )
    found = rolled_back.find(state, place)
    assert found is not None
    assert found.place == str(place)
    assert (found.version, found.version_before, found.kept) == (SHA, NEWER, FULL.kept)
    assert (found.condition_before, found.who, found.why) == (FULL.condition_before, FULL.who, FULL.why)
    assert found.since == FULL.since


def test_each_place_is_noted_for_itself(state: Path, place: Path, tmp_path: Path) -> None:
    """Work trees of one repository share the state, and each has a live tree of its own."""
    note(state, place)
    assert rolled_back.find(state, tmp_path / "other" / "models") is None


def test_a_view_is_noted_under_its_own_name_and_not_under_what_it_leads_to(state: Path, place: Path) -> None:
    (place.parent / "first").mkdir()
    place.symlink_to("first")
    note(state, place)
    place.unlink()
    place.symlink_to("second")
    assert rolled_back.find(state, place) is not None


def test_clearing_twice_is_clearing_once_and_spares_others(state: Path, place: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    note(state, place)
    note(state, other)
    rolled_back.clear(state, place)
    rolled_back.clear(state, place)
    assert rolled_back.find(state, place) is None
    assert rolled_back.find(state, other) is not None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": "mlsnap/rolled-back/1"}', "\xff"])
def test_a_damaged_note_never_lets_the_place_move(state: Path, place: Path, content: str) -> None:
    note(state, place)
    rolled_back.file_of(state, place).write_text(content, encoding="latin-1")
    with pytest.raises(IntegrityDamage) as damage:
        rolled_back.find(state, place)
    assert "remove the file" in damage.value.hint


def test_a_note_of_a_newer_mlsnap_is_left_alone(state: Path, place: Path) -> None:
    note(state, place)
    file = rolled_back.file_of(state, place)
    file.write_text(file.read_text().replace("rolled-back/1", "rolled-back/2"))
    with pytest.raises(Refused):
        rolled_back.find(state, place)


def test_killed_at_any_step_the_old_note_or_the_new_one_is_there(
    state: Path, place: Path, killed_at_each_step: KilledAtEachStep
) -> None:
    def there() -> None:
        found = rolled_back.find(state, place)
        assert found is not None
        assert found.version in (SHA, NEWER)

    assert killed_at_each_step(lambda: note(state, place), lambda: note(state, place, NEWER), there) > 2
