from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from ci_mlsnap.errors import CommandMissing, TrainingFailed
from ci_mlsnap.training.descendants import processes
from ci_mlsnap.training.process import run_training
from ci_mlsnap.training.signals import StopSignal
from tests.training.conftest import PATIENCE, Run, answer, eventually, runs, timed_out_once_ready

DAEMON = """
import os, sys, time
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
open(sys.argv[1], "w").write(str(os.getpid()))
while True:
    open(sys.argv[1] + ".late", "a").write("x")
    time.sleep(0.01)
"""
"""A daemon by the book: its parent is gone, its session is its own, and its output stays open."""
LEADERLESS = """
import ctypes, os, threading
def works():
    while True:
        with open("late", "w") as file:
            file.write("more")
if not os.fork():
    threading.Thread(target=works).start()
    EXIT_ONE_THREAD = {"x86_64": 60, "aarch64": 93}[os.uname().machine]
    ctypes.CDLL(None).syscall(EXIT_ONE_THREAD, 0)
"""


def test_a_list_is_executed_without_a_shell(run: Run) -> None:
    ran = run(["printf", "%s\n", "$HOME; `id`", "two words"])
    assert ran.output == b"$HOME; `id`\ntwo words\n"
    assert ran.trained.exit_code == 0


def test_a_text_goes_to_the_shell(run: Run) -> None:
    assert run("echo one && echo $((1 + 1)) | cat").output == b"one\n2\n"


def test_it_runs_in_its_folder(run: Run, tmp_path: Path) -> None:
    assert run("pwd -P").output == os.fsencode(tmp_path.resolve()) + b"\n"


def test_output_and_errors_come_unchanged_and_in_order(run: Run, tmp_path: Path) -> None:
    noise = random.Random(1).randbytes(300_000)
    (tmp_path / "noise").write_bytes(noise)
    ran = run("echo first >&2; cat noise; echo last >&2")
    assert ran.output == b"first\n" + noise + b"last\n"


def test_output_is_passed_on_while_training_still_runs(run: Run, tmp_path: Path) -> None:
    readable, writable = os.pipe()
    go_on = tmp_path / "go-on"
    os.mkfifo(go_on)

    def answer_when_seen() -> None:
        # Training waits for us, and we wait for its text: only a text that is passed on at once ends this.
        if os.read(readable, 100) == b"no newline":
            go_on.write_text("seen")

    reader = threading.Thread(target=answer_when_seen)
    reader.start()
    with os.fdopen(writable, "wb") as sink, os.fdopen(readable, "rb") as rest:
        ran = run("printf 'no newline'; cat go-on", sink=sink, timeout=PATIENCE)
        reader.join()
        assert not ran.trained.timed_out
        assert os.read(rest.fileno(), 100) == b"seen"


def test_the_input_is_empty(run: Run) -> None:
    assert run("wc -c").output.strip() == b"0"


def test_the_end_of_the_output_is_kept(run: Run) -> None:
    ran = run("seq 1 100000", tail_bytes=20)
    assert ran.output.endswith(ran.trained.tail)
    assert len(ran.trained.tail) == 20


def test_a_short_output_is_its_own_tail(run: Run) -> None:
    assert run("echo all of it").trained.tail == b"all of it\n"


def test_the_exit_code_is_given(run: Run) -> None:
    assert (run("exit 7").trained.exit_code, run("exit 7").trained.signal) == (7, 0)


def test_death_by_a_signal_is_told(run: Run) -> None:
    trained = run(["sh", "-c", "kill -SEGV $$"]).trained
    assert (trained.signal, trained.exit_code) == (signal.SIGSEGV, 128 + signal.SIGSEGV)


def test_training_can_gain_no_rights_and_we_keep_ours(run: Run) -> None:
    assert run("grep NoNewPrivs /proc/self/status").output.split() == [b"NoNewPrivs:", b"1"]
    for task in Path("/proc/self/task").iterdir():
        assert "NoNewPrivs:\t0" in (task / "status").read_text()


def test_training_has_a_session_of_its_own_and_no_descriptor_of_ours(run: Run) -> None:
    readable, writable = os.pipe()
    os.set_inheritable(writable, True)
    try:
        ran = run("echo $$; cut -d' ' -f6 /proc/$$/stat; ls /proc/$$/fd")
    finally:
        os.close(readable)
        os.close(writable)
    pid, session, *descriptors = ran.output.split()
    assert pid == session
    assert descriptors == [b"0", b"1", b"2"]


# -- what cannot be started ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command", [["no-such-program"], ["./not-executable"], [], ["/"], ["./no-format"], ["a\0b"], ["printf", "\0"]]
)
def test_a_missing_command_is_named(run: Run, tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "not-executable").write_text("#!/bin/sh\n")
    (tmp_path / "no-format").write_bytes(b"\x00\x01")
    (tmp_path / "no-format").chmod(0o755)
    with pytest.raises(CommandMissing) as caught:
        run(command)
    assert caught.value.hint
    assert "\0" not in str(caught.value)


