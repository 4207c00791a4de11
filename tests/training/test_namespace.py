"""Training in a process namespace: it sees nothing but itself, and all else is as without one."""

from __future__ import annotations

import functools
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ci_mlsnap.errors import CommandMissing, TrainingFailed
from ci_mlsnap.training import isolation
from ci_mlsnap.training.descendants import Process, processes
from ci_mlsnap.training.namespace import ENDED, REPORT
from ci_mlsnap.training.process import end_leftovers
from tests.conftest import AsUser, need, need_user_namespaces
from tests.training.conftest import PATIENCE, Ran, Run, eventually, runs, timed_out_once_ready

Inside = Callable[..., Ran]
SLEEP = f"1000.{os.getpid()}25"
"""Seconds that no other process sleeps, so that a process can be told by them."""


@pytest.fixture
def inside(run: Run) -> Inside:
    """Give `run` with a namespace around the command."""
    need(not _why_not(), _why_not())
    return lambda command, **changes: run(command, namespace=True, **changes)


_why_not = functools.cache(isolation.why_no_namespace)


@pytest.fixture
def interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is started be an interpreter that every user may execute."""
    found = next(
        filter(_is_for_all, (sys.executable, shutil.which("python3", path="/usr/local/bin:/usr/bin"))), None
    )
    need(found, "needs a Python that every user may execute")
    monkeypatch.setattr(sys, "executable", found)


def _is_for_all(program: str | None) -> bool:
    path = Path(os.path.realpath(program or "/nowhere"))
    return path.exists() and all(place.stat().st_mode & 0o001 for place in (path, *path.parents))


def number(sleeper: str) -> list[int]:
    """Give the numbers, as we see them, of the processes with this argument."""
    found = []
    for process in processes():
        try:
            words = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if sleeper.encode() in words[1:2]:
            found.append(process.pid)
    return [pid for pid in found if runs(pid)]


def test_it_sees_only_its_own_processes(inside: Inside) -> None:
    seen = inside("echo /proc/[0-9]*").output.split()
    assert seen == [b"/proc/1", b"/proc/2"]


def test_it_sees_them_without_a_shell_too(inside: Inside) -> None:
    assert inside([sys.executable, "-c", "import os; print(os.getpid(), os.getppid())"]).output == b"2 1\n"


def test_no_other_proc_of_the_machine_shows_more(inside: Inside) -> None:
    ran = inside("umount /proc; unshare --user --mount umount /proc; echo /proc/[0-9]* | grep -c 1.*2")
    assert ran.output.splitlines()[-1] == b"1"
    rows = inside("cat /proc/self/mountinfo").output.splitlines()
    procs = [row.split()[4] for row in rows if b" - proc " in row]
    assert procs.count(b"/proc") >= 2


def test_user_and_environment_and_folder_are_the_same(inside: Inside, run: Run) -> None:
    command = "id -u; id -g; pwd -P; umask; env | grep -v ^_= | sort; ulimit -a"
    environment = {"HOME": "/nowhere", "EMPTY": "", "LANG": "C", "NOT_UTF8": os.fsdecode(b"\xff")}
    assert inside(command, environment=environment).output == run(command, environment=environment).output


def test_it_has_a_session_and_no_descriptor_of_ours(inside: Inside) -> None:
    pid, session, *descriptors = inside("echo $$; cut -d' ' -f6 /proc/$$/stat; ls /proc/$$/fd").output.split()
    assert pid == session
    assert descriptors == [b"0", b"1", b"2"]


def test_it_ignores_no_signal(inside: Inside, run: Run) -> None:
    command = "grep -E '^Sig(Ign|Blk)' /proc/self/status"
    assert inside(command).output == run(command).output


def test_it_can_gain_no_rights_and_root_keeps_few(inside: Inside) -> None:
    status = inside("cat /proc/self/status").output.decode()
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
    for name in ("CapEff", "CapPrm", "CapBnd", "CapInh"):
        found = re.search(rf"^{name}:\s+([0-9a-f]+)$", status, re.MULTILINE)
        assert found is not None
        # Not to administrate the machine, to trace, to make devices, to read the kernel's memory.
        assert not int(found[1], 16) & sum(1 << place for place in (2, 12, 16, 17, 19, 21, 27))


def test_the_kernels_settings_cannot_be_written(inside: Inside) -> None:
    before = Path("/proc/sys/kernel/core_pattern").read_text()
    assert inside("echo evil > /proc/sys/kernel/core_pattern").trained.exit_code != 0
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before


def test_output_is_unchanged_and_in_order(inside: Inside, tmp_path: Path) -> None:
    noise = os.urandom(300_000)
    (tmp_path / "noise").write_bytes(noise)
    assert inside("echo first >&2; cat noise; echo last >&2").output == b"first\n" + noise + b"last\n"


@pytest.mark.parametrize("code", [0, 7, 126, 255])
def test_the_exit_code_is_given(inside: Inside, code: int) -> None:
    trained = inside(f"exit {code}").trained
    assert (trained.exit_code, trained.signal, trained.leftovers, trained.survivors) == (code, 0, 0, 0)


@pytest.mark.parametrize("name", ["SEGV", "KILL", "TERM", "INT"])
def test_death_by_a_signal_is_told(inside: Inside, name: str) -> None:
    trained = inside(["sh", "-c", f"kill -{name} $$; sleep 10"]).trained
    died_of = signal.Signals[f"SIG{name}"]
    assert (trained.signal, trained.exit_code) == (died_of, 128 + died_of)


@pytest.mark.parametrize(
    "command", [["no-such-program"], ["./not-executable"], [], ["/"], ["a\0b"], ["printf", "\0"]]
)
def test_a_missing_command_is_named(inside: Inside, tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "not-executable").write_text("#!/bin/sh\n")
    before = os.listdir("/proc/self/fd")
    with pytest.raises(CommandMissing) as caught:
        inside(command)
    assert caught.value.hint
    assert os.listdir("/proc/self/fd") == before


def test_a_missing_folder_is_told(inside: Inside, tmp_path: Path) -> None:
    with pytest.raises(TrainingFailed, match="gone"):
        inside("true", folder=tmp_path / "gone")


def test_a_daemon_is_found_and_ended(inside: Inside) -> None:
    ran = inside(f"(setsid sh -c 'exec sleep {SLEEP}' &) ; sleep 0.05")
    assert (ran.trained.exit_code, ran.trained.leftovers, ran.trained.survivors) == (0, 1, 0)
    assert number(SLEEP) == []


def test_a_daemon_that_the_first_lists_miss_is_found(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is forked while the list is made is not in it, and its parent may have ended before."""
    lists = ["before the start", "after the end", "after that"]

    def misses() -> list[Process]:
        missed = number(SLEEP) if lists and lists.pop() else []
        return [process for process in processes() if process.pid not in missed]

    monkeypatch.setattr("ci_mlsnap.training.descendants.processes", misses)
    assert inside(f"sleep {SLEEP} &").trained.leftovers == 1
    assert not lists


