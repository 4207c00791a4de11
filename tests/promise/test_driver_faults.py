"""Killed at any call, or refused any, the driver keeps what was there, and done again ends as if nothing was."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ci_mlsnap.errors import ExitCode, MlsnapError
from tests.conftest import FileSystem, LoopMount
from tests.promise.acts import MUTANTS
from tests.promise.conftest import ALL_POINTS, FILE_SYSTEMS
from tests.promise.faults import FAILING, Fault, Outcome
from tests.promise.launching import NO_FAULT, Launcher
from tests.promise.scenes import SCENES, Scene, half_made, recover

KILLED = -9
NAMED = {ExitCode.STORAGE_FAILED, ExitCode.STORAGE_UNKNOWN, ExitCode.INTEGRITY}
"""The exit codes with which a storage that fails may end an act."""

REFUSALS = [(error, sticky) for error in FAILING for sticky in (False, True)]
"""Each error once, and from a point on: in turn, or, where all is to be tried, each at each point."""

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
    point = 1
    while _struck(launcher, scene, ground, point, Fault(at=point, kind="kill"), {KILLED}).struck:
        point += 1
    count(f"driver: killed at a call, {fs}", point - 1)


@pytest.mark.parametrize("fs", FILE_SYSTEMS)
@pytest.mark.parametrize("act", SCENES)
def test_refused_any_call(
    loop_mount: LoopMount, launcher: Launcher, count: Count, fs: FileSystem, act: str
) -> None:
    ground, scene = loop_mount(fs, 64), SCENES[act]
    calls = len(_struck(launcher, scene, ground, 1, NO_FAULT, set()).effects)
    tried = 0
    for refusals in [[refusal] for refusal in REFUSALS] if ALL_POINTS else [REFUSALS]:
        point = 1
        while point <= calls:
            tried += 1
            error, sticky = refusals[tried % len(refusals)]
            fault = Fault(at=point, kind="error", error=error, sticky=sticky)
            outcome = _struck(launcher, scene, ground, tried + 1, fault, {0, *NAMED})
            point = max(point, outcome.first) + 1
    count(f"driver: refused a call, {fs}", tried)


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
