"""Drivers that were opened for data keep its contract, and what the local one does beyond it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from ci_mlsnap.domain.pins import DataPlan
from ci_mlsnap.errors import (
    ConfigInvalid,
    NoSuchVersion,
    StorageFailed,
    TreeUnsupported,
    VolumeMissing,
    VolumeRefused,
)
from ci_mlsnap.ports import Driver
from ci_mlsnap.storage.local_data import LocalData
from ci_mlsnap.storage.pinning import moment, natural, see_data
from ci_mlsnap.storage.registry import open_data_driver
from ci_mlsnap.testing import DataContract, DataUnderTest, MemoryDriver, MemoryStorage
from ci_mlsnap.testing.ground import FIRST, PROJECT, pin, write
from ci_mlsnap.trees import subvolume
from ci_mlsnap.trees.mounts import Mount
from tests.conftest import ORDINARY_USERS, AsUser, LoopMount
from tests.storage.test_contract import contract_tests_of, plant


def data_on(ground: Path) -> DataUnderTest:
    """A local driver of data in a subvolume, which needs a folder on btrfs."""
    live, store = ground / "images", ground / ".mlsnap/images"
    subvolume.create(live)

    def reopen() -> LocalData:
        return LocalData(live, store, "images", environ={})

    return DataUnderTest(
        driver=reopen(),
        live=live,
        ground=ground,
        reopen=reopen,
        plant=lambda name, tree: plant(tree, live / ".snapshot" / name),
    )


class TestMemory(DataContract):
    """Books in memory, trees in folders."""

    @pytest.fixture
    def data(self, tmp_path: Path) -> DataUnderTest:
        live, storage = tmp_path / "live", MemoryStorage(folder=tmp_path / "storage")
        live.mkdir()

        def reopen() -> Driver:
            return MemoryDriver(live, storage, data=True)

        return DataUnderTest(
            driver=reopen(),
            live=live,
            ground=tmp_path,
            reopen=reopen,
            plant=lambda name, tree: plant(tree, storage.place("snapshots", name)),
        )


@pytest.mark.parametrize(("user", "options"), [(0, ""), (ORDINARY_USERS[0], "user_subvol_rm_allowed")])
def test_data_on_btrfs_keeps_the_contract(loop_mount: LoopMount, as_user: AsUser, user: int, options: str) -> None:
    root = loop_mount("btrfs", options=options)
    os.chown(root, user, user)

    def all_tests() -> int:
        count = 0
        for count, (name, act) in enumerate(contract_tests_of(DataContract()), start=1):
            ground = root / str(count)
            ground.mkdir()
            try:
                act(data_on(ground))
            except Exception as error:
                raise AssertionError(name) from error
        return count

    assert as_user(user, all_tests) >= 15


# -- on btrfs ------------------------------------------------------------------------------------------


@pytest.fixture
def btrfs(loop_mount: LoopMount) -> Path:
    return loop_mount("btrfs", options="noatime")


def test_pinning_walks_no_folder_of_the_data(btrfs: Path) -> None:
    data = data_on(btrfs)
    write(data.live, {f"{number}/{number}.png": b"x" for number in range(50)})
    data.driver.initialise(project=PROJECT, model="")
    listed: list[object] = []
    recording = True

    def listen(event: str, arguments: tuple[object, ...]) -> None:
        if recording and event in ("os.scandir", "os.listdir"):
            listed.append(arguments[0])

    sys.addaudithook(listen)
    pin(data.driver, data.live, FIRST)
    data.driver.see_data()
    recording = False
    store = data.ground / ".mlsnap/images"
    assert {str(place) for place in listed} <= {str(store / "snapshots"), str(store)}


def test_a_subvolume_within_the_data_is_refused_and_nothing_is_left(btrfs: Path) -> None:
    data = data_on(btrfs)
    subvolume.create(data.live / "inner")
    data.driver.initialise(project=PROJECT, model="")
    with pytest.raises(TreeUnsupported, match="1 subvolume in it"):
        pin(data.driver, data.live, FIRST)
    assert list(data.driver.unfinished()) == []
    assert list(data.driver.list()) == []


def test_a_plain_folder_is_never_copied(btrfs: Path) -> None:
    live = btrfs / "plain"
    write(live, {"a": b"x"})
    driver = LocalData(live, btrfs / ".mlsnap/plain", "plain", environ={})
    driver.initialise(project=PROJECT, model="")
    assert not driver.capabilities.instant
    assert not driver.see_data().exact
    with pytest.raises(VolumeRefused, match="no subvolume"):
        driver.freeze(live, parent=None, full=False, inventory=False)
    assert list(driver.unfinished()) == []


def test_a_store_on_another_file_system_is_not_instant_and_makes_nothing(btrfs: Path, tmp_path: Path) -> None:
    subvolume.create(btrfs / "images")
    driver = LocalData(btrfs / "images", tmp_path / "store", "images", environ={})
    driver.initialise(project=PROJECT, model="")
    assert not driver.capabilities.instant
    with pytest.raises(StorageFailed):
        driver.freeze(btrfs / "images", parent=None, full=False, inventory=False)
    assert list(driver.unfinished()) == []


def test_the_owners_snapshots_are_ordered_by_when_they_were_made_where_the_storage_knows(btrfs: Path) -> None:
    data = data_on(btrfs)
    folder = data.live.with_name("holder")
    (folder / ".snapshot").mkdir(parents=True)
    for name in ("daily.2", "daily.1", "daily.0"):  # whoever rotates names gives the newest the lowest number
        subvolume.snapshot(data.live, folder / ".snapshot" / name)
    assert see_data(folder, "daily.*").name == "daily.0"


def test_pins_made_in_a_store_that_ordinary_users_cannot_destroy_in_are_removed_all_the_same(
    loop_mount: LoopMount, as_user: AsUser
) -> None:
    root = loop_mount("btrfs")
    user = ORDINARY_USERS[0]
    os.chown(root, user, user)

    def act() -> bool:
        data = data_on(root)
        write(data.live, {"a/b": b"x"})
        data.driver.initialise(project=PROJECT, model="")
        pin(data.driver, data.live, FIRST)
        data.driver.delete(FIRST)
        return (root / ".mlsnap/images/snapshots" / str(FIRST)).exists()

    assert as_user(user, act) is False


def test_data_of_another_user_is_no_data_to_snapshot(loop_mount: LoopMount, as_user: AsUser) -> None:
    root = loop_mount("btrfs")
    subvolume.create(root / "images")
    root.chmod(0o777)  # the owner's folder lets others make a store beside
    user = ORDINARY_USERS[0]
    store = root / "store"
    store.mkdir()
    os.chown(store, user, user)

    def act() -> bool:
        return LocalData(root / "images", store, "images", environ={}).capabilities.instant

    assert as_user(user, act) is False


def test_reading_data_where_it_is_does_not_make_other_data_of_it(loop_mount: LoopMount) -> None:
    root = loop_mount("btrfs", options="strictatime")
    data = data_on(root)
    write(data.live, {"a": b"x"})
    before = data.driver.see_data()
    (data.live / "a").read_bytes()
    os.utime(data.live / "a", ns=(1, (data.live / "a").stat().st_mtime_ns))
    assert data.driver.see_data().steady == before.steady
    write(data.live, {"b": b"x"})
    assert data.driver.see_data().steady != before.steady


# -- on any file system --------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data volume in a plain folder."""
    write(tmp_path / "images", {"a.png": b"a"})
    return tmp_path / "images"