def test_a_worker_that_ends_by_itself_just_after_is_no_leftover(inside: Inside) -> None:
    assert inside("sleep 0.1 &", settle_seconds=PATIENCE).trained.leftovers == 0


def test_the_timeout_ends_everything(inside: Inside) -> None:
    command = f"(setsid sleep {SLEEP} &) ; echo ready; sleep {SLEEP}"
    trained = timed_out_once_ready(lambda timeout: inside(command, timeout=timeout)).trained
    assert trained.timed_out
    assert (trained.exit_code, trained.survivors) == (128 + signal.SIGTERM, 0)
    assert number(SLEEP) == []


def test_training_may_tidy_up_when_its_time_is_over(inside: Inside) -> None:
    command = "trap 'echo saved; exit 0' TERM; echo ready; while :; do sleep 0.02; done"
    ran = timed_out_once_ready(lambda timeout: inside(command, timeout=timeout, grace_seconds=PATIENCE))
    # Its child is told too, and some shells say so.
    assert ran.output.replace(b"Terminated\n", b"") == b"ready\nsaved\n"


def test_one_that_ignores_sigterm_is_killed(inside: Inside) -> None:
    command = f"trap '' TERM; echo ready; while :; do sleep {SLEEP}; done"
    ran = timed_out_once_ready(lambda timeout: inside(command, timeout=timeout))
    assert (ran.trained.signal, ran.trained.survivors) == (signal.SIGKILL, 0)
    assert number(SLEEP) == []


def test_a_family_that_breeds_while_it_is_ended_is_ended(inside: Inside, tmp_path: Path) -> None:
    (tmp_path / "breed").write_text(
        f"trap 'for i in 1 2 3; do setsid sh -c \"trap : TERM; sleep {SLEEP}\" & done' TERM; sleep {SLEEP} & wait"
    )
    assert inside("setsid sh breed & sleep 0.2").trained.survivors == 0
    assert number(SLEEP) == []


