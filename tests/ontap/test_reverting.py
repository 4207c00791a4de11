"""A restore of the whole volume loses what was named and nothing else, whatever becomes of its answer."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import pytest

from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.errors import MlsnapError, NoSuchVersion, Refused, SnapshotHeld, StorageUnknown, VolumeRefused
from ci_mlsnap.storage.ontap import OntapDriver
from ci_mlsnap.testing.ground import FIRST, MODEL, PROJECT, SECOND, look, publish, write, write_sample
from tests.ontap.cutting import is_cut_off
from tests.ontap.emulator.faults import BROKEN, LOGIN_PAGE, LOST_ANSWER, LOST_REQUEST, TRUNCATED, Fault, JobFault
from tests.ontap.emulator.server import Emulator
from tests.ontap.emulator.values import Volume
from tests.ontap.mounted import HASTY, driver_of

NEWER = [str(SECOND)]

pytestmark = pytest.mark.usefixtures("untouched")


@pytest.fixture
def live(emulator: Emulator, models: Volume) -> Path:
    return emulator.cluster.path(models)


@pytest.fixture
def driver(emulator: Emulator, models: Volume, tmp_path: Path) -> OntapDriver:
    return driver_of(emulator, models, tmp_path / "state", patience=HASTY)


def published(driver: OntapDriver, live: Path) -> dict[str, tuple[object, ...]]:
    """Publish two versions, and give how the live tree was at the first one."""
    driver.initialise(project=PROJECT, model=MODEL)
    write_sample(live)
    publish(driver, live, FIRST)
    first = look(live)
    write(live, {"weights.bin": b"newer", "epoch/2/log.txt": b"loss 0.1\n"})
    publish(driver, live, SECOND, parent=FIRST)
    return first


def restoring(models: Volume) -> str:
    return f"PATCH /api/storage/volumes/{models.uuid}"


def test_the_volume_is_the_version_and_what_is_newer_is_gone(
    models: Volume, live: Path, driver: OntapDriver
) -> None:
    first = published(driver, live)
    assert driver.capabilities.in_place
    assert [snapshot.name for snapshot in driver.newer_than(FIRST)] == NEWER
    assert list(driver.newer_than(SECOND)) in ([], [driver.get(FIRST)])  # of one second, either may be the newer
    driver.revert(FIRST, losing=NEWER)
    assert look(live) == first
    assert list(models.snapshots) == [str(FIRST)]
    driver.read_back(FIRST)
    assert driver.get(SECOND) is None and list(driver.missing()) == [SECOND]
    driver.delete(SECOND)
    assert list(driver.missing()) == [] and SECOND in driver.used_names()


def test_what_was_not_named_stops_it(emulator: Emulator, models: Volume, live: Path, driver: OntapDriver) -> None:
    published(driver, live)
    second = look(live)
    emulator.cluster.snapshot(models, "hourly.1")
    with pytest.raises(Refused, match=r"hourly\.1"):
        driver.revert(FIRST, losing=NEWER)
    with pytest.raises(NoSuchVersion):
        driver.revert(SnapshotName(sha="9" * 40), losing=NEWER)
    assert list(models.snapshots) == [str(FIRST), str(SECOND), "hourly.1"]
    assert look(live) == second


def test_what_is_pruned_and_newer_is_told_too(models: Volume, live: Path, driver: OntapDriver) -> None:
    published(driver, live)
    driver.prune(SECOND)
    (told,) = driver.newer_than(FIRST)
    assert told.name == f"mlsnap-pruned-{SECOND}"
    assert told.marker is not None and told.marker.name == SECOND


def test_state_in_the_volume_would_go_back_too(emulator: Emulator, models: Volume, live: Path) -> None:
    driver = driver_of(emulator, models, live / ".mlsnap/state", patience=HASTY)
    published(driver, live)
    with pytest.raises(VolumeRefused, match="state"):
        driver.revert(FIRST, losing=NEWER)
    assert list(models.snapshots) == [str(FIRST), str(SECOND)]


@pytest.mark.parametrize("fault", [LOST_ANSWER, TRUNCATED, Fault(code=200, body="<html>", worked=True)])
def test_where_the_answer_is_lost_the_volume_tells(
    emulator: Emulator, models: Volume, live: Path, driver: OntapDriver, fault: Fault
) -> None:
    first = published(driver, live)
    emulator.faults.next(fault, on=restoring(models))
    driver.revert(FIRST, losing=NEWER)
    assert look(live) == first


@pytest.mark.parametrize(
    "fault", [LOST_REQUEST, LOGIN_PAGE, BROKEN, Fault(code=200, body="{}")], ids=["lost", "page", "broken", "idle"]
)
def test_where_nothing_was_done_it_is_unknown_and_can_be_done_again(
    emulator: Emulator, models: Volume, live: Path, driver: OntapDriver, fault: Fault
) -> None:
    first = published(driver, live)
    emulator.faults.next(fault, on=restoring(models))
    with pytest.raises(StorageUnknown):
        driver.revert(FIRST, losing=NEWER)
    assert list(models.snapshots) == [str(FIRST), str(SECOND)]
    driver.revert(FIRST, losing=NEWER)
    assert look(live) == first


@pytest.mark.parametrize("kind", ["fail", "cancel", "lost", "hang"])
@pytest.mark.parametrize("worked", [True, False])
def test_however_the_job_ends_the_volume_tells(
    emulator: Emulator, models: Volume, live: Path, driver: OntapDriver, kind: str, worked: bool
) -> None:
    first = published(driver, live)
    emulator.faults.next_job(JobFault(kind=kind, worked=worked, code=524511), on=restoring(models))  # type: ignore[arg-type]
    if worked:
        driver.revert(FIRST, losing=NEWER)
        assert look(live) == first
    else:
        with pytest.raises(MlsnapError):
            driver.revert(FIRST, losing=NEWER)
        assert list(models.snapshots) == [str(FIRST), str(SECOND)]


@pytest.mark.parametrize("kept", ["mirror", "clone"])
def test_what_the_cluster_needs_is_explained(
    emulator: Emulator, models: Volume, live: Path, driver: OntapDriver, kept: str
) -> None:
    published(driver, live)
    if kept == "mirror":
        models.snapshots[str(SECOND)].owners = ("snapmirror",)
    else:
        clone = emulator.cluster.add_volume("a_clone")
        clone.parent, clone.parent_snapshot = models.uuid, models.snapshots[str(SECOND)].uuid
    with pytest.raises(SnapshotHeld if kept == "mirror" else MlsnapError) as refused:
        driver.revert(FIRST, losing=NEWER)
    assert "without --in-place" in refused.value.hint
    assert list(models.snapshots) == [str(FIRST), str(SECOND)]


def test_a_mount_that_does_not_show_it_is_no_success(
    emulator: Emulator, models: Volume, live: Path, driver: OntapDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(driver, live)
    monkeypatch.setattr(emulator.cluster.places, "revert", lambda *_: None)
    with pytest.raises(StorageUnknown, match="does not show it"):
        driver.revert(FIRST, losing=NEWER)


def test_a_damaged_version_is_not_restored(
    emulator: Emulator, models: Volume, live: Path, driver: OntapDriver
) -> None:
    published(driver, live)
    shutil.rmtree(live / ".snapshot" / str(FIRST) / "epoch")
    with pytest.raises(MlsnapError, match="damaged"):
        driver.revert(FIRST, losing=NEWER)
    assert list(models.snapshots) == [str(FIRST), str(SECOND)]
    emulator.cluster.drop(models, str(FIRST))  # the fixture would find what this test did


@pytest.mark.parametrize("worked", [False, True])
def test_what_was_cut_off_at_any_request_is_ended_by_doing_it_again(
    emulator: Emulator, models: Volume, live: Path, driver: OntapDriver, tmp_path: Path, worked: bool
) -> None:
    first = published(driver, live)
    for at in range(1, 20):
        other = driver_of(emulator, models, tmp_path / "state", patience=HASTY)
        cut = is_cut_off(partial(other.revert, FIRST, losing=NEWER), at=at, worked=worked)
        driver.revert(FIRST, losing=NEWER)
        assert look(live) == first
        assert list(models.snapshots) == [str(FIRST)]
        if not cut:
            assert at > 2
            return
        write(live, {"weights.bin": b"newer"})
        emulator.cluster.snapshot(models, str(SECOND))
    pytest.fail("the act never ended")
