"""restore --writable: a copy of a shared volume's version that this checkout alone may write to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.flows.conftest import QUIET, MakePlace, Place
from tests.promise.checking import everything_of


@pytest.fixture
def shared(make_place: MakePlace) -> Place:
    """Give a checkout of a shared volume with two versions, the tags `v1` and `v2`, and a view of the second."""
    place = make_place(shared=True)
    for number, weights in ((1, "one"), (2, "two")):
        place.commit(weights)
        place.repository.git("tag", f"v{number}")
        place.mlsnap("run", env=QUIET)
    return place


def _view(place: Place) -> Path:
    return place.folder / "models"


def _weights(place: Place) -> str:
    return (_view(place) / "weights.txt").read_text()


def _copies(place: Place) -> list[str]:
    return [name for name in os.listdir(place.store / "work") if name.startswith("writable-")]


def _keeps(place: Place) -> list[str]:
    return [name for name in place.snapshots() if "-keep-" in name]


def test_a_copy_is_written_to_and_nothing_else_changes(shared: Place) -> None:
    before = everything_of(shared.store / "snapshots", shared.volume)
    said = shared.mlsnap("restore", "v1", "--writable")
    assert "a copy to write to" in said.stdout
    assert _weights(shared) == "one"
    (_view(shared) / "weights.txt").write_text("mine")
    (_view(shared) / "new.txt").write_text("mine too")
    assert everything_of(shared.store / "snapshots", shared.volume) == before
    facts = shared.mlsnap("status", "--json").facts
    assert facts["view"] == shared.repository.git("rev-parse", "v1")
    assert (facts["copy"]["added"], facts["copy"]["changed"]) == (1, 1)
    assert "a copy to write to: 1 added, 1 changed" in shared.mlsnap("status").stdout
    assert everything_of(shared.store / "snapshots", shared.volume) == before
    shared.require_rest()


def test_the_next_restore_keeps_what_was_changed_and_removes_the_copy(shared: Place) -> None:
    shared.mlsnap("restore", "v1", "--writable")
    (_view(shared) / "weights.txt").write_text("mine")
    kept = shared.mlsnap("restore", "--json", "v2").facts["kept"]
    assert (shared.snapshot(kept) / "weights.txt").read_text() == "mine"
    assert kept.startswith(shared.repository.git("rev-parse", "v1"))
    assert _copies(shared) == []
    assert _view(shared).readlink() == shared.volume / ".snapshot" / shared.repository.git("rev-parse", "v2")
    shared.require_rest()


def test_an_unchanged_copy_goes_without_a_trace(shared: Place) -> None:
    before = shared.snapshots()
    shared.mlsnap("restore", "v1", "--writable")
    assert shared.mlsnap("restore", "--json", "v1").facts["kept"] == ""
    assert _copies(shared) == []
    assert shared.snapshots() == before
    assert "copy to write to" not in shared.mlsnap("status").stdout
    assert not list((shared.store / "state" / "live").glob("*writable*"))


def test_asking_twice_makes_one_copy_and_keeps_it(shared: Place) -> None:
    shared.mlsnap("restore", "v1", "--writable")
    inode = (_view(shared) / "weights.txt").stat().st_ino
    assert shared.mlsnap("restore", "--json", "v1", "--writable").facts["changed"] is False
    assert (_view(shared) / "weights.txt").stat().st_ino == inode
    (_view(shared) / "weights.txt").write_text("mine")
    kept = shared.mlsnap("restore", "--json", "v2", "--writable").facts["kept"]
    assert (shared.snapshot(kept) / "weights.txt").read_text() == "mine"
    assert _weights(shared) == "two"
    assert len(_copies(shared)) == 1


def test_git_checkout_and_recover_of_the_model_keep_changes_too(shared: Place) -> None:
    shared.mlsnap("restore", "v1", "--writable")
    (_view(shared) / "weights.txt").write_text("mine")
    shared.mlsnap("checkout", "v1")
    assert (len(_keeps(shared)), _copies(shared), _weights(shared)) == (1, [], "one")
    shared.mlsnap("restore", "v1", "--writable")
    (_view(shared) / "weights.txt").write_text("mine again")
    shared.mlsnap("recover")
    assert (len(_keeps(shared)), _copies(shared), _weights(shared)) == (2, [], "one")


def test_a_run_shows_its_workspace_and_its_version_and_loses_no_change(shared: Place) -> None:
    shared.mlsnap("restore", "v1", "--writable")
    (_view(shared) / "weights.txt").write_text("mine")
    shared.commit("three")
    shared.mlsnap("run", env=QUIET)
    assert _weights(shared) == "three"
    kept = shared.mlsnap("restore", "--json", "v2").facts["kept"]
    assert (shared.snapshot(kept) / "weights.txt").read_text() == "mine"
    assert _copies(shared) == []


def test_a_failed_run_leads_the_view_back_to_the_copy(shared: Place) -> None:
    shared.mlsnap("restore", "v1", "--writable")
    (_view(shared) / "weights.txt").write_text("mine")
    shared.train_with("exit 3\n")
    shared.mlsnap("run", env=QUIET, expect=10)
    assert _weights(shared) == "mine"


def test_a_copy_that_no_snapshot_can_hold_stays(shared: Place) -> None:
    shared.mlsnap("restore", "v1", "--writable")
    os.mkfifo(_view(shared) / "fifo")
    (_view(shared) / "weights.txt").write_text("mine")
    aside = Path(shared.mlsnap("restore", "--json", "v2").facts["aside"])
    assert (aside / "weights.txt").read_text() == "mine"
    assert _weights(shared) == "two"
    (aside / "fifo").unlink()
    kept = shared.mlsnap("restore", "--json", "v2").facts["kept"]
    assert (shared.snapshot(kept) / "weights.txt").read_text() == "mine"
    assert _copies(shared) == []


def test_another_checkouts_copy_is_left_alone(shared: Place, make_place: MakePlace) -> None:
    other = make_place("other", shared=True)
    shared.mlsnap("restore", "v1", "--writable")
    (_view(shared) / "weights.txt").write_text("mine")
    v2 = shared.repository.git("rev-parse", "v2")
    other.mlsnap("restore", v2, "--writable")
    other.mlsnap("restore", v2)
    assert _weights(shared) == "mine"
    assert len(_copies(shared)) == 1


@pytest.mark.parametrize("more", [("--shared",), ("--to", "copy"), ("weights.txt",)])
def test_a_copy_is_of_the_whole_and_of_the_view(shared: Place, more: tuple[str, ...]) -> None:
    with shared.nothing_changed():
        shared.refused("usage", 2, "restore", "v1", "--writable", *more)


def test_a_private_volume_is_writable_already(trained: Place) -> None:
    with trained.nothing_changed():
        assert "checkout's own" in trained.refused("usage", 2, "restore", "HEAD", "--writable").stderr
