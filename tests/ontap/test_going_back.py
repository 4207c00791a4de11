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
