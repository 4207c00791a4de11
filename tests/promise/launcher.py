"""Starts `mlsnap` with short waits, and kills it where a test asks for that.

`python launcher.py run …` is the program itself. `python launcher.py --serve ROOT` reads orders, one JSON object a
line, and does each in a forked child: there all is loaded already, so that a test can kill a hundred times.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

EFFECTS = frozenset(
    (
        *("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate"),
        *("os.chmod", "os.chown", "os.utime", "os.setxattr", "subprocess.Popen", "socket.connect"),
        *("mlsnap.renameat2", "mlsnap.note"),
    )
)
"""What the interpreter tells of, just before it happens, and what changes something outside of the process."""

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def quicken() -> None:
    """Make waits short that only spare others: pauses between requests, polls of a lease, grace for training."""
    from ci_mlsnap import services
    from ci_mlsnap.flows.context import Timing
    from ci_mlsnap.forge import github

    pauses = {"between_requests": 0, "between_writes": 0, "backoff": 0.001, "secondary_wait": 0.01}
    patience = functools.partial(github.Patience, **pauses, retries=1, longest_wait=0.2, timeout=1, deadline=10)
    _put(github, "Patience", patience)
    waits = {"lease_poll": 0.02, "grace": 0.3}
    for name in ("grace", "lease_ttl", "lease_renewal"):
        if wished := os.environ.get(f"TEST_{name.upper()}"):
            waits[name] = float(wished)

    def timing(**wishes: Any) -> Timing:
        return Timing(**{**wishes, **waits, "own_signal_wait": min(wishes.get("own_signal_wait", 0.0), 5.0)})

    _put(services, "Timing", timing)


def pause_at_lease() -> None:
    """Where a test names a file: make it before a commit's lease is taken, and go on when it is gone again."""
    from ci_mlsnap.flows import leases

    paused, take = os.environ.get("TEST_PAUSE_AT_LEASE"), leases.take_commit
    if not paused:
        return

    def take_later(*arguments: Any) -> bool:
        Path(paused).touch()
        while Path(paused).exists():
            time.sleep(0.01)
        return take(*arguments)

    _put(leases, "take_commit", take_later)


def forget_power_cuts() -> None:
    """Do not wait for disks: a kill takes nothing from the kernel, so it cannot show whether that was asked to."""
    from ci_mlsnap.trees import syncfs

    _put(os, "fsync", _nothing)
    _put(os, "sync", _nothing)
    for module in list(sys.modules.values()):
        if module.__name__.startswith("ci_mlsnap.") and hasattr(module, "sync_file_system"):
            _put(module, "sync_file_system", _nothing)
    _put(syncfs, "sync_file_system", _nothing)


def _put(place: Any, name: str, value: object) -> None:
    setattr(place, name, value)


def _nothing(*_arguments: object) -> None:
    """Take the place of a call that a test has no use for."""


def tell_effects() -> None:
    """Have the interpreter tell also of the renames that it does not know, and of the journal's lines."""
    from ci_mlsnap.state.journal import Run
    from ci_mlsnap.trees import exchange

    rename, note = exchange._rename, Run.note

    def told_rename(a: Path, b: Path, flags: int) -> None:
        sys.audit("mlsnap.renameat2", str(a), str(b))
        rename(a, b, flags)

    def told_note(self: Run, event: Any, **facts: object) -> None:
        sys.audit("mlsnap.note", event)
        note(self, event, **facts)

    _put(exchange, "_rename", told_rename)
    _put(Run, "note", told_note)


def watch(effects: list[str], kill_at: int) -> None:
    """List effects, and be killed just before the one of number `kill_at`."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in EFFECTS and not (event == "open" and _writes(arguments)):
            return
        effects.append(f"{event} {arguments[0]!r}"[:200])
        if len(effects) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def _writes(arguments: tuple[Any, ...]) -> bool:
    return isinstance(arguments[2], int) and bool(arguments[2] & _WRITES)


def serve() -> None:
    """Do the orders of the standard input; answer each with its exit code and the list of its effects."""
    _load_everything()
    quicken()
    forget_power_cuts()
    tell_effects()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            os._exit(_obey(order))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        answers.write(json.dumps({"code": code}) + "\n")


def _load_everything() -> None:
    from ci_mlsnap.cli.table import COMMANDS

    for row in COMMANDS.values():
        importlib.import_module(f"ci_mlsnap.cli.{row.module}")
    flows = ("begin", "conclude", "doctor", "finish", "inspect", "restore", "run", "tidying", "train")
    others = ("services", "forge.client", "report.told", "report.shown", "report.summary", "report.planned")
    for name in (*(f"flows.{flow}" for flow in flows), *others):
        importlib.import_module(f"ci_mlsnap.{name}")
    importlib.import_module("jinja2")


def _obey(order: dict[str, Any]) -> int:
    for descriptor, path in ((1, order["stdout"]), (2, order["stderr"])):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.clear()
    os.environ.update(order["environ"])
    os.chdir(order["folder"])
    effects: list[str] = []
    watch(effects, order["kill_at"])
    code = _main(order["arguments"])
    done = len(effects)
    Path(order["effects"]).write_text("\n".join(effects[:done]))
    return code


def _main(arguments: list[str]) -> int:
    from ci_mlsnap.cli import main

    sys.argv = ["mlsnap", *arguments]
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def start(arguments: list[str]) -> int:
    """Be the program."""
    quicken()
    pause_at_lease()
    return _main(arguments)


if __name__ == "__main__":
    work: Callable[[], object] = serve if sys.argv[1:] == ["--serve"] else lambda: sys.exit(start(sys.argv[1:]))
    work()