def test_a_stop_ends_it(inside: Inside) -> None:
    def stop_once_it_runs() -> None:
        eventually(lambda: number(SLEEP), "training runs")
        os.kill(os.getpid(), signal.SIGTERM)

    stopper = threading.Thread(target=stop_once_it_runs)
    stopper.start()
    trained = inside(f"sleep {SLEEP}", timeout=PATIENCE).trained
    stopper.join()
    assert (trained.signal, trained.timed_out) == (signal.SIGTERM, False)
    assert number(SLEEP) == []


def test_when_what_starts_it_is_killed_nothing_of_it_is_left(inside: Inside) -> None:
    def kill_number_one() -> None:
        eventually(lambda: number(SLEEP), "training runs")
        parents = {it.pid: it.parent for it in processes()}
        os.kill(parents[number(SLEEP)[0]], signal.SIGKILL)

    killer = threading.Thread(target=kill_number_one)
    killer.start()
    trained = inside(["sleep", SLEEP], timeout=PATIENCE).trained
    killer.join()
    assert (trained.signal, trained.timed_out) == (signal.SIGKILL, False)
    assert number(SLEEP) == []


def test_it_cannot_report_for_itself(inside: Inside) -> None:
    """What starts it holds the descriptor of the reports: training must not open that one."""
    ran = inside(
        "for fd in /proc/1/fd/*; do echo $fd; (printf 'e\\0\\0\\0\\0\\0\\0\\0\\0' > $fd) && echo wrote; done"
    )
    assert b"wrote" not in ran.output


def test_no_zombie_and_no_descriptor_is_left(inside: Inside) -> None:
    before = os.listdir("/proc/self/fd")
    inside("for i in 1 2 3; do (setsid sleep 100 &); done")
    inside("true")
    assert [it for it in processes() if it.parent == os.getpid() and it.ended] == []
    assert os.listdir("/proc/self/fd") == before


def test_what_a_killed_run_left_is_found_by_the_runs_id(inside: Inside, tmp_path: Path) -> None:
    run_id = f"abcdef012345-{os.urandom(4).hex()}"
    variables = {"MLSNAP_METRICS": f"/w/{run_id}.out/metrics.json"}
    command = f"(setsid env -i sleep {SLEEP} &); sleep {SLEEP}"

    def end_it_once_it_runs() -> None:
        eventually(lambda: number(SLEEP), "training runs")
        end_leftovers(run_id, grace_seconds=1.0)

    ender = threading.Thread(target=end_it_once_it_runs)
    ender.start()
    trained = inside(command, environment=variables, timeout=PATIENCE).trained
    ender.join()
    assert not trained.timed_out
    assert number(SLEEP) == []


# -- an ordinary user --------------------------------------------------------------------------------------


@pytest.fixture
def become(as_user: AsUser, interpreter: None) -> AsUser:
    """Give `as_user`, for what needs a namespace there."""
    need_user_namespaces()
    return as_user


def test_an_ordinary_user_gets_one_too(become: AsUser, ordinary_users: tuple[int, int], inside: Inside) -> None:
    command = (
        "id -u; id -g; echo /proc/[0-9]*; umount /proc 2> /dev/null; echo /proc/[0-9]*; grep CapEff /proc/1/status"
    )

    def seen() -> list[str]:
        assert isolation.why_no_namespace() == ""
        return inside(command, folder=Path("/")).output.decode().split()

    user = ordinary_users[0]
    assert become(user, seen) == [*(str(user),) * 2, *("/proc/1", "/proc/2") * 2, "CapEff:", "0" * 16]


def test_another_group_of_that_user_still_counts(
    become: AsUser, ordinary_users: tuple[int, int], open_folder: Path
) -> None:
    need(shutil.which("setpriv"), "needs setpriv")
    user, group = ordinary_users
    shared = open_folder / "shared"
    shared.mkdir()
    os.chown(shared, 0, group)
    shared.chmod(0o2770)
    identity = ("setpriv", f"--reuid={user}", f"--regid={user}", f"--groups={group}")
    readable, writable = os.pipe()
    command = (*identity, *isolation.starter(), str(writable), "mkdir", str(shared / "made"))
    subprocess.run(command, pass_fds=(writable,), check=True)
    os.close(writable)
    with os.fdopen(readable, "rb") as reports:
        said = reports.read()
    assert said[-REPORT.size :] == REPORT.pack(ENDED, 0)
    made = (shared / "made").stat()
    assert (made.st_uid, made.st_gid, bool(made.st_mode & stat.S_ISGID)) == (user, group, True)
