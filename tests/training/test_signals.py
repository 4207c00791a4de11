"""Signals as the CIs send them, to a process of its own that trains as `mlsnap train` does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ci_mlsnap.training.signals import StopSignal
from tests.training.conftest import PATIENCE, answer, eventually, runs

Program = Callable[..., subprocess.Popen[bytes]]

TRAINS = """
import json, os, pathlib, sys
from ci_mlsnap.training.process import run_training
from ci_mlsnap.training.signals import StopSignal
command, wishes = sys.argv[1], json.loads(sys.argv[2])
with StopSignal(bounce_seconds=wishes.pop("bounce_seconds", 1.0)) as stop, open(os.devnull, "wb") as sink:
    trained = run_training(
        command, folder=pathlib.Path.cwd(), environment={"PATH": os.environ["PATH"]}, sink=sink, stop=stop,
        **{"timeout": 60.0, "grace_seconds": 60.0, "settle_seconds": 0.2, **wishes},
    )
    print(json.dumps({"received": stop.received, "code": trained.exit_code, "timed_out": trained.timed_out}))
"""
STARTED = "echo $$ > part; mv part pid; "
SAVES = f"trap 'sleep 0.5; echo saved > model; exit 0' INT TERM; {STARTED} while :; do sleep 0.05; done"
"""Training that writes a checkpoint when it is told to stop, which takes a moment."""


@pytest.fixture
def trains(program: Program, tmp_path: Path) -> Callable[..., subprocess.Popen[bytes]]:
    """Give `trains(command)`: the process, once its command has written the file `pid`."""

    def start(command: str, *, ignored: int | None = None, **wishes: Any) -> subprocess.Popen[bytes]:
        # What we ignore, our children ignore from their start.
        before = signal.signal(ignored, signal.SIG_IGN) if ignored else None
        process = program(TRAINS, command, json.dumps(wishes), cwd=tmp_path)
        if ignored:
            signal.signal(ignored, before)
        eventually(lambda: (tmp_path / "pid").exists() or process.poll() is not None, "training starts")
        return process

    return start


def pid_in(folder: Path) -> int:
    return int((folder / "pid").read_text())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_training_which_may_save_first(trains: Program, tmp_path: Path, number: int) -> None:
    process = trains(SAVES)
    process.send_signal(number)
    assert answer(process) == {"received": number, "code": 0, "timed_out": False}
    assert (tmp_path / "model").read_text() == "saved\n"
    assert not runs(pid_in(tmp_path))


def test_the_runner_of_actions_sends_sigint_and_later_sigterm(trains: Program, tmp_path: Path) -> None:
    process = trains(SAVES)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    assert answer(process)["received"] in (signal.SIGINT, signal.SIGTERM), "both were pending: either was first"
    assert (tmp_path / "model").read_text() == "saved\n"


def test_jenkins_repeats_sigterm_and_the_clean_up_goes_on(trains: Program, tmp_path: Path) -> None:
    process = trains(SAVES)
    while process.poll() is None:
        process.send_signal(signal.SIGTERM)
        time.sleep(0.01)
    assert answer(process)["received"] == signal.SIGTERM
    assert (tmp_path / "model").read_text() == "saved\n"


def test_a_hangup_stops_training(trains: Program, tmp_path: Path) -> None:
    process = trains(f"{STARTED} exec sleep 100")
    process.send_signal(signal.SIGHUP)
    assert answer(process)["received"] == signal.SIGHUP


def test_a_hangup_that_was_ignored_from_the_start_stays_ignored(trains: Program, tmp_path: Path) -> None:
    process = trains(f"{STARTED} while [ ! -e go ]; do sleep 0.02; done; exit 5", ignored=signal.SIGHUP)
    process.send_signal(signal.SIGHUP)
    (tmp_path / "go").touch()
    assert answer(process) == {"received": None, "code": 5, "timed_out": False}


def test_an_interrupt_that_was_ignored_from_the_start_stops_all_the_same(trains: Program, tmp_path: Path) -> None:
    # A shell starts its background processes so, and GitHub's runner interrupts them.
    process = trains(f"{STARTED} exec sleep 100", ignored=signal.SIGINT, grace_seconds=0.2)
    process.send_signal(signal.SIGINT)
    assert answer(process)["received"] == signal.SIGINT
    assert not runs(pid_in(tmp_path))


def test_what_ignores_the_stop_is_killed_after_the_grace(trains: Program, tmp_path: Path) -> None:
    process = trains(f"trap '' INT TERM; {STARTED} while :; do sleep 1; done", grace_seconds=0.2)
    process.send_signal(signal.SIGTERM)
    assert answer(process)["code"] == 128 + signal.SIGKILL
    assert not runs(pid_in(tmp_path))


def test_a_person_who_asks_twice_is_obeyed_at_once(trains: Program, tmp_path: Path) -> None:
    stubborn = f"trap 'touch asked' INT; {STARTED} while :; do sleep 0.05; done"
    process = trains(stubborn, bounce_seconds=0.0)
    process.send_signal(signal.SIGINT)
    eventually((tmp_path / "asked").exists, "training hears of it")
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=PATIENCE) == 128 + signal.SIGINT
    assert not runs(pid_in(tmp_path))


def test_a_bouncing_key_is_one_wish(trains: Program, tmp_path: Path) -> None:
    process = trains(SAVES, bounce_seconds=PATIENCE)
    process.send_signal(signal.SIGINT)
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert answer(process)["received"] == signal.SIGINT
    assert (tmp_path / "model").read_text() == "saved\n"


# -- Jenkins ends the tree from its leaves -------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [f"{STARTED} exec sleep 100", "sleep 100 & echo $! > part; mv part pid; wait $!; exit $?"],
)
def test_a_training_that_died_of_sigterm_waits_for_our_own(trains: Program, tmp_path: Path, command: str) -> None:
    process = trains(command, own_signal_wait=PATIENCE)
    os.kill(pid_in(tmp_path), signal.SIGTERM)
    eventually(lambda: not runs(pid_in(tmp_path)), "training is dead")
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    said = answer(process)
    assert (said["received"], said["code"]) == (signal.SIGTERM, 128 + signal.SIGTERM)


def test_elsewhere_it_is_told_at_once(trains: Program, tmp_path: Path) -> None:
    process = trains(f"{STARTED} exec sleep 100")
    os.kill(pid_in(tmp_path), signal.SIGTERM)
    assert answer(process) == {"received": None, "code": 128 + signal.SIGTERM, "timed_out": False}


# -- the value itself ------------------------------------------------------------------------------------------


def test_handlers_are_put_back() -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    with StopSignal():
        assert [signal.getsignal(number) for number in numbers] != before
    assert [signal.getsignal(number) for number in numbers] == before


def test_the_first_signal_is_the_one_that_is_told() -> None:
    with StopSignal() as stop:
        assert stop.received is None
        assert not stop.wait(0.01)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(PATIENCE)
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop.received == signal.SIGTERM
    assert stop.received == signal.SIGTERM


def test_a_signal_that_the_kernel_gives_to_another_thread_wakes_us_too() -> None:
    end = threading.Event()
    other = threading.Thread(target=end.wait)
    other.start()
    try:
        with StopSignal() as stop:
            # Blocked here, it can only go there.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.wait(PATIENCE)
            assert stop.received == signal.SIGTERM
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        end.set()
        other.join()


def test_other_signals_are_nothing_to_it() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: heard.append(number))
    try:
        with StopSignal() as stop:
            os.kill(os.getpid(), signal.SIGUSR1)
            assert not stop.wait(0.05)
            assert heard == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_it_can_be_asked_without_being_entered() -> None:
    stop = StopSignal()
    assert not stop.wait(0)
    assert stop.received is None


def test_it_leaves_no_descriptor() -> None:
    before = os.listdir("/proc/self/fd")
    with StopSignal():
        pass
    StopSignal()
    assert os.listdir("/proc/self/fd") == before
