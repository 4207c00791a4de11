"""Whatever ends a command or comes in between, an ONTAP volume has whole versions and no success without one."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from ci_mlsnap.errors import IntegrityDamage
from ci_mlsnap.testing.ground import FIRST
from tests.conftest import IN_CI
from tests.ontap.emulator.faults import Fault
from tests.ontap.emulator.server import Emulator
from tests.ontap.emulator.values import Volume
from tests.ontap.mounted import driver_of, filled, sealed
from tests.ontap.staging import staged
from tests.promise.checking import content_of
from tests.promise.conftest import Done, Stage, ended, points, sample
from tests.promise.launching import Launcher

pytestmark = pytest.mark.usefixtures("untouched")

KILLED = -9
MOST = 10 if IN_CI else 3
"""At how many points a command is killed; a campaign takes all."""


@pytest.fixture
def stage(emulator: Emulator, models: Volume, launcher: Launcher, tmp_path: Path) -> Iterator[Stage]:
    """Give a stage whose first commit has its version."""
    with staged(emulator, models, tmp_path, launcher) as made:
        first = made.mlsnap("run")
        assert first.code == 0, first.text
        yield made


def at_each_request(number: int, *, of: str) -> list[str]:
    """Give some points of those just before and after each of so many requests."""
    every = [f"{request}{after}" for request in range(1, number + 1) for after in ("", "+")]
    return [every[at - 1] for at in sample(every, MOST, of=of)]


def requests_of(emulator: Emulator, stage: Stage, *arguments: str) -> int:
    """Count the requests of a command that goes well."""
    before = len(emulator.exchanges)
    done = stage.mlsnap(*arguments)
    assert done.code == 0, done.text
    return len(emulator.exchanges) - before


def killed_in(point: str | int) -> tuple[int, dict[str, str]]:
    """Give the effect before which a command is killed, or the environment in which it dies at a request."""
    return (point, {}) if isinstance(point, int) else (0, {"TEST_DIE_AT_REQUEST": point})


def look_without_touching(stage: Stage) -> None:
    before = stage.everything()
    looked = stage.mlsnap("status")
    assert looked.code == 0, looked.text
    assert stage.everything() == before
    stage.require_truth()


def run_again(stage: Stage) -> Done:
    """Run as a person does who was told how: the live tree may be half trained."""
    again = stage.mlsnap("run")
    if again.code == 40:
        assert "`mlsnap recover --shared`" in again.stderr, again.text
        recovered = stage.mlsnap("recover", "--shared")
        assert recovered.code == 0, recovered.text
        again = stage.mlsnap("run")
    return again


@pytest.mark.parametrize("where", ["at requests", "at other effects"])
def test_a_run_that_is_killed_ends_in_one_whole_version(
    stage: Stage, emulator: Emulator, models: Volume, where: str
) -> None:
    stage.another_commit("rehearsal")
    if where == "at requests":
        chosen: list[str | int] = [*at_each_request(requests_of(emulator, stage, "run"), of=where)]
    else:
        chosen = [*points(len(stage.mlsnap("run").effects), most=MOST)]
    assert len(chosen) >= 3
    for point in chosen:
        sha = stage.another_commit(f"killed at {point}")
        effect, environment = killed_in(point)
        killed = stage.mlsnap("run", kill_at=effect, environment=environment)
        assert killed.code in (KILLED, 0), killed.text
        look_without_touching(stage)
        again = run_again(stage)
        assert again.code == 0, f"killed at {point}\n{again.text}"
        stage.require_truth()
        stage.require_rest()
        assert len([name for name in models.snapshots if name.startswith(sha)]) == 1
        assert stage.states(sha)[-1] == "success"
        assert content_of(stage.volume)["model.bin"] == f"killed at {point}\n".encode()


def test_a_restore_that_is_killed_can_be_done_again(stage: Stage, emulator: Emulator) -> None:
    versions = [("one", stage.repository.head()), ("two", stage.another_commit("two"))]
    assert stage.mlsnap("run").code == 0
    effects = len(stage.mlsnap("restore", versions[0][1], "--shared").effects)
    assert effects > 10
    for number, point in enumerate(points(effects, most=MOST), start=1):
        weights, sha = versions[number % 2]
        unsaved = stage.volume / "notes.txt"
        unsaved.write_text(f"unsaved before {point}")
        killed = stage.mlsnap("restore", sha, "--shared", kill_at=point)
        assert killed.code in (KILLED, 0), killed.text
        look_without_touching(stage)
        kept = [stage.volume, *(stage.volume / ".snapshot").iterdir()]
        assert any((place / "notes.txt").is_file() for place in kept)
        again = stage.mlsnap("restore", sha, "--shared")
        assert again.code == 0, f"killed at {point}\n{again.text}"
        assert content_of(stage.volume)["model.bin"] == f"{weights}\n".encode()
        assert not unsaved.exists()
        stage.require_rest()


@pytest.mark.parametrize("where", ["at requests", "at other effects"])
def test_a_prune_that_is_killed_loses_nothing_that_was_not_named(
    stage: Stage, emulator: Emulator, models: Volume, where: str
) -> None:
    old, new = stage.repository.head(), stage.another_commit("two")
    assert stage.mlsnap("run").code == 0
    prune = ("prune", "--version", old, "--reason", "a test")
    if where == "at requests":
        chosen: list[str | int] = [*at_each_request(requests_of(emulator, stage, *prune), of=where)]
    else:
        chosen = [*points(len(stage.mlsnap(*prune).effects), most=MOST)]
    for point in chosen:
        assert stage.mlsnap("recover", old).code == 0
        effect, environment = killed_in(point)
        killed = stage.mlsnap(*prune, kill_at=effect, environment=environment)
        assert killed.code in (KILLED, 0), killed.text
        assert stage.mlsnap("status").code == 0
        assert len(models.snapshots) == 2
        assert new in models.snapshots
        again = stage.mlsnap(*prune)
        assert again.code in (0, 44), f"killed at {point}\n{again.text}"
        assert set(models.snapshots) == {f"mlsnap-pruned-{old}", new}
        stage.require_rest()


def begin_beside(stage: Stage, worktree: Path, started: list[subprocess.Popen[str]]) -> None:
    started.append(stage.start("--project", str(worktree), "run"))


def test_another_run_that_comes_at_any_request_is_done_beside_or_after(
    stage: Stage, emulator: Emulator, models: Volume, tmp_path: Path
) -> None:
    """Both train in the one live tree, so one waits for the other, wherever it comes."""
    stage.another_commit("rehearsal")
    number = requests_of(emulator, stage, "run")
    other = tmp_path / "beside"
    stage.repository.git("worktree", "add", "--quiet", "-b", "beside", str(other))
    for at in sample(["request"] * number, 3 if IN_CI else 1, of="interleaved"):
        first = stage.another_commit(f"first at {at}")
        second = stage.another_commit(f"second at {at}")
        stage.repository.git("-C", str(other), "reset", "--quiet", "--hard", first)
        started: list[subprocess.Popen[str]] = []
        emulator.faults.next(*[Fault(kind="delay")] * (at - 1))
        emulator.faults.before("*", partial(begin_beside, stage, other, started))
        one = stage.mlsnap("run")
        two = ended(started[0])
        emulator.faults.clear()
        assert (one.code, two.code) == (0, 0), one.text + two.text
        stage.require_truth()
        assert {first, second} <= set(models.snapshots)
        assert stage.states(first)[-1] == stage.states(second)[-1] == "success"
    stage.require_rest()


def test_a_writer_that_never_stops_gets_no_success_that_is_not_true(
    stage: Stage, emulator: Emulator, models: Volume
) -> None:
    """Whether it is met is left to chance; whatever is posted must be true."""
    over, written = threading.Event(), 0

    def write() -> None:
        nonlocal written
        while not over.is_set():
            written += 1
            (stage.volume / "layers" / "log.txt").write_text(f"line {written}\n")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(3):
            sha = stage.another_commit(f"under a writer {number}")
            done = stage.mlsnap("run", "--retrain")
            assert done.code in (0, 11, 40), done.text
            assert (stage.states(sha)[-1:] == ["success"]) == (done.code == 0)
            stage.require_truth()
    finally:
        over.set()
        writer.join()
    assert written > 10


def test_with_a_damaged_ledger_nothing_is_deleted(emulator: Emulator, models: Volume, tmp_path: Path) -> None:
    driver = driver_of(emulator, models, tmp_path / "state")
    sealed(driver, filled(driver, emulator.cluster.path(models)))
    driver.prune(FIRST)
    ledger = tmp_path / "state/state/ledger"
    ledger.write_bytes(ledger.read_bytes().replace(b"sha=", b"sha-", 1))
    with pytest.raises(IntegrityDamage):
        driver_of(emulator, models, tmp_path / "state").delete(FIRST)
    assert list(models.snapshots) == [f"mlsnap-pruned-{FIRST}"]
