"""What the local driver does beyond the contract: its store, its caches, other users, other file systems."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import pytest

from ci_mlsnap.domain.manifest import Manifest
from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.errors import (
    IntegrityDamage,
    LateWriter,
    SnapshotConflict,
    StorageFailed,
    StorageFull,
    StorageReadOnly,
    StoreRefused,
    VolumeForeign,
    VolumeRefused,
)
from ci_mlsnap.storage import restoring, sharing, shelf
from ci_mlsnap.storage.copy import CopyWay
from ci_mlsnap.storage.facts import line_of, read_objects, update_objects
from ci_mlsnap.storage.layout import Store
from ci_mlsnap.storage.local import LocalDriver
from ci_mlsnap.testing.acts import rewrite_unseen
from ci_mlsnap.testing.ground import (
    FIRST,
    MODEL,
    PROJECT,
    SECOND,
    THIRD,
    every_stat,
    look,
    manifest_of,
    marker_of,
    publish,
    write,
    write_sample,
)
from ci_mlsnap.trees.copy import Copied, Reuse, copy_tree
from ci_mlsnap.trees.files import digest
from tests.conftest import AsUser, FailedAsUser, LoopMount


def driver_on(ground: Path, *, racy_seconds: float = 2.0) -> LocalDriver:
    store = ground / ".mlsnap/models"
    way = CopyWay(store=Store(root=store), racy_seconds=racy_seconds)
    return LocalDriver(ground / "models", store, "models", environ={}, way=way)


@pytest.fixture
def live(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / ".mlsnap/models"


@pytest.fixture
def driver(tmp_path: Path) -> LocalDriver:
    """A driver with a volume that holds the sample tree."""
    made = driver_on(tmp_path)
    made.initialise(project=PROJECT, model=MODEL)
    write_sample(tmp_path / "models")
    return made


# -- the store on disk ---------------------------------------------------------------------------------


def test_volume_and_store_name_the_same_id(driver: LocalDriver, live: Path, store: Path) -> None:
    record = json.loads((store / "volume.json").read_text())
    assert record == {
        "format": "mlsnap/volume/1",
        "id": driver.volume_id,
        "project": PROJECT,
        "model": MODEL,
        "name": "models",
        "path": str(live.resolve()),
    }
    assert json.loads((live / ".mlsnap/volume.json").read_text()) == {
        "format": "mlsnap/volume/1",
        "id": driver.volume_id,
    }
    assert len(driver.volume_id) == 32
    assert {entry.name for entry in store.iterdir()} == {"volume.json", "snapshots", "work", "state"}


def test_a_version_is_reached_through_the_volume_also_after_all_was_moved(
    driver: LocalDriver, live: Path, tmp_path: Path
) -> None:
    publish(driver, live, FIRST)
    assert driver.view(FIRST) == live / ".snapshot" / str(FIRST)
    assert not Path(os.readlink(live / ".snapshot")).is_absolute()
    moved = tmp_path.with_name(tmp_path.name + "-moved")
    tmp_path.rename(moved)
    try:
        assert (moved / "models/.snapshot" / str(FIRST) / "epoch/1/log.txt").read_bytes() == b"loss 0.5\n"
        driver_on(moved).read_back(FIRST)
    finally:
        moved.rename(tmp_path)


def test_a_version_is_still_there_when_the_volume_is_gone(driver: LocalDriver, live: Path, store: Path) -> None:
    publish(driver, live, FIRST)
    shutil.rmtree(live)
    assert driver.view(FIRST) == store / "snapshots" / str(FIRST)
    driver.read_back(FIRST)


def test_a_snapshot_can_be_written_to_by_nobody(driver: LocalDriver, live: Path, store: Path) -> None:
    publish(driver, live, FIRST)
    root = store / "snapshots" / str(FIRST)
    found = (root, *root.rglob("*"))
    assert all(path.is_symlink() or not path.lstat().st_mode & 0o222 for path in found)


def test_unchanged_files_are_one_file_in_all_versions(driver: LocalDriver, live: Path, store: Path) -> None:
    publish(driver, live, FIRST)
    write(live, {"epoch/1/log.txt": b"loss 0.25\n"})
    publish(driver, live, SECOND, parent=FIRST)
    one, other = (store / "snapshots" / str(name) for name in (FIRST, SECOND))
    assert (one / "weights.bin").samefile(other / "weights.bin")
    assert not (one / "epoch/1/log.txt").samefile(other / "epoch/1/log.txt")
    inodes = {path.lstat().st_ino for path in live.rglob("*") if not path.is_relative_to(live / ".snapshot")}
    assert inodes.isdisjoint(path.lstat().st_ino for path in other.rglob("*"))


def test_setuid_is_in_no_version_and_comes_back_with_none(driver: LocalDriver, live: Path) -> None:
    (live / "script.sh").chmod(0o6755)
    publish(driver, live, FIRST)
    assert stat.S_IMODE((driver.view(FIRST) / "script.sh").stat().st_mode) == 0o555
    driver.restore(FIRST, live)
    assert stat.S_IMODE((live / "script.sh").stat().st_mode) == 0o755


def test_the_root_of_a_restored_tree_keeps_the_mode_it_had(driver: LocalDriver, live: Path) -> None:
    publish(driver, live, FIRST)
    live.chmod(0o2775)
    driver.restore(FIRST, live, way="swap")
    assert stat.S_IMODE(live.stat().st_mode) == 0o2775


def test_a_clone_in_an_open_folder_is_not_open_itself(driver: LocalDriver, live: Path, tmp_path: Path) -> None:
    publish(driver, live, FIRST)
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o1777)
    for name in (FIRST, None):
        clone = driver.clone(name, tmp_path / "open" / f"clone-{name}")
        assert not clone.stat().st_mode & 0o002


# -- binding -------------------------------------------------------------------------------------------


def test_a_script_may_make_its_folder_anew(driver: LocalDriver, live: Path) -> None:
    publish(driver, live, FIRST)
    before, made = look(live), driver.volume_id
    shutil.rmtree(live)
    write(live, {"weights.bin": b"anew"})
    assert driver.initialise(project=PROJECT, model=MODEL) == made
    assert (live / "weights.bin").read_bytes() == b"anew"
    driver.restore(FIRST, live)
    assert look(live) == before


def test_a_folder_without_an_id_is_not_restored_over(driver: LocalDriver, live: Path, tmp_path: Path) -> None:
    publish(driver, live, FIRST)
    other = tmp_path / "other"
    write(other, {"precious": b"work"})
    with pytest.raises(VolumeForeign):
        driver.restore(FIRST, other)
    assert look(other).keys() == {"precious"}


def test_what_shows_where_the_volumes_disk_is_not_mounted_is_not_taken(
    loop_mount: LoopMount, live: Path, tmp_path: Path
) -> None:
    store = loop_mount("ext4") / "store"
    driver = LocalDriver(live, store, "models", environ={})
    driver.initialise(project=PROJECT, model=MODEL)
    write_sample(live)
    publish(driver, live, FIRST)
    shutil.rmtree(live)
    write(live, {"something": b"else"})
    with pytest.raises(VolumeForeign):
        driver.initialise(project=PROJECT, model=MODEL)
    assert look(live).keys() == {"something"}


def test_a_volume_whose_store_is_elsewhere_is_not_bound_again(
    driver: LocalDriver, live: Path, tmp_path: Path
) -> None:
    other = LocalDriver(live, tmp_path / "another-store", "models", environ={})
    with pytest.raises(VolumeForeign) as refused:
        other.initialise(project=PROJECT, model=MODEL)
    assert "volume.json" in refused.value.hint
    assert not other.volume_id


def test_a_second_work_tree_has_its_own_live_tree_of_the_same_store(
    driver: LocalDriver, live: Path, store: Path, tmp_path: Path
) -> None:
    publish(driver, live, FIRST)
    (tmp_path / "second").mkdir()
    second = LocalDriver(tmp_path / "second/models", store, "models", environ={})
    assert second.initialise(project=PROJECT, model=MODEL) == driver.volume_id
    second.restore(FIRST, tmp_path / "second/models")
    assert look(tmp_path / "second/models") == look(live)
    assert second.view(FIRST) == tmp_path / "second/models/.snapshot" / str(FIRST)


@pytest.mark.parametrize("thing", ["link", "file", "fifo"])
def test_nothing_that_training_put_in_the_records_place_is_followed_or_waited_for(
    driver: LocalDriver, live: Path, tmp_path: Path, thing: str
) -> None:
    publish(driver, live, FIRST)
    outside = tmp_path / "outside"
    shutil.copytree(live / ".mlsnap", outside)
    shutil.rmtree(live / ".mlsnap")
    match thing:
        case "link":
            (live / ".mlsnap").symlink_to(outside)
        case "file":
            (live / ".mlsnap").write_bytes(b"")
        case _:
            (live / ".mlsnap").mkdir()
            os.mkfifo(live / ".mlsnap/volume.json")
    before = every_stat(outside)
    with pytest.raises(VolumeRefused):
        driver.initialise(project=PROJECT, model=MODEL)
    with pytest.raises(VolumeRefused):
        driver.restore(FIRST, live)
    assert every_stat(outside) == before


@pytest.mark.parametrize("content", [b"", b"{", b"\xff" * 10, b'{"format":"mlsnap/volume/9","id":"x"}', b"[]"])
def test_a_damaged_record_is_told(driver: LocalDriver, live: Path, store: Path, content: bytes) -> None:
    (live / ".mlsnap/volume.json").write_bytes(content)
    with pytest.raises(IntegrityDamage):
        driver.initialise(project=PROJECT, model=MODEL)
    (store / "volume.json").write_bytes(content)
    with pytest.raises(IntegrityDamage):
        _ = driver.volume_id


def test_a_folder_of_somebodys_named_snapshot_is_refused_before_anything_is_made(
    tmp_path: Path, live: Path
) -> None:
    write(live, {".snapshot/somebody": b"else's"})
    with pytest.raises(VolumeRefused, match="snapshot"):
        driver_on(tmp_path).initialise(project=PROJECT, model=MODEL)
    assert not (live / ".mlsnap").exists()


def test_an_unsafe_store_is_refused_when_it_is_used(driver: LocalDriver, store: Path) -> None:
    store.chmod(0o777)
    with pytest.raises(StoreRefused):
        driver.initialise(project=PROJECT, model=MODEL)
    with pytest.raises(StoreRefused):
        driver.probe()


# -- what is remembered --------------------------------------------------------------------------------


@pytest.fixture
def read_bytes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collect how many bytes are read of files that are there already, to take their digest."""
    counted: list[int] = []

    def counting(file: int, size: int, go_on: Callable[[], None]) -> str:
        counted.append(size)
        return digest(file, size, go_on)

    monkeypatch.setattr("ci_mlsnap.storage.reading.digest", counting)
    return counted