def test_a_missing_folder_is_not_called_a_missing_command(run: Run, tmp_path: Path) -> None:
    with pytest.raises(TrainingFailed, match="gone") as caught:
        run("true", folder=tmp_path / "gone")
    assert not isinstance(caught.value, CommandMissing)


def test_too_long_arguments_are_told(run: Run) -> None:
    with pytest.raises(TrainingFailed) as caught:
        run(["true", "x" * 300_000])
    assert "too long" in caught.value.why


def test_a_failed_start_leaves_no_descriptor_and_no_child(run: Run) -> None:
    before = os.listdir("/proc/self/fd")
    with pytest.raises(CommandMissing):
        run(["no-such-program"])
    assert os.listdir("/proc/self/fd") == before


def test_a_whole_run_leaves_no_descriptor(run: Run) -> None:
    before = os.listdir("/proc/self/fd")
    run("echo hello; (setsid sleep 50 &)")
    assert os.listdir("/proc/self/fd") == before


# -- descendants -------------------------------------------------------------------------------------------


def test_a_daemon_that_holds_the_output_neither_hangs_us_nor_survives(run: Run, tmp_path: Path) -> None:
    (tmp_path / "daemon.py").write_text(DAEMON)
    ran = run(
        f"{sys.executable} daemon.py pid; while [ ! -s pid.late ]; do sleep 0.02; done; echo done",
        timeout=PATIENCE,
    )
    assert ran.output == b"done\n"
    assert ran.trained.exit_code == 0
    assert ran.trained.leftovers == 1
    assert ran.trained.survivors == 0
    assert not runs(int((tmp_path / "pid").read_text()))
    written = (tmp_path / "pid.late").stat().st_size
    assert (tmp_path / "pid.late").stat().st_size == written


def test_one_whose_first_thread_has_ended_still_runs(run: Run, tmp_path: Path) -> None:
    """The kernel then says that it is a zombie, and its other threads write on."""
    (tmp_path / "works.py").write_text(LEADERLESS)
    ran = run([sys.executable, "works.py"])
    assert (ran.trained.leftovers, ran.trained.survivors) == (1, 0)


def test_one_that_ignores_sigterm_is_killed(run: Run, tmp_path: Path) -> None:
    run("(trap '' TERM; setsid sh -c 'trap \"\" TERM; echo $$ > pid; while :; do sleep 1; done' &)"
        "; while [ ! -s pid ]; do sleep 0.02; done")  # fmt: skip
    assert not runs(int((tmp_path / "pid").read_text()))


def test_a_stopped_one_is_ended_too(run: Run, tmp_path: Path) -> None:
    ran = run("sleep 100 & echo $! > pid; kill -STOP $!", grace_seconds=PATIENCE)
    assert ran.trained.leftovers == 1
    assert not runs(int((tmp_path / "pid").read_text()))


def test_a_family_that_breeds_while_it_is_ended_is_ended(run: Run, tmp_path: Path) -> None:
    breeding = (
        "trap 'for i in 1 2 3 4; do setsid sh -c \"trap : TERM; sleep 77.125\" & done' TERM; sleep 77.125 & wait"
    )
    (tmp_path / "breed").write_text(breeding)
    assert run("setsid sh breed & sleep 0.2").trained.survivors == 0
    assert b"sleep\x0077.125\0" not in set(command_lines())


def test_a_worker_that_ends_by_itself_just_after_is_no_leftover(run: Run) -> None:
    assert run("sleep 0.1 &", settle_seconds=PATIENCE).trained.leftovers == 0


def test_our_other_children_are_left_alone(run: Run) -> None:
    other = subprocess.Popen(("sleep", "100"))
    try:
        assert run("true").trained.leftovers == 0
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_no_zombie_is_left(run: Run) -> None:
    run("for i in 1 2 3; do (setsid sleep 100 &); done")
    assert [it for it in processes() if it.parent == os.getpid() and it.ended] == []


def test_after_the_run_orphans_are_not_adopted_any_more(run: Run) -> None:
    run("true")
    shell = (
        "sh -c 'while [ $(cut -d\" \" -f4 /proc/$$/stat) = '$$' ]; do :; done; cut -d\" \" -f4 /proc/$$/stat' &"
    )
    parent = subprocess.run(("sh", "-c", shell), capture_output=True, check=True).stdout
    assert int(parent) != os.getpid()


# -- time and stops ----------------------------------------------------------------------------------------


def test_the_timeout_ends_everything(run: Run, tmp_path: Path) -> None:
    command = (
        "rm -f pid; (setsid sh -c 'echo $$ > part; mv part pid; exec sleep 100' &); "
        "while [ ! -e pid ]; do sleep 0.01; done; echo ready; sleep 100"
    )
    trained = timed_out_once_ready(lambda timeout: run(command, timeout=timeout)).trained
    assert trained.timed_out
    assert trained.exit_code == 128 + signal.SIGTERM
    assert not runs(int((tmp_path / "pid").read_text()))


