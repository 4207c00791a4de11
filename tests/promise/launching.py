"""The tests' end of `launcher.py --serve`: orders go in, outcomes come back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.conftest import need
from tests.promise.faults import Fault, Outcome
from tests.promise.syscalls import works_here

ROOT = Path(__file__).parents[2]
LAUNCHER = Path(__file__).with_name("launcher.py")
NO_FAULT = Fault()


class Launcher:
    """The process that has all loaded and forks for each order; it is started with the first."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def act(
        self,
        name: str,
        ground: Path,
        number: int = 0,
        fault: Fault = NO_FAULT,
        *,
        durable: bool = False,
        mutant: str = "",
    ) -> Outcome:
        """Have the driver on a ground asked to do something (see `acts`), struck by the fault."""
        act = {"name": name, "ground": str(ground), "number": number, "mutant": mutant}
        return self._order({"act": act, "fault": fault.told(), "durable": durable})

    def order(self, fault: Fault, *, command: Mapping[str, object], durable: bool) -> Outcome:
        """Have a command run, struck by the fault."""
        return self._order({"command": command, "fault": fault.told(), "durable": durable})

    def _order(self, order: dict[str, object]) -> Outcome:
        process = self._started()
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        assert answer, "the launcher ended"
        outcome = Outcome(**json.loads(answer))
        assert not outcome.hung, f"it hung after {outcome.effects[-1:]}"
        return outcome

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            need(works_here(), "needs Linux 5.19 or newer on x86_64 or aarch64, to watch system calls")
            self._process = subprocess.Popen(
                (sys.executable, str(LAUNCHER), "--serve"),
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        return self._process