def test_unchanged_files_are_not_read_again(tmp_path: Path, live: Path, read_bytes: list[int]) -> None:
    driver = driver_on(tmp_path, racy_seconds=0.0)
    driver.initialise(project=PROJECT, model=MODEL)
    write(live, {f"part-{number}": bytes([number]) * 1000 for number in range(5)})
    publish(driver, live, FIRST)
    (live / "part-3").write_bytes(b"changed" * 100)
    publish(driver, live, SECOND, parent=FIRST)
    driver.read_back(SECOND)
    assert sum(read_bytes) == 0
    publish(driver, live, THIRD, parent=SECOND, full=True)
    assert sum(read_bytes) == 4700


def test_files_changed_just_before_the_last_look_are_read_again(
    tmp_path: Path, live: Path, read_bytes: list[int]
) -> None:
    driver = driver_on(tmp_path, racy_seconds=3600.0)
    driver.initialise(project=PROJECT, model=MODEL)
    write(live, {"part": b"x" * 1000})
    publish(driver, live, FIRST)
    read_bytes.clear()
    _, frozen = publish(driver, live, SECOND, parent=FIRST)
    assert (sum(read_bytes), frozen.copied_bytes) == (1000, 0)


def test_a_restore_file_by_file_reads_what_it_does_not_know(
    tmp_path: Path, live: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ci_mlsnap.storage.sync.RACY_SECONDS", 0.0)
    read: list[int] = []

    def counting(file: int, size: int, go_on: Callable[[], None]) -> str:
        read.append(size)
        return digest(file, size, go_on)

    driver = driver_on(tmp_path, racy_seconds=0.0)
    driver.initialise(project=PROJECT, model=MODEL)
    write(live, {f"part-{number}": bytes([number]) * 1000 for number in range(5)})
    publish(driver, live, FIRST)
    before = look(live)
    write(live, {"part-3": b"other" * 200})
    publish(driver, live, SECOND, parent=FIRST)
    monkeypatch.setattr("ci_mlsnap.trees.compare.digest", counting)

    def bytes_read(name: SnapshotName, *, full: bool = False) -> int:
        read.clear()
        driver.restore(name, live, way="sync", full=full)
        return sum(read)

    assert bytes_read(FIRST) == 0
    assert look(live) == before
    assert bytes_read(FIRST) == 1000  # what the restore wrote itself
    assert bytes_read(FIRST) == 0
    assert bytes_read(FIRST, full=True) == 5000


def test_a_restore_file_by_file_finds_what_changed_behind_size_and_time(
    tmp_path: Path, live: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ci_mlsnap.storage.sync.RACY_SECONDS", 0.0)
    driver = driver_on(tmp_path, racy_seconds=0.0)
    driver.initialise(project=PROJECT, model=MODEL)
    write_sample(live)
    publish(driver, live, FIRST)
    before = look(live)
    driver.restore(FIRST, live, way="sync")
    rewrite_unseen(live / "weights.bin")
    os.setxattr(live / "script.sh", "user.other", b"x")
    driver.restore(FIRST, live, way="sync")
    assert look(live) == before


def test_shared_files_are_not_read_again_after_one_of_their_versions_went(
    tmp_path: Path, live: Path, read_bytes: list[int]
) -> None:
    driver = driver_on(tmp_path, racy_seconds=0.0)
    driver.initialise(project=PROJECT, model=MODEL)
    write(live, {"weights": b"x" * 1000})
    os.link(live / "weights", live / "again")
    publish(driver, live, FIRST)
    publish(driver, live, SECOND, parent=FIRST)
    driver.delete(FIRST)
    read_bytes.clear()
    _, frozen = publish(driver, live, THIRD, parent=SECOND)
    driver.read_back(THIRD)
    assert (sum(read_bytes), frozen.copied_bytes) == (0, 0)


@pytest.mark.parametrize("content", [None, b"", b"garbage", b"\x93\x01\x02\x03"])
def test_lost_or_damaged_caches_cost_time_only(
    driver: LocalDriver, live: Path, store: Path, content: bytes | None
) -> None:
    publish(driver, live, FIRST)
    for file in (store / "state/objects", *(store / "state/stat-cache").iterdir()):
        file.unlink() if content is None else file.write_bytes(content)
    driver.read_back(FIRST)
    _, frozen = publish(driver, live, SECOND, parent=FIRST)
    assert frozen.copied_bytes == 0
    driver.read_back(SECOND)


def test_a_file_that_has_too_many_links_is_copied(
    driver: LocalDriver, live: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(driver, live, FIRST)
    monkeypatch.setattr(sharing, "MOST_LINKS", 1)
    _, frozen = publish(driver, live, SECOND, parent=FIRST)
    assert frozen.copied_bytes > 0
    assert look(driver.view(SECOND), write_bits=False) == look(live, write_bits=False)


def test_damage_that_hides_behind_all_times_is_found_by_the_restore(
    driver: LocalDriver, live: Path, store: Path
) -> None:
    """A disk that returns other bytes changes no time at all: what is restored is read and held to its digest."""
    publish(driver, live, FIRST)
    victim = store / "snapshots" / str(FIRST) / "weights.bin"
    _flip(victim)
    inode = victim.stat().st_ino
    sealed = read_objects(store / "state")[inode][16:].hex()
    update_objects(store / "state", {inode: line_of(victim.stat(), sealed)})
    before = every_stat(live)
    with pytest.raises(IntegrityDamage, match="weights"):
        driver.restore(FIRST, live, way="swap")
    assert every_stat(live) == before


def _flip(file: Path) -> None:
    mode = file.stat().st_mode
    file.chmod(0o600)
    with file.open("r+b") as opened:
        opened.write(b"?")
    file.chmod(stat.S_IMODE(mode))


@pytest.mark.parametrize(
    "harm",
    ["mode", "time", "gone", "more", "other link", "attribute", "folder for a file", "links parted"],
)
def test_any_change_in_a_snapshot_is_found(driver: LocalDriver, live: Path, store: Path, harm: str) -> None:
    publish(driver, live, FIRST)
    root = store / "snapshots" / str(FIRST)
    subprocess.run(["chmod", "-R", "u+w", str(root)], check=True)
    driver.read_back(FIRST)
    match harm:
        case "mode":
            (root / "script.sh").chmod(0o555 ^ 0o100)
        case "time":
            os.utime(root / "epoch", ns=(1, 1))
        case "gone":
            (root / "epoch/1/log.txt").unlink()
        case "more":
            (root / "epoch/1/more").write_bytes(b"")
        case "other link":
            (root / "latest").unlink()
            (root / "latest").symlink_to("weights.bin")
        case "attribute":
            try:
                os.setxattr(root / "script.sh", "user.more", b"x")
            except OSError:
                (root / "script.sh").unlink()
        case "folder for a file":
            (root / "script.sh").unlink()
            (root / "script.sh").mkdir()
        case _:
            found = (root / "weights.bin").stat()
            shutil.copy2(root / "weights.bin", root / "epoch/beside")
            os.replace(root / "epoch/beside", root / "epoch/weights-again.bin")
            os.utime(root / "epoch/weights-again.bin", ns=(1, found.st_mtime_ns))
    with pytest.raises(IntegrityDamage):
        driver.read_back(FIRST)


# -- writers -------------------------------------------------------------------------------------------


def test_a_file_that_rots_between_freezing_and_sealing_is_found_by_the_read_back(
    driver: LocalDriver, live: Path
) -> None:
    publish(driver, live, FIRST)
    frozen = driver.freeze(live, parent=FIRST, full=False, inventory=True)
    _rot((driver.view(FIRST) / "weights.bin").resolve())
    manifest = manifest_of(driver, SECOND, frozen, sequence=2)
    driver.seal(frozen, manifest, marker_of(SECOND, manifest))
    for name in (FIRST, SECOND):
        with pytest.raises(IntegrityDamage, match="weights"):
            driver.read_back(name)


def _rot(file: Path) -> None:
    """Change a byte behind the file's size and modification time."""
    facts = file.stat()
    _flip(file)
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))


@pytest.mark.parametrize("change", ["in place", "appended", "new", "gone", "mode"])
def test_a_writer_after_the_first_look_is_found_and_nothing_is_left(
    driver: LocalDriver, live: Path, store: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    publish(driver, live, FIRST)

    def copy_then_write(
        source: Path, destination: Path, *, reuse: Mapping[bytes, Reuse], digests: bool, put_away: bool
    ) -> Copied:
        copied = copy_tree(source, destination, reuse=reuse, digests=digests, put_away=put_away)
        match change:
            case "in place":
                _flip(live / "weights.bin")
            case "appended":
                with (live / "epoch/1/log.txt").open("ab") as file:
                    file.write(b"late")
            case "new":
                (live / "late").write_bytes(b"")
            case "gone":
                (live / "private").unlink()
            case _:
                (live / "private").chmod(0o644)
        return copied

    monkeypatch.setattr("ci_mlsnap.storage.copy.copy_tree", copy_then_write)
    before = {path.name for path in (store / "snapshots").iterdir()}
    with pytest.raises(LateWriter):
        driver.freeze(live, parent=FIRST, full=False, inventory=True)
    assert {path.name for path in (store / "snapshots").iterdir()} == before


def test_two_processes_that_publish_under_one_name_make_one_version(
    tmp_path: Path, driver: LocalDriver, live: Path
) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from ci_mlsnap.errors import SnapshotConflict\n"
        "from ci_mlsnap.storage.local import LocalDriver\n"
        "from ci_mlsnap.testing.ground import FIRST, publish\n"
        "ground = Path(sys.argv[1])\n"
        "driver = LocalDriver(ground / 'models', ground / '.mlsnap/models', 'models', environ={})\n"
        "sys.stdin.readline()\n"
        "try: publish(driver, ground / 'models', FIRST, sequence=int(sys.argv[2])); print('made')\n"
        "except SnapshotConflict: print('conflict')\n"
    )
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        for number in range(4)
    ]
    for run in runs:
        assert run.stdin is not None
        run.stdin.write("go\n")
        run.stdin.flush()
    said = [run.communicate(timeout=60)[0].strip() for run in runs]
    assert sorted(said) == ["conflict"] * 3 + ["made"]
    driver.read_back(FIRST)
    assert [snapshot.name for snapshot in driver.list()] == [str(FIRST)]


