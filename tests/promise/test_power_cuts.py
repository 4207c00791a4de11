"""The power goes at any point of a volume's life: what was said to be done is there, whole, and life goes on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.errors import ExitCode, MlsnapError
from tests.conftest import IN_CI, FileSystem
from tests.promise.acts import driver_on, live_of, name_of, train
from tests.promise.checking import content_of
from tests.promise.conftest import ALL_POINTS, Stage, sample
from tests.promise.disks import CUTS, Disk, memory_folder
from tests.promise.faults import Cut, Outcome
from tests.promise.launching import Launcher
from tests.promise.scenes import equals, half_made, recover, saved_somewhere, versions

Count = Callable[[str, int], None]
MakeDisk = Callable[[FileSystem], Disk]
GROUNDS = [(fs, cut) for fs, cuts in CUTS.items() for cut in cuts]
MOST = 10_000 if IN_CI else 20
"""How many points of one ground are tried at most: all in CI."""
PARTS = 2
"""The points of one ground are spread over so many tests, which xdist spreads over processors."""


@pytest.fixture
def make_disk(tmp_path: Path) -> Iterator[Callable[[FileSystem], Disk]]:
    """Give a maker of disks; all are unmounted in the end."""
    folder = memory_folder(tmp_path)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        yield lambda fs: stack.enter_context(Disk(fs=fs, folder=folder))


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize(("fs", "cut"), GROUNDS)
def test_what_was_done_outlives_the_power(
    make_disk: MakeDisk, launcher: Launcher, count: Count, fs: FileSystem, cut: Cut, part: int
) -> None:
    disk = make_disk(fs)
    tried = 0
    for point, outcome in lives(disk, launcher, cut, part=part, parts=PARTS, most=MOST):
        try:
            require_what_was_said(disk.root, outcome.said)
            go_on(disk.root, launcher)
        except Exception as error:
            error.add_note(f"cut before effect {point}, after {outcome.said} and {outcome.effects[-4:]}")
            raise
        tried += 1
    count(f"driver: power cut, {fs}, {cut} left", tried)


def lives(
    disk: Disk,
    launcher: Launcher,
    cut: Cut,
    *,
    part: int = 0,
    parts: int = 1,
    act: str = "life",
    forgotten: str = "",
    most: int = 10_000,
) -> Iterator[tuple[int, Outcome]]:
    """Live until each point that tells something, and give what was said until the power went."""
    disk.keep()
    disk.bring_back()
    rehearsal = launcher.act(act, disk.root, durable=True)
    assert rehearsal.code == 0, rehearsal.said
    telling_most = sample(rehearsal.effects, most, of=str(cut), among=telling(rehearsal.effects, cut))
    for point in telling_most[part::parts]:
        disk.bring_back()
        outcome = launcher.act(act, disk.root, 0, disk.cut(point, cut, forgotten), durable=True)
        disk.power_on(cut)
        yield point, outcome


def telling(effects: list[str], cut: Cut) -> list[int]:
    """Give the points that differ, the end among them.

    Where nothing is left but what was made durable, all points between two such calls leave the same; the last
    of them, before the second, comes after most was said. Where names are left, each change of a name differs.
    """
    kinds = ["", *(effect.partition(":")[0] for effect in effects), "sync"]
    if ALL_POINTS:
        return list(range(1, len(kinds)))
    after_name = [cut == "names" and kind == "name" for kind in ["", *kinds]]
    return [number for number in range(1, len(kinds)) if kinds[number] == "sync" or after_name[number]]


def require_what_was_said(ground: Path, said: list[str]) -> None:
    """Hold what is on the disk against all that was said before."""
    found, driver = versions(ground), driver_on(ground)
    last_live = ""
    for line in said:
        what, _, name = line.partition(" ")
        if what == "volume":
            assert driver.volume_id == name
        elif what == "held":
            snapshot = driver.get(SnapshotName.parse(name))
            assert snapshot is not None and snapshot.holds
        elif what == "trained":
            assert saved_somewhere(ground, int(name))
        elif what in ("live", "changing"):
            last_live = name
    made = {number for number in (1, 2) if f"version {name_of(number)}" in said}
    may_be_gone = {1} if f"live {name_of(2)}" in said else set()
    assert made - may_be_gone <= found <= {1, 2}
    if f"deleted {name_of(1)}" in said:
        assert 1 not in found
    for number in (1, 2):
        if last_live == str(name_of(number)) and number in found:
            assert equals(ground, number)


def go_on(ground: Path, launcher: Launcher) -> None:
    """Make one more version, on what the power left."""
    recover(ground)
    train(ground, 4)
    again = launcher.act("make_version", ground, 4)
    assert again.code == 0, again.said
    assert equals(ground, 4)
    assert 4 in versions(ground)
    recover(ground)
    assert half_made(ground) == []
    assert live_of(ground).is_dir()


# -- a whole command -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("fs", "cut"), GROUNDS)
def test_a_run_whose_power_goes_is_brought_to_rest_by_the_next(
    make_disk: MakeDisk, make_stage: Callable[..., Stage], count: Count, fs: FileSystem, cut: Cut
) -> None:
    disk = make_disk(fs)
    stage: Stage = make_stage(ground=disk.root)
    assert stage.mlsnap("run", durable=True).code == 0
    sha = stage.another_commit("second")
    disk.keep()
    disk.bring_back()
    rehearsal = stage.mlsnap("run", durable=True)
    assert rehearsal.code == 0, rehearsal.text
    chosen = sample(rehearsal.effects, 5 if IN_CI else 3, of=f"{fs} {cut}", among=telling(rehearsal.effects, cut))
    for point in chosen:
        disk.bring_back()
        forget_statuses(stage)
        gone = stage.mlsnap("run", fault=disk.cut(point, cut), durable=True)
        disk.power_on(cut)
        try:
            require_second(stage, sha)
        except Exception as error:
            error.add_note(f"cut before effect {point}: {gone.text}\n" + "\n".join(gone.effects[-4:]))
            raise
    count(f"commands: power cut, {fs}, {cut} left", len(chosen))


def forget_statuses(stage: Stage) -> None:
    """Let the commit page be as the disk is: as before."""
    stage.server.board._statuses.clear()
    stage.server.board._keys.clear()


def require_second(stage: Stage, sha: str) -> None:
    """Hold what was announced against what is there, and train again where that is not done.

    All is made durable, since btrfs tells only then that something changed.
    """
    stage.require_truth()
    assert stage.mlsnap("status").code == 0
    again = stage.mlsnap("run", durable=True)
    if again.code == ExitCode.REFUSED:
        assert stage.mlsnap("recover", durable=True).code == 0
        again = stage.mlsnap("run", durable=True)
    assert again.code == 0, again.text
    stage.require_truth()
    stage.require_rest()
    assert stage.states(sha)[-1] == "success"
    assert content_of(stage.volume)["model.bin"] == b"second\n"


# -- that it sees what it should -----------------------------------------------------------------------


@pytest.mark.parametrize(("fs", "cut"), GROUNDS)
@pytest.mark.parametrize("toy", ["careless_file", "careless_folder", "careful"])
def test_a_toy_that_forgets_to_make_something_durable_is_caught(
    make_disk: MakeDisk, launcher: Launcher, fs: FileSystem, cut: Cut, toy: str
) -> None:
    disk = make_disk(fs)
    lost = [
        point
        for point, outcome in lives(disk, launcher, cut, act=toy)
        if "toy" in outcome.said and content_of(disk.root).get("toy") != b"whole\n" * 100
    ]
    # Where names are left, nothing is lost by forgetting to make one durable.
    assert bool(lost) == (toy == "careless_file" or (toy == "careless_folder" and cut != "names"))


FORGOTTEN = {
    "all": "",
    "what is in the files": "syncfs|fsync .*/(flush|models)/",
    "the ledger": "/ledger$",
    "names": "fsync .*/(snapshots|disk)$",
}


@pytest.mark.parametrize("fs", ["ext4", "xfs"])
@pytest.mark.parametrize("what", FORGOTTEN)
def test_a_driver_that_forgets_to_make_something_durable_is_caught(
    make_disk: MakeDisk, launcher: Launcher, fs: FileSystem, what: str
) -> None:
    disk = make_disk(fs)
    cut_off = lives(disk, launcher, "nothing", forgotten=FORGOTTEN[what] or ".")
    assert any(is_caught(disk.root, launcher, outcome) for _, outcome in cut_off)


def is_caught(ground: Path, launcher: Launcher, outcome: Outcome) -> bool:
    """Tell whether the campaign would have found it."""
    try:
        require_what_was_said(ground, outcome.said)
        go_on(ground, launcher)
    except (AssertionError, MlsnapError, OSError):
        return True
    return False
