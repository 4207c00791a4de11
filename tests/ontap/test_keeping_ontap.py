"""What the cluster itself is told to keep: held snapshots, locked ones, and those that it replicates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ci_mlsnap.errors import SnapshotHeld, StorageFailed, StorageReadOnly
from ci_mlsnap.storage.ontap import OntapDriver
from ci_mlsnap.storage.ontap_endpoint import Wishes
from ci_mlsnap.testing.ground import FIRST, MODEL, PROJECT, look
from tests.ontap.emulator.access import SNAPSHOTS_ONLY, Account
from tests.ontap.emulator.faults import BROKEN, LOST_REQUEST
from tests.ontap.emulator.others import update_mirror
from tests.ontap.emulator.server import Emulator
from tests.ontap.emulator.values import Snapshot, Volume
from tests.ontap.mounted import HASTY, driver_of, endpoint_of, filled, sealed

DAY = 86400.0

pytestmark = pytest.mark.usefixtures("untouched")


@pytest.fixture
def live(emulator: Emulator, models: Volume) -> Path:
    return emulator.cluster.path(models)


@pytest.fixture
def driver(emulator: Emulator, models: Volume, tmp_path: Path) -> OntapDriver:
    return driver_of(emulator, models, tmp_path / "state", patience=HASTY)


def first(models: Volume) -> Snapshot:
    return models.snapshots[str(FIRST)]


def years(models: Volume) -> float:
    """For how many years the first version's snapshot is kept from now on."""
    expiry = first(models).expiry
    return (expiry - datetime.now(UTC)).days / 365 if expiry else 0.0


# -- holds ---------------------------------------------------------------------------------------------


def test_what_is_held_cannot_be_deleted_by_an_administrator_either(
    models: Volume, live: Path, driver: OntapDriver
) -> None:
    sealed(driver, filled(driver, live))
    driver.hold(FIRST, "channel production")
    assert years(models) > 5
    driver.hold(FIRST, "anna")
    driver.release_hold(FIRST, "channel production")
    assert years(models) > 5
    driver.release_hold(FIRST, "anna")
    assert years(models) <= 0
    driver.delete(FIRST)


def test_a_hold_that_ends_with_its_run_costs_no_request(
    emulator: Emulator, models: Volume, live: Path, driver: OntapDriver
) -> None:
    sealed(driver, filled(driver, live))
    before = len(emulator.calls("PATCH"))
    driver.hold(FIRST, "run 20260102-030405")
    driver.release_hold(FIRST, "run 20260102-030405")
    assert len(emulator.calls("PATCH")) == before


def test_what_goes_although_it_is_held_goes(models: Volume, live: Path, driver: OntapDriver) -> None:
    sealed(driver, filled(driver, live))
    driver.hold(FIRST, "anna")
    with pytest.raises(SnapshotHeld, match="anna"):
        driver.delete(FIRST)
    driver.delete(FIRST, even_held=True)
    assert list(models.snapshots) == []


@pytest.mark.parametrize("fault", [BROKEN, LOST_REQUEST])
def test_a_hold_stands_also_where_the_cluster_is_not_told(
    emulator: Emulator, live: Path, driver: OntapDriver, fault: object
) -> None:
    sealed(driver, filled(driver, live))
    emulator.faults.next(fault, on="PATCH *")  # type: ignore[arg-type]
    driver.hold(FIRST, "anna")
    with pytest.raises(SnapshotHeld, match="anna"):
        driver.prune(FIRST)


def test_a_hold_stands_also_where_the_role_may_not_tell_the_cluster(
    emulator: Emulator, models: Volume, live: Path, tmp_path: Path
) -> None:
    emulator.cluster.accounts.add(Account(name="runner", role=SNAPSHOTS_ONLY, password="runners", svm="svm1"))
    endpoint = endpoint_of(emulator, user="runner", password="runners")
    driver = driver_of(emulator, models, tmp_path / "state", endpoint=endpoint, patience=HASTY)
    sealed(driver, filled(driver, live))
    driver.hold(FIRST, "anna")
    assert first(models).expiry is None
    with pytest.raises(SnapshotHeld, match="anna"):
        driver.delete(FIRST)