# -- without an inventory ------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["swap", "sync"])
def test_a_version_that_was_not_inventoried_comes_back_with_its_modes(
    driver: LocalDriver, live: Path, way: str
) -> None:
    frozen = driver.freeze(live, parent=None, full=False, inventory=False)
    assert frozen.inventory.entries == ()
    header = manifest_of(driver, FIRST, frozen).header
    manifest = Manifest(header=msgspec.structs.replace(header, files_mode="none"))
    driver.seal(frozen, manifest, marker_of(FIRST, manifest))
    driver.read_back(FIRST)
    before = look(live)
    (live / "weights.bin").write_bytes(b"changed")
    (live / "more").write_bytes(b"")
    driver.restore(FIRST, live, way="swap" if way == "swap" else "sync")
    assert look(live) == before


# -- other file systems --------------------------------------------------------------------------------


def test_a_store_on_another_file_system_restores_file_by_file(loop_mount: LoopMount, live: Path) -> None:
    driver = LocalDriver(live, loop_mount("ext4") / "store", "models", environ={})
    driver.initialise(project=PROJECT, model=MODEL)
    write_sample(live)
    before = look(live)
    publish(driver, live, FIRST)
    (live / "weights.bin").write_bytes(b"changed")
    (live / "bad").symlink_to("/etc/passwd")
    os.mkfifo(live / "pipe")
    restored = driver.restore(FIRST, live)
    assert (restored.way, look(live)) == ("sync", before)
    assert restored.changed == 4  # both names of the weights, and two things that were too much
    with pytest.raises(StorageFailed):
        driver.restore(FIRST, live, way="swap")
    assert look(live) == before


