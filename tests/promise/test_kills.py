"""Killed before any of its effects, a command leaves what the next one brings to rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.conftest import IN_CI
from tests.promise.checking import content_of
from tests.promise.conftest import Stage

MakeStage = Callable[..., Stage]
SLICES = 4
"""The points of one scenario are spread over so many tests, which xdist spreads over processors."""
POINTS = 24
"""How many points of a scenario are tried here; in CI it is all of them."""

KILLED = -9


def points(total: int, part: int) -> Iterator[int]:
    """Give the effects before which this part kills."""
    step = 1 if IN_CI else max(1, total // POINTS)
    yield from range(1 + part * step, total + 1, step * SLICES)


@pytest.mark.parametrize("part", range(SLICES))
def test_a_run_killed_at_any_step_ends_in_one_whole_version(make_stage: MakeStage, part: int) -> None:
    stage = make_stage()
    first = stage.mlsnap("run")
    assert first.code == 0, first.text
    stage.another_commit("rehearsal")
    total = len(stage.mlsnap("run").effects)
    assert total > 100
    for point in points(total, part):
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
