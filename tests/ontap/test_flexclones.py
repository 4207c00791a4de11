"""A version below the mounted namespace is a volume of its own: made once or not at all, and removed whole."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from ci_mlsnap.errors import MlsnapError, SnapshotHeld, StorageFailed, StorageForbidden, VolumeRefused
from ci_mlsnap.storage.ontap import OntapDriver
from ci_mlsnap.storage.ontap_endpoint import Wishes
from ci_mlsnap.testing.ground import FIRST, MODEL, PROJECT, look, publish, write, write_sample
from ci_mlsnap.trees.mounts import Mount
from tests.ontap.cutting import is_cut_off
from tests.ontap.emulator.access import PRUNING, Account
from tests.ontap.emulator.faults import BROKEN, LOGIN_PAGE, LOST_ANSWER, LOST_REQUEST, TRUNCATED, Fault, JobFault
from tests.ontap.emulator.server import Emulator
from tests.ontap.emulator.values import Volume
from tests.ontap.mounted import HASTY, driver_of, endpoint_of

CREATED = "POST /api/storage/volumes"

pytestmark = pytest.mark.usefixtures("untouched")


@pytest.fixture
def live(emulator: Emulator, models: Volume) -> Path:
    return emulator.cluster.path(models)


@pytest.fixture
def root(emulator: Emulator) -> Path:
    """Give where the SVM's namespace is mounted, with a folder in it."""
    place = emulator.cluster.places.junction("svm1", "/")
    (place / "clones").mkdir(parents=True)
    return place


@pytest.fixture
def driver(emulator: Emulator, models: Volume, tmp_path: Path, root: Path) -> OntapDriver:
    wishes = Wishes(clones=str(root))
    return driver_of(emulator, models, tmp_path / "state", patience=HASTY, wishes=wishes)


def published(driver: OntapDriver, live: Path) -> dict[str, tuple[object, ...]]:
    driver.initialise(project=PROJECT, model=MODEL)
    write_sample(live)
    publish(driver, live, FIRST)
    return look(live)


def clones(emulator: Emulator) -> list[Volume]:
    return [volume for volume in emulator.cluster.volumes.values() if volume.parent]


def test_a_version_becomes_a_volume_that_nothing_is_copied_to(
    emulator: Emulator, models: Volume, live: Path, root: Path, driver: OntapDriver
) -> None:
    before = published(driver, live)
    place = driver.clone(FIRST, root / "clones/mine")
    (made,) = clones(emulator)
    assert (made.junction, made.parent) == ("/clones/mine", models.uuid)
    assert driver.clone_on_storage(place) == made.name
    assert look(place) == before
    assert not (place / ".mlsnap/volume.json").exists()  # it is not the volume, and must not be taken for it
    write(place, {"weights.bin": b"mine"})
    driver.read_back(FIRST)
    driver.remove_clone(place)
    driver.remove_clone(place)
    assert clones(emulator) == [] and not place.exists()


def test_elsewhere_it_is_a_copy(emulator: Emulator, live: Path, driver: OntapDriver, tmp_path: Path) -> None:
    before = published(driver, live)
    place = driver.clone(FIRST, tmp_path / "mine")
    assert look(place) == before and driver.clone_on_storage(place) == ""
    assert clones(emulator) == []


@pytest.mark.parametrize("fault", [LOST_ANSWER, TRUNCATED, Fault(code=200, body="<html>", worked=True)])
def test_a_clone_whose_answer_is_lost_is_found_by_its_name(
    emulator: Emulator, live: Path, root: Path, driver: OntapDriver, fault: Fault
) -> None:
    before = published(driver, live)
    emulator.faults.next(fault, on=CREATED)
    assert look(driver.clone(FIRST, root / "clones/mine")) == before
    assert len(clones(emulator)) == 1


@pytest.mark.parametrize("fault", [LOST_REQUEST, LOGIN_PAGE, BROKEN, Fault(code=200, body="{}")])
def test_where_nothing_shows_it_there_is_an_error_and_no_clone(
    emulator: Emulator, live: Path, root: Path, driver: OntapDriver, fault: Fault
) -> None:
    published(driver, live)
    emulator.faults.next(fault, on=CREATED)
    with pytest.raises(MlsnapError):
        driver.clone(FIRST, root / "clones/mine")
    assert clones(emulator) == [] and not (root / "clones/mine").exists()
    driver.clone(FIRST, root / "clones/mine")


@pytest.mark.parametrize("kind", ["fail", "cancel", "lost", "hang"])
@pytest.mark.parametrize("worked", [True, False])
def test_however_the_job_ends_what_is_there_counts(
    emulator: Emulator, live: Path, root: Path, driver: OntapDriver, kind: str, worked: bool
) -> None:
    before = published(driver, live)
    emulator.faults.next_job(JobFault(kind=kind, worked=worked), on=CREATED)  # type: ignore[arg-type]
    if worked:
        assert look(driver.clone(FIRST, root / "clones/mine")) == before
    else:
        with pytest.raises(MlsnapError):
            driver.clone(FIRST, root / "clones/mine")
    assert len(clones(emulator)) == worked


