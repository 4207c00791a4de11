"""Data volumes through whole commands: pinned before training, held by versions, and never written to."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ci_mlsnap.testing.ground import every_stat, write
from ci_mlsnap.trees import subvolume
from tests.conftest import LoopMount
from tests.flows.conftest import PATIENCE, QUIET, MakePlace, Place

READS = """\
set -eu
cp "$MLSNAP_DATA_IMAGES/labels.csv" "$MLSNAP_MODEL_DIR/learnt"
date +%s%N >> "$MLSNAP_MODEL_DIR/learnt"
"""


def settings(data: Path, pin: str = "", **more: str) -> str:
    lines = ['train = "sh train.sh"', 'volume = "models"', "[volumes.images]", 'role = "data"', f'path = "{data}"']
    lines += [f'pin = "{pin}"'] if pin else []
    return "\n".join([*lines, *(f'{key} = "{value}"' for key, value in more.items()), ""])


def learnt(place: Place, name: str) -> str:
    """Give what a version's model learnt from the data."""
    return (place.snapshot(name) / "learnt").read_text().splitlines()[0]


def pins_of(place: Place, revision: str = "HEAD") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = place.mlsnap("show", revision, "--json").facts["header"].get("pins", [])
    return found


# -- on any file system --------------------------------------------------------------------------------


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Somebody's data in a plain folder."""
    write(tmp_path / "images", {"labels.csv": b"one\n"})
    return tmp_path / "images"


@pytest.fixture
def with_data(make_place: MakePlace, images: Path) -> Callable[..., Place]:
    """Give `with_data(pin, train=…)`: a place that trains on somebody's data."""
    return lambda pin="", train=READS, **more: make_place(settings=settings(images, pin, **more), train=train)


def test_a_snapshot_that_would_walk_the_data_is_refused_with_every_way_out(
    with_data: Callable[..., Place], images: Path
) -> None:
    place = with_data()
    before = every_stat(images.parent)
    said = place.refused("volume-refused", 40, env=QUIET)
    assert f"{images} is no btrfs subvolume of this user's" in said.stderr
    for way_out in ('pin = "existing:<glob>"', 'pin = "record"', "docs/data.md"):
        assert way_out in said.stderr
    assert place.snapshots() == []
    assert {name for name in every_stat(images.parent) if name.startswith("images")} <= before.keys()
    doctor = place.mlsnap("doctor", "--json", expect=20, env=QUIET).facts
    assert [finding["topic"] for finding in doctor if finding["state"] == "bad"] == ["data"]


def test_data_that_is_only_written_down_is_told_as_such(with_data: Callable[..., Place], images: Path) -> None:
    place = with_data("record")
    before = every_stat(images)
    said = place.mlsnap("run", "--json", env=QUIET)
    assert "images: not pinned, only written down" in said.stderr
    (pin,) = said.facts["pins"]
    assert (pin["kind"], pin["path"]) == ("record", str(images))
    assert {"file system", "file system id", "mount source", "root changed"} <= pin["facts"].keys()
    assert "held" not in pin and "drifted" not in pin
    sha = place.repository.head()
    assert learnt(place, sha) == "one"
    assert pins_of(place) == [pin] == place.mlsnap("status", "--json").facts["pins"]
    for look in ("show", "status"):
        assert "data      images: not pinned, only written down" in place.mlsnap(look).stdout
    assert every_stat(images) == before


def test_written_down_data_that_changed_makes_the_next_attempt(
    with_data: Callable[..., Place], images: Path
) -> None:
    place = with_data("record")
    place.mlsnap("run", env=QUIET)
    sha = place.repository.head()
    assert "nothing was trained" in place.mlsnap("run", env=QUIET).stderr
    write(images, {"labels.csv": b"two\n", "more.csv": b""})
    said = place.mlsnap("run", env=QUIET)
    assert f"trained again: {sha[:7]} was trained on other data (images)" in said.stderr
    assert (learnt(place, sha), learnt(place, f"{sha}.2")) == ("one", "two")
    assert "nothing was trained" in place.mlsnap("run", env=QUIET).stderr


