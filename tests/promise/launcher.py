"""Starts `mlsnap` with short waits, and has faults strike it where a test asks for that.

`python launcher.py run …` is the program itself. `python launcher.py --serve` reads orders, one JSON object a
line, and does each in a forked child, watched and struck as the order says: there all is loaded already, so that a
test can kill a hundred times.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ci_mlsnap.training import hidden
from tests.promise.acts import Say, perform
from tests.promise.faults import Fault, struck_alone
from tests.warm import load_everything


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
    _quicken_ontap()


def _quicken_ontap() -> None:
    """Make the pauses short in which a cluster is waited for; a test may say how long is waited at all.

    Where a test says `TEST_DIE_AT_REQUEST`, the process dies there: `3` before the third request is sent, `3+`
    once it was answered.
    """
    from ci_mlsnap.storage import ontap, ontap_connection
    from ci_mlsnap.storage.ontap_requests import Patience

    def patience() -> Patience:
        most = float(os.environ.get("TEST_ONTAP_PATIENCE", "10"))
        quick = functools.partial(Patience, between=0.02, first_poll=0.01, longest_poll=0.05, fresh=0.0)
        return quick(looking=most, job=most, shown=most, timeouts=(most, most))

    _put(ontap, "Patience", patience)
    sent, send = itertools.count(1), ontap_connection.Connection.send

    def send_or_die(*arguments: Any, **wishes: Any) -> ontap_connection.Reply:
        number, last = next(sent), os.environ.get("TEST_DIE_AT_REQUEST")
        if last == str(number):
            os.kill(os.getpid(), signal.SIGKILL)
        reply = send(*arguments, **wishes)
        if last == f"{number}+":
            os.kill(os.getpid(), signal.SIGKILL)
        return reply

    _put(ontap_connection.Connection, "send", send_or_die)


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


def _put(place: Any, name: str, value: object) -> None:
    setattr(place, name, value)


def serve() -> None:
    """Do the orders of the standard input; answer each with its outcome."""
    load_everything()
    quicken()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    for line in sys.stdin:
        order = json.loads(line)
        outcome = struck_alone(_work(order), Fault(**order["fault"]), durable=order["durable"])
        answers.write(json.dumps(asdict(outcome)) + "\n")
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _work(order: dict[str, Any]) -> Callable[[Say], int]:
    if command := order.get("command"):
        return lambda _: _obey(command)
    act = order["act"]
    return lambda say: perform(act["name"], Path(act["ground"]), act["number"], say, act["mutant"])


def _obey(command: dict[str, Any]) -> int:
    for descriptor, path in ((1, command["stdout"]), (2, command["stderr"])):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.clear()
    os.environ.update(command["environ"])
    os.chdir(command["folder"])
    return _main(command["arguments"])


def _main(arguments: list[str]) -> int:
    from ci_mlsnap.cli import main

    sys.argv = ["mlsnap", *arguments]
    return main()


def start(arguments: list[str]) -> int:
    """Be the program; one that hid its environment by starting anew has the waits in the hidden part."""
    if hidden.VARIABLE in os.environ:
        hidden.take_back()
    quicken()
    pause_at_lease()
    return _main(arguments)


if __name__ == "__main__":
    work: Callable[[], object] = serve if sys.argv[1:] == ["--serve"] else lambda: sys.exit(start(sys.argv[1:]))
    work()
