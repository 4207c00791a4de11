"""Killed before any effect, promote and rollback leave one whole version, and the next command finishes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ci_mlsnap.state import channels, rolled_back
from ci_mlsnap.storage.ledger import Ledger
from tests.promise.checking import content_of
from tests.promise.conftest import Stage, points
from tests.promise.test_kills import KILLED, look_without_touching, require_kept

MakeStage = Callable[..., Stage]


def two_versions(stage: Stage) -> tuple[str, str]:
    """Make two versions, and give their names, the older one first."""
    names = []
    for weights in ("one", "two"):
        names.append(stage.another_commit(weights))
        done = stage.mlsnap("run")
        assert done.code == 0, done.text
    return names[0], names[1]


def held_by(stage: Stage, owner: str) -> set[str]:
    """Name the versions that are held so."""
    holds = Ledger(path=stage.store / "state" / "ledger").read().holds
    return {name for name, owners in holds.items() if any(who.startswith(owner) for who in owners)}


def test_a_promotion_killed_at_any_step_leads_to_one_version_that_is_held(make_stage: MakeStage) -> None:
    stage = make_stage()
    names = two_versions(stage)
    state = stage.store / "state"
    assert stage.mlsnap("promote", names[1], "production").code == 0
    total = len(stage.mlsnap("promote", names[0], "production").effects)
    assert total > 15
    for number, point in enumerate(points(total), start=1):
        wanted = names[number % 2]
        killed = stage.mlsnap("promote", wanted, "production", kill_at=point)
        assert killed.code in (KILLED, 0), killed.text
        look_without_touching(stage)
        leads_to = channels.place(state, "production").resolve().name
        assert channels.live(state) == {"production": leads_to}
        assert leads_to in held_by(stage, "channel production"), "what readers see is held at every step"
        if number % 3 == 0:  # any command that writes finishes it, or leaves it as if it had never been
            assert stage.mlsnap("restore", "HEAD").code == 0
            assert channels.unfinished(state) is None
            assert held_by(stage, "channel production") == {channels.live(state)["production"]}
        again = stage.mlsnap("promote", wanted, "production")
        assert again.code == 0, f"killed before effect {point}\n{again.text}"
        assert channels.place(state, "production").resolve().name == wanted
        assert held_by(stage, "channel production") == {wanted}
        told = channels.moves(state)
        assert [move.version for move in told] == [names[(step + 1) % 2] for step in range(len(told))]
        stage.require_rest()


@pytest.mark.parametrize("shared", [False, True], ids=["private", "shared"])
def test_a_rollback_killed_at_any_step_loses_nothing_and_ends_where_it_was_to(
    make_stage: MakeStage, shared: bool
) -> None:
    stage = make_stage(shared=shared)
    first, second = two_versions(stage)
    option = ("--shared",) if shared else ()
    (stage.volume / "notes.txt").write_text("rehearsal")
    total = len(stage.mlsnap("rollback", "--yes", *option).effects)
    assert total > 40
    for point in points(total):
        back_to_second(stage, *option)
        unsaved = f"unsaved before {point}"
        (stage.volume / "notes.txt").write_text(unsaved)
        killed = stage.mlsnap("rollback", "--yes", *option, kill_at=point)
        assert killed.code in (KILLED, 0), killed.text
        look_without_touching(stage)
        stage.require_truth()
        require_kept(stage, unsaved)
        again = stage.mlsnap("rollback", "--yes", *option)
        assert again.code == 0, f"killed before effect {point}\n{again.text}"
        assert content_of(stage.volume)["model.bin"] == b"one\n", "and no further"
        require_noted(stage, first, second)
        require_kept(stage, unsaved)
        stage.require_truth()
        stage.require_rest()
        undone = stage.mlsnap("rollback", "--undo", "--yes", *option)
        assert undone.code == 0, undone.text
        assert content_of(stage.volume)["model.bin"] == b"two\n"
        assert (stage.volume / "notes.txt").read_text() == unsaved, "undone, its unsaved file is there again"
        assert held_by(stage, "rollback ") == set()


def test_an_undo_killed_at_any_step_ends_when_it_is_done_again(make_stage: MakeStage) -> None:
    stage = make_stage()
    two_versions(stage)

    def before(text: str) -> None:
        back_to_second(stage)
        (stage.volume / "notes.txt").write_text(text)
        done = stage.mlsnap("rollback", "--yes")
        assert done.code == 0, done.text

    before("rehearsal")
    total = len(stage.mlsnap("rollback", "--undo", "--yes").effects)
    assert total > 30
    for point in points(total):
        unsaved = f"unsaved before {point}"
        before(unsaved)
        killed = stage.mlsnap("rollback", "--undo", "--yes", kill_at=point)
        assert killed.code in (KILLED, 0), killed.text
        look_without_touching(stage)
        stage.require_truth()
        require_kept(stage, unsaved)
        again = stage.mlsnap("rollback", "--undo", "--yes")
        assert again.code == 0, f"killed before effect {point}\n{again.text}"
        assert content_of(stage.volume)["model.bin"] == b"two\n"
        assert (stage.volume / "notes.txt").read_text() == unsaved
        assert rolled_back.find(stage.store / "state", stage.volume) is None
        assert stage.mlsnap("restore", "HEAD").code == 0
        assert held_by(stage, "rollback ") == set()
        stage.require_rest()


def test_a_view_killed_on_its_way_back_leads_to_one_version_and_is_noted_when_done(make_stage: MakeStage) -> None:
    stage = make_stage(shared=True)
    first, second = two_versions(stage)
    view = stage.repository.path / "models"
    total = len(stage.mlsnap("rollback", "--yes").effects)
    for point in points(total):
        assert stage.mlsnap("rollback", "--undo", "--yes").code == 0
        assert view.resolve().name == second
        assert stage.mlsnap("rollback", "--yes", kill_at=point).code in (KILLED, 0)
        assert view.resolve().name in (first, second)
        look_without_touching(stage)
        again = stage.mlsnap("rollback", "--yes")
        assert again.code == 0, f"killed before effect {point}\n{again.text}"
        assert view.resolve().name == first
        require_noted(stage, first, second, view)
        assert stage.repository.git("status", "--porcelain") == ""


def require_noted(stage: Stage, version: str, before: str, place: Path | None = None) -> None:
    """Make sure that the place stays at the version, and that what undoing needs is held."""
    noted = rolled_back.find(stage.store / "state", place or stage.volume)
    assert noted is not None
    assert noted.version == version
    assert before in (noted.version_before, noted.version_before.partition("-keep-")[0])
    assert held_by(stage, "rollback ") == {name for name in (version, noted.version_before, noted.kept) if name}


def back_to_second(stage: Stage, *option: str) -> None:
    """Let the live tree be the second version again, with nothing noted."""
    done = stage.mlsnap("restore", "HEAD", *option, "--json")
    assert done.code == 0, done.text
    assert json.loads(done.stdout)["place"] == str(stage.volume)