def test_data_that_changes_while_training_reads_it_is_said_by_the_version(
    with_data: Callable[..., Place], images: Path
) -> None:
    place = with_data("record", train=READS + f"touch '{images}/arrived'\n")
    said = place.mlsnap("run", env=QUIET)
    assert "it changed while training read it" in said.stderr
    assert pins_of(place)[0]["drifted"] is True
    place.train_with(READS)
    assert place.mlsnap("run", "--dry-run").stdout.startswith("plan ")


def test_the_owners_newest_snapshot_is_what_training_reads(with_data: Callable[..., Place], images: Path) -> None:
    place = with_data("existing:daily.*")
    place.refused("no-version", 44, env=QUIET)
    write(images, {".snapshot/daily.9/labels.csv": b"nine\n", ".snapshot/daily.10/labels.csv": b"ten\n"})
    before = every_stat(images)
    place.mlsnap("run", env=QUIET)
    sha = place.repository.head()
    assert learnt(place, sha) == "ten"
    (pin,) = pins_of(place)
    assert (pin["kind"], pin["name"], pin["path"]) == ("existing", "daily.10", str(images / ".snapshot/daily.10"))
    assert "held" not in pin
    assert "only its owner keeps" in place.mlsnap("show").stdout
    assert every_stat(images) == before
    write(images, {"labels.csv": b"live\n"})  # the live tree is of no interest
    assert "nothing was trained" in place.mlsnap("run", env=QUIET).stderr
    write(images, {".snapshot/daily.11/labels.csv": b"eleven\n"})
    place.mlsnap("run", env=QUIET)
    assert learnt(place, f"{sha}.2") == "eleven"
    shutil.rmtree(images / ".snapshot/daily.10")
    assert "which only its owner keeps (not there any more)" in place.mlsnap("show", f"{sha}.1").stdout
    assert place.mlsnap("show", f"{sha}.1", "--json").facts["lost_data"] == ["images"]
    assert place.mlsnap("show", "--json").facts["lost_data"] == []


def test_an_owners_snapshot_that_goes_while_training_reads_it_is_said(
    with_data: Callable[..., Place], images: Path
) -> None:
    write(images, {".snapshot/daily.1/labels.csv": b"one\n"})
    place = with_data("existing:daily.*", train=READS + f"rm -r '{images}/.snapshot/daily.1'\n")
    assert "it went or changed while training read it" in place.mlsnap("run", env=QUIET).stderr
    assert pins_of(place)[0]["drifted"] is True


@pytest.mark.parametrize("pin", ["", "record", "existing:*"])
def test_missing_data_is_said_before_anything_is_done(
    with_data: Callable[..., Place], images: Path, pin: str
) -> None:
    place = with_data(pin)
    shutil.rmtree(images)
    place.refused("volume-missing", 20, env=QUIET)
    assert not images.exists()
    assert place.snapshots() == []
    place.mlsnap("status")


@pytest.mark.parametrize("data", ["models", "models/images", "."])
def test_data_and_model_must_be_apart(make_place: MakePlace, data: str) -> None:
    place = make_place(settings=settings(Path(data), "record"), train=READS)
    place.refused("config-invalid", 2, "status")


def test_data_in_the_work_tree_that_git_does_not_track_makes_no_tree_dirty(make_place: MakePlace) -> None:
    place = make_place(settings=settings(Path("images"), "record"), train=READS)
    write(place.folder, {"images/labels.csv": b"one\n"})
    place.mlsnap("run", env=QUIET)
    assert learnt(place, place.repository.head()) == "one"