def test_a_plain_folder_is_written_down_by_what_its_root_tells(folder: Path) -> None:
    seen = see_data(folder, "")
    assert not seen.exact
    assert {"file system", "file system id", "mounted at", "mount source", "root changed"} <= seen.facts.keys()
    assert see_data(folder, "").token == seen.token
    write(folder, {"b.png": b"b"})
    assert see_data(folder, "").token != seen.token


def test_a_login_in_what_is_mounted_is_not_written_down(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mount = Mount(point=folder, kind="fuse", source="https://ada:secret@dav.example.org/ml")
    monkeypatch.setattr("ci_mlsnap.storage.pinning.mount_of", lambda path: mount)
    assert see_data(folder, "").facts["mount source"] == "https://dav.example.org/ml"


@pytest.mark.parametrize(
    ("names", "newest"),
    [
        (["daily.2026-01-09_0010", "daily.2026-01-10_0010"], "daily.2026-01-10_0010"),
        (["daily.9", "daily.10", "daily.1"], "daily.10"),
        (["daily.9", "daily.09", "daily.x"], "daily.x"),
    ],
)
def test_without_a_time_the_last_by_name_is_the_newest(folder: Path, names: list[str], newest: str) -> None:
    for name in names:
        (folder / ".snapshot" / name).mkdir(parents=True)
    assert see_data(folder, "daily.*").name == newest


def test_names_are_ordered_as_people_do() -> None:
    names = ["a10", "a9", "a", "b1", "10", "9"]
    assert sorted(names, key=natural) == ["a", "a9", "a10", "b1", "9", "10"]


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (1.5, "1970-01-01T00:00:01.500000+00:00"),
        (-1.0, "1969-12-31T23:59:59.000000+00:00"),
        (2.0**40, "1099511627776 s"),
        (-(2.0**62), "-4611686018427387904 s"),
    ],
)
def test_a_time_that_no_calendar_has_is_written_down_all_the_same(seconds: float, written: str) -> None:
    assert moment(seconds) == written


