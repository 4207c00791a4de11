from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import msgspec
import pytest

from ci_mlsnap.state.holder import Holder, proven_dead, this_process

SAY_WHO = (
    "import msgspec, sys; from ci_mlsnap.state.holder import this_process;"
    "sys.stdout.buffer.write(msgspec.json.encode(this_process()) + b'\\n'); sys.stdout.flush(); sys.stdin.read()"
)


@pytest.fixture
def other() -> Iterator[tuple[subprocess.Popen[bytes], Holder]]:
    """Give a process that lives until it is told to end, and how it describes itself."""
    process = subprocess.Popen([sys.executable, "-c", SAY_WHO], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield process, msgspec.json.decode(process.stdout.readline(), type=Holder)
    finally:
        process.kill()
        process.communicate()


def test_a_process_that_runs_is_not_dead(other: tuple[subprocess.Popen[bytes], Holder]) -> None:
    assert not proven_dead(other[1], this_process())
    assert not proven_dead(this_process(), this_process())


def test_a_process_that_ended_is_dead(other: tuple[subprocess.Popen[bytes], Holder]) -> None:
    process, holder = other
    process.kill()
    process.wait()
    assert proven_dead(holder, this_process())


def test_a_process_that_ended_and_that_nobody_waited_for_is_dead(
    other: tuple[subprocess.Popen[bytes], Holder],
) -> None:
    process, holder = other
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert proven_dead(holder, this_process())


def test_a_stopped_process_is_not_dead(other: tuple[subprocess.Popen[bytes], Holder]) -> None:
    process, holder = other
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    assert not proven_dead(holder, this_process())


def test_a_later_process_with_the_same_number_does_not_stand_for_a_dead_one() -> None:
    here = this_process()
    assert proven_dead(msgspec.structs.replace(here, started=here.started - 1), here)


def test_a_new_boot_of_the_same_machine_is_proof() -> None:
    here = msgspec.structs.replace(this_process(), machine="m")
    assert proven_dead(msgspec.structs.replace(here, boot="an earlier one"), here)


@pytest.mark.parametrize(
    "differing",
    [
        {"host": "another"},
        {"machine": "another"},
        {"namespace": "pid:[1]"},
        {"machine": "another", "boot": "another"},
        {"boot": ""},
    ],
    ids=["host", "machine", "namespace", "machine and boot", "no boot"],
)
def test_nothing_is_proven_about_a_process_elsewhere(differing: dict[str, str]) -> None:
    here = msgspec.structs.replace(this_process(), machine="m")
    there = msgspec.structs.replace(here, started=here.started - 1, **differing)
    assert not proven_dead(there, here)


def test_without_a_machine_id_a_boot_proves_nothing() -> None:
    """Containers of one image on two machines have the same host name and no machine id."""
    here = msgspec.structs.replace(this_process(), machine="")
    assert not proven_dead(msgspec.structs.replace(here, boot="another"), here)
