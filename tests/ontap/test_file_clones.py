"""A restore lets the cluster put large files in place, and copies whatever it does not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ci_mlsnap.storage.ontap import OntapDriver
from ci_mlsnap.testing.acts import upset
from ci_mlsnap.testing.ground import FIRST, MODEL, PROJECT, SECOND, look, publish, write, write_sample
from tests.ontap.emulator.access import PRUNING, Account
from tests.ontap.emulator.faults import BROKEN, LOGIN_PAGE, LOST_ANSWER, LOST_REQUEST, TRUNCATED, Fault, JobFault
from tests.ontap.emulator.server import Emulator
from tests.ontap.emulator.values import Volume
from tests.ontap.mounted import HASTY, driver_of, endpoint_of

CLONED = "POST /api/storage/file/clone"

pytestmark = pytest.mark.usefixtures("untouched")


@pytest.fixture
def live(emulator: Emulator, models: Volume) -> Path:
    return emulator.cluster.path(models)


@pytest.fixture
def driver(emulator: Emulator, models: Volume, tmp_path: Path) -> OntapDriver:
    return driver_of(emulator, models, tmp_path / "state", patience=HASTY, large=1000)


def published(driver: OntapDriver, live: Path) -> dict[str, tuple[object, ...]]:
    driver.initialise(project=PROJECT, model=MODEL)
    write_sample(live)
    write(live, {"epoch/2/large.bin": os.urandom(300_000)})
    publish(driver, live, FIRST)
    return look(live)


def test_what_changed_and_is_large_is_cloned_and_the_rest_copied(
    emulator: Emulator, live: Path, driver: OntapDriver
) -> None:
    before = published(driver, live)
    upset(live)
    driver.restore(FIRST, live)
    assert look(live) == before
    assert len(emulator.calls(CLONED)) == 1  # of several large ones the only that was changed
    driver.restore(FIRST, live)
    assert len(emulator.calls(CLONED)) == 1
    assert [name for name in os.listdir(live) if name.startswith(".mlsnap-")] == []


def test_single_paths_come_back_by_clone_too(emulator: Emulator, live: Path, driver: OntapDriver) -> None:
    before = published(driver, live)
    shutil.rmtree(live / "epoch")
    driver.restore(FIRST, live, paths=[b"epoch/2"])
    assert len(emulator.calls(CLONED)) == 1
    assert look(live)["epoch/2/large.bin"] == before["epoch/2/large.bin"]
    assert not (live / "epoch/1").exists()


def test_what_is_written_to_a_clone_is_not_written_to_the_version(live: Path, driver: OntapDriver) -> None:
    published(driver, live)
    (live / "epoch/2/large.bin").unlink()
    driver.restore(FIRST, live)
    with (live / "epoch/2/large.bin").open("r+b") as opened:
        opened.write(b"!")
    driver.read_back(FIRST)


@pytest.mark.parametrize(
    "fault",
    [LOST_ANSWER, TRUNCATED, LOST_REQUEST, LOGIN_PAGE, BROKEN, Fault(code=200, body="{}")],
    ids=["answer lost", "truncated", "request lost", "login page", "broken", "nothing done"],
)
def test_whatever_is_answered_the_restore_is_exact(
    emulator: Emulator, live: Path, driver: OntapDriver, fault: Fault
) -> None:
    before = published(driver, live)
    write(live, {"weights.bin": b"changed"})
    (live / "epoch/2/large.bin").unlink()
    emulator.faults.next(fault, on=CLONED)
    driver.restore(FIRST, live)
    assert look(live) == before


@pytest.mark.parametrize("kind", ["fail", "cancel", "lost", "hang"])
@pytest.mark.parametrize("worked", [True, False])
def test_however_the_job_ends_the_restore_is_exact(
    emulator: Emulator, live: Path, driver: OntapDriver, kind: str, worked: bool
) -> None:
    before = published(driver, live)
    (live / "epoch/2/large.bin").unlink()
    emulator.faults.next_job(JobFault(kind=kind, worked=worked), on=CLONED)  # type: ignore[arg-type]
    driver.restore(FIRST, live)
    assert look(live) == before
    assert os.listdir(live / "epoch/2") == ["large.bin"]


def test_another_file_in_the_clones_place_is_not_taken(
    emulator: Emulator, models: Volume, live: Path, driver: OntapDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the cluster that answers clones in a volume that is not the one that is mounted."""
    before = published(driver, live)
    (live / "epoch/2/large.bin").unlink()

    def clone_another(self: object, volume: str, source: str, destination: str) -> None:
        (live / destination).write_bytes(os.urandom(300_000))

    monkeypatch.setattr("ci_mlsnap.storage.ontap_api.OntapApi.clone_file", clone_another)
    driver.restore(FIRST, live)
    assert look(live) == before


def test_without_the_right_to_it_one_clone_is_tried_and_all_is_copied(
    emulator: Emulator, models: Volume, live: Path, tmp_path: Path
) -> None:
    emulator.cluster.accounts.add(Account(name="pruner", role=PRUNING, password="pruners", svm="svm1"))
    endpoint = endpoint_of(emulator, user="pruner", password="pruners")
    driver = driver_of(emulator, models, tmp_path / "state", endpoint=endpoint, patience=HASTY, large=1000)
    before = published(driver, live)
    shutil.rmtree(live / "epoch")
    (live / "weights.bin").unlink()
    driver.restore(FIRST, live)
    assert look(live) == before
    assert len(emulator.calls(CLONED)) == 1


def test_of_a_flexgroup_no_file_is_cloned(
    emulator: Emulator, models: Volume, live: Path, driver: OntapDriver
) -> None:
    models.style = "flexgroup"
    before = published(driver, live)
    (live / "epoch/2/large.bin").unlink()
    driver.restore(FIRST, live)
    assert look(live) == before
    assert emulator.calls(CLONED) == []


def test_a_name_that_a_request_cannot_carry_is_copied(emulator: Emulator, live: Path, driver: OntapDriver) -> None:
    published(driver, live)
    for name in (b"caf\xe9.bin", b"a\nline.bin"):
        (live / os.fsdecode(name)).write_bytes(os.urandom(5000))
    publish(driver, live, SECOND)
    before = look(live)
    for name in (b"caf\xe9.bin", b"a\nline.bin"):
        (live / os.fsdecode(name)).unlink()
    driver.restore(SECOND, live)
    assert look(live) == before
    assert emulator.calls(CLONED) == []


def test_a_clone_that_was_made_after_all_goes_with_the_next_restore(
    emulator: Emulator, live: Path, driver: OntapDriver
) -> None:
    before = published(driver, live)
    write(live, {"epoch/2/.mlsnap-0123456789abcdef": b"left by a clone whose answer was lost"})
    driver.restore(FIRST, live)
    assert look(live) == before
