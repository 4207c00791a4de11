"""What the ways that copy nothing do beyond the contract: on XFS by reflinks, on btrfs by subvolumes."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from ci_mlsnap.domain.manifest import Manifest
from ci_mlsnap.errors import IntegrityDamage, LateWriter, StorageFailed, TreeUnsupported
from ci_mlsnap.storage import reflink
from ci_mlsnap.storage.local import LocalDriver
from ci_mlsnap.testing.ground import (
    FIRST,
    MODEL,
    PROJECT,
    SECOND,
    look,
    manifest_of,
    marker_of,
    publish,
    write,
    write_sample,
)
from ci_mlsnap.trees import subvolume
from ci_mlsnap.trees.copy import Copied, copy_tree
from tests.conftest import AsUser, LoopMount


def driver_on(ground: Path) -> LocalDriver:
    return LocalDriver(ground / "models", ground / ".mlsnap/models", "models", environ={})


def filled(ground: Path) -> LocalDriver:
    driver = driver_on(ground)
    driver.initialise(project=PROJECT, model=MODEL)
    write_sample(ground / "models")
    return driver


@pytest.fixture
def btrfs(loop_mount: LoopMount) -> Path:
    """Give the root of a btrfs whose ordinary users may not destroy subvolumes."""
    return loop_mount("btrfs", 300)


@pytest.fixture(params=["xfs", "btrfs"])
def ground(request: pytest.FixtureRequest, loop_mount: LoopMount) -> Path:
    """Give a root on which nothing is copied."""
    return loop_mount(request.param, 300)


def used_bytes(root: Path) -> int:
    os.sync()
    space = os.statvfs(root)
    return (space.f_blocks - space.f_bfree) * space.f_frsize


# -- both ----------------------------------------------------------------------------------------------


def test_a_version_and_a_clone_need_no_space_of_their_own(ground: Path) -> None:
    driver = driver_on(ground)
    driver.initialise(project=PROJECT, model=MODEL)
    (ground / "models/weights").write_bytes(os.urandom(32 << 20))
    before = used_bytes(ground)
    publish(driver, ground / "models", FIRST)
    driver.clone(FIRST, ground / "clone")
    assert used_bytes(ground) - before < 2 << 20


def test_writing_to_a_clone_or_the_live_tree_leaves_the_version_as_it_is(ground: Path) -> None:
    driver = filled(ground)
    publish(driver, ground / "models", FIRST)
    before = look(driver.view(FIRST))
    driver.clone(FIRST, ground / "clone")
    for tree in (ground / "clone", ground / "models"):
        with (tree / "weights.bin").open("r+b") as file:
            file.write(b"changed")
    assert look(driver.view(FIRST)) == before
    driver.read_back(FIRST)


def test_setuid_is_in_no_version_and_comes_back_with_none(ground: Path) -> None:
    driver = filled(ground)
    (ground / "models/script.sh").chmod(0o6755)
    publish(driver, ground / "models", FIRST)
    assert stat.S_IMODE((driver.view(FIRST) / "script.sh").stat().st_mode) & 0o7555 == 0o555
    driver.restore(FIRST, ground / "models")
    assert stat.S_IMODE((ground / "models/script.sh").stat().st_mode) == 0o755


def test_a_version_that_was_not_inventoried_comes_back_with_its_modes(ground: Path) -> None:
    driver = filled(ground)
    frozen = driver.freeze(ground / "models", parent=None, full=False, inventory=False)
    header = manifest_of(driver, FIRST, frozen).header
    manifest = Manifest(header=msgspec.structs.replace(header, files_mode="none"))
    driver.seal(frozen, manifest, marker_of(FIRST, manifest))
    driver.read_back(FIRST)
    before = look(ground / "models")
    (ground / "models/weights.bin").write_bytes(b"changed")
    driver.restore(FIRST, ground / "models")
    assert look(ground / "models") == before


def test_lost_caches_cost_time_only(ground: Path) -> None:
    driver = filled(ground)
    publish(driver, ground / "models", FIRST)
    before = look(ground / "models")
    shutil.rmtree(ground / ".mlsnap/models/state/sealed")
    driver.read_back(FIRST)
    driver.restore(FIRST, ground / "models")
    assert look(ground / "models") == before


def test_a_store_on_another_file_system_is_copied_to(ground: Path, loop_mount: LoopMount) -> None:
    driver = LocalDriver(ground / "models", loop_mount("ext4") / "store", "models", environ={})
    assert driver.probe().way == "copy"
    assert "another file system" in driver.probe().why


# -- reflinks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["in place", "new", "gone"])
def test_a_writer_between_two_files_is_found_and_nothing_is_left(
    loop_mount: LoopMount, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    root = loop_mount("xfs")
    driver, live = filled(root), root / "models"

    def copy_then_write(*places: Path, **options: object) -> Copied:
        copied: Copied = copy_tree(*places, **options)  # type: ignore[arg-type]
        match change:
            case "in place":
                with (live / "weights.bin").open("r+b") as file:
                    file.write(b"late")
            case "new":
                (live / "late").write_bytes(b"")
            case _:
                (live / "private").unlink()
        return copied

    monkeypatch.setattr(reflink, "copy_tree", copy_then_write)
    with pytest.raises(LateWriter):
        driver.freeze(live, parent=None, full=False, inventory=True)
    assert list((root / ".mlsnap/models/snapshots").iterdir()) == []


def test_a_plain_folder_on_btrfs_is_told_how_to_become_a_subvolume(btrfs: Path) -> None:
    live = btrfs / "models"
    write(live, {"weights": b"from before"})
    driver = driver_on(btrfs)
    assert (driver.probe().way, driver.capabilities.instant) == ("reflink", False)
    commands = driver.probe().faster.partition(": ")[2]
    subprocess.run(["sh", "-ec", commands], check=True, stdout=subprocess.DEVNULL)
    driver = driver_on(btrfs)
    assert (driver.probe().way, driver.probe().faster) == ("btrfs", "")
    assert (live / "weights").read_bytes() == b"from before"


# -- subvolumes ----------------------------------------------------------------------------------------


def test_nobody_can_write_to_a_snapshot_not_even_root(btrfs: Path) -> None:
    driver = filled(btrfs)
    publish(driver, btrfs / "models", FIRST)
    with pytest.raises(OSError, match="Read-only"):
        (driver.view(FIRST) / "weights.bin").open("r+b")
    with pytest.raises(OSError, match="Read-only"):
        (driver.view(FIRST) / "more").touch()


def _rewritten(file: Path) -> None:
    facts = file.stat()
    with file.open("r+b") as opened:
        opened.write(b"!")
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))


@pytest.mark.parametrize("closed_again", [True, False])
def test_a_snapshot_that_was_opened_and_changed_is_found_damaged(btrfs: Path, closed_again: bool) -> None:
    driver = filled(btrfs)
    publish(driver, btrfs / "models", FIRST)
    subvolume.set_read_only(driver.view(FIRST).resolve(), read_only=False)
    _rewritten(driver.view(FIRST) / "weights.bin")
    subvolume.set_read_only(driver.view(FIRST).resolve(), read_only=closed_again)
    with pytest.raises(IntegrityDamage, match="weights"):
        driver.read_back(FIRST)
    with pytest.raises(IntegrityDamage, match="weights"):
        driver.restore(FIRST, btrfs / "models")


def test_a_snapshot_that_was_only_opened_is_still_whole(btrfs: Path) -> None:
    driver = filled(btrfs)
    publish(driver, btrfs / "models", FIRST)
    subvolume.set_read_only(driver.view(FIRST).resolve(), read_only=False)
    driver.read_back(FIRST)


@pytest.mark.parametrize("inventory", [True, False])
def test_a_subvolume_in_the_volume_is_refused_and_nothing_is_left(btrfs: Path, inventory: bool) -> None:
    driver = filled(btrfs)
    subvolume.create(btrfs / "models/epoch/nested")
    with pytest.raises(TreeUnsupported, match="subvolume"):
        driver.freeze(btrfs / "models", parent=None, full=False, inventory=inventory)
    assert list((btrfs / ".mlsnap/models/snapshots").iterdir()) == []


def test_the_state_of_a_tree_is_another_after_any_write_and_the_same_without(btrfs: Path) -> None:
    driver, live = filled(btrfs), btrfs / "models"
    frozen = driver.freeze(live, parent=None, full=False, inventory=True)
    assert frozen.state == driver.state_of(live) == driver.state_of(live)
    changes: list[Callable[[], object]] = [
        lambda: _rewritten(live / "weights.bin"),
        lambda: (live / "private").chmod(0o644),
        lambda: os.setxattr(live / "private", "user.more", b"1"),
        (live / "empty").rmdir,
        lambda: os.utime(live / "script.sh"),
    ]
    seen = {driver.state_of(live)}
    for change in changes:
        change()
        assert driver.state_of(live) not in seen
        seen.add(driver.state_of(live))


def test_a_restored_tree_is_a_subvolume_whose_state_is_known(btrfs: Path) -> None:
    driver, live = filled(btrfs), btrfs / "models"
    publish(driver, live, FIRST)
    (live / "weights.bin").write_bytes(b"changed")
    restored = driver.restore(FIRST, live)
    assert restored.state == driver.state_of(live) != ""


def test_training_that_makes_its_folder_anew_is_frozen_by_reflinks(btrfs: Path) -> None:
    driver, live = filled(btrfs), btrfs / "models"
    publish(driver, live, FIRST)
    shutil.rmtree(live, ignore_errors=True)
    shutil.rmtree(live, ignore_errors=True)
    live.mkdir(exist_ok=True)
    write(live, {"weights": b"new"})
    publish(driver, live, SECOND)
    assert (driver.view(SECOND) / "weights").read_bytes() == b"new"
    driver.restore(FIRST, live)
    assert subvolume.look(live) is not None


def test_an_ordinary_user_makes_restores_and_removes_versions_where_nothing_was_allowed(
    btrfs: Path, ordinary_users: tuple[int, int], as_user: AsUser
) -> None:
    ada, _ = ordinary_users
    os.chown(btrfs, ada, ada)

    def act() -> list[object]:
        driver = filled(btrfs)
        publish(driver, btrfs / "models", FIRST)
        publish(driver, btrfs / "models", SECOND, parent=FIRST)
        displaced = driver.restore(FIRST, btrfs / "models").displaced
        assert displaced is not None
        driver.purge(displaced)
        driver.delete(SECOND)
        return [driver.capabilities.way, sorted(os.listdir(btrfs / ".mlsnap/models/snapshots"))]

    assert as_user(ada, act) == ["btrfs", [str(FIRST)]]


@pytest.mark.parametrize("options", ["", "user_subvol_rm_allowed"])
def test_a_team_shares_a_store_and_another_users_subvolume_is_frozen_by_reflinks(
    loop_mount: LoopMount, ordinary_users: tuple[int, int], as_user: AsUser, options: str
) -> None:
    root = loop_mount("btrfs", 300, options)
    (ada, ben), team = ordinary_users, 12100
    os.chown(root, 0, team)
    root.chmod(0o2775)

    def first() -> str:
        os.umask(0o002)
        driver = driver_on(root)
        driver.initialise(project=PROJECT, model=MODEL)
        write(root / "models", {"weights": b"by ada"})
        return f"{publish(driver, root / 'models', FIRST)[0].name} {driver.capabilities.way}"

    def second() -> str:
        driver = driver_on(root)
        driver.read_back(FIRST)
        publish(driver, root / "models", SECOND, parent=FIRST)
        way = driver.capabilities.way
        (root / "models/weights").unlink()
        driver.restore(FIRST, root / "models")
        return f"{(root / 'models/weights').read_text()} {way}"

    assert as_user(ada, first, groups=[team]) == f"{FIRST} btrfs"
    assert as_user(ben, second, groups=[team]) == "by ada reflink"
    as_user(ada, lambda: driver_on(root).read_back(SECOND), groups=[team])


def test_another_file_system_that_is_mounted_in_a_tree_is_never_emptied_with_it(btrfs: Path) -> None:
    driver = driver_on(btrfs)
    driver.initialise(project=PROJECT, model=MODEL)
    clone = driver.clone(None, btrfs / "clone")
    (clone / "data").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(clone / "data")], check=True)
    try:
        (clone / "data/theirs").touch()
        with pytest.raises(StorageFailed):
            driver.remove_clone(clone)
        assert (clone / "data/theirs").exists()
    finally:
        subprocess.run(["umount", str(clone / "data")], check=True)
    driver.remove_clone(clone)
    assert not clone.exists()
