"""rollback: back to an earlier version, where the models then stay until a person says otherwise."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ci_mlsnap.domain.gates import Verdict
from ci_mlsnap.domain.manifest import ManifestHeader
from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.domain.versions import Version, good_before
from ci_mlsnap.state import live, rolled_back
from ci_mlsnap.storage.ledger import Ledger
from tests.flows.conftest import MLSNAP, PATIENCE, QUIET, MakePlace, Place

SCORED = """\
set -eu
cp weights.txt "$MLSNAP_MODEL_DIR/weights.txt"
cp accuracy "$MLSNAP_METRICS"
"""
GATE = "\n[gates.accuracy]\nmin = 0.5\n"


def settings(place_path: str = "models", *, shared: bool = False) -> str:
    view = 'view = "models"\n' if shared else ""
    return f'train = "sh train.sh"\n[volumes.models]\npath = "{place_path}"\n{view}{GATE}'


def train(place: Place, weights: str, accuracy: float = 0.9, *, expect: int = 0) -> str:
    commit = place.commit(f"{weights}\n", accuracy=json.dumps({"accuracy": accuracy}))
    place.mlsnap("run", expect=expect, env=QUIET)
    return commit


@pytest.fixture
def private(make_place: MakePlace) -> tuple[Place, str, str]:
    """Give a place with two good versions, the second of them in its live tree."""
    place = make_place(settings=settings(), train=SCORED)
    return place, train(place, "first", 0.8), train(place, "second")


@pytest.fixture
def shared(make_place: MakePlace, tmp_path: Path) -> tuple[Place, str, str]:
    """Give the same on a shared volume, whose live tree and view followed the branch."""
    volume = tmp_path / "shared" / "digits"
    place = make_place(settings=settings(str(volume), shared=True), train=SCORED, shared=True)
    return place, train(place, "first", 0.8), train(place, "second")


def weights(place: Place) -> str:
    return (place.volume / "weights.txt").read_text().strip()


def viewed(place: Place) -> str:
    return (place.folder / "models" / "weights.txt").read_text().strip()


def noted(place: Place, where: Path | None = None) -> rolled_back.RolledBack | None:
    return rolled_back.find(place.store / "state", where or place.volume)


def held(place: Place) -> dict[str, list[str]]:
    """Say which versions a rollback holds, by name."""
    book = Ledger(path=place.store / "state" / "ledger").read()
    found = {name: [who for who in owners if who.startswith("rollback ")] for name, owners in book.holds.items()}
    return {name: owners for name, owners in found.items() if owners}


def roll_back(place: Place, *arguments: str) -> Any:
    return place.mlsnap("rollback", *arguments, "--yes", "--json").facts


# -- a live tree ---------------------------------------------------------------------------------------


def test_the_models_go_to_the_good_version_before_and_the_code_stays(private: tuple[Place, str, str]) -> None:
    place, first, second = private
    train(place, "bad", 0.1, expect=12)
    said = place.mlsnap("rollback", "--yes", "--reason", "worse on the new camera")
    assert weights(place) == "second", "the newest good one before; the tree was at the bad one"
    assert "the good one before" in said.stderr
    assert f"now {second[:7]}" in said.stdout
    assert place.repository.head() not in (first, second)
    told = place.mlsnap("status").stdout
    assert f"stays at {second[:7]}" in told
    assert "worse on the new camera" in told


def test_rolling_back_twice_changes_nothing(private: tuple[Place, str, str]) -> None:
    """Without a version named, the second time must not go one further back."""
    place, first, _ = private
    assert roll_back(place)["then"] == first
    before = noted(place)
    with place.nothing_changed():
        again = roll_back(place)
        assert (again["changed"], again["then"]) == (False, first)
        assert roll_back(place, first)["changed"] is False
    assert noted(place) == before


def test_undo_brings_back_what_was_there_and_twice_is_once(private: tuple[Place, str, str]) -> None:
    place, first, second = private
    roll_back(place)
    assert set(held(place)) == {first, second}, "what a rollback goes to and comes from is not pruned"
    assert roll_back(place, "--undo")["changed"] is True
    assert weights(place) == "second"
    assert noted(place) is None
    assert held(place) == {}
    assert place.mlsnap("status", "--json").facts["live"]["equal"] is True
    with place.nothing_changed():
        assert roll_back(place, "--undo") == {"changed": False}


def test_undo_brings_unsaved_changes_back_too(private: tuple[Place, str, str]) -> None:
    place, first, second = private
    (place.volume / "weights.txt").write_text("by hand\n")
    (place.volume / "notes").write_text("mine\n")
    done = roll_back(place)
    assert (done["unsaved"], done["kept"]) == ({"added": 1, "changed": 1}, f"{second}-keep-1")
    assert not (place.volume / "notes").exists()
    assert set(held(place)) == {first, second, f"{second}-keep-1"}
    roll_back(place, "--undo")
    assert (weights(place), (place.volume / "notes").read_text()) == ("by hand", "mine\n")
    tree = place.mlsnap("status", "--json").facts["live"]
    assert (tree["version"], tree["added"], tree["changed"]) == (second, 1, 1), "they are unsaved as before"
    assert f"{second}-keep-2" not in place.snapshots()


def test_what_was_changed_after_a_rollback_is_kept_when_it_is_undone(private: tuple[Place, str, str]) -> None:
    place, first, _ = private
    roll_back(place)
    (place.volume / "later").write_text("precious")
    kept = roll_back(place, "--undo")["kept"]
    assert weights(place) == "second"
    assert kept.startswith(f"{first}-keep-") or "-keep-" in kept
    assert (place.snapshot(kept) / "later").read_text() == "precious"


def test_a_second_rollback_goes_on_and_undo_goes_to_before_the_first(private: tuple[Place, str, str]) -> None:
    place, first, second = private
    third = train(place, "third")
    roll_back(place)
    assert weights(place) == "second"
    roll_back(place, first)
    assert weights(place) == "first"
    assert set(held(place)) == {first, third}, "the one in between is held no more"
    roll_back(place, "--undo")
    assert weights(place) == "third"
    assert second in place.snapshots()


def test_a_person_who_restores_or_checks_out_ends_the_rollback(private: tuple[Place, str, str]) -> None:
    place, _, second = private
    for command in (("restore", "HEAD"), ("checkout", second)):
        roll_back(place)
        assert noted(place) is not None
        place.mlsnap(*command)
        assert weights(place) == "second"
        assert noted(place) is None
        assert held(place) == {}


def test_release_moves_nothing_and_ends_it(private: tuple[Place, str, str]) -> None:
    place, _, _ = private
    roll_back(place)
    with place.versions_kept():
        said = place.mlsnap("rollback", "--release")
        assert "mlsnap restore HEAD" in said.stdout
        assert place.mlsnap("rollback", "--release", "--json").facts["changed"] is False
    assert weights(place) == "first"
    assert (noted(place), held(place)) == (None, {})


def test_recover_brings_back_what_the_tree_was_rolled_back_to(private: tuple[Place, str, str]) -> None:
    place, first, _ = private
    roll_back(place)
    (place.volume / "weights.txt").unlink()
    place.mlsnap("recover")
    assert weights(place) == "first"
    found = noted(place)
    assert found is not None
    assert found.version == first
    # Also where nothing but the rollback says what the tree was.
    live_file = next((place.store / "state" / "live").iterdir())
    live_file.unlink()
    place.mlsnap("recover")
    assert weights(place) == "first"


def test_training_in_the_tree_itself_ends_it(private: tuple[Place, str, str]) -> None:
    place, _, _ = private
    roll_back(place)
    place.commit("fourth\n")
    said = place.mlsnap("run", env=QUIET)
    assert "trained on from there" in said.stderr
    assert weights(place) == "fourth"
    assert noted(place) is None


# -- what is said before ------------------------------------------------------------------------------


def test_a_dry_run_shows_both_versions_and_moves_nothing(private: tuple[Place, str, str]) -> None:
    place, first, second = private
    (place.volume / "mine").write_text("x")
    with place.nothing_changed():
        said = place.mlsnap("rollback", "--dry-run").stdout
        facts = place.mlsnap("rollback", "--dry-run", "--json").facts
    assert f"now       {second[:7]}: accuracy 0.9000" in said
    assert f"then      {first[:7]}: accuracy 0.8000" in said
    assert "1 added" in said
    assert (facts["now"], facts["then"], facts["metrics"]["then"]) == (second, first, {"accuracy": 0.8})
    assert noted(place) is None


def test_where_nobody_can_be_asked_it_needs_yes(private: tuple[Place, str, str]) -> None:
    place, _, _ = private
    with place.nothing_changed():
        assert "--yes" in place.refused("refused", 40, "rollback").stderr
    roll_back(place)
    place.refused("refused", 40, "rollback", "--undo")
    assert weights(place) == "first"


@pytest.mark.parametrize(
    ("answer", "code", "left"), [(b"y\n", 0, "first"), (b"n\n", 40, "second"), (b"\n", 40, "second")]
)
def test_on_a_terminal_it_asks(private: tuple[Place, str, str], answer: bytes, code: int, left: str) -> None:
    place, _, _ = private
    ours, theirs = pty.openpty()
    try:
        command = subprocess.Popen(
            (MLSNAP, "rollback"),
            cwd=place.folder,
            env=dict(place.environment),
            stdin=theirs,
            stdout=subprocess.DEVNULL,
            stderr=theirs,
        )
        os.write(ours, answer)
        assert command.wait(PATIENCE) == code
    finally:
        os.close(ours)
        os.close(theirs)
    assert weights(place) == left


def test_a_version_that_missed_a_gate_is_named_as_such_before_it_is_taken(private: tuple[Place, str, str]) -> None:
    place, _, _ = private
    bad = train(place, "bad", 0.1, expect=12)
    place.mlsnap("restore", "HEAD~1")
    said = place.mlsnap("rollback", bad, "--dry-run").stdout
    assert "misses a gate" in said
    roll_back(place, bad)
    assert weights(place) == "bad", "a person named it"


def test_a_damaged_version_is_refused_before_anything_moves(private: tuple[Place, str, str]) -> None:
    place, first, _ = private
    file = place.store / "snapshots" / first / "weights.txt"
    file.parent.chmod(0o755)
    file.chmod(0o644)
    file.write_text("FIRST\n")
    for arguments in (("--dry-run",), ("--yes",)):
        assert "weights.txt" in place.refused("integrity", 60, "rollback", *arguments).stderr
    assert weights(place) == "second"
    assert (noted(place), held(place)) == (None, {})


def test_where_nothing_good_is_before_it_asks_for_a_name(make_place: MakePlace) -> None:
    place = make_place(settings=settings(), train=SCORED)
    place.refused("no-version", 44, "rollback", "--yes")
    train(place, "only")
    place.refused("no-version", 44, "rollback", "--yes")
    assert "nothing" in place.mlsnap("rollback", "--undo").stdout


def test_two_wishes_at_once_are_refused(place: Place) -> None:
    for arguments in (
        ("HEAD", "--undo"),
        ("--undo", "--release"),
        ("HEAD", "--release"),
        ("--release", "--dry-run"),
    ):
        place.refused("usage", 2, "rollback", *arguments)


# -- shared volumes ------------------------------------------------------------------------------------


def test_a_view_is_rolled_back_for_this_checkout_alone_and_runs_leave_it(shared: tuple[Place, str, str]) -> None:
    place, first, _ = shared
    done = roll_back(place)
    assert (done["view"], done["then"]) == (True, first)
    assert (viewed(place), weights(place)) == ("first", "second")
    third = train(place, "third")
    assert (viewed(place), weights(place)) == ("first", "third"), "the view stays, the live tree goes on"
    assert place.mlsnap("rollback", "--json", "--yes").facts["changed"] is False
    place.mlsnap("recover")
    assert viewed(place) == "first"
    roll_back(place, "--undo")
    assert viewed(place) == "second"
    train(place, "fourth")
    assert viewed(place) == "fourth"
    assert third in place.snapshots()


def test_a_shared_live_tree_stays_and_a_run_says_so(shared: tuple[Place, str, str]) -> None:
    place, first, second = shared
    done = roll_back(place, "--shared")
    assert (done["view"], done["now"], done["then"]) == (False, second, first)
    assert (viewed(place), weights(place)) == ("second", "first")
    place.commit("third\n")
    said = place.mlsnap("run", env=QUIET).stderr
    assert f"stays at {first[:7]}" in said
    assert "--release" in said
    assert weights(place) == "first", "a newer good version does not take its place by itself"
    place.mlsnap("rollback", "--release", "--shared")
    assert weights(place) == "first"
    train(place, "fourth")
    assert weights(place) == "fourth"


def test_while_a_run_trains_through_the_view_it_is_not_pulled_away(shared: tuple[Place, str, str]) -> None:
    place, _, _ = shared
    view = place.folder / "models"
    view.unlink()
    view.symlink_to(place.store / "work" / "0123")
    place.refused("busy", 50, "rollback", "--yes")
    assert view.readlink() == place.store / "work" / "0123"


def test_a_writable_copy_in_the_view_comes_back_with_what_only_it_had(shared: tuple[Place, str, str]) -> None:
    place, first, second = shared
    place.mlsnap("restore", second, "--writable")
    view = place.folder / "models"
    (view / "weights.txt").write_text("by hand\n")
    (view / "notes").write_text("mine\n")
    done = roll_back(place)
    assert (done["now"], done["then"], done["unsaved"]) == (second, first, {"added": 1, "changed": 1})
    assert done["kept"] == f"{second}-keep-1"
    assert view.resolve() == (place.store / "snapshots" / first).resolve()
    assert set(held(place)) == {first, second, f"{second}-keep-1"}
    roll_back(place, "--undo")
    assert (viewed(place), (view / "notes").read_text()) == ("by hand", "mine\n")
    (view / "notes").write_text("and writable\n")
    assert f"{second}-keep-2" not in place.snapshots()
    assert held(place) == {}
    place.mlsnap("restore", second)
    assert (place.snapshot(f"{second}-keep-2") / "notes").read_text() == "and writable\n"


def test_a_shared_volume_without_a_view_asks_which_is_meant(make_place: MakePlace, tmp_path: Path) -> None:
    volume = tmp_path / "shared" / "digits"
    place = make_place(settings=settings(str(volume)), train=SCORED, shared=True)
    train(place, "first")
    assert "--shared" in place.refused("refused", 40, "rollback", "--yes").stderr


def test_a_hold_whose_rollback_was_never_noted_is_released_by_the_next_command(
    private: tuple[Place, str, str],
) -> None:
    place, first, second = private
    roll_back(place)
    roll_back(place, "--undo")
    state = place.store / "state"
    owner = f"rollback {live.key(place.volume)}"
    Ledger(path=state / "ledger").held(SnapshotName.parse(first), owner)
    assert held(place) == {first: [owner]}
    place.mlsnap("restore", second)
    assert held(place) == {}


# -- several volumes -------------------------------------------------------------------------------------


def test_several_volumes_go_back_and_come_back_as_one(make_place: MakePlace) -> None:
    both = settings() + '[volumes.words]\npath = "words"\n'
    place = make_place(settings=both, train=SCORED + 'cp weights.txt "$MLSNAP_MODEL_DIR_WORDS/words"\n')
    place.commit(**{".gitignore": "/models\n/words\n"})
    first, second = train(place, "first"), train(place, "second")
    other = place.folder / "words"
    (other / "words").write_text("by hand\n")
    done = roll_back(place)
    assert (done["then"], done["kept"], done["unsaved"]["changed"]) == (first, f"{second}-keep-1", 1)
    assert (weights(place), (other / "words").read_text()) == ("first", "first\n")
    roll_back(place, "--undo")
    assert (weights(place), (other / "words").read_text()) == ("second", "by hand\n")
    tree = place.mlsnap("status", "--json").facts["live"]
    assert (tree["version"], tree["changed"]) == (second, 1)


# -- which one is before ---------------------------------------------------------------------------------


def version(
    commit: str, sequence: int, *, good: bool = True, name: str = "", ref: str = "refs/heads/main"
) -> Version:
    header = ManifestHeader(
        format="mlsnap/manifest/1",
        name=name or commit,
        volume="models",
        volume_id="1",
        members=("models",),
        project="octo/digits",
        model="digits",
        commit=commit,
        tree="",
        sequence=sequence,
        created="",
        ref=ref,
        verdict=Verdict(good=good),
        files_mode="full",
        tool="",
    )
    return Version(header=header, digest="")


A, B, C, D = ("a" * 40, "b" * 40, "c" * 40, "d" * 40)
NOW = version(D, 9)


@pytest.mark.parametrize(
    ("others", "ancestors", "expected"),
    [
        ([version(A, 1), version(B, 2)], [B, A], B),
        ([version(A, 2), version(B, 1)], [B, A], B),  # history decides, not who was trained first
        ([version(A, 1), version(B, 2, good=False)], [B, A], A),
        ([version(A, 1), version(C, 2)], [B, A], A),  # another branch's is never taken
        ([version(C, 2)], [B, A], None),
        ([version(D, 5, name=f"{D}.2"), version(B, 2)], [B, A], f"{D}.2"),
        ([version(D, 10, name=f"{D}.3"), version(B, 2)], [B, A], B),  # a later attempt is not before it
        ([version(B, 2, name=f"{B}-keep-1")], [B, A], None),
        ([version(A, 1), version(B, 2)], None, B),
        ([version(A, 1), version(B, 2, ref="refs/heads/other")], None, A),
        ([version(A, 10)], None, None),
    ],
)
def test_which_version_is_before(others: list[Version], ancestors: list[str] | None, expected: str | None) -> None:
    found = good_before([*others, NOW], NOW, ancestors)
    assert (found.header.name if found else None) == expected


def test_a_rollback_that_was_cut_off_is_finished_by_the_same_command(private: tuple[Place, str, str]) -> None:
    """Noted and not yet moved: the second command goes where the first one went, and no further."""
    place, first, second = private
    roll_back(place)
    found = noted(place)
    assert found is not None
    place.mlsnap("restore", second)
    state = place.store / "state"
    facts = {name: getattr(found, name) for name in ("version", "version_before", "commit_before", "head", "who")}
    rolled_back.write(state, place.volume, **facts)
    assert live.read(state, place.volume) is not None
    done = roll_back(place)
    assert (done["changed"], done["then"]) == (True, first)
    assert weights(place) == "first"
