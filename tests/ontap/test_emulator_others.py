"""What the emulator does to volumes without a request, as administrators, schedules and mirrors do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from netapp_ontap.error import NetAppRestError

from tests.ontap.emulator import others
from tests.ontap.emulator.server import Emulator
from tests.ontap.emulator.values import Autodelete, Volume
from tests.ontap.library import RestSnapshot, RestVolume, connected

SHA = "0123456789abcdef0123456789abcdef01234567"
OTHER = "89abcdef0123456789abcdef0123456789abcdef"


@pytest.fixture
def live(emulator: Emulator, models: Volume) -> Path:
    """Give the mounted folder, with one file."""
    folder = emulator.cluster.path(models)
    (folder / "model.bin").write_bytes(b"first")
    return folder


def test_a_full_volume_deletes_the_oldest_that_nothing_keeps(emulator: Emulator, models: Volume) -> None:
    cluster = emulator.cluster
    cluster.snapshot(models, SHA, owners=("snapmirror",))
    cluster.snapshot(models, OTHER)
    cluster.snapshot(models, "hourly.1", scheduled=True)
    assert others.relieve(cluster, models) == []
    models.autodelete = Autodelete(enabled=True)
    assert others.relieve(cluster, models) == ["hourly.1"]
    assert others.relieve(cluster, models) == [OTHER]
    assert others.relieve(cluster, models) == []


def test_a_prefix_defers_what_bears_it(emulator: Emulator, models: Volume) -> None:
    for name in (SHA, "other"):
        emulator.cluster.snapshot(models, name)
    models.autodelete = Autodelete(enabled=True, defer_delete="prefix", prefix=SHA[:4])
    assert others.relieve(emulator.cluster, models) == ["other"]


def test_a_policy_keeps_so_many_and_leaves_others_alone(emulator: Emulator, models: Volume) -> None:
    emulator.cluster.snapshot(models, SHA)
    taken = [others.take_scheduled(emulator.cluster, models).name for _ in range(8)]
    assert list(models.snapshots) == [SHA, *taken[2:]]


def test_an_expanded_flexgroup_can_not_go_back(emulator: Emulator, connection: Any) -> None:
    wide = emulator.cluster.add_volume("wide", style="flexgroup")
    emulator.cluster.snapshot(wide, SHA)
    others.expand_flexgroup(emulator.cluster, wide)
    (found,) = RestSnapshot.get_collection(wide.uuid, fields="state")
    assert found.state == "partial"
    with pytest.raises(NetAppRestError, match="partial"):
        RestVolume(uuid=wide.uuid).patch(**{"restore_to.snapshot.name": SHA})


def test_a_mirror_has_the_snapshots_and_takes_none(
    live: Path, emulator: Emulator, models: Volume, connection: Any
) -> None:
    mirror = emulator.cluster.add_volume("mirror", type="dp", junction="/mirror")
    emulator.cluster.snapshot(models, SHA, comment="mlsnap/1", label="mlsnap")
    emulator.cluster.snapshot(models, OTHER)
    assert others.update_mirror(emulator.cluster, models, mirror, label="mlsnap") == [SHA]
    assert (emulator.cluster.path(mirror) / ".snapshot" / SHA / "model.bin").read_bytes() == b"first"
    assert mirror.snapshots[SHA].comment == "mlsnap/1"
    with pytest.raises(NetAppRestError, match="read-write"):
        RestSnapshot(mirror.uuid, name="mine").post()


def test_what_a_mirror_starts_from_is_not_deleted_at_the_source(
    emulator: Emulator, models: Volume, connection: Any
) -> None:
    mirror = emulator.cluster.add_volume("mirror", type="dp")
    snapshot = emulator.cluster.snapshot(models, SHA)
    others.update_mirror(emulator.cluster, models, mirror)
    with pytest.raises(NetAppRestError, match="owners"):
        RestSnapshot(models.uuid, uuid=snapshot.uuid).delete()
    emulator.cluster.snapshot(models, OTHER)
    others.update_mirror(emulator.cluster, models, mirror)
    RestSnapshot(models.uuid, uuid=snapshot.uuid).delete()
    assert list(mirror.snapshots) == [SHA, OTHER]


def test_after_fail_over_the_mirror_stands_where_the_volume_stood(
    live: Path, emulator: Emulator, models: Volume, connection: Any
) -> None:
    mirror = emulator.cluster.add_volume("mirror", type="dp")
    emulator.cluster.snapshot(models, SHA)
    others.update_mirror(emulator.cluster, models, mirror)
    others.fail_over(emulator.cluster, models, mirror)
    (found,) = RestVolume.get_collection(**{"nas.path": "/models"})
    assert found.uuid == mirror.uuid != models.uuid
    assert (live / ".snapshot" / SHA / "model.bin").read_bytes() == b"first"
    RestSnapshot(mirror.uuid, name=OTHER).post()


def test_a_volume_from_elsewhere_has_its_files_and_another_identifier(
    live: Path, emulator: Emulator, models: Volume
) -> None:
    emulator.cluster.snapshot(models, SHA)
    before = models.uuid
    others.recreate(emulator.cluster, models)
    assert models.uuid != before
    assert (live / ".snapshot" / SHA / "model.bin").read_bytes() == b"first"
    assert list(emulator.cluster.volumes) == [models.uuid]


def test_a_volume_mounted_in_another_is_an_empty_folder_in_that_ones_snapshot(
    live: Path, emulator: Emulator, models: Volume
) -> None:
    inner = emulator.cluster.add_volume("inner", junction="/models/inner")
    (emulator.cluster.path(inner) / "inner.bin").touch()
    emulator.cluster.snapshot(models, SHA)
    assert os.listdir(live / ".snapshot" / SHA / "inner") == []


def test_readers_may_see_a_snapshot_later_than_the_interface_has_it(
    live: Path, emulator: Emulator, models: Volume, connection: Any
) -> None:
    emulator.cluster.shown_after = 0.2
    RestSnapshot(models.uuid, name=SHA).post(return_timeout=5)
    place = live / ".snapshot" / SHA
    assert [one.name for one in RestSnapshot.get_collection(models.uuid)] == [SHA]
    seen = threading.Event()
    deadline = time.monotonic() + 10
    while not place.exists() and time.monotonic() < deadline:
        seen.wait(0.01)
    assert (place / "model.bin").read_bytes() == b"first"


def test_a_snapshot_that_nobody_saw_can_be_dropped(live: Path, emulator: Emulator, models: Volume) -> None:
    emulator.cluster.shown_after = 0.05
    emulator.cluster.snapshot(models, SHA)
    emulator.cluster.drop(models, SHA)
    threading.Event().wait(0.1)
    assert os.listdir(live / ".snapshot") == []


def test_a_writer_that_takes_files_away_stops_no_snapshot(live: Path, emulator: Emulator, models: Volume) -> None:
    over = threading.Event()

    def write() -> None:
        while not over.is_set():
            for number in range(50):
                (live / f"{number}.tmp").touch()
            for number in range(50):
                (live / f"{number}.tmp").unlink()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(10):
            emulator.cluster.snapshot(models, f"s{number}")
    finally:
        over.set()
        writer.join()
    assert all((live / ".snapshot" / name / "model.bin").exists() for name in models.snapshots)


def test_of_a_volume_too_large_to_copy_only_a_part_is(live: Path, emulator: Emulator, models: Volume) -> None:
    (live / ".mlsnap").mkdir()
    (live / ".mlsnap" / "manifest.json").touch()
    models.only = ".mlsnap"
    emulator.cluster.snapshot(models, SHA)
    assert os.listdir(live / ".snapshot" / SHA) == [".mlsnap"]


def test_the_emulator_starts_by_hand(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "tests.ontap.emulator", "--root", tmp_path / "c", "--password-env", "CHOSEN")
    environment = {**os.environ, "CHOSEN": "a-word", "PYTHONPATH": os.fspath(Path(__file__).parents[2])}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            told = json.loads(process.stdout.readline())
            login = {"username": "vsadmin", "password": "a-word"}
            with connected(told["host"], told["port"], Path(told["certificate"]), **login) as made:
                assert [one.name for one in RestVolume.get_collection()] == ["models"]
                with pytest.raises(NetAppRestError):
                    RestVolume(uuid=told["port"]).get()
                made.session.close()
        finally:
            process.terminate()
    assert process.returncode == 0
