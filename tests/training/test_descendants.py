from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from ci_mlsnap.training.process import end_leftovers
from tests.training.conftest import eventually, runs

Program = Callable[..., subprocess.Popen[bytes]]

TRAINS = """
import os, pathlib, sys
from ci_mlsnap.training.process import run_training
from ci_mlsnap.training.signals import StopSignal
with StopSignal() as stop, open(os.devnull, "wb") as sink:
    run_training(
        sys.argv[1], folder=pathlib.Path.cwd(), timeout=60, sink=sink, stop=stop,
        environment={"PATH": os.environ["PATH"], "MLSNAP_METRICS": f"/w/{sys.argv[2]}.out/metrics.json"},
    )
"""


@pytest.fixture
def run_id() -> str:
    return f"abcdef012345-{uuid.uuid4().hex[:8]}"


def test_what_a_killed_run_left_is_found_and_ended(program: Program, tmp_path: Path, run_id: str) -> None:
    # One keeps the variables; one has none, but is a child of one that has.
    command = "(setsid sleep 100 & echo $! > daemon); env -i /bin/sleep 100 & echo $! > bare; wait"
    killed = program(TRAINS, command, run_id, cwd=tmp_path)
    numbers = [tmp_path / "daemon", tmp_path / "bare"]
    eventually(lambda: killed.poll() is not None or all(map(_has_text, numbers)), "training starts")
    killed.kill()
    killed.wait()
    pids = [int(file.read_text()) for file in numbers]
    assert all(map(runs, pids)), "that is what a kill leaves"
    assert end_leftovers(run_id, grace_seconds=1.0) >= 2
    assert not any(map(runs, pids))
    assert end_leftovers(run_id, grace_seconds=1.0) == 0


def _has_text(file: Path) -> bool:
    return file.exists() and file.read_text() != ""


def test_runs_beside_it_are_left_alone(run_id: str) -> None:
    other = subprocess.Popen(("sleep", "100"), env={"MLSNAP_METRICS": "/w/abcdef012345-00000000.out/metrics.json"})
    mention = subprocess.Popen(("sleep", "100"), env={"NOTE": run_id})
    try:
        assert end_leftovers(run_id, grace_seconds=0.1) == 0
        assert other.poll() is None
        assert mention.poll() is None
    finally:
        for process in (other, mention):
            process.kill()
            process.wait()


def test_the_one_who_asks_and_those_above_it_are_never_ended(program: Program, run_id: str) -> None:
    # As when training itself calls `mlsnap finish`.
    asks = "from ci_mlsnap.training.process import end_leftovers as end; end(sys.argv[1], grace_seconds=0.1)"
    asks = f"import sys; {asks}"
    nested = f"import subprocess, sys; subprocess.run((sys.executable, '-c', {asks!r}, sys.argv[1]), check=True)"
    process = program(nested, run_id, env={"MLSNAP_METRICS": f"/w/{run_id}.out/metrics.json"})
    assert process.wait() == 0


def test_an_empty_id_ends_nothing() -> None:
    with pytest.raises(AssertionError):
        end_leftovers("", grace_seconds=0)
    assert runs(os.getpid())