def test_a_clone_that_the_mount_does_not_show_is_removed_again(
    emulator: Emulator, live: Path, driver: OntapDriver, tmp_path: Path
) -> None:
    published(driver, live)
    (tmp_path / "elsewhere").mkdir()
    wrong = driver_of(
        emulator,
        next(iter(emulator.cluster.volumes.values())),
        tmp_path / "state",
        patience=HASTY,
        wishes=Wishes(clones=str(tmp_path / "elsewhere")),
    )
    with pytest.raises(StorageFailed, match="does not show it") as refused:
        wrong.clone(FIRST, tmp_path / "elsewhere/mine")
    assert "ontap.clones" in refused.value.hint
    assert clones(emulator) == []


def test_one_that_can_be_neither_shown_nor_removed_is_named(
    emulator: Emulator, models: Volume, live: Path, driver: OntapDriver, tmp_path: Path
) -> None:
    published(driver, live)
    (tmp_path / "elsewhere").mkdir()
    wishes = Wishes(clones=str(tmp_path / "elsewhere"))
    wrong = driver_of(emulator, models, tmp_path / "state", patience=HASTY, wishes=wishes)
    emulator.faults.next(BROKEN, on="PATCH *", times=9)
    with pytest.raises(StorageFailed, match="does not show it") as refused:
        wrong.clone(FIRST, tmp_path / "elsewhere/mine")
    assert clones(emulator)[0].name in refused.value.safe


@pytest.mark.parametrize("on", ["PATCH *", "DELETE *"])
@pytest.mark.parametrize("fault", [LOST_ANSWER, TRUNCATED])
def test_a_lost_answer_to_removing_a_clone_is_looked_up(
    emulator: Emulator, live: Path, root: Path, driver: OntapDriver, on: str, fault: Fault
) -> None:
    published(driver, live)
    place = driver.clone(FIRST, root / "clones/mine")
    emulator.faults.next(fault, on=on)
    driver.remove_clone(place)
    assert clones(emulator) == []


def test_somebody_elses_volume_is_never_removed(
    emulator: Emulator, live: Path, root: Path, driver: OntapDriver
) -> None:
    published(driver, live)
    others = emulator.cluster.add_volume("theirs", junction="/clones/theirs")
    with pytest.raises(VolumeRefused, match="no clone that was made here"):
        driver.remove_clone(root / "clones/theirs")
    with pytest.raises(VolumeRefused, match="cannot be a clone's place"):
        driver.clone(FIRST, root / "clones/theirs")
    assert others.uuid in emulator.cluster.volumes


def test_parts_are_not_copied_into_the_namespace(live: Path, root: Path, driver: OntapDriver) -> None:
    published(driver, live)
    with pytest.raises(VolumeRefused, match="whole version"):
        driver.clone(FIRST, root / "clones/mine", paths=[b"epoch"])
    assert os.listdir(root / "clones") == []


def test_without_the_right_to_it_nothing_is_made_and_nothing_copied(
    emulator: Emulator, models: Volume, live: Path, root: Path, tmp_path: Path
) -> None:
    emulator.cluster.accounts.add(Account(name="pruner", role=PRUNING, password="pruners", svm="svm1"))
    endpoint = endpoint_of(emulator, user="pruner", password="pruners")
    wishes = Wishes(clones=str(root))
    driver = driver_of(
        emulator, models, tmp_path / "state", endpoint=endpoint, patience=replace(HASTY), wishes=wishes
    )
    published(driver, live)
    with pytest.raises(StorageForbidden):
        driver.clone(FIRST, root / "clones/mine")
    assert os.listdir(root / "clones") == []


def test_a_version_that_a_clone_stands_on_is_not_deleted_and_the_clone_is_named(
    emulator: Emulator, live: Path, root: Path, driver: OntapDriver
) -> None:
    published(driver, live)
    place = driver.clone(FIRST, root / "clones/mine")
    (made,) = clones(emulator)
    driver.prune(FIRST)
    with pytest.raises(SnapshotHeld) as refused:
        driver.delete(FIRST)
    assert made.name in refused.value.why
    driver.undelete(FIRST)
    driver.remove_clone(place)
    driver.delete(FIRST)
    assert driver.get(FIRST) is None


@pytest.mark.parametrize("worked", [False, True])
def test_a_removal_that_was_cut_off_at_any_request_is_ended_by_doing_it_again(
    emulator: Emulator, live: Path, root: Path, driver: OntapDriver, worked: bool
) -> None:
    published(driver, live)
    for at in range(1, 20):
        place = driver.clone(FIRST, root / f"clones/{at}")
        cut = is_cut_off(partial(driver.remove_clone, place), at=at, worked=worked)
        driver.remove_clone(place)
        assert clones(emulator) == []
        if not cut:
            assert at > 2
            return
    pytest.fail("the act never ended")


def test_what_is_mounted_says_where_in_the_namespace_a_clone_is(
    emulator: Emulator, models: Volume, live: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of the namespace is mounted, and a folder in that is meant."""
    mounted = root / "clones"
    (mounted / "team").mkdir()
    mount = Mount(point=mounted, kind="nfs4", source="[fd00::1]:/clones")
    monkeypatch.setattr("ci_mlsnap.storage.ontap_flexclones.mount_of", lambda _: mount)
    wishes = Wishes(clones=str(mounted / "team"))
    driver = driver_of(emulator, models, tmp_path / "state", patience=HASTY, wishes=wishes)
    before = published(driver, live)
    assert look(driver.clone(FIRST, mounted / "team/mine")) == before
    assert clones(emulator)[0].junction == "/clones/team/mine"
    assert look(driver.clone(FIRST, mounted / "beside")) == before  # not below what the operator named: a copy
    assert len(clones(emulator)) == 1