def test_what_the_cluster_keeps_is_explained(models: Volume, live: Path, driver: OntapDriver) -> None:
    sealed(driver, filled(driver, live))
    first(models).owners = ("snapmirror",)
    with pytest.raises(SnapshotHeld) as refused:
        driver.delete(FIRST)
    assert "snapmirror needs it" in refused.value.why
    first(models).owners = ()
    first(models).expiry = datetime.now(UTC) + timedelta(days=3)
    with pytest.raises(SnapshotHeld) as refused:
        driver.delete(FIRST)
    assert "kept until" in refused.value.why


# -- locks and labels ----------------------------------------------------------------------------------


def test_a_new_version_is_locked_and_labelled_as_the_operator_wants(
    emulator: Emulator, models: Volume, live: Path, tmp_path: Path
) -> None:
    models.locking = True
    wishes = Wishes(lock=30 * DAY, label="mlsnap")
    driver = driver_of(emulator, models, tmp_path / "state", patience=HASTY, wishes=wishes)
    sealed(driver, filled(driver, live))
    made = first(models)
    assert made.label == "mlsnap" and made.lock is not None
    assert timedelta(days=29) < made.lock - datetime.now(UTC) <= timedelta(days=30)
    with pytest.raises(SnapshotHeld) as refused:
        driver.delete(FIRST)
    assert "locked until" in refused.value.why
    driver.read_back(FIRST)


def test_a_volume_without_locks_is_refused_before_anything_is_made(
    emulator: Emulator, models: Volume, tmp_path: Path
) -> None:
    driver = driver_of(emulator, models, tmp_path / "state", patience=HASTY, wishes=Wishes(lock=30 * DAY))
    with pytest.raises(StorageFailed, match=r"snapshot\.lock") as refused:
        driver.initialise(project=PROJECT, model=MODEL)
    assert "snapshot-locking-enabled" in refused.value.hint
    with pytest.raises(StorageFailed, match=r"snapshot\.lock"):
        driver.probe()
    assert driver.volume_id == ""


# -- mirrors -------------------------------------------------------------------------------------------


def test_a_mirror_is_read_without_a_login(
    emulator: Emulator, models: Volume, live: Path, driver: OntapDriver, tmp_path: Path
) -> None:
    sealed(driver, filled(driver, live))
    mirror = emulator.cluster.add_volume("models_dr", junction="/dr", type="dp")
    assert update_mirror(emulator.cluster, models, mirror) == [str(FIRST)]
    place = emulator.cluster.path(mirror)
    reader = OntapDriver(place, tmp_path / "state", "models", endpoint=None)
    assert reader.view(FIRST) == place / ".snapshot" / str(FIRST)
    reader.read_back(FIRST)
    assert look(reader.clone(FIRST, tmp_path / "copy")) == look(live)
    with pytest.raises(SnapshotHeld, match="cannot be deleted"):
        driver.delete(FIRST)


def test_a_mirror_gets_no_version(
    emulator: Emulator, models: Volume, live: Path, driver: OntapDriver, tmp_path: Path
) -> None:
    sealed(driver, filled(driver, live))
    mirror = emulator.cluster.add_volume("models_dr", junction="/dr", type="dp")
    update_mirror(emulator.cluster, models, mirror)
    writer = OntapDriver(
        emulator.cluster.path(mirror),
        tmp_path / "elsewhere",
        "models",
        endpoint=endpoint_of(emulator),
        volume="models_dr",
        patience=HASTY,
    )
    with pytest.raises(StorageReadOnly, match="of type dp"):
        writer.initialise(project=PROJECT, model=MODEL)
