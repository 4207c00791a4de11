"""Refused by a disk: full or read-only, before training and after it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.conftest import LoopMount
from tests.flows.conftest import QUIET, MakePlace, Place

MODEL = """\
set -eu
head -c "$(cat size.txt)" /dev/urandom > "$MLSNAP_MODEL_DIR/model.bin"
"""


def _on(root: Path, make_place: MakePlace, *, size: str = "100K") -> Place:
    """Make a place whose volume and store are on a small disk of their own."""
    place = make_place(shared=True, volume=root / "digits", train=MODEL)
    place.commit(**{"size.txt": size})
    return place


def _fill(root: Path, *, leave: int = 0) -> Path:
    """Use up the disk but for so many bytes."""
    filler = root / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 65536)
        except OSError:
            pass
        if leave:
            file.truncate(file.tell() - leave)
    return filler


def test_a_disk_too_small_for_another_version_is_found_before_training(
    make_place: MakePlace, loop_mount: LoopMount
) -> None:
    root = loop_mount("ext4", size_mb=16)
    place = _on(root, make_place, size="3M")
    place.mlsnap("run", env=QUIET)
    first = place.repository.head()
    _fill(root, leave=1 << 20)
    sha = place.commit("second")
    with place.nothing_changed():
        assert "free" in place.refused("storage-full", 20).stderr
    assert place.states(sha) == []
    place.snapshot(first)


def test_a_disk_that_is_full_stops_a_run_before_it_trains(make_place: MakePlace, loop_mount: LoopMount) -> None:
    root = loop_mount("ext4", size_mb=16)
    place = _on(root, make_place)
    place.mlsnap("run")
    first = place.repository.head()
    filler = _fill(root)
    sha = place.commit("second")
    with place.versions_kept():
        place.refused("storage-full", 20)
        assert place.states(sha) in ([], ["pending", "error"])
        filler.unlink()
    place.snapshot(first)
    place.mlsnap("run")
    place.snapshot(sha)
    assert place.states(sha)[-1] == "success"


def test_a_disk_that_gets_full_by_the_model_loses_no_version(make_place: MakePlace, loop_mount: LoopMount) -> None:
    root = loop_mount("ext4", size_mb=24)
    place = _on(root, make_place)
    place.mlsnap("run", env=QUIET)
    first = place.repository.head()
    sha = place.commit(**{"size.txt": "14M"})
    place.refused("storage-full", 20)
    assert sha not in place.snapshots()
    assert place.states(sha) == ["pending", "error"]
    place.snapshot(first)
    assert [name for name in place.snapshots() if name.startswith(".partial-")] == []
    sha = place.commit(**{"size.txt": "200K"})
    place.mlsnap("run", env=QUIET)
    place.snapshot(sha)
    place.require_rest()


def test_training_that_meets_a_full_disk_fails_as_itself(make_place: MakePlace, loop_mount: LoopMount) -> None:
    root = loop_mount("ext4", size_mb=16)
    place = _on(root, make_place)
    place.mlsnap("run", env=QUIET)
    first = place.repository.head()
    write = (
        'head -c 100M /dev/zero > "$MLSNAP_MODEL_DIR/model.bin" || { rm "$MLSNAP_MODEL_DIR/model.bin"; exit 1; }\n'
    )
    sha = place.repository.commit("too much", {"train.sh": write})
    with place.versions_kept():
        place.refused("training-failed", 10)
    assert place.states(sha) == ["pending", "failure"]
    place.snapshot(first)


def _remount(root: Path, how: str) -> None:
    subprocess.run(("mount", "-o", f"remount,{how}", str(root)), check=True, capture_output=True)


def test_a_disk_that_is_read_only_is_found_before_training_and_can_be_looked_at(
    make_place: MakePlace, loop_mount: LoopMount
) -> None:
    root = loop_mount("ext4", size_mb=16)
    place = _on(root, make_place)
    place.mlsnap("run", env=QUIET)
    first = place.repository.head()
    sha = place.commit("second")
    _remount(root, "ro")
    with place.nothing_changed():
        place.refused("storage-read-only", 20)
        place.refused("storage-read-only", 20, "restore", "--shared", first)
        for command in (("status",), ("log",), ("show", first), ("path", first)):
            place.mlsnap(*command)
        assert "read-only" in place.mlsnap("doctor", expect=20).stdout
    assert place.states(sha) == []
    _remount(root, "rw")
    place.mlsnap("run", env=QUIET)
    place.snapshot(sha)


def test_a_disk_that_becomes_read_only_during_training_loses_no_version(
    make_place: MakePlace, loop_mount: LoopMount
) -> None:
    root = loop_mount("ext4", size_mb=16)
    place = _on(root, make_place)
    place.mlsnap("run", env=QUIET)
    first = place.repository.head()
    sha = place.repository.commit("read-only", {"train.sh": f"{MODEL}sync\nmount -o remount,ro '{root}'\n"})
    # Training that is kept from our secrets may not mount.
    place.refused("storage-read-only", 20, "run", "--trust-training")
    assert "success" not in place.states(sha)
    place.snapshot(first)
    _remount(root, "rw")
    assert sha not in place.snapshots()
    sha = place.repository.commit("written again", {"train.sh": MODEL, "size.txt": "200K"})
    place.mlsnap("run", env=QUIET)
    place.snapshot(sha)
    place.require_rest()
