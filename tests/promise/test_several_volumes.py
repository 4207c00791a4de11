"""Struck at any call, versions of several volumes are whole or are none, and live trees agree in the end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.promise.checking import faults_of
from tests.promise.conftest import Stage, sample
from tests.promise.faults import Fault

MakeStage = Callable[..., Stage]
Count = Callable[[str, int], None]

SECOND = '[volumes.words]\npath = "words"\n'
TRAIN = """\
cp weights.txt "$MLSNAP_MODEL_DIR/model.txt"
cp weights.txt "$MLSNAP_MODEL_DIR_WORDS/words.txt"
"""


@pytest.fixture
def stage(make_stage: MakeStage) -> Stage:
    """Give a stage with two volumes and two versions of both."""
    stage = make_stage(settings=SECOND)
    stage.repository.commit("both", {"train.sh": TRAIN, ".gitignore": "/models\n/words\n"})
    for weights in ("one", "two"):
        stage.another_commit(weights)
        done = stage.mlsnap("run")
        assert done.code == 0, done.text
    return stage


def names(stage: Stage, volume: str) -> set[str]:
    return {name for name in _listed(stage, volume) if not name.startswith(".")}


def _listed(stage: Stage, volume: str) -> list[str]:
    return [place.name for place in (stage.store.parent / volume / "snapshots").iterdir()]


def require_whole(stage: Stage) -> None:
    """Hold that each snapshot of the first volume has one of the second, and each version is the same in both."""
    stage.require_truth()
    for name in names(stage, "models"):
        first, second = (stage.store.parent / volume / "snapshots" / name for volume in ("models", "words"))
        if "-keep-" in name and not second.exists():
            continue
        assert faults_of(second) == []
        # A keepsake holds what was there, which may be a move that was cut off.
        assert "-keep-" in name or (first / "model.txt").read_text() == (second / "words.txt").read_text()


def require_rest(stage: Stage) -> None:
    stage.require_rest()
    # What a move that was cut off had half built in one volume is kept by itself.
    assert [name for name in names(stage, "words") ^ names(stage, "models") if "-keep-" not in name] == []
    assert [name for name in _listed(stage, "words") if name.startswith(".partial-")] == []


def test_a_run_that_is_killed_publishes_both_volumes_or_no_version(stage: Stage, count: Count) -> None:
    stage.another_commit("rehearsal")
    calls = stage.mlsnap("run").effects
    chosen = sample(calls, 12, of="run of two volumes")
    for number, point in enumerate(chosen):
        sha = stage.another_commit(f"killed {number}")
        stage.mlsnap("run", fault=Fault(at=point, kind="kill"))
        require_whole(stage)
        done = stage.mlsnap("recover")
        assert done.code == 0, done.text
        done = stage.mlsnap("run")
        assert done.code == 0, done.text
        assert stage.states(sha)[-1] == "success"
        require_whole(stage)
        require_rest(stage)
    count("commands on two volumes: killed at a call", len(chosen))


def test_a_restore_that_is_killed_is_in_change_until_both_are_moved(stage: Stage, count: Count) -> None:
    older, newer = "main~1", "main"
    calls = stage.mlsnap("restore", older).effects
    assert stage.mlsnap("restore", newer).code == 0
    chosen = sample(calls, 12, of="restore of two volumes")
    for point in chosen:
        stage.mlsnap("restore", older, fault=Fault(at=point, kind="kill"))
        texts = {(stage.volume / "model.txt").read_text(), (stage.volume.parent / "words/words.txt").read_text()}
        live = stage.facts("status")["live"]
        assert len(texts) == 1 or live["condition"] == "in-change"
        assert stage.mlsnap("restore", newer).code == 0
        assert (stage.volume / "model.txt").read_text() == "two\n"
        assert (stage.volume.parent / "words/words.txt").read_text() == "two\n"
        assert stage.facts("status")["live"]["condition"] == "equal"
        require_whole(stage)
        require_rest(stage)
    count("commands on two volumes: killed at a call", len(chosen))
