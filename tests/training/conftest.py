"""What the tests of training share: running a command, running a program of ours, waiting for a fact."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import pytest

from ci_mlsnap.training.process import Trained, run_training
from ci_mlsnap.training.signals import StopSignal

PATIENCE = 60.0
"""Seconds after which what must happen is taken as not happening; no test waits so long when all is well."""


@dataclass(frozen=True, kw_only=True)
class Ran:
    trained: Trained
    output: bytes


class Run(Protocol):
    def __call__(
        self,
        command: Sequence[str] | str,
        *,
        environment: Mapping[str, str] | None = None,
        sink: BinaryIO | None = None,
        **changes: Any,
    ) -> Ran: ...


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Give `run(command)`: train in the test's folder, with short waits."""

    def train(
        command: Sequence[str] | str,
        *,
        environment: Mapping[str, str] | None = None,
        sink: BinaryIO | None = None,
        **changes: Any,
    ) -> Ran:
        shown = io.BytesIO()
        wishes: dict[str, Any] = {"folder": tmp_path, "timeout": None, "grace_seconds": 0.2, "settle_seconds": 0.2}
        environment = {"PATH": os.environ["PATH"], **(environment or {})}
        with StopSignal() as stop:
            trained = run_training(
                command, environment=environment, sink=sink or shown, stop=stop, **{**wishes, **changes}
            )
        return Ran(trained=trained, output=shown.getvalue())

    return train


def timed_out_once_ready(train: Callable[[float], Ran]) -> Ran:
    """Give how a timeout ended training that had said `ready` before; a busy machine gets a longer one."""
    for timeout in (0.3, 3.0, PATIENCE):
        ran = train(timeout)
        if ran.output.startswith(b"ready\n"):
            return ran
    raise AssertionError(f"it never got ready: {ran}")


@pytest.fixture
def program() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Give `program(text, *arguments)`: a Python process of its own that can import the package."""
    with ExitStack() as stack:

        def start(text: str, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **options.pop("env", {})}
            process = subprocess.Popen(
                (sys.executable, "-c", text, *arguments), stdout=subprocess.PIPE, env=environment, **options
            )
            stack.callback(_end, process)
            return process

        yield start


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()


def eventually(fact: Callable[[], object], what: str) -> None:
    """Wait until the fact holds; fail the test when it does not."""
    deadline = time.monotonic() + PATIENCE
    while not fact():
        assert time.monotonic() < deadline, f"never came true: {what}"
        time.sleep(0.01)


def runs(pid: int) -> bool:
    """Tell whether the process is there and not merely unreaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2][:1] not in (b"Z", b"X")
    except OSError:
        return False


def answer(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Give the JSON object that a program printed at its end."""
    output, _ = process.communicate(timeout=PATIENCE)
    said: dict[str, Any] = json.loads(output.splitlines()[-1])
    return said
