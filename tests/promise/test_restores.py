"""Restores tried hard: many at random, each way; with readers in the middle; with somebody who swaps links in.

Few by default; `MLSNAP_CAMPAIGN=full` makes 50 versions and 500 restores of each way.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import pytest

from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.errors import MlsnapError
from ci_mlsnap.flows.workspace import link_view
from ci_mlsnap.storage.local import LocalDriver
from ci_mlsnap.testing import DriverUnderTest
from ci_mlsnap.testing.acts import remove
from ci_mlsnap.testing.ground import Facts, every_stat, look, publish, write, write_sample
from tests.conftest import ORDINARY_USERS, AsUser, FileSystem, LoopMount
from tests.promise.conftest import ALL_POINTS, SEED
from tests.storage.test_contract import local_on

VERSIONS, RESTORES = (50, 500) if ALL_POINTS else (7, 21)
READ_DURING = 100
"""So many restores are made under a reader's eyes."""
RACES = 300 if ALL_POINTS else 25

Way = Literal["swap", "sync"]
WAYS: tuple[Way, ...] = ("sync", "swap")
GROUNDS: list[FileSystem | None] = [None, "ext4", "xfs", "btrfs"]
"""None is the temporary folder, as whoever runs the tests."""


@pytest.fixture(params=GROUNDS, ids=lambda kind: kind or "here")
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> DriverUnderTest:
    """Give a volume on each ground; the driver picks its way there."""
    if request.param is None:
        return _ready(tmp_path)
    mount: LoopMount = request.getfixturevalue("loop_mount")
    return _ready(mount(request.param, 600))


@pytest.fixture
def here(tmp_path: Path) -> DriverUnderTest:
    """Give a volume in the temporary folder."""
    return _ready(tmp_path)


def _ready(ground: Path) -> DriverUnderTest:
    made = local_on(ground)
    made.driver.initialise(project="example/digits", model="digits")
    return made


def _name(number: int) -> SnapshotName:
    return SnapshotName(sha=f"{number + 1:040x}")


# -- many, at random -----------------------------------------------------------------------------------


def test_any_version_comes_back_bit_for_bit_from_any_other(driver: DriverUnderTest) -> None:
    chance = random.Random(f"{SEED} {driver.driver.capabilities.way}")
    versions = list(_versions(driver, chance))
    for _ in range(RESTORES):
        number = chance.randrange(len(versions))
        if chance.random() < 0.5:
            _disturb(driver.live, chance)
        way: Way | None = chance.choice(("swap", "sync", None))
        restored = driver.driver.restore(_name(number), driver.live, way=way)
        assert look(driver.live) == versions[number], f"{way} of {number}"
        assert _privileges(driver.live) == []
        if restored.displaced is not None:
            driver.driver.purge(restored.displaced)
    for number in range(len(versions)):
        driver.driver.read_back(_name(number))


def _versions(driver: DriverUnderTest, chance: random.Random) -> Iterator[dict[str, Facts]]:
    write_sample(driver.live)
    for number in range(VERSIONS):
        if number:
            _grow(driver.live, number, chance)
        _give_privileges(driver.live)
        parent = _name(number - 1) if number else None
        publish(driver.driver, driver.live, _name(number), parent=parent, sequence=number + 1)
        yield look(driver.live)


def _grow(tree: Path, number: int, chance: random.Random) -> None:
    """Change a few things of every kind."""
    write(tree, {f"run-{number % 5}/step-{number}.bin": chance.randbytes(chance.randrange(200_000))})
    with (tree / "weights.bin").open("r+b") as file:
        file.seek(chance.randrange(60_000))
        file.write(chance.randbytes(100))
    (tree / "latest").unlink()
    (tree / "latest").symlink_to(f"run-{number % 5}/step-{number}.bin")
    (tree / f"empty-{number % 3}").mkdir(exist_ok=True)
    (tree / "script.sh").chmod(chance.choice((0o750, 0o700, 0o444)))
    linked = tree / f"linked-{number % 4}"
    linked.unlink(missing_ok=True)
    os.link(tree / "weights.bin", linked)
    time = 1_600_000_000_000_000_000 + chance.randrange(10**18)
    os.utime(tree / "private", ns=(1, time))
    os.utime(tree / "epoch", ns=(1, time + 1))
    gone = sorted(path for path in tree.glob("run-*/*"))
    if len(gone) > 6:
        chance.choice(gone).unlink()


def _disturb(tree: Path, chance: random.Random) -> None:
    """Do to a live tree what people and programs do."""
    everything = [path for path in sorted(tree.rglob("*")) if not {".mlsnap", ".snapshot"} & {*path.parts}]
    for path in chance.sample(everything, min(4, len(everything))):
        if path.is_symlink() or not path.exists():
            continue
        act = chance.randrange(4)
        if act == 0:
            remove(path)
        elif act == 1:
            path.chmod(0o4755 if path.is_file() else 0o2700)
        elif act == 2 and path.is_file():
            path.chmod(0o600)
            path.write_bytes(b"other")
        else:
            remove(path)
            path.symlink_to("weights.bin") if chance.random() < 0.5 else path.mkdir()
    _give_privileges(tree)


