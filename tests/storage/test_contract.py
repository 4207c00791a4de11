"""Every driver of ours keeps the contract."""

from __future__ import annotations

import os
import shutil
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.ports import Driver
from ci_mlsnap.storage.local import LocalDriver
from ci_mlsnap.testing import DriverContract, DriverUnderTest, MemoryDriver, MemoryStorage
from ci_mlsnap.trees import subvolume
from tests.conftest import ORDINARY_USERS, AsUser, FileSystem, LoopMount


def local_on(ground: Path) -> DriverUnderTest:
    """A local driver with volume and store below a folder."""
    live, store, scratch = ground / "ml/digits", ground / "ml/.mlsnap/digits", ground / "scratch"
    live.parent.mkdir()
    scratch.mkdir()

    def reopen() -> LocalDriver:
        return LocalDriver(live, store, "digits", environ={})

    return DriverUnderTest(
        driver=reopen(),
        live=live,
        scratch=scratch,
        ground=ground,
        reopen=reopen,
        plant=lambda name, tree: plant(tree, store / "snapshots" / name),
        damage=lambda name, path: damage_stored(store / "snapshots" / str(name), path),
    )


def memory_on(ground: Path) -> DriverUnderTest:
    """A memory driver whose trees are below a folder."""
    live, scratch, storage = ground / "live", ground / "scratch", MemoryStorage(folder=ground / "storage")
    scratch.mkdir()

    def reopen() -> Driver:
        return MemoryDriver(live, storage)

    def stored(name: SnapshotName, path: str) -> Path:
        return storage.place("snapshots", str(name)) / path

    return DriverUnderTest(
        driver=reopen(),
        live=live,
        scratch=scratch,
        ground=ground,
        reopen=reopen,
        plant=lambda name, tree: plant(tree, storage.place("snapshots", name)),
        damage=lambda name, path: damage(stored(name, path)),
    )


def plant(tree: Path, place: Path) -> None:
    """Copy a tree as anybody could."""
    shutil.copytree(tree, place, symlinks=True, ignore=shutil.ignore_patterns(".snapshot"))


def damage_stored(snapshot: Path, path: str) -> None:
    """Damage a file of a snapshot; one that nobody can write to is opened up first, and closed again."""
    tree = subvolume.look(snapshot)
    if tree is not None:
        subvolume.set_read_only(snapshot, read_only=False)
    damage(snapshot / path)
    if tree is not None:
        subvolume.set_read_only(snapshot, read_only=True)


def damage(file: Path) -> None:
    """Change one bit, as a failing disk or a careless owner does: size and modification time stay."""
    before = file.stat()
    file.chmod(0o600)
    with file.open("r+b") as opened:
        first = opened.read(1)
        opened.seek(0)
        opened.write(bytes([first[0] ^ 1]))
    file.chmod(before.st_mode & 0o777)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


class TestMemory(DriverContract):
    """Books in memory, trees in folders."""

    @pytest.fixture
    def driver(self, tmp_path: Path) -> DriverUnderTest:
        return memory_on(tmp_path)


class TestLocalCopy(DriverContract):
    """The copy way, in a temporary folder, as whoever runs the tests."""

    @pytest.fixture
    def driver(self, tmp_path: Path) -> DriverUnderTest:
        return local_on(tmp_path)


# -- on a file system of its own, as root and as an ordinary user ----------------------------------------


GROUNDS: list[tuple[FileSystem, str, str]] = [
    ("ext4", "barrier=0", "copy"),
    ("xfs", "", "reflink"),
    ("btrfs", "", "btrfs"),
    ("btrfs", "user_subvol_rm_allowed", "btrfs"),
]
"""File systems with their mount options, and the way that is picked there."""


@pytest.mark.parametrize("user", [0, ORDINARY_USERS[0]])
@pytest.mark.parametrize(("fs", "options", "way"), GROUNDS)
def test_each_way_keeps_the_contract_on_its_file_system(
    loop_mount: LoopMount, as_user: AsUser, fs: FileSystem, options: str, way: str, user: int
) -> None:
    root = loop_mount(fs, 600, options)
    os.chown(root, user, user)
    assert as_user(user, lambda: broken_promises(root, way)) == []


@pytest.mark.parametrize("user", [0, ORDINARY_USERS[0]])
def test_a_plain_folder_on_btrfs_keeps_the_contract_by_reflinks(
    loop_mount: LoopMount, as_user: AsUser, user: int
) -> None:
    root = loop_mount("btrfs", 600)
    os.chown(root, user, user)
    assert (
        as_user(user, lambda: broken_promises(root, "reflink", prepare=lambda driver: driver.live.mkdir())) == []
    )


def broken_promises(
    root: Path, way: str, *, prepare: Callable[[DriverUnderTest], object] = lambda driver: None
) -> list[str]:
    """Run every test of the contract, each on fresh ground, and say which failed and how."""
    broken: list[str] = []
    for number, (name, act) in enumerate(contract_tests()):
        ground = root / str(number)
        ground.mkdir()
        try:
            driver = local_on(ground)
            prepare(driver)
            assert driver.driver.capabilities.way == way
            act(driver)
        except Exception:  # noqa: BLE001 - whatever it raised, the others are to run too
            broken.append(f"{name}: {traceback.format_exc()}")
    return broken


def contract_tests() -> Iterator[tuple[str, Callable[[DriverUnderTest], None]]]:
    """Give every test of the drivers' contract."""
    return contract_tests_of(DriverContract())


def contract_tests_of(contract: object) -> Iterator[tuple[str, Callable[..., None]]]:
    """Give every test of a contract, with each of its parameters, to be called with a driver."""
    for name in sorted(name for name in dir(contract) if name.startswith("test_")):
        act = getattr(contract, name)
        for given in parameters(act):
            yield f"{name} {given or ''}", partial(act, **given)


def parameters(act: Callable[..., None]) -> Iterator[dict[str, Any]]:
    marks = [mark for mark in getattr(act, "pytestmark", ()) if mark.name == "parametrize"]
    if not marks:
        yield {}
    for mark in marks:
        names, rows = mark.args
        for row in rows:
            yield {names: row} if isinstance(names, str) else dict(zip(names, row, strict=True))