def test_a_full_disk_leaves_nothing_and_the_versions_whole(loop_mount: LoopMount) -> None:
    ground = loop_mount("ext4", 24) / "ground"
    ground.mkdir()
    driver = driver_on(ground)
    driver.initialise(project=PROJECT, model=MODEL)
    live = ground / "models"
    (live / "weights").write_bytes(os.urandom(6 << 20))
    publish(driver, live, FIRST)
    (live / "weights").write_bytes(os.urandom(6 << 20))
    before = set(every_stat(ground))
    (live / "more").write_bytes(os.urandom(5 << 20))
    with pytest.raises(StorageFull):
        driver.freeze(live, parent=FIRST, full=False, inventory=True)
    with pytest.raises(StorageFull):
        driver.restore(FIRST, live)
    (live / "more").unlink()
    assert set(every_stat(ground)) == before
    driver.read_back(FIRST)


def test_a_read_only_disk_is_told_and_versions_can_be_read(loop_mount: LoopMount) -> None:
    mount = loop_mount("ext4")
    ground = mount / "ground"
    ground.mkdir()
    driver = driver_on(ground)
    driver.initialise(project=PROJECT, model=MODEL)
    write_sample(ground / "models")
    publish(driver, ground / "models", FIRST)
    subprocess.run(["mount", "-o", "remount,ro", str(mount)], check=True)
    driver.read_back(FIRST)
    for act in (
        lambda: driver.freeze(ground / "models", parent=FIRST, full=False, inventory=True),
        lambda: driver.restore(FIRST, ground / "models"),
        lambda: driver.hold(FIRST, "ada"),
        lambda: driver.delete(FIRST),
        driver.probe,
    ):
        with pytest.raises(StorageReadOnly):
            act()


