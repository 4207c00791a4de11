"""What the emulator does as ONTAP does it, with volumes and snapshots, said by the real client library."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from netapp_ontap.error import NetAppRestError

from tests.ontap.emulator.server import Emulator
from tests.ontap.emulator.values import Volume
from tests.ontap.library import (
    RestConsistencyGroup,
    RestFileClone,
    RestGroupSnapshot,
    RestSnapshot,
    RestVolume,
    connected,
    refused,
)

SHA = "0123456789abcdef0123456789abcdef01234567"
OTHER = "89abcdef0123456789abcdef0123456789abcdef"


@pytest.fixture
def live(emulator: Emulator, models: Volume) -> Path:
    """Give the mounted folder, with one file."""
    folder = emulator.cluster.path(models)
    (folder / "model.bin").write_bytes(b"first")
    return folder


def patched(connection: Any, volume: Volume, **query: str) -> None:
    """Change a volume by the query alone, as a restore is asked for."""
    RestVolume(uuid=volume.uuid).patch(**query)


# -- snapshots -----------------------------------------------------------------------------------------


def test_a_snapshot_has_what_the_live_tree_had(live: Path, models: Volume, connection: Any) -> None:
    made = RestSnapshot(models.uuid, name=SHA, comment="mlsnap/1")
    made.post(hydrate=True)
    (live / "model.bin").write_bytes(b"second")
    assert (live / ".snapshot" / SHA / "model.bin").read_bytes() == b"first"
    assert made.comment == "mlsnap/1"


def test_a_snapshot_keeps_links_modes_and_times(live: Path, models: Volume, connection: Any) -> None:
    (live / "latest").symlink_to("model.bin")
    os.link(live / "model.bin", live / "same.bin")
    (live / "model.bin").chmod(0o640)
    os.utime(live / "model.bin", ns=(10**18, 10**18 + 7))
    RestSnapshot(models.uuid, name=SHA).post()
    inside = live / ".snapshot" / SHA
    facts = (inside / "model.bin").stat()
    assert (facts.st_mode & 0o777, facts.st_mtime_ns, facts.st_nlink) == (0o640, 10**18 + 7, 2)
    assert os.readlink(inside / "latest") == "model.bin"


def test_a_snapshot_holds_no_snapshots(live: Path, models: Volume, connection: Any) -> None:
    for name in (SHA, OTHER):
        RestSnapshot(models.uuid, name=name).post()
    assert sorted(os.listdir(live / ".snapshot" / OTHER)) == ["model.bin"]


@pytest.mark.usefixtures("untouched")
def test_nothing_that_the_interface_does_alters_a_snapshot(
    live: Path, emulator: Emulator, models: Volume, connection: Any
) -> None:
    (live / "epoch").mkdir()
    (live / "epoch" / "log.txt").touch()
    made = RestSnapshot(models.uuid, name=SHA)
    made.post()
    (live / "epoch" / "log.txt").write_text("later")
    made.name = OTHER
    made.patch()
    RestVolume(uuid=models.uuid).patch(**{"restore_to.snapshot.name": OTHER})


def test_a_write_below_the_snapshot_folder_is_found_out(live: Path, emulator: Emulator, models: Volume) -> None:
    emulator.cluster.snapshot(models, SHA)
    inside = live / ".snapshot" / SHA
    assert emulator.cluster.places.altered(models) == []
    time.sleep(0.02)  # the kernel's clock for files stands still for some milliseconds
    (inside / "model.bin").chmod(0o600)
    (inside / "added").touch()
    assert sorted(emulator.cluster.places.altered(models)) == [inside / "added", inside / "model.bin"]


def test_of_many_that_take_the_same_name_one_does(emulator: Emulator, models: Volume) -> None:
    def take(_: int) -> bool:
        login = {"username": "admin", "password": "cluster-password"}
        with connected(emulator.host, emulator.port, emulator.own.certificate, **login) as made:
            try:
                RestSnapshot(models.uuid, name=SHA).post(return_timeout=10)
            except NetAppRestError:
                return False
            finally:
                made.session.close()
            return True

    emulator.cluster.jobs.delay = 0.01
    with ThreadPoolExecutor(4) as crew:
        assert sum(crew.map(take, range(4))) == 1


def test_a_name_that_is_taken_fails_the_job(models: Volume, emulator: Emulator, connection: Any) -> None:
    RestSnapshot(models.uuid, name=SHA).post()
    with pytest.raises(NetAppRestError, match="Job failed") as raised:
        RestSnapshot(models.uuid, name=SHA).post()
    assert raised.value.status_code is None, "the library's own poller loses the code"
    assert emulator.cluster.jobs.all()[-1].code == 525059


def test_a_name_that_is_taken_may_be_refused_at_once(models: Volume, emulator: Emulator, connection: Any) -> None:
    emulator.cluster.refuses_at_once = True
    RestSnapshot(models.uuid, name=SHA).post()
    with pytest.raises(NetAppRestError) as raised:
        RestSnapshot(models.uuid, name=SHA).post()
    assert refused(raised.value)[1] == "525059"


def test_a_snapshot_may_be_made_at_once(models: Volume, emulator: Emulator, connection: Any) -> None:
    emulator.cluster.snapshots_at_once = True
    made = RestSnapshot(models.uuid, name=SHA)
    made.post()
    assert made.uuid == models.snapshots[SHA].uuid
    assert emulator.calls("/jobs/") == []


@pytest.mark.parametrize("name", ["a/b", "..", "x" * 256, "with space", "snapmirror.1"])
def test_a_name_that_ontap_refuses_is_refused(name: str, models: Volume, connection: Any) -> None:
    with pytest.raises(NetAppRestError) as raised:
        RestSnapshot(models.uuid, name=name).post()
    assert refused(raised.value)[1] in {"1638518", "1638477"}
    assert models.snapshots == {}


def test_a_comment_has_at_most_255_characters(models: Volume, connection: Any) -> None:
    RestSnapshot(models.uuid, name=SHA, comment="x" * 255).post()
    with pytest.raises(NetAppRestError, match="comment"):
        RestSnapshot(models.uuid, name=OTHER, comment="x" * 256).post()


def test_a_volume_has_room_for_1023_snapshots(emulator: Emulator, models: Volume, connection: Any) -> None:
    assert models.limit == 1023
    models.limit = 2
    for name in ("one", "two"):
        RestSnapshot(models.uuid, name=name).post()
    with pytest.raises(NetAppRestError, match="No more snapshots"):
        RestSnapshot(models.uuid, name=SHA).post()
    assert emulator.cluster.jobs.all()[-1].code == 525062


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"state": "offline"}, 524479),
        ({"ballast": 2**50}, 524479),
        ({"type": "dp"}, 1638461),
        ({"reverting": True}, 1638532),
        ({"fenced": True}, 524481),
    ],
)
def test_a_volume_in_a_bad_state_takes_no_snapshot(
    facts: dict[str, object], code: int, emulator: Emulator, models: Volume, connection: Any
) -> None:
    for name, value in facts.items():
        setattr(models, name, value)
    with pytest.raises(NetAppRestError):
        RestSnapshot(models.uuid, name=SHA).post()
    assert emulator.cluster.jobs.all()[-1].code == code


def test_a_snapshot_is_renamed_with_its_folder(live: Path, models: Volume, connection: Any) -> None:
    made = RestSnapshot(models.uuid, name=SHA)
    made.post()
    made.name = OTHER
    made.patch()
    assert os.listdir(live / ".snapshot") == [OTHER]


def test_a_deleted_snapshot_is_gone_and_a_second_deletion_is_refused(
    live: Path, models: Volume, connection: Any
) -> None:
    made = RestSnapshot(models.uuid, name=SHA)
    made.post()
    made.delete()
    assert os.listdir(live / ".snapshot") == []
    with pytest.raises(NetAppRestError) as raised:
        made.delete()
    assert (raised.value.status_code, refused(raised.value)[1]) == (404, "4")


@pytest.mark.parametrize("kept", ["expiry", "lock", "clone", "owner"])
def test_what_is_kept_is_not_deleted(kept: str, emulator: Emulator, models: Volume, connection: Any) -> None:
    later = emulator.cluster.now() + timedelta(days=1)
    facts: dict[str, Any] = {kept: later} if kept in {"expiry", "lock"} else {}
    if kept == "owner":
        facts = {"owners": ("snapmirror",)}
    snapshot = emulator.cluster.snapshot(models, SHA, **facts)
    if kept == "clone":
        emulator.cluster.add_volume("clone1", parent=models.uuid, parent_snapshot=snapshot.uuid)
    with pytest.raises(NetAppRestError):
        RestSnapshot(models.uuid, uuid=snapshot.uuid).delete()
    assert emulator.cluster.jobs.all()[-1].code == (1638543 if kept == "owner" else 1638555)
    assert SHA in models.snapshots


def test_an_expiry_that_has_passed_keeps_nothing(emulator: Emulator, models: Volume, connection: Any) -> None:
    made = RestSnapshot(models.uuid, name=SHA, expiry_time=emulator.cluster.now() + timedelta(days=1))
    made.post(hydrate=True)
    emulator.cluster.skew = timedelta(days=2)
    made.delete()
    assert models.snapshots == {}


def test_a_flexgroup_knows_no_expiry(emulator: Emulator, connection: Any) -> None:
    wide = emulator.cluster.add_volume("wide", style="flexgroup")
    with pytest.raises(NetAppRestError) as raised:
        RestSnapshot(wide.uuid, name=SHA, expiry_time=emulator.cluster.now()).post()
    assert refused(raised.value)[1] == "1638574"


def test_a_lock_needs_a_volume_that_locks_and_only_gets_longer(
    emulator: Emulator, models: Volume, connection: Any
) -> None:
    soon, later = (emulator.cluster.now() + timedelta(days=days) for days in (1, 2))
    with pytest.raises(NetAppRestError, match="not enabled"):
        RestSnapshot(models.uuid, name=SHA, snaplock={"expiry_time": soon}).post()
    models.locking = True
    made = RestSnapshot(models.uuid, name=SHA, snaplock={"expiry_time": later})
    made.post(hydrate=True)
    made.snaplock.expiry_time = soon
    with pytest.raises(NetAppRestError, match="only be extended"):
        made.patch()


# -- listings ------------------------------------------------------------------------------------------


def test_a_volume_that_is_not_there_is_an_empty_list(models: Volume, connection: Any) -> None:
    assert list(RestVolume.get_collection(name="other")) == []
    assert [one.name for one in RestVolume.get_collection(name="models", svm="svm1")] == ["models"]


def test_a_listing_comes_in_pages(emulator: Emulator, models: Volume, connection: Any) -> None:
    for number in range(5):
        emulator.cluster.snapshot(models, f"s{number}")
    assert [one.name for one in RestSnapshot.get_collection(models.uuid, max_records=2)] == [
        "s0",
        "s1",
        "s2",
        "s3",
        "s4",
    ]
    assert len(emulator.calls("/snapshots")) == 3


def test_what_comes_between_two_pages_is_not_counted_twice(
    emulator: Emulator, models: Volume, connection: Any
) -> None:
    for name in ("b", "d", "f"):
        emulator.cluster.snapshot(models, name)
    pages = iter(RestSnapshot.get_collection(models.uuid, max_records=2))
    first = [next(pages).name, next(pages).name]
    emulator.cluster.snapshot(models, "a")
    emulator.cluster.drop(models, "b")
    assert first + [one.name for one in pages] == ["b", "d", "f"]


def test_names_are_found_by_pattern_and_alternative(emulator: Emulator, models: Volume, connection: Any) -> None:
    for name in ("daily.1", "daily.2", SHA):
        emulator.cluster.snapshot(models, name)

    def found(name: str) -> list[str]:
        return [one.name for one in RestSnapshot.get_collection(models.uuid, name=name)]

    assert found("daily.*") == ["daily.1", "daily.2"]
    assert found(f"daily.2|{SHA}") == [SHA, "daily.2"]
    assert found("!daily.*") == [SHA]


def test_only_what_is_asked_for_is_given(emulator: Emulator, models: Volume, connection: Any) -> None:
    emulator.cluster.snapshot(models, SHA, comment="mlsnap/1")
    (bare,) = RestSnapshot.get_collection(models.uuid)
    (with_comment,) = RestSnapshot.get_collection(models.uuid, fields="comment")
    assert set(bare.to_dict()) - {"_links"} == {"name", "uuid"}
    assert with_comment.comment == "mlsnap/1"
    assert not hasattr(with_comment, "create_time")


def test_what_is_expensive_is_given_only_by_its_name(models: Volume, connection: Any) -> None:
    (cheap,) = RestVolume.get_collection(fields="*")
    (named,) = RestVolume.get_collection(fields="nas.path,space.snapshot")
    assert not hasattr(cheap, "nas")
    assert named.nas.path == "/models"
    assert named.space.snapshot.autodelete.defer_delete == "user_created"


def test_a_listing_comes_in_the_order_asked_for(emulator: Emulator, models: Volume, connection: Any) -> None:
    for number, name in enumerate(("b", "c", "a")):
        emulator.cluster.snapshot(models, name, created=emulator.cluster.now() + timedelta(days=number))

    def listed(**query: Any) -> list[str]:
        return [one.name for one in RestSnapshot.get_collection(models.uuid, **query)]

    assert listed() == ["a", "b", "c"]
    assert listed(order_by="create_time desc", max_records=2) == ["a", "c", "b"]


@pytest.mark.parametrize("query", [{"fields": "colour"}, {"colour": "red"}, {"order_by": "colour"}])
def test_a_field_that_does_not_exist_is_refused(query: dict[str, Any], models: Volume, connection: Any) -> None:
    with pytest.raises(NetAppRestError) as raised:
        list(RestSnapshot.get_collection(models.uuid, **query))
    assert raised.value.status_code == 400


# -- restores ------------------------------------------------------------------------------------------


def test_a_restore_ends_all_newer_snapshots(
    live: Path, emulator: Emulator, models: Volume, connection: Any
) -> None:
    emulator.cluster.snapshot(models, SHA)
    (live / "model.bin").write_bytes(b"second")
    (live / "more.bin").touch()
    emulator.cluster.snapshot(models, OTHER)
    patched(connection, models, **{"restore_to.snapshot.name": SHA})
    assert list(models.snapshots) == [SHA]
    assert sorted(os.listdir(live)) == [".snapshot", "model.bin"]
    assert (live / "model.bin").read_bytes() == b"first"


def test_a_restore_that_the_library_sends_as_a_field_does_nothing(
    live: Path, emulator: Emulator, models: Volume, connection: Any
) -> None:
    emulator.cluster.snapshot(models, SHA)
    (live / "model.bin").write_bytes(b"second")
    volume = RestVolume(uuid=models.uuid)
    volume.restore_to = {"snapshot": {"name": SHA}}
    volume.patch()
    assert (live / "model.bin").read_bytes() == b"second"


@pytest.mark.parametrize(("newer", "code"), [({"owners": ("snapmirror",)}, 1638480), ({"expiry": 1}, 9437886)])
def test_a_newer_snapshot_that_is_kept_stops_a_restore(
    newer: dict[str, Any], code: int, live: Path, emulator: Emulator, models: Volume, connection: Any
) -> None:
    emulator.cluster.snapshot(models, SHA)
    if "expiry" in newer:
        newer = {"expiry": emulator.cluster.now() + timedelta(days=1)}
    emulator.cluster.snapshot(models, OTHER, **newer)
    with pytest.raises(NetAppRestError):
        patched(connection, models, **{"restore_to.snapshot.name": SHA})
    assert emulator.cluster.jobs.all()[-1].code == code
    assert list(models.snapshots) == [SHA, OTHER]


def test_one_file_is_restored_alone(live: Path, emulator: Emulator, models: Volume, connection: Any) -> None:
    emulator.cluster.snapshot(models, SHA)
    emulator.cluster.snapshot(models, OTHER)
    (live / "model.bin").write_bytes(b"second")
    patched(connection, models, **{"restore_to.snapshot.name": SHA, "restore_to.path": "model.bin"})
    assert (live / "model.bin").read_bytes() == b"first"
    assert list(models.snapshots) == [SHA, OTHER]


def test_a_partial_snapshot_is_not_restored(emulator: Emulator, connection: Any) -> None:
    wide = emulator.cluster.add_volume("wide", style="flexgroup")
    emulator.cluster.snapshot(wide, SHA, state="partial")
    with pytest.raises(NetAppRestError, match="partial"):
        patched(connection, wide, **{"restore_to.snapshot.name": SHA})


# -- clones, files, volumes ------------------------------------------------------------------------------


def clone(models: Volume, name: str = "mlsnap_clone", **more: Any) -> Any:
    """Make a FlexClone of the snapshot named after the commit."""
    named = {"is_flexclone": True, "parent_volume": {"name": "models"}, "parent_snapshot": {"name": SHA}}
    made = RestVolume(name=name, svm={"name": "svm1"}, **{"clone": named, **more})
    made.post(poll_interval=1)
    return made


def test_a_clone_begins_as_the_snapshot_below_its_junction(
    live: Path, emulator: Emulator, models: Volume, connection: Any
) -> None:
    emulator.cluster.snapshot(models, SHA)
    (live / "model.bin").write_bytes(b"second")
    made = clone(models, nas={"path": "/work/run1"})
    folder = emulator.cluster.places.junction("svm1", "/work/run1")
    assert (folder / "model.bin").read_bytes() == b"first"
    (folder / "model.bin").write_bytes(b"third")
    assert (live / ".snapshot" / SHA / "model.bin").read_bytes() == b"first"
    made.get(fields="clone.parent_snapshot.name")
    assert made.clone.parent_snapshot.name == SHA


def test_a_clone_keeps_its_parent_and_that_parents_snapshot(
    live: Path, emulator: Emulator, models: Volume, connection: Any
) -> None:
    snapshot = emulator.cluster.snapshot(models, SHA)
    made = clone(models)
    found = RestSnapshot(models.uuid, uuid=snapshot.uuid)
    found.get()
    assert found.owners == ["volume_clone"]
    with pytest.raises(NetAppRestError):
        found.delete()
    made.delete()
    found.delete()
    assert models.snapshots == {}


def test_a_split_clone_keeps_nothing(live: Path, emulator: Emulator, models: Volume, connection: Any) -> None:
    snapshot = emulator.cluster.snapshot(models, SHA)
    made = clone(models)
    made.clone = {"split_initiated": True}
    made.patch()
    RestSnapshot(models.uuid, uuid=snapshot.uuid).delete()
    assert models.snapshots == {}


def test_a_mounted_volume_is_not_deleted_until_it_is_unmounted(
    live: Path, emulator: Emulator, models: Volume, connection: Any
) -> None:
    emulator.cluster.snapshot(models, SHA)
    made = clone(models, nas={"path": "/run1"})
    with pytest.raises(NetAppRestError, match="unmounted"):
        made.delete()
    made.nas = {"path": ""}
    made.patch()
    assert not emulator.cluster.places.junction("svm1", "/run1").exists()
    made.delete()
    assert [one.name for one in emulator.cluster.volumes.values()] == ["models"]


@pytest.mark.parametrize("name", ["with-dash", "1st", "x" * 204])
def test_a_volume_name_is_letters_digits_and_underscores(name: str, models: Volume, connection: Any) -> None:
    with pytest.raises(NetAppRestError):
        RestVolume(name=name, svm={"name": "svm1"}, size=2**30).post()


def test_a_junction_and_the_parents_svm_do_not_go_together(
    live: Path, emulator: Emulator, models: Volume, connection: Any
) -> None:
    emulator.cluster.snapshot(models, SHA)
    named = {"is_flexclone": True, "parent_volume": {"name": "models"}, "parent_svm": {"name": "svm1"}}
    with pytest.raises(NetAppRestError):
        RestVolume(name="c1", svm={"name": "svm1"}, clone=named, nas={"path": "/c1"}).post()
    assert emulator.cluster.jobs.all()[-1].code == 1520442


def test_a_volume_that_goes_offline_loses_its_junction(
    live: Path, emulator: Emulator, models: Volume, connection: Any
) -> None:
    volume = RestVolume(uuid=models.uuid)
    volume.state = "offline"
    volume.patch()
    assert not live.exists()
    assert models.junction == ""


def test_a_hidden_snapshot_folder_can_not_be_opened(
    live: Path, emulator: Emulator, models: Volume, connection: Any
) -> None:
    emulator.cluster.snapshot(models, SHA)
    for shown in (False, True):
        volume = RestVolume(uuid=models.uuid)
        volume.snapshot_directory_access_enabled = shown
        volume.patch()
        assert (live / ".snapshot" / SHA).is_dir() is shown


def test_a_file_is_cloned_out_of_a_snapshot_by_the_storage(
    live: Path, emulator: Emulator, models: Volume, connection: Any
) -> None:
    emulator.cluster.snapshot(models, SHA)
    (live / "model.bin").write_bytes(b"second")
    wanted = {"volume": {"uuid": models.uuid}, "source_path": f".snapshot/{SHA}/model.bin"}
    RestFileClone(**wanted, destination_path="copy.bin").post()
    assert (live / "copy.bin").read_bytes() == b"first"
    with pytest.raises(NetAppRestError, match="exists"):
        RestFileClone(**wanted, destination_path="model.bin").post()
    RestFileClone(**wanted, destination_path="model.bin", overwrite_destination=True).post()
    assert (live / "model.bin").read_bytes() == b"first"


def test_a_flexgroup_clones_no_files(emulator: Emulator, connection: Any) -> None:
    wide = emulator.cluster.add_volume("wide", style="flexgroup", junction="/wide")
    (emulator.cluster.path(wide) / "model.bin").touch()
    named = {"uuid": wide.uuid}
    with pytest.raises(NetAppRestError, match="FlexGroup"):
        RestFileClone(volume=named, source_path="model.bin", destination_path="copy.bin").post()


# -- groups --------------------------------------------------------------------------------------------


@pytest.fixture
def group(emulator: Emulator, models: Volume) -> Any:
    """Give a group of two volumes."""
    other = emulator.cluster.add_volume("tokens", junction="/tokens")
    return RestConsistencyGroup(uuid=emulator.cluster.add_group("model", models, other).uuid)


def test_a_groups_snapshot_is_one_of_each_member(
    group: Any, live: Path, emulator: Emulator, models: Volume, connection: Any
) -> None:
    made = RestGroupSnapshot(group.uuid, name=SHA, comment="mlsnap/1")
    made.post(hydrate=True)
    assert all(SHA in volume.snapshots for volume in emulator.cluster.volumes.values())
    assert [one.volume.name for one in made.snapshot_volumes] == ["models", "tokens"]
    assert (live / ".snapshot" / SHA / "model.bin").read_bytes() == b"first"


def test_a_group_has_all_or_nothing(group: Any, emulator: Emulator, models: Volume, connection: Any) -> None:
    (tokens,) = (one for one in emulator.cluster.volumes.values() if one.name == "tokens")
    emulator.cluster.snapshot(tokens, SHA)
    with pytest.raises(NetAppRestError):
        RestGroupSnapshot(group.uuid, name=SHA).post()
    assert models.snapshots == {}


def test_the_members_snapshots_have_not_the_groups_comment(group: Any, models: Volume, connection: Any) -> None:
    RestGroupSnapshot(group.uuid, name=SHA, comment="mlsnap/1").post()
    assert models.snapshots[SHA].comment == ""


def test_a_group_goes_back_whole_or_not_at_all(
    group: Any, live: Path, emulator: Emulator, models: Volume, connection: Any
) -> None:
    def restore() -> None:
        fresh = RestConsistencyGroup(uuid=group.uuid)  # of one that has it already nothing would be sent
        fresh.restore_to = {"snapshot": {"name": SHA}}
        fresh.patch()

    RestGroupSnapshot(group.uuid, name=SHA).post()
    (live / "model.bin").write_bytes(b"second")
    restore()
    assert (live / "model.bin").read_bytes() == b"first"
    (tokens,) = (one for one in emulator.cluster.volumes.values() if one.name == "tokens")
    emulator.cluster.drop(tokens, SHA)
    (live / "model.bin").write_bytes(b"second")
    with pytest.raises(NetAppRestError, match="partial"):
        restore()
    assert (live / "model.bin").read_bytes() == b"second"


def test_a_volume_in_a_group_locks_no_snapshots(group: Any, models: Volume, connection: Any) -> None:
    volume = RestVolume(uuid=models.uuid)
    volume.snapshot_locking_enabled = True
    with pytest.raises(NetAppRestError, match="consistency group"):
        volume.patch()
    assert not models.locking


def test_in_two_phases_nothing_is_there_before_the_second(group: Any, models: Volume, connection: Any) -> None:
    made = RestGroupSnapshot(group.uuid, name=SHA)
    made.post(action="start", action_timeout=10)
    assert models.snapshots == {}
    made.patch(action="commit")
    assert list(models.snapshots) == [SHA]


def test_the_second_phase_can_come_too_late(
    group: Any, emulator: Emulator, models: Volume, connection: Any
) -> None:
    made = RestGroupSnapshot(group.uuid, name=SHA)
    made.post(action="start", action_timeout=5)
    emulator.cluster.groups[group.uuid].snapshots[made.uuid].until = 0
    with pytest.raises(NetAppRestError, match="in time"):
        made.patch(action="commit")
    assert models.snapshots == {}
