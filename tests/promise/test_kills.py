"""Killed before any of its effects, a command leaves what the next one brings to rest."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conftest import IN_CI
from tests.promise.checking import content_of
from tests.promise.conftest import Stage, points

MakeStage = Callable[..., Stage]
SLICES = 4 if IN_CI else 2
"""The points of one scenario are spread over so many tests, which xdist spreads over processors."""

KILLED = -9


@pytest.mark.parametrize("part", range(SLICES))
def test_a_run_killed_at_any_step_ends_in_one_whole_version(make_stage: MakeStage, part: int) -> None:
    stage = make_stage()
    first = stage.mlsnap("run")
    assert first.code == 0, first.text
    stage.another_commit("rehearsal")
    total = len(stage.mlsnap("run").effects)
    assert total > 100
    for point in points(total, part, SLICES):
        sha = stage.another_commit(f"killed at {part}.{point}")
        killed = stage.mlsnap("run", kill_at=point)
        assert killed.code in (KILLED, 0), killed.text
        look_without_touching(stage)
        stage.require_truth()
        again = stage.mlsnap("run")
        if again.code == 40:  # the tree is half trained
            assert "mlsnap recover" in again.stderr
            recovered = stage.mlsnap("recover")
            assert recovered.code == 0, recovered.text
            again = stage.mlsnap("run")
        assert again.code == 0, f"killed before effect {point}\n{again.text}"
        stage.require_truth()
        stage.require_rest()
        assert len(stage.versions(sha)) == 1
        assert stage.states(sha)[-1] == "success"
        assert stage.facts("status")["live"]["equal"] is True
        before = stage.everything()
        assert stage.mlsnap("recover").code == 0
        assert content_of(stage.volume)["model.bin"] == f"killed at {part}.{point}\n".encode()
        assert set(stage.everything()) == set(before)


def look_without_touching(stage: Stage) -> None:
    before = stage.everything()
    looked = stage.mlsnap("status")
    assert looked.code == 0, looked.text
    assert stage.everything() == before


@pytest.mark.parametrize("part", range(SLICES))
def test_a_shared_volume_is_one_whole_version_whatever_kills_the_run(make_stage: MakeStage, part: int) -> None:
    stage = make_stage(shared=True)
    known = {b"one\n"}
    assert stage.mlsnap("run").code == 0
    stage.another_commit("rehearsal")
    total = len(stage.mlsnap("run").effects)
    known.add(b"rehearsal\n")
    for point in points(total, part, SLICES):
        weights = f"killed at {part}.{point}"
        known.add(f"{weights}\n".encode())
        sha = stage.another_commit(weights)
        assert stage.mlsnap("run", kill_at=point).code in (KILLED, 0)
        live = content_of(stage.volume)
        assert live["model.bin"] == live["layers/weights.txt"]
        assert live["model.bin"] in known
        look_without_touching(stage)
        stage.require_truth()
        assert stage.repository.git("status", "--porcelain") == ""
        again = stage.mlsnap("run")
        assert again.code == 0, f"killed before effect {point}\n{again.text}"
        stage.require_truth()
        stage.require_rest()
        assert len(stage.versions(sha)) == 1
        assert stage.states(sha)[-1] == "success"
        assert content_of(stage.volume)["model.bin"] == f"{weights}\n".encode()
        assert (stage.repository.path / "models").resolve().name in stage.versions(sha)


@pytest.mark.parametrize("part", range(SLICES))
def test_a_restore_killed_at_any_step_loses_no_work_and_can_be_done_again(
    make_stage: MakeStage, part: int
) -> None:
    stage = make_stage()
    versions = []
    for weights in ("one", "two"):
        versions.append((weights, stage.another_commit(weights)))
        assert stage.mlsnap("run").code == 0
    (stage.volume / "notes.txt").write_text("rehearsal")
    total = len(stage.mlsnap("restore", versions[0][1]).effects)
    assert total > 40
    for number, point in enumerate(points(total, part, SLICES), start=1):
        weights, sha = versions[number % 2]
        unsaved = f"unsaved before {part}.{point}"
        (stage.volume / "notes.txt").write_text(unsaved)
        assert stage.mlsnap("restore", sha, kill_at=point).code in (KILLED, 0)
        look_without_touching(stage)
        stage.require_truth()
        require_kept(stage, unsaved)
        again = stage.mlsnap("restore", sha)
        assert again.code == 0, f"killed before effect {point}\n{again.text}"
        assert content_of(stage.volume)["model.bin"] == f"{weights}\n".encode()
        assert not (stage.volume / "notes.txt").exists()
        require_kept(stage, unsaved)
        stage.require_truth()
        stage.require_rest()
        assert stage.facts("status")["live"]["equal"] is True
        assert stage.mlsnap("recover").code == 0
        assert content_of(stage.volume)["model.bin"] == f"{weights}\n".encode()


def require_kept(stage: Stage, text: str) -> None:
    """Find what nobody had saved: in the live tree, in a snapshot, or in a tree that was put aside."""
    places = [stage.volume, *(stage.store / "snapshots").iterdir()]
    assert any((place / "notes.txt").is_file() and (place / "notes.txt").read_text() == text for place in places)
