"""A process that writes through a mapping, after training has ended and while the tree is frozen.

Such a write has no call that could be seen, and changes a file's time only now and then. Whatever it does: a
success has files that are its manifest's, read through the snapshot; else the run says that somebody still wrote.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from ci_mlsnap.errors import MlsnapError
from ci_mlsnap.flows import conclude as concluding
from ci_mlsnap.flows.context import Request
from ci_mlsnap.flows.run import run
from ci_mlsnap.training.process import Trained, run_training
from ci_mlsnap.training.signals import StopSignal
from ci_mlsnap.training.writers import open_writers
from tests.conftest import FileSystem
from tests.promise.checking import faults_of
from tests.property.histories import IN_MEMORY
from tests.property.world import World, new_world

WRITER = """\
import mmap, os, sys
file = os.open(sys.argv[1], os.O_RDWR)
view = mmap.mmap(file, 0)
os.close(file)
number = 0
print("mapped", flush=True)
while True:
    number += 1
    at = number * 4096 % (len(view) - 8)
    view[at:at + 8] = number.to_bytes(8, "big")
"""
CHILD = """\
import os, subprocess, sys
model = os.environ["MLSNAP_MODEL_DIR"] + "/model.bin"
with open(model, "wb") as file:
    file.write(os.urandom(1 << 20))
command = [sys.executable, "-c", sys.argv[1], model]
writer = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
writer.stdout.readline()
"""
"""Trains, and leaves a writer in a session of its own behind."""
SIZE = 1 << 20

GROUNDS: dict[str, FileSystem | None] = {"copy": None, "copy on ext4": "ext4", "reflink": "xfs", "btrfs": "btrfs"}
"""The ways of the local driver, and the file system on which each is picked; `copy` also where none is mounted."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A world in which a model file of one mebibyte is trained, and somebody may map it."""

    world: World

    def run(self, command: tuple[str, ...] = ()) -> tuple[str, int]:
        """Run, and give the outcome with its exit code."""
        try:
            with StopSignal() as stop:
                return run(self.world.project(), Request(command=command), stop=stop).outcome, 0
        except MlsnapError as error:
            return error.slug, int(error.exit_code)

    def versions(self) -> list[Path]:
        """Give the snapshots, each read again, by no code of the package, and held against its manifest."""
        found = [place for place in (self.world.store / "snapshots").iterdir() if not place.name.startswith(".")]
        for place in found:
            assert faults_of(place) == []
        return found


@pytest.fixture(params=GROUNDS)
def ground(request: pytest.FixtureRequest) -> Path | None:
    """Give the place for a world on each ground."""
    kind = GROUNDS[request.param]
    return IN_MEMORY if kind is None else cast("Path", request.getfixturevalue("loop_mount")(kind, 600))


@contextmanager
def scene(place: Path | None, *, shared: bool) -> Iterator[Scene]:
    world = new_world(shared=shared, in_memory=False, place=place)
    try:
        with world.played():
            yield Scene(world=world)
    finally:
        world.remove()


@contextmanager
def writing_to(model: Path) -> Iterator[None]:
    """Have another process write to the file through a mapping during the block."""
    writer = subprocess.Popen((sys.executable, "-c", WRITER, str(model)), stdout=subprocess.PIPE)
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"mapped\n"
        yield
    finally:
        writer.kill()
        writer.communicate()


@pytest.mark.parametrize("shared", [False, True], ids=["in place", "in a workspace"])
def test_a_mapping_that_a_child_of_training_keeps_makes_no_version(
    ground: Path | None, shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scene(ground, shared=shared) as here:
        monkeypatch.setattr("ci_mlsnap.flows.train.run_training", run_training)
        assert here.run((sys.executable, "-c", CHILD, WRITER)) == ("late-writer", 11)
        assert here.world.board.heard[-1].state == "failure"
        assert here.versions() == []


@pytest.mark.parametrize("shared", [False, True], ids=["in place", "in a workspace"])
def test_a_mapping_that_another_process_keeps_is_seen(
    ground: Path | None, shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run looks at all processes before it freezes; one that has the file mapped makes it end."""
    with scene(ground, shared=shared) as here:
        monkeypatch.setattr(concluding, "open_writers", open_writers)
        with trained_and_mapped(here, monkeypatch):
            assert here.run() == ("late-writer", 11)
        assert here.world.board.heard[-1].state == "failure"
        assert here.versions() == []


@pytest.mark.parametrize("shared", [False, True], ids=["in place", "in a workspace"])
def test_a_mapping_that_nobody_sees_makes_no_false_success(
    ground: Path | None, shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of another host, or of a user whose processes are hidden: only the tree itself can tell."""
    with scene(ground, shared=shared) as here:
        with trained_and_mapped(here, monkeypatch):
            outcome, code = here.run()
            made = here.versions()
        assert (outcome, code) == ("good", 0) or code == 11
        assert (here.world.board.heard[-1].state == "success") == (code == 0) == bool(made)
        assert here.versions() == made


@contextmanager
def trained_and_mapped(here: Scene, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let training leave a large file that is mapped, and written to, from then on."""
    with ExitStack() as writers:

        def train(command: object, **wishes: Any) -> Trained:
            done = here.world.train(command, **wishes)
            model = Path(wishes["environment"]["MLSNAP_MODEL_DIR"]) / "model.bin"
            model.write_bytes(os.urandom(SIZE))
            writers.enter_context(writing_to(model))
            return done

        monkeypatch.setattr("ci_mlsnap.flows.train.run_training", train)
        yield