def test_data_below_a_folder_that_may_only_be_passed_is_looked_at(open_folder: Path, as_user: AsUser) -> None:
    path = open_folder / "home" / "images"
    path.mkdir(parents=True)
    path.parent.chmod(0o711)
    assert as_user(ORDINARY_USERS[0], lambda: see_data(path, "").facts["mounted at"])


def test_names_that_a_record_could_not_say_are_passed_over(folder: Path) -> None:
    for name in (b"daily.1", b"daily.\xff"):
        os.makedirs(os.path.join(os.fsencode(folder), b".snapshot", name))
    assert see_data(folder, "daily.*").name == "daily.1"


def test_what_is_mounted_may_have_any_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mount = Mount(point=folder, kind="ext4", source=os.fsdecode(b"/dev/caf\xe9"))
    monkeypatch.setattr("ci_mlsnap.storage.pinning.mount_of", lambda path: mount)
    assert see_data(folder, "").facts["mount source"] == "/dev/caf\\xe9"


@pytest.mark.parametrize("thing", ["file", "link"])
def test_only_folders_are_snapshots_of_the_owner(folder: Path, tmp_path: Path, thing: str) -> None:
    place = folder / ".snapshot"
    place.mkdir()
    if thing == "link":
        (place / "daily.1").symlink_to(tmp_path)
    else:
        (place / "daily.1").write_bytes(b"")
    with pytest.raises(NoSuchVersion) as caught:
        see_data(folder, "daily.*")
    assert caught.value.why == "there are 1, such as 'daily.1'"


def test_a_hostile_name_of_a_snapshot_is_never_shown(folder: Path) -> None:
    (folder / ".snapshot" / "x\n\x1b[2J").mkdir(parents=True)
    with pytest.raises(NoSuchVersion) as caught:
        see_data(folder, "*")
    assert "\x1b" not in caught.value.why + caught.value.what


@pytest.mark.parametrize("thing", ["nothing", "a file"])
def test_what_is_no_folder_is_no_data(tmp_path: Path, thing: str) -> None:
    place = tmp_path / "images"
    if thing == "a file":
        place.write_bytes(b"")
    with pytest.raises(VolumeMissing) as caught:
        see_data(place, "")
    assert bool(caught.value.why) == (thing == "a file")


def test_a_store_within_the_data_is_refused(folder: Path) -> None:
    driver = LocalData(folder, folder / "store", "images", environ={})
    with pytest.raises(VolumeRefused, match="not apart"):
        driver.initialise(project=PROJECT, model="")
    assert [path.name for path in folder.iterdir()] == ["a.png"]


def test_an_unknown_driver_is_said() -> None:
    with pytest.raises(ConfigInvalid, match=r"volumes\.images\.driver: 'nfs' is no driver"):
        open_data_driver(DataPlan(name="images", path="/x", driver="nfs", store="/y", pin="record"))