# -- other users ---------------------------------------------------------------------------------------


def test_a_team_shares_a_volume_through_its_group(
    open_folder: Path, ordinary_users: tuple[int, int], as_user: AsUser
) -> None:
    """Each reads what the other published; another's files are copied: the kernel lets only owners link them."""
    ada, ben = ordinary_users
    (open_folder / "ml").mkdir()
    os.chown(open_folder / "ml", ada, ada)

    def first() -> str:
        driver = driver_on(open_folder / "ml")
        driver.initialise(project=PROJECT, model=MODEL)
        write(open_folder / "ml/models", {"weights": b"by ada"})
        return publish(driver, open_folder / "ml/models", FIRST)[0].name

    def second() -> int:
        driver = driver_on(open_folder / "ml")
        return driver.freeze(open_folder / "ml/models", parent=FIRST, full=False, inventory=True).copied_bytes

    assert as_user(ada, first) == str(FIRST)
    as_user(ben, lambda: driver_on(open_folder / "ml").read_back(FIRST))
    with pytest.raises(FailedAsUser) as failed:
        as_user(ben, second)
    assert failed.value.kind == "StorageReadOnly"
    _let_write(open_folder / "ml/.mlsnap/models", ben)
    assert as_user(ben, second) == len(b"by ada")


def _let_write(store: Path, group: int) -> None:
    for folder in (store / "snapshots", store / "state"):
        os.chown(folder, -1, group)
        folder.chmod(0o2775)