def test_training_may_tidy_up_when_its_time_is_over(run: Run) -> None:
    command = "trap 'echo saved; exit 0' TERM; echo ready; while :; do sleep 0.02; done"
    ran = timed_out_once_ready(lambda timeout: run(command, timeout=timeout, grace_seconds=PATIENCE))
    # Its child is told too, and some shells say so.
    assert ran.output.replace(b"Terminated\n", b"") == b"ready\nsaved\n"
    assert ran.trained.timed_out


def test_the_heart_beats_while_training_runs(run: Run, tmp_path: Path) -> None:
    beats: list[float] = []

    def beat(seconds: float) -> None:
        beats.append(seconds)
        if len(beats) == 3:
            (tmp_path / "enough").touch()

    run("while [ ! -e enough ]; do sleep 0.02; done", heartbeat=beat, heartbeat_seconds=0.02, timeout=PATIENCE)
    assert len(beats) >= 3
    assert beats == sorted(beats)


def test_an_error_of_ours_ends_training_too(run: Run, tmp_path: Path) -> None:
    def broken(seconds: float) -> None:
        if (tmp_path / "pid").exists():
            raise OSError("the log is gone")

    with pytest.raises(OSError, match="the log is gone"):
        run("echo $$ > part; mv part pid; sleep 100", heartbeat=broken, heartbeat_seconds=0.02, timeout=PATIENCE)
    assert not runs(int((tmp_path / "pid").read_text()))


def test_a_stop_that_came_before_the_start_still_counts(tmp_path: Path) -> None:
    with StopSignal() as stop, Path(os.devnull).open("wb") as sink:
        os.kill(os.getpid(), signal.SIGTERM)
        trained = run_training(
            "exec sleep 100", folder=tmp_path, environment={}, timeout=PATIENCE, sink=sink, stop=stop
        )
    assert (trained.signal, trained.timed_out) == (signal.SIGTERM, False)


# -- sinks ---------------------------------------------------------------------------------------------------


def test_a_reader_that_went_away_does_not_end_training(run: Run, tmp_path: Path) -> None:
    readable, writable = os.pipe()
    os.close(readable)
    with os.fdopen(writable, "wb") as sink:
        ran = run("seq 1 100000; echo trained > model", sink=sink)
    assert ran.trained.exit_code == 0
    assert (tmp_path / "model").read_text() == "trained\n"
    assert ran.trained.unshown == "Broken pipe"
    assert ran.trained.tail.endswith(b"100000\n")


def test_a_full_disk_under_the_log_does_not_end_training(run: Run) -> None:
    with Path("/dev/full").open("wb") as sink:
        ran = run("echo hello", sink=sink)
    assert ran.trained.exit_code == 0
    assert ran.trained.unshown == "No space left on device"


def test_a_reader_that_stalls_does_not_keep_us_from_the_timeout(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ci_mlsnap.training.output._DRAIN_SECONDS", 0.1)
    readable, writable = os.pipe()
    with os.fdopen(readable, "rb") as reader, os.fdopen(writable, "wb") as sink:
        ran = run("cat /dev/zero", sink=sink, timeout=0.5)
        assert ran.trained.timed_out
        assert ran.trained.unshown
        drained = threading.Thread(target=lambda: reader.read(1 << 24))
        drained.start()
        eventually(lambda: not _named("training output"), "the thread that passes output on ends")
    drained.join()


def test_a_descriptor_that_does_not_block_gets_everything(run: Run) -> None:
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    received: list[bytes] = []
    with os.fdopen(readable, "rb") as reader:
        thread = threading.Thread(target=lambda: received.append(reader.read()))
        thread.start()
        with os.fdopen(writable, "wb", buffering=0) as sink:
            run("seq 1 200000", sink=sink)
        thread.join()
    assert received == ["".join(f"{number}\n" for number in range(1, 200001)).encode()]


def command_lines() -> Iterator[bytes]:
    """Give the command line of every process."""
    for process in processes():
        with suppress(OSError):
            yield Path(f"/proc/{process.pid}/cmdline").read_bytes()


def _named(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


# -- memory --------------------------------------------------------------------------------------------------

MEMORY = """
import json, os, pathlib, re, sys
from ci_mlsnap.training.descendants import processes
from ci_mlsnap.training.process import run_training
from ci_mlsnap.training.signals import StopSignal
with StopSignal() as stop, open(os.devnull, "wb") as sink:
    trained = run_training(
        f"head -c {sys.argv[1]}M /dev/zero", folder=pathlib.Path("/"), environment={"PATH": os.environ["PATH"]},
        timeout=None, sink=sink, stop=stop,
    )
status = pathlib.Path("/proc/self/status").read_text()
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1])
print(json.dumps({"peak": peak, "code": trained.exit_code, "tail": len(trained.tail)}))
"""


def test_a_huge_log_without_a_newline_needs_no_memory(program: Callable[..., subprocess.Popen[bytes]]) -> None:
    mebibytes = 1024 if os.environ.get("CI") == "true" else 200
    said = answer(program(MEMORY, str(mebibytes)))
    assert (said["code"], said["tail"]) == (0, 65536)
    assert said["peak"] < 100 * 1024
