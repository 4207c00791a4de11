"""`mlsnap snapshot`: a model that was made elsewhere becomes a version, as a trained one does."""

from __future__ import annotations

import pytest

from tests.flows.conftest import MakePlace, Place


@pytest.fixture
def filled(place: Place) -> Place:
    """Give a place whose live tree holds a model that no run made."""
    place.volume.mkdir()
    (place.volume / "weights.txt").write_text("made elsewhere")
    return place


def test_the_live_tree_becomes_the_version_of_the_commit(filled: Place) -> None:
    filled.mlsnap("snapshot")
    head = filled.repository.head()
    assert (filled.snapshot(head) / "weights.txt").read_text() == "made elsewhere"
    assert (filled.volume / "weights.txt").read_text() == "made elsewhere"
    assert filled.states(head) == ["pending", "success"]
    assert "equals" in filled.mlsnap("status").stdout
    filled.require_rest()


def test_the_record_says_that_nothing_was_trained(filled: Place) -> None:
    facts = filled.mlsnap("snapshot", "--json").facts
    assert facts["outcome"] == "good"
    assert facts["argv"] == ["mlsnap", "snapshot"]


def test_the_same_tree_again_is_the_same_version(filled: Place) -> None:
    filled.mlsnap("snapshot")
    before = filled.snapshots()
    filled.mlsnap("snapshot")
    assert filled.snapshots() == before


def test_a_tree_that_differs_becomes_the_next_attempt(filled: Place) -> None:
    filled.mlsnap("snapshot")
    (filled.volume / "weights.txt").write_text("made again")
    filled.mlsnap("snapshot")
    second = f"{filled.repository.head()}.2"
    assert (filled.snapshot(second) / "weights.txt").read_text() == "made again"


def test_an_empty_tree_is_refused(place: Place) -> None:
    place.refused("model-unchanged", 11, "snapshot")
    assert place.snapshots() == []


def test_gates_judge_it(make_place: MakePlace) -> None:
    place = make_place(settings='train = "sh train.sh"\nvolume = "models"\n[gates.accuracy]\nmin = 0.5\n')
    place.volume.mkdir()
    (place.volume / "metrics.json").write_text('{"accuracy": 0.4}')
    place.refused("gate-missed", 12, "snapshot")
    assert place.states(place.repository.head()) == ["pending", "failure"]


def test_it_is_refused_while_a_run_has_the_volume_and_leaves_the_run_alone(filled: Place) -> None:
    filled.mlsnap("snapshot")
    filled.commit("second\n")
    filled.mlsnap("begin")
    said = filled.refused("busy", 50, "snapshot", env={"MLSNAP__LEASE__WAIT": "0s"})
    assert "since" in said.stderr
    filled.mlsnap("finish")
    filled.require_rest()
