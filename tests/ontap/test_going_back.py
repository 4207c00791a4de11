"""Going back on a volume of the emulated cluster, by whole commands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.conftest import Place
from tests.ontap.emulator.server import Emulator
from tests.ontap.emulator.values import Volume
from tests.ontap.placed import placed

pytestmark = pytest.mark.usefixtures("untouched")


@pytest.fixture
def place(emulator: Emulator, models: Volume, tmp_path: Path) -> Iterator[Place]:
    with placed(emulator, models, tmp_path) as place:
        yield place


def two_versions(place: Place) -> tuple[str, str]:
    first = place.repository.git("rev-parse", "HEAD").strip()
    place.mlsnap("run")
    second = place.commit("second\n")
    place.mlsnap("run")
    return first, second


# -- beside --------------------------------------------------------------------------------------------


def test_below_the_mounted_namespace_a_version_is_a_clone_and_elsewhere_a_copy(
    emulator: Emulator, place: Place, tmp_path: Path
) -> None:
    first, _ = two_versions(place)
    root = emulator.cluster.places.junction("svm1", "/")
    settings = {"MLSNAP__ONTAP__CLONES": str(root)}
    said = place.mlsnap("restore", first, "--to", str(root / "mine"), env=settings).stdout
    (clone,) = [volume for volume in emulator.cluster.volumes.values() if volume.parent]
    assert clone.name in said and "nothing was copied" in said
    assert (root / "mine/weights.txt").read_text() == "first\n"
    told = json.loads(
        place.mlsnap("restore", first, "--to", str(tmp_path / "copy"), "--json", env=settings).stdout
    )
    assert told["clone"] is None
    assert (tmp_path / "copy/weights.txt").read_text() == "first\n"
    place.mlsnap("prune", "--version", first, "--reason", "a test")
    said = place.refused("snapshot-held", 40, "prune", "--version", first, "--reason", "a test", "--now").text
    assert clone.name in said


def test_without_a_login_there_is_no_clone_and_no_copy_in_the_namespace(emulator: Emulator, place: Place) -> None:
    first, _ = two_versions(place)
    root = emulator.cluster.places.junction("svm1", "/")
    env = {"MLSNAP__ONTAP__CLONES": str(root), "MLSNAP_ONTAP_PASSWORD": ""}
    place.refused("storage-failed", 20, "restore", first, "--to", str(root / "mine"), env=env)
    assert not (root / "mine").exists()


# -- in place ------------------------------------------------------------------------------------------


def names(models: Volume) -> list[str]:
    return list(models.snapshots)


def test_a_restore_in_place_names_what_would_be_lost_and_does_it_only_when_told(
    emulator: Emulator, models: Volume, place: Place
) -> None:
    first, second = two_versions(place)
    said = place.refused("refused", 40, "restore", first, "--shared", "--in-place").text
    assert second in said and "--lose-newer" in said
    assert names(models) == [first, second]
    assert (place.volume / "weights.txt").read_text() == "second\n"
    told = place.mlsnap("restore", first, "--shared", "--in-place", "--lose-newer", "--json").stdout
    assert json.loads(told)["lost"] == [second]
    assert names(models) == [first]
    assert (place.volume / "weights.txt").read_text() == "first\n"
    assert "equals" in place.mlsnap("status").stdout
    assert "already" in place.mlsnap("restore", first, "--shared", "--in-place").stdout
    said = place.mlsnap("show", second).stdout
    assert "restored in place" in said
    assert place.states(second)[-1] == "success"  # its text says since when it is gone
    place.mlsnap("verify", first)


def test_what_is_unsaved_promoted_or_not_ours_is_not_lost(
    emulator: Emulator, models: Volume, place: Place
) -> None:
    first, second = two_versions(place)
    asked = ("restore", first, "--shared", "--in-place", "--lose-newer")
    notes = place.volume / "notes.txt"
    notes.write_text("precious")
    place.refused("live-tree-changed", 40, *asked)
    assert notes.read_text() == "precious"
    notes.unlink()
    place.mlsnap("promote", second, "production")
    assert second in place.refused("snapshot-held", 40, *asked).text
    emulator.cluster.snapshot(models, "hourly.2026-01-01_0105")
    assert "hourly.2026-01-01_0105" in place.refused("snapshot-foreign", 40, *asked).text
    assert names(models) == [first, second, "hourly.2026-01-01_0105"]


def test_state_does_not_go_back(emulator: Emulator, models: Volume, tmp_path: Path) -> None:
    with placed(emulator, models, tmp_path, elsewhere=False) as place:
        first, second = two_versions(place)
        said = place.refused("volume-refused", 40, "restore", first, "--shared", "--in-place", "--lose-newer").text
        assert "`state`" in said
        assert names(models) == [first, second]


def test_what_was_lost_before_the_process_ended_is_known_by_the_next_command(
    emulator: Emulator, models: Volume, place: Place
) -> None:
    """The process is killed after the cluster restored, and before anything of that is written down."""
    first, second = two_versions(place)

    def kill() -> None:
        started.kill()
        started.wait()

    restoring = f"PATCH /api/storage/volumes/{models.uuid}"
    emulator.faults.before(restoring, lambda: emulator.faults.before("GET *", kill))
    started = place.start("restore", first, "--shared", "--in-place", "--lose-newer")
    started.wait()
    assert names(models) == [first]
    assert "in change" in place.mlsnap("status").stdout
    assert "already" in place.mlsnap("restore", first, "--shared", "--in-place").stdout
    assert "restored in place" in place.mlsnap("show", second).stdout


def test_what_does_not_go_together_is_said(place: Place) -> None:
    first = place.repository.git("rev-parse", "HEAD").strip()
    place.refused("usage", 2, "restore", first, "--in-place")
    place.refused("usage", 2, "restore", first, "--shared", "--lose-newer")
    place.refused("usage", 2, "restore", first, "--shared", "--in-place", "--to", "x")