def test_where_trees_cannot_be_exchanged_files_are_replaced_one_by_one(
    driver: LocalDriver, live: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(driver, live, FIRST)
    before = look(live)
    (live / "weights.bin").write_bytes(b"changed")

    def no_exchange(*_: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(restoring, "exchange", no_exchange)
    with pytest.raises(StorageFailed):
        driver.restore(FIRST, live, way="swap")
    assert (live / "weights.bin").read_bytes() == b"changed"
    assert driver.restore(FIRST, live).way == "sync"
    assert look(live) == before
    assert list(driver.trash()) == []


# -- trash, names, depth -------------------------------------------------------------------------------


def test_only_trash_is_purged(driver: LocalDriver, live: Path, store: Path) -> None:
    publish(driver, live, FIRST)
    displaced = driver.restore(FIRST, live, way="swap").displaced
    assert displaced is not None and list(driver.trash()) == [displaced]
    for place in (
        live,
        store / "snapshots" / str(FIRST),
        store / "snapshots/.trash-../x",
        store / ".trash-" / ("0" * 16),
    ):
        with pytest.raises(StorageFailed):
            driver.purge(place)
    driver.purge(displaced)
    driver.purge(displaced)
    assert list(driver.trash()) == []
    driver.read_back(FIRST)


@pytest.mark.parametrize("token", ["", "../../models", "0123456789abcdeF", "0" * 15])
def test_a_token_that_is_none_reaches_nothing(driver: LocalDriver, live: Path, token: str) -> None:
    before = every_stat(live)
    with pytest.raises(StorageFailed):
        driver.discard(token)
    assert every_stat(live) == before


def test_a_name_that_was_announced_but_never_there_can_be_used_by_the_same_run(
    driver: LocalDriver, live: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash between the ledger's line and the rename spends no number: nobody ever saw it."""

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shelf, "rename_without_replacing", crash)
        with pytest.raises(KeyboardInterrupt):
            publish(driver, live, FIRST, sequence=1)
    assert driver.get(FIRST) is None and list(driver.list()) == []
    publish(driver, live, FIRST, sequence=2)
    assert driver.manifest_header(FIRST).sequence == 2
    with pytest.raises(SnapshotConflict):
        publish(driver, live, FIRST, sequence=1)


def test_a_broken_ledger_is_told_and_nothing_is_made(driver: LocalDriver, live: Path, store: Path) -> None:
    publish(driver, live, FIRST)
    ledger = store / "state/ledger"
    ledger.write_bytes(ledger.read_bytes().replace(b"publish", b"republi", 1))
    before = set(every_stat(store))
    for act in (driver.list, lambda: driver.get(FIRST), lambda: publish(driver, live, SECOND)):
        with pytest.raises(IntegrityDamage):
            act()
    assert {path for path in every_stat(store) if ".partial-" not in path} == before


def test_a_torn_line_at_the_ledgers_end_is_what_a_crash_leaves(
    driver: LocalDriver, live: Path, store: Path
) -> None:
    publish(driver, live, FIRST)
    with (store / "state/ledger").open("ab") as file:
        file.write(b'{"n":2,"prev":"')
    driver.read_back(FIRST)
    publish(driver, live, SECOND, parent=FIRST)
    assert [snapshot.marker is None for snapshot in driver.list()] == [False, False]


@pytest.mark.parametrize("way", ["swap", "sync"])
def test_a_tree_deeper_than_any_path_comes_back(driver: LocalDriver, live: Path, way: str) -> None:
    bottom = os.open(live, os.O_RDONLY)
    for _ in range(105):  # 4,305 bytes, where a path may have 4,096
        os.mkdir("d" * 40, dir_fd=bottom)
        below = os.open("d" * 40, os.O_RDONLY, dir_fd=bottom)
        os.close(bottom)
        bottom = below
    with os.fdopen(os.open("deep", os.O_WRONLY | os.O_CREAT, dir_fd=bottom), "wb") as file:
        file.write(b"at the bottom")
    publish(driver, live, FIRST)
    os.unlink("deep", dir_fd=bottom)
    os.mkdir("deep", dir_fd=bottom)
    os.close(bottom)
    publish(driver, live, SECOND, parent=FIRST)
    driver.restore(FIRST, live, way="swap" if way == "swap" else "sync")
    driver.read_back(SECOND)
    _, frozen = publish(driver, live, THIRD, parent=FIRST)
    assert frozen.inventory.entries == driver.manifest(FIRST).entries
    for tree in (live, *driver.trash()):
        subprocess.run(["rm", "-rf", str(tree)], check=True)
    for name in (FIRST, SECOND, THIRD):
        driver.delete(name)
    assert list(driver.list()) == []


def test_the_names_of_many_attempts_are_all_used(driver: LocalDriver, live: Path) -> None:
    names = [FIRST, SnapshotName(sha=FIRST.sha, attempt=2), SnapshotName(sha=FIRST.sha, keep=1)]
    for name in names:
        publish(driver, live, name)
    driver.delete(names[1])
    assert list(driver.used_names()) == names
