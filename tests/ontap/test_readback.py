"""A volume that shows no snapshots has versions where the operator wants it, and says that none was opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci_mlsnap.errors import IntegrityDamage, LateWriter, StorageFailed
from ci_mlsnap.storage.ontap import OntapDriver
from ci_mlsnap.storage.ontap_endpoint import Wishes
from ci_mlsnap.testing.ground import FIRST, MODEL, PROJECT, SECOND, write
from tests.ontap.emulator.faults import LOST_ANSWER
from tests.ontap.emulator.server import Emulator
from tests.ontap.emulator.values import Volume
from tests.ontap.mounted import HASTY, driver_of, filled, sealed
from tests.ontap.placed import placed

POSTED = "POST */snapshots"

pytestmark = pytest.mark.usefixtures("untouched")


@pytest.fixture
def live(emulator: Emulator, models: Volume) -> Path:
    emulator.cluster.places.show(models, shown=False)
    return emulator.cluster.path(models)


@pytest.fixture
def driver(emulator: Emulator, models: Volume, live: Path, tmp_path: Path) -> OntapDriver:
    return driver_of(emulator, models, tmp_path / "state", patience=HASTY, wishes=Wishes(by_server=True))


def test_a_version_is_made_and_told_of_though_nobody_can_look_into_it(live: Path, driver: OntapDriver) -> None:
    sealed(driver, filled(driver, live))
    driver.read_back(FIRST)
    assert not driver.capabilities.reads_back
    assert [snapshot.name for snapshot in driver.list()] == [str(FIRST)]
    assert driver.manifest(FIRST).header.name == str(FIRST)
    assert driver.probe().snapshots == 1
    driver.prune(FIRST)
    driver.undelete(FIRST)
    assert driver.get(FIRST) is not None


def test_what_opens_a_version_says_that_it_cannot(live: Path, driver: OntapDriver, tmp_path: Path) -> None:
    sealed(driver, filled(driver, live))
    with pytest.raises(StorageFailed, match="cannot be opened"):
        driver.restore(FIRST, live)
    with pytest.raises(StorageFailed, match="cannot be opened"):
        driver.clone(FIRST, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_late_writer_is_found_in_the_live_tree(
    emulator: Emulator, models: Volume, live: Path, driver: OntapDriver
) -> None:
    frozen = filled(driver, live)
    emulator.faults.before(POSTED, lambda: write(live, {"epoch/1/log.txt": b"loss 0.4\n"}))
    with pytest.raises(LateWriter, match=r"log\.txt"):
        sealed(driver, frozen)
    assert list(models.snapshots) == []
    frozen = driver.freeze(live, parent=None, full=False, inventory=True)
    emulator.faults.next(LOST_ANSWER, on=POSTED)
    assert sealed(driver, frozen, SECOND).name == str(SECOND)


def test_a_copy_of_a_manifest_that_is_not_what_was_sealed_is_damage(
    live: Path, driver: OntapDriver, tmp_path: Path
) -> None:
    sealed(driver, filled(driver, live))
    copy = tmp_path / "state/state/manifests" / str(FIRST) / ".mlsnap/manifest.jsonl"
    copy.write_bytes(copy.read_bytes().replace(b"weights", b"WEIGHTS"))
    with pytest.raises(IntegrityDamage):
        driver.read_back(FIRST)


def test_doctor_finds_nothing_wrong_with_what_is_wished_for(driver: OntapDriver) -> None:
    found = {finding.topic: finding for finding in driver.examine()}
    assert found["volume"].state == "note" and "not read back" in found["volume"].text


def test_without_that_wish_it_is_refused_before_anything_is_made(
    emulator: Emulator, models: Volume, live: Path, tmp_path: Path
) -> None:
    driver = driver_of(emulator, models, tmp_path / "state", patience=HASTY)
    with pytest.raises(StorageFailed, match="does not show") as refused:
        driver.initialise(project=PROJECT, model=MODEL)
    assert "ontap.readback" in refused.value.hint


def test_the_status_says_that_it_was_not_read_back(
    emulator: Emulator, models: Volume, live: Path, tmp_path: Path
) -> None:
    with placed(emulator, models, tmp_path) as place:
        sha = place.repository.git("rev-parse", "HEAD").strip()
        said = place.refused("storage-failed", 20, "run").text
        assert "ontap.readback" in said
        assert "not read back" in place.mlsnap("run", env={"MLSNAP__ONTAP__READBACK": "server"}).text
        assert list(models.snapshots) == [sha]
        state, text = place.statuses(sha)[-1]
        assert state == "success" and "not read back" in text
        place.mlsnap("log", env={"MLSNAP__ONTAP__READBACK": "server"})