def _give_privileges(tree: Path) -> None:
    """Make a program of the tree set-user-id, and give it a capability where we may."""
    program = tree / "script.sh"
    if program.is_file() and not program.is_symlink():
        program.chmod(program.stat().st_mode & 0o777 | 0o4000)
        with suppress(PermissionError):
            os.setxattr(program, "security.capability", _NET_RAW)


def test_a_capability_that_root_gave_a_users_file_is_in_no_version(
    here: DriverUnderTest, loop_mount: LoopMount, as_user: AsUser
) -> None:
    _uniform(here, 0)  # loads what that user may not be able to read
    root, user = loop_mount("btrfs", 300), ORDINARY_USERS[0]
    os.chown(root, user, user)
    as_user(user, lambda: write_sample(_ready(root).live))
    live = root / "ml/digits"
    os.setxattr(live / "script.sh", "security.capability", _NET_RAW)

    def act() -> list[str]:
        driver = LocalDriver(live, root / "ml/.mlsnap/digits", "digits", environ={})
        before = look(live)
        publish(driver, live, _name(0))
        found = _privileges(driver.view(_name(0)))
        for way in WAYS:
            driver.restore(_name(0), live, way=way)
            found += [*_privileges(live), *([] if look(live) == before else [f"{way} changed the tree"])]
        return found

    assert as_user(user, act) == []


_NET_RAW = bytes.fromhex("0100000200200000000000000000000000000000")
"""The capability to open raw sockets, as the kernel keeps it with a file."""


def _privileges(tree: Path) -> list[str]:
    found = []
    for path in tree.rglob("*"):
        if path.is_file() and not path.is_symlink() and ".snapshot" not in path.parts:
            if path.stat().st_mode & 0o7000:
                found.append(f"{path} keeps its bits")
            with suppress(OSError):
                os.getxattr(path, "security.capability")
                found.append(f"{path} keeps a capability")
    return found


# -- readers -------------------------------------------------------------------------------------------

READER = """\
import os, sys
place, names = sys.argv[1], sys.argv[2].split()
held, looks, mixes, missing = os.open(place, os.O_RDONLY | os.O_DIRECTORY), 0, 0, 0

def read(folder):
    found = []
    for name in names:
        with os.fdopen(os.open(name, os.O_RDONLY, dir_fd=folder), "rb") as file:
            found.append(file.read())
    return found

first = read(held)
print("ready", flush=True)
while True:
    folder = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    found = read(folder)
    os.close(folder)
    looks += 1
    mixes += len(set(found)) != 1
    missing += read(held) != first
    if not os.path.exists(sys.argv[3]):
        break
print(looks, mixes, missing)
"""
"""Opens the folder again and again, and holds it all the time: what it reads there must be of one version."""


@contextmanager
def _reader(place: Path, tmp_path: Path) -> Iterator[Callable[[], tuple[int, int, int]]]:
    """Have a reader look at a place until it is asked: how often it looked, saw a mix, and lost what it held."""
    going_on = tmp_path / "going-on"
    going_on.touch()
    reading = subprocess.Popen(
        (sys.executable, "-c", READER, place, " ".join(NAMES), going_on), stdout=subprocess.PIPE, text=True
    )
    assert reading.stdout is not None

    def result() -> tuple[int, int, int]:
        going_on.unlink()
        assert reading.stdout is not None
        looks, mixes, missing = map(int, reading.stdout.readline().split())
        return looks, mixes, missing

    try:
        assert reading.stdout.readline() == "ready\n"
        yield result
    finally:
        going_on.unlink(missing_ok=True)
        reading.wait()
        reading.stdout.close()


NAMES = [f"layer-{number}" for number in range(12)]


def _uniform(driver: DriverUnderTest, number: int) -> None:
    """Publish a version whose files all hold the same."""
    write(driver.live, dict.fromkeys(NAMES, b"version %d" % number))
    publish(driver.driver, driver.live, _name(number), sequence=number + 1)


def test_who_opens_the_live_tree_once_sees_one_version_during_100_restores(
    driver: DriverUnderTest, tmp_path: Path
) -> None:
    for number in range(3):
        _uniform(driver, number)
    with _reader(driver.live, tmp_path) as result:
        for number in range(READ_DURING):
            driver.driver.restore(_name(number % 3), driver.live, way="swap")
        looks, mixes, missing = result()
    assert looks > 0
    assert (mixes, missing) == (0, 0)


def test_who_follows_a_view_sees_one_version_during_100_moves(here: DriverUnderTest, tmp_path: Path) -> None:
    for number in range(3):
        _uniform(here, number)
    view = tmp_path / "view"
    link_view(view, here.driver.view(_name(0)), made_in=None)
    with _reader(view, tmp_path) as result:
        for number in range(READ_DURING):
            link_view(view, here.driver.view(_name(number % 3)), made_in=None)
        looks, mixes, missing = result()
    assert looks > 0
    assert (mixes, missing) == (0, 0)


