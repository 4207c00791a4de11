"""Killed or failed by its disks at any effect, a run leaves no pin without a holder, no version without data."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ci_mlsnap.errors import ExitCode
from ci_mlsnap.testing.ground import every_stat, write
from ci_mlsnap.trees import subvolume
from tests.conftest import LoopMount
from tests.promise.conftest import POINTS, Done, Stage, points
from tests.promise.faults import Fault
from tests.promise.test_kills import KILLED, SLICES

TRAIN = """\
set -eu
cp "$MLSNAP_DATA_IMAGES/labels.csv" "$MLSNAP_MODEL_DIR/learnt"
cp weights.txt "$MLSNAP_MODEL_DIR/model.bin"
"""

SAID = {ExitCode.TRAINING_FAILED, ExitCode.STORAGE_FAILED, ExitCode.STORAGE_UNKNOWN, ExitCode.ANNOUNCING_QUEUED}
"""How a run may end when a disk fails it; training has the same disks."""
HARNESS = 3
"""The first effects are those of the test's own harness, which opens the files for what the command says."""


@pytest.fixture
def images(loop_mount: LoopMount) -> Path:
    """Data in a subvolume."""
    path = loop_mount("btrfs", options="noatime") / "images"
    subvolume.create(path)
    write(path, {"labels.csv": b"one\n"})
    return path


@pytest.mark.parametrize("part", range(SLICES))
def test_a_run_killed_at_any_step_leaves_each_version_with_the_data_it_learnt(
    make_stage: Callable[..., Stage], images: Path, part: int
) -> None:
    stage = make_stage(shared=True, settings=f'[volumes.images]\nrole = "data"\npath = "{images}"\n')
    stage.train_with(TRAIN)
    assert stage.mlsnap("run").code == 0
    total = len(rehearsed(stage, images).effects)
    for point in points(total, part, SLICES):
        sha = changed(stage, images, f"killed at {part}.{point}")
        before = every_stat(images)
        killed = stage.mlsnap("run", kill_at=point)
        assert killed.code in (KILLED, 0), killed.text
        require_data(stage, images)
        again = stage.mlsnap("run")
        assert again.code == 0, f"killed before effect {point}\n{again.text}"
        assert every_stat(images) == before
        stage.require_truth()
        stage.require_rest()
        assert len(stage.versions(sha)) == 1
        assert pins(images) == require_data(stage, images)


def test_a_failing_run_that_is_killed_leaves_no_pin(make_stage: Callable[..., Stage], images: Path) -> None:
    stage = make_stage(shared=True, settings=f'[volumes.images]\nrole = "data"\npath = "{images}"\n')
    stage.train_with("exit 3\n")
    total = len(rehearsed(stage, images, code=10).effects)
    for point in points(total):
        changed(stage, images, f"killed at {point}")
        assert stage.mlsnap("run", kill_at=point).code in (KILLED, 10)
        assert stage.mlsnap("run").code == 10
        assert pins(images) == set()


@pytest.mark.parametrize("error", ["ENOSPC", "EIO", "EROFS"])
def test_a_run_whose_disks_fail_it_says_so_and_leaves_each_version_with_its_data(
    make_stage: Callable[..., Stage], images: Path, error: str
) -> None:
    stage = make_stage(shared=True, settings=f'[volumes.images]\nrole = "data"\npath = "{images}"\n')
    stage.train_with(TRAIN)
    total = len(rehearsed(stage, images).effects)
    for point in (point for point in points(total, most=POINTS // 2) if point > HARNESS):
        sha = changed(stage, images, f"{error} at {point}")
        struck = stage.mlsnap("run", fault=Fault(kind="error", at=point, error=error))
        assert struck.code in (0, *SAID) or could_not_say_it(struck), struck.text
        require_data(stage, images)
        again = stage.mlsnap("run")
        assert again.code == 0, f"{error} at effect {point}\n{struck.text}\n{again.text}"
        stage.require_truth()
        assert len(stage.versions(sha)) == 1
        assert pins(images) == require_data(stage, images)


def rehearsed(stage: Stage, images: Path, code: int = 0) -> Done:
    changed(stage, images, "rehearsal")
    done = stage.mlsnap("run")
    assert done.code == code, done.text
    return done


def could_not_say_it(done: Done) -> bool:
    """Tell whether what failed was the saying itself: the harness has the command's output in a file."""
    struck = done.effects[done.outcome.first - 1] if done.outcome.first else ""
    return "/stderr " in struck or "/stdout " in struck


def changed(stage: Stage, images: Path, text: str) -> str:
    """Commit something, on other data."""
    write(images, {"labels.csv": f"{text}\n".encode()})
    return stage.another_commit(text)


def pins(images: Path) -> set[str]:
    """Give the names in the data's store, unfinished ones too."""
    place = images.parent / ".mlsnap/images/snapshots"
    return set(os.listdir(place)) if place.is_dir() else set()


def require_data(stage: Stage, images: Path) -> set[str]:
    """Make sure that every version still has what it learnt from; give the names of these pins."""
    found = set()
    for name in stage.snapshots():
        if name.startswith(".") or "-keep-" in name:  # what was in the way of a restore was not trained
            continue
        version = stage.volume / ".snapshot" / name
        header = json.loads((version / ".mlsnap/manifest.jsonl").read_bytes().splitlines()[0])
        (pin,) = header["pins"]
        assert (Path(pin["path"]) / "labels.csv").read_bytes() == (version / "learnt").read_bytes()
        found.add(pin["name"])
    return found
