from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ci_mlsnap.durable.locks import lock
from ci_mlsnap.errors import Busy, StorageFailed

_HOLDER = """
import sys
from pathlib import Path
from ci_mlsnap.durable.locks import lock
with lock(Path(sys.argv[1]), wait=5):
    print("held", flush=True)
    sys.stdin.read()
"""


def _holder(path: Path) -> subprocess.Popen[str]:
    """Start a process that holds the lock until its input ends."""
    command = (sys.executable, "-c", _HOLDER, str(path))
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_another_process_finds_it_busy_and_is_told_which_file(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with _holder(path) as holder:
        with pytest.raises(Busy) as caught, lock(path, wait=0):
            pass
        holder.kill()
    assert "lock" in caught.value.what
    assert caught.value.hint


def test_a_killed_owner_leaves_it_free_and_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with _holder(path) as holder:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with lock(path, wait=0):
            pass
    assert path.exists()


def test_it_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with _holder(path) as holder:
        assert holder.stdin is not None
        threading.Timer(0.05, holder.stdin.close).start()
        with lock(path, wait=30, pause=0.005):
            holder.wait()


def test_threads_exclude_each_other(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        for _ in range(20):
            with lock(path, wait=30, pause=0.001):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 80


def test_a_failing_block_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with pytest.raises(ValueError), lock(path, wait=0):
        raise ValueError
    with lock(path, wait=0):
        pass


def test_a_child_that_lives_on_does_not_keep_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with lock(path, wait=0):
        child = subprocess.Popen(("sleep", "60"), close_fds=False)
    try:
        with lock(path, wait=0):
            pass
    finally:
        child.kill()
        child.wait()


def test_where_it_cannot_be_made_the_storage_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="missing"), lock(tmp_path / "missing" / "lock", wait=0):
        pass


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with lock(tmp_path / "lock", wait=0), pytest.raises(Busy), lock(tmp_path / "lock", wait=0):
            pass
    assert len(os.listdir("/proc/self/fd")) == before