def test_the_reader_would_see_a_mix(here: DriverUnderTest, tmp_path: Path) -> None:
    for number in range(2):
        _uniform(here, number)
    with _reader(here.live, tmp_path) as result:
        write(here.live, {NAMES[0]: b"by hand"})
        os.sync()
        _, mixes, missing = _after(result, here.live)
    assert mixes > 0 and missing > 0


def _after(result: Callable[[], tuple[int, int, int]], live: Path) -> tuple[int, int, int]:
    """Let the reader look at least once more."""
    access = live / NAMES[-1]
    os.utime(access, ns=(1, access.stat().st_mtime_ns))
    for _ in range(1000):
        if access.stat().st_atime_ns != 1:
            break
        os.sched_yield()
    return result()


# -- somebody who swaps folders for links --------------------------------------------------------------

ATTACKER = """\
import os, sys
live, outside, going_on = sys.argv[1:]
target, aside, link = live + "/epoch", live + "/.aside", live + "/.link"
print("ready", flush=True)
while os.path.exists(going_on):
    try:
        os.symlink(outside, link)
        os.rename(target, aside)
        os.rename(link, target)
    except OSError:
        pass
    try:
        os.unlink(target)
        os.rename(aside, target)
    except OSError:
        pass
    for path in (link, aside):
        try:
            os.unlink(path)
        except OSError:
            pass
"""
"""Makes a folder of the live tree a link to somebody's files and back, as fast as it can."""


@pytest.mark.parametrize("how", ["sync", "swap", "parts"])
def test_nothing_outside_is_reached_by_links_that_are_swapped_in(
    here: DriverUnderTest, tmp_path: Path, how: str
) -> None:
    write_sample(here.live)
    before = look(here.live)
    publish(here.driver, here.live, _name(0))
    outside = tmp_path / "somebody"
    write(outside, {"1/log.txt": b"somebody's", "back": b"theirs", "weights-again.bin": b"precious"})
    untouched = every_stat(outside)
    with _attacker(here.live, outside, tmp_path):
        for _ in range(RACES):
            with suppress(MlsnapError):
                if how == "parts":
                    here.driver.restore(_name(0), here.live, paths=[b"epoch"])
                else:
                    _change_beside(here.live)
                    here.driver.restore(_name(0), here.live, way="sync" if how == "sync" else "swap")
    assert every_stat(outside) == untouched
    here.driver.restore(_name(0), here.live, way="sync")
    assert look(here.live) == before


def _change_beside(tree: Path) -> None:
    """Change what is not in the folder that is swapped: a test's own hand would follow the link."""
    (tree / "weights.bin").write_bytes(b"other")
    (tree / "script.sh").unlink(missing_ok=True)


@contextmanager
def _attacker(live: Path, outside: Path, tmp_path: Path) -> Iterator[None]:
    going_on = tmp_path / "attacking"
    going_on.touch()
    attacking = subprocess.Popen(
        (sys.executable, "-c", ATTACKER, live, outside, going_on), stdout=subprocess.PIPE, text=True
    )
    try:
        assert attacking.stdout is not None
        assert attacking.stdout.readline() == "ready\n"
        yield
    finally:
        going_on.unlink()
        attacking.wait()
        assert attacking.stdout is not None
        attacking.stdout.close()


HOSTILE: dict[str, Callable[[Path, Path], object]] = {
    "a link to a folder": lambda place, outside: place.symlink_to(outside),
    "a link to a file": lambda place, outside: place.symlink_to(outside / "back"),
    "a link to nowhere": lambda place, outside: place.symlink_to(outside / "nothing"),
    "a link to itself": lambda place, outside: place.symlink_to(place.name),
    "a hard link": lambda place, outside: os.link(outside / "back", place),
    "a FIFO": lambda place, outside: os.mkfifo(place),
    "a folder": lambda place, outside: (place / "deep").mkdir(parents=True),
    "a file": lambda place, outside: place.write_bytes(b"in the way"),
}


@pytest.mark.parametrize("thing", HOSTILE)
@pytest.mark.parametrize("way", WAYS)
def test_whatever_stands_in_the_way_of_anything_is_replaced_and_not_followed(
    here: DriverUnderTest, tmp_path: Path, thing: str, way: Way
) -> None:
    write_sample(here.live)
    before = look(here.live)
    publish(here.driver, here.live, _name(0))
    outside = tmp_path / "somebody"
    write(outside, {"1/log.txt": b"somebody's", "back": b"theirs", "weights-again.bin": b"precious"})
    untouched = {name: facts for name, facts in look(outside).items() if name != "back"}
    for name in before:
        place = here.live / name
        if not os.path.lexists(place):
            continue  # it was in a folder that is something else by now
        remove(place)
        HOSTILE[thing](place, outside)
        here.driver.restore(_name(0), here.live, way=way)
        assert look(here.live) == before, name
    assert {name: facts for name, facts in look(outside).items() if name != "back"} == untouched
    assert (outside / "back").read_bytes() == b"theirs"