def test_data_behind_a_link_is_read_where_it_is(make_place: MakePlace, images: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(images)
    place = make_place(settings=settings(tmp_path / "link", "record"), train=READS)
    place.mlsnap("run", env=QUIET)
    assert pins_of(place)[0]["path"] == str(images)


def test_the_phases_hand_the_pins_on(with_data: Callable[..., Place], images: Path, tmp_path: Path) -> None:
    place = with_data("record")
    job = {"RUNNER_TEMP": str(tmp_path / "job"), **QUIET}
    plan = place.mlsnap("begin", env=job).stdout.strip()
    place.mlsnap("train", env=job)
    record = place.mlsnap("conclude", "--plan", plan, "--json", env=job).facts
    assert [pin["path"] for pin in record["pins"]] == [str(images)]


# -- on btrfs ------------------------------------------------------------------------------------------


@pytest.fixture
def pool(loop_mount: LoopMount) -> Path:
    """A btrfs file system with data in a subvolume."""
    root = loop_mount("btrfs", options="noatime")
    subvolume.create(root / "images")
    write(root / "images", {"labels.csv": b"one\n"})
    return root


@pytest.fixture
def pinned(make_place: MakePlace, pool: Path) -> Place:
    """A place that pins its data by snapshots."""
    return make_place(settings=settings(pool / "images"), train=READS)


def pins(pool: Path) -> list[str]:
    """Give the names below the data's store, unfinished ones too."""
    return sorted(os.listdir(pool / ".mlsnap/images/snapshots"))


def holders(pool: Path, name: str) -> set[str]:
    """Give who holds a pin, as the ledger adds up."""
    found: set[str] = set()
    for line in (pool / ".mlsnap/images/state/ledger").read_text().splitlines():
        said = json.loads(line)["v"]
        if said.get("name") == name:
            found = found | {said["owner"]} if said["op"] == "hold" else found - {said.get("owner", "")}
    return found


def test_training_reads_a_snapshot_of_the_data_under_the_commits_sha(pinned: Place, pool: Path) -> None:
    before = every_stat(pool / "images")
    pinned.mlsnap("run", env=QUIET)
    sha = pinned.repository.head()
    (pin,) = pins_of(pinned)
    assert (pin["kind"], pin["name"], pin["held"]) == ("snapshot", sha, True)
    assert pin["path"] == str(pool / ".mlsnap/images/snapshots" / sha)
    assert pins(pool) == [sha]
    found = subvolume.look(Path(pin["path"]))
    assert found is not None and found.read_only and found.uuid == pin["native_id"]
    assert every_stat(pool / "images") == before
    write(pool / "images", {"labels.csv": b"two\n"})
    assert (Path(pin["path"]) / "labels.csv").read_bytes() == b"one\n"
    assert learnt(pinned, sha) == "one"


def test_a_nightly_run_trains_again_only_when_the_data_changed(pinned: Place, pool: Path) -> None:
    pinned.mlsnap("run", env=QUIET)
    sha = pinned.repository.head()
    assert "nothing was trained" in pinned.mlsnap("run", env=QUIET).stderr
    with (pool / "images/labels.csv").open("r+b") as file:  # in place: neither size nor folder tell
        file.write(b"two")
    pinned.mlsnap("run", env=QUIET)
    assert "nothing was trained" in pinned.mlsnap("run", env=QUIET).stderr
    assert (learnt(pinned, sha), learnt(pinned, f"{sha}.2")) == ("one", "two")
    assert pins(pool) == [sha, f"{sha}.2"]


def test_data_that_did_not_change_keeps_its_pin_over_commits(pinned: Place, pool: Path) -> None:
    pinned.mlsnap("run", env=QUIET)
    first = pinned.repository.head()
    pinned.commit("other weights")
    said = pinned.mlsnap("run", env=QUIET)
    assert f"images: snapshot {first[:7]} (unchanged since)" in said.stderr
    assert pins(pool) == [first]
    assert pins_of(pinned)[0]["name"] == first
    assert {owner.rpartition("sha=")[2] for owner in holders(pool, first)} == {first, pinned.repository.head()}


@pytest.mark.parametrize(("script", "code"), [("exit 3\n", 10), ("true\n", 11)])
def test_a_run_without_a_version_leaves_no_pin(pinned: Place, pool: Path, script: str, code: int) -> None:
    pinned.train_with(script)
    pinned.mlsnap("run", expect=code, env=QUIET)
    assert pins(pool) == []
    pinned.require_rest()
    pinned.train_with(READS)
    pinned.mlsnap("run", env=QUIET)
    assert pins(pool) == [pinned.repository.head()]


def test_a_failed_run_leaves_the_pin_that_a_version_has(pinned: Place, pool: Path) -> None:
    pinned.mlsnap("run", env=QUIET)
    first = pinned.repository.head()
    before = holders(pool, first)
    pinned.train_with("exit 3\n")
    pinned.mlsnap("run", expect=10, env=QUIET)
    assert pins(pool) == [first]
    assert holders(pool, first) == before


def test_a_pin_that_went_away_while_training_read_it_stops_the_version(pinned: Place, pool: Path) -> None:
    pinned.train_with(
        READS + 'chmod u+w "$MLSNAP_DATA_IMAGES/.." && mv "$MLSNAP_DATA_IMAGES" "$MLSNAP_DATA_IMAGES.gone"\n'
    )
    said = pinned.refused("integrity", 60, env=QUIET)
    assert "the data of images that was pinned for this training is gone" in said.stderr
    assert pinned.snapshots() == []


def test_two_models_share_the_data_and_neither_removes_the_others_pin(
    make_place: MakePlace, pinned: Place, pool: Path
) -> None:
    other = make_place("other", settings='project = "octo/other"\n' + settings(pool / "images"), train=READS)
    pinned.mlsnap("run", env=QUIET)
    other.mlsnap("run", env=QUIET)
    names = sorted((pinned.repository.head(), other.repository.head()))
    assert pins(pool) == names
    for place in (pinned, other):
        place.train_with("exit 3\n")
        place.mlsnap("run", expect=10, env=QUIET)
    assert pins(pool) == names


def test_two_runs_at_once_pin_the_same_data_in_peace(make_place: MakePlace, pinned: Place, pool: Path) -> None:
    others = [make_place(name, settings=settings(pool / "images"), train=READS) for name in ("second", "third")]
    places = [pinned, *others]
    started = [place.start("run", env=QUIET) for place in places]
    assert [process.wait(PATIENCE) for process in started] == [0, 0, 0]
    held = {pins_of(place)[0]["name"] for place in places}
    assert set(pins(pool)) == held
    assert sum(len(holders(pool, name)) for name in held) == len(places)


def test_two_clones_hold_the_pin_they_share_each_for_itself(
    make_place: MakePlace, pinned: Place, pool: Path
) -> None:
    pinned.mlsnap("run", env=QUIET)
    sha = pinned.repository.head()
    clone = make_place("clone", settings=settings(pool / "images"), train=READS)
    clone.repository.git("fetch", "--quiet", str(pinned.repository.path), "main")
    clone.repository.git("reset", "--quiet", "--hard", sha)
    clone.mlsnap("run", env=QUIET)
    assert pins(pool) == [sha]
    assert len(holders(pool, sha)) == 2


def test_dead_holds_and_unfinished_pins_go_with_the_next_run(pinned: Place, pool: Path) -> None:
    pinned.mlsnap("run", env=QUIET)
    first = pinned.repository.head()
    subvolume.snapshot(pool / "images", pool / ".mlsnap/images/snapshots/.partial-0123456789abcdef")
    shutil.move(pinned.store / "snapshots" / first, pinned.repository.path.parent / "aside")
    write(pool / "images", {"labels.csv": b"two\n"})
    pinned.commit("other weights")
    pinned.mlsnap("recover", env=QUIET, expect=44)
    shutil.rmtree(pinned.volume)
    pinned.mlsnap("run", env=QUIET)
    assert pins(pool) == [pinned.repository.head()]


def test_a_pool_that_became_read_only_is_found_before_training(pinned: Place, pool: Path) -> None:
    subprocess.run(("mount", "-o", "remount,ro", str(pool)), check=True)
    said = pinned.refused("storage-read-only", 20, env=QUIET)
    assert str(pool) in said.stderr
    assert pinned.snapshots() == []
    pinned.require_rest()


def test_a_dirty_run_pins_under_its_own_name(pinned: Place, pool: Path) -> None:
    write(pinned.folder, {"weights.txt": b"not committed"})
    pinned.mlsnap("run", "--allow-dirty", env=QUIET)
    (name,) = pins(pool)
    assert name.startswith(f"{pinned.repository.head()}-dirty-")


def test_data_on_a_read_only_mount_of_its_owner_is_used_by_its_snapshots(
    make_place: MakePlace, pool: Path
) -> None:
    (pool / "images/.snapshot").mkdir()
    write(pool / "images", {".snapshot/daily.1/labels.csv": b"one\n"})
    subvolume.set_read_only(pool / "images", read_only=True)
    place = make_place(settings=settings(pool / "images", "existing:daily.*"), train=READS)
    place.mlsnap("run", env=QUIET)
    assert learnt(place, place.repository.head()) == "one"
