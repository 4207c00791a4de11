"""Killed at any call, or refused any, the driver keeps what was there, and done again ends as if nothing was."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from ci_mlsnap.errors import ExitCode, MlsnapError
from tests.conftest import FileSystem, LoopMount
from tests.promise.acts import MUTANTS
from tests.promise.conftest import ALL_POINTS, FILE_SYSTEMS, SEED, of_each_call
from tests.promise.faults import FAILING, Fault, Outcome
from tests.promise.launching import NO_FAULT, Launcher
from tests.promise.scenes import SCENES, Scene, half_made, recover

KILLED = -9
NAMED = {ExitCode.STORAGE_FAILED, ExitCode.STORAGE_UNKNOWN, ExitCode.INTEGRITY}
"""The exit codes with which a storage that fails may end an act."""

REFUSALS = [(error, sticky) for error in FAILING for sticky in (False, True)]
"""Each error once, and from a point on."""

Count = Callable[[str, int], None]


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for disks around the acts either: the power stays on here."""
    monkeypatch.setattr(os, "fsync", lambda _file: None)
    for module in [module for name, module in sys.modules.items() if name.startswith("ci_mlsnap.")]:
        if hasattr(module, "sync_file_system"):
            monkeypatch.setattr(module, "sync_file_system", lambda _path: None)


@pytest.mark.parametrize("fs", FILE_SYSTEMS)
@pytest.mark.parametrize("act", SCENES)
def test_killed_at_any_call(
    loop_mount: LoopMount, launcher: Launcher, count: Count, fs: FileSystem, act: str
) -> None:
    ground, scene = loop_mount(fs, 64), SCENES[act]
    effects = _struck(launcher, scene, ground, 1, NO_FAULT, set()).effects
    chosen = of_each_call(effects, of=f"killed {act} {fs}")
    for tried, point in enumerate(chosen, start=2):
        _struck(launcher, scene, ground, tried, Fault(at=point, kind="kill"), {KILLED})
    count(f"driver: killed at a call, {fs}", len(chosen))


@pytest.mark.parametrize("fs", FILE_SYSTEMS)
@pytest.mark.parametrize("act", SCENES)
def test_refused_any_call(
    loop_mount: LoopMount, launcher: Launcher, count: Count, fs: FileSystem, act: str
) -> None:
    ground, scene = loop_mount(fs, 64), SCENES[act]
    effects = _struck(launcher, scene, ground, 1, NO_FAULT, set()).effects
    faults = list(_refusals(effects, of=f"refused {act} {fs}"))
    for tried, fault in enumerate(faults, start=2):
        _struck(launcher, scene, ground, tried, fault, {0, *NAMED})
    count(f"driver: refused a call, {fs}", len(faults))


def _refusals(effects: Sequence[str], *, of: str) -> Iterator[Fault]:
    """Refuse each chosen call with one of the errors that it can have, in turn; all with all in a campaign."""
    turn = random.Random(f"{SEED} {of}").randrange(len(REFUSALS))
    for point in of_each_call(effects, of=of):
        kind = effects[point - 1].partition(":")[0]
        possible = [refusal for refusal in REFUSALS if kind in FAILING[refusal[0]]]
        if possible and not ALL_POINTS:
            turn += 1
            possible = [possible[turn % len(possible)]]
        for error, sticky in possible:
            yield Fault(at=point, kind="error", error=error, sticky=sticky)


@pytest.mark.parametrize("fs", FILE_SYSTEMS)
@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_driver_that_is_wrong_for_a_moment_is_caught(
    loop_mount: LoopMount, launcher: Launcher, fs: FileSystem, mutant: str
) -> None:
    ground, scene = loop_mount(fs, 64), SCENES["swap" if mutant == "moved_away_first" else "make_version"]
    calls = len(_struck(launcher, scene, ground, 1, NO_FAULT, set(), mutant).effects)
    with pytest.raises((AssertionError, FileNotFoundError, MlsnapError)):  # noqa: PT012
        for point in range(1, calls + 1):
            _struck(launcher, scene, ground, point + 1, Fault(at=point, kind="kill"), {KILLED}, mutant)


def _struck(
    launcher: Launcher, scene: Scene, root: Path, point: int, fault: Fault, codes: set[int], mutant: str = ""
) -> Outcome:
    number = point + 2
    ground = scene.ground(root, number)
    scene.prepare(ground, number)
    outcome = launcher.act(scene.act, ground, scene.target(number), fault, mutant=mutant)
    try:
        assert outcome.code in (codes if outcome.struck else {0}), outcome
        scene.intact(ground, number)
        recover(ground)
        again = launcher.act(scene.act, ground, scene.target(number))
        assert again.code == 0, again.said
        scene.done(ground, number)
        recover(ground)
        assert half_made(ground) == []
    except Exception as error:
        error.add_note(f"{fault}\nends with {outcome.code} {outcome.said} at {outcome.effects[-3:]}")
        raise
    return outcome
