"""A process that dies at any step: what is there afterwards is whole, and doing it again ends the same.

Each step is a call that changes something on disk. The work is done in a child that dies, without any clean-up,
just before its n-th step, for every n until it gets through.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ci_mlsnap.storage import restoring, shelf, trash
from ci_mlsnap.storage.local import LocalDriver
from ci_mlsnap.storage.placement import file_system_of
from ci_mlsnap.testing.ground import FIRST, MODEL, PROJECT, SECOND, Facts, look, publish, write

STEPS = (
    *("mkdir", "open", "write", "rename", "replace", "link", "symlink", "unlink", "rmdir"),
    *("chmod", "fchmod", "chown", "utime", "fsync", "ftruncate"),
)
RENAMES = (
    *((module, "rename_without_replacing") for module in (shelf, trash, restoring)),
    (restoring, "exchange"),
)
DIED, DONE = 9, 0


def driver_on(ground: Path) -> LocalDriver:
    return LocalDriver(ground / "models", ground / ".mlsnap/models", "models", environ={})


def dies_at(step: int, work: Callable[[], object]) -> bool:
    """Do the work in a child that dies at this step; tell whether it did."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _die_at(step)
            work()
            code = DONE
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (DIED, DONE), "the work failed by itself"
    return code == DIED


def _die_at(step: int) -> None:
    left = [step]

    def dying(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if left[0] == 0:
                os._exit(DIED)
            left[0] -= 1
            return real(*arguments, **named)

        return call

    for name in STEPS:
        real = getattr(os, name)
        setattr(os, name, _if_writing(real, dying(real)) if name == "open" else dying(real))
    for module, name in RENAMES:
        setattr(module, name, dying(getattr(module, name)))


def _if_writing(real: Callable[..., Any], dying: Callable[..., Any]) -> Callable[..., Any]:
    def call(path: Any, flags: int, *arguments: Any, **named: Any) -> Any:
        return (dying if flags & os.O_CREAT else real)(path, flags, *arguments, **named)

    return call


def kills(ground: Path, work: Callable[[], object], fresh: Callable[[Path], None]) -> Iterator[int]:
    """Give each step at which the work died, on ground made fresh each time; the last one is when it did not."""
    step = 0
    while True:
        shutil.rmtree(ground, ignore_errors=True)
        ground.mkdir()
        fresh(ground)
        died = dies_at(step, work)
        yield step
        if not died:
            return
        step += 1


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a folder, in memory where that can be: hundreds of times all is made durable."""
    monkeypatch.setattr("ci_mlsnap.storage.facts.TICK_SECONDS", 0.0)
    shm = Path("/dev/shm")
    in_memory = file_system_of(shm) == "tmpfs" and os.access(shm, os.W_OK)
    folder = Path(tempfile.mkdtemp(prefix="mlsnap-kills-", dir=shm if in_memory else tmp_path))
    yield folder / "ground"
    shutil.rmtree(folder, ignore_errors=True)


def small(ground: Path) -> None:
    """A volume with two files and a folder, not yet a version."""
    driver_on(ground).initialise(project=PROJECT, model=MODEL)
    write(ground / "models", {"weights": b"1" * 10, "epoch/log": b"2" * 10})


def two_versions(ground: Path) -> None:
    """The same with two versions, of which the live tree is the second, and work that is in none."""
    small(ground)
    publish(driver_on(ground), ground / "models", FIRST)
    write(ground / "models", {"weights": b"3" * 10})
    publish(driver_on(ground), ground / "models", SECOND, parent=FIRST)
    write(ground / "models", {"unsaved": b"work"})


def whole(driver: LocalDriver) -> list[str]:
    """Name the versions, each of which must be whole."""
    for snapshot in driver.list():
        assert snapshot.marker is not None
        driver.read_back(snapshot.marker.name)
    return [snapshot.name for snapshot in driver.list()]


def test_making_the_volume(ground: Path) -> None:
    def work() -> None:
        driver_on(ground).initialise(project=PROJECT, model=MODEL)

    for step in kills(ground, work, lambda _: None):
        driver = driver_on(ground)
        before = driver.volume_id
        made = driver.initialise(project=PROJECT, model=MODEL)
        assert before in ("", made), step
        write(ground / "models", {"weights": b"1"})
        publish(driver, ground / "models", FIRST)
        assert driver.view(FIRST) == ground / "models/.snapshot" / str(FIRST)


def test_making_a_version(ground: Path) -> None:
    def fresh(ground: Path) -> None:
        small(ground)
        publish(driver_on(ground), ground / "models", FIRST)
        write(ground / "models", {"weights": b"3" * 10})

    for step in kills(ground, lambda: publish(driver_on(ground), ground / "models", SECOND, parent=FIRST), fresh):
        driver = driver_on(ground)
        live = look(ground / "models")
        assert whole(driver) in ([str(FIRST)], [str(FIRST), str(SECOND)]), step
        for token in driver.unfinished():
            driver.discard(token)
        publish(driver, ground / "models", SECOND, parent=FIRST)
        assert whole(driver) == [str(FIRST), str(SECOND)]
        assert look(ground / "models") == live == _writable(look(driver.view(SECOND)), live)
        assert list(driver.unfinished()) == []


def _writable(found: dict[str, Facts], like: dict[str, Facts]) -> dict[str, Facts]:
    """Give a snapshot's facts the modes of the live tree, which differ in the write bits alone."""
    return {path: (facts[0], like[path][1], *facts[2:]) for path, facts in found.items()}


@pytest.mark.parametrize("way", ["swap", "sync"])
def test_restoring(ground: Path, way: str) -> None:
    def work() -> None:
        driver_on(ground).restore(FIRST, ground / "models", way="swap" if way == "swap" else "sync")

    for step in kills(ground, work, two_versions):
        driver, live = driver_on(ground), ground / "models"
        found = look(live)
        trees = [found, *map(look, driver.trash())]
        assert whole(driver) == [str(FIRST), str(SECOND)]
        if way == "swap":
            old, new = "unsaved" in found, found.get("weights", ("",) * 4)[3] == 10 and "unsaved" not in found
            assert old or new, step
            assert any("unsaved" in tree for tree in trees), step
        driver.restore(FIRST, live)
        assert _writable(look(driver.view(FIRST)), look(live)) == look(live)
        assert driver.initialise(project=PROJECT, model=MODEL) == driver.volume_id


def test_deleting(ground: Path) -> None:
    for step in kills(ground, lambda: driver_on(ground).delete(FIRST), two_versions):
        driver = driver_on(ground)
        assert whole(driver) in ([str(FIRST), str(SECOND)], [str(SECOND)]), step
        driver.delete(FIRST)
        for token in driver.unfinished():
            driver.discard(token)
        assert whole(driver) == [str(SECOND)]
        assert list(driver.used_names()) == [FIRST, SECOND]


def test_cloning(ground: Path) -> None:
    def work() -> None:
        driver_on(ground).clone(FIRST, ground / ".mlsnap/models/work/run")

    for step in kills(ground, work, two_versions):
        driver, clone = driver_on(ground), ground / ".mlsnap/models/work/run"
        if clone.exists():
            assert _writable(look(driver.view(FIRST)), look(clone)) == look(clone), step
        driver.remove_clone(clone)
        driver.clone(FIRST, clone)
        assert whole(driver) == [str(FIRST), str(SECOND)]
