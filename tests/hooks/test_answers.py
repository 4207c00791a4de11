"""When the hook looks, when a hint answers, and when it gives up."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.hooks import entry, hint
from ci_mlsnap.state import lease, live, rolled_back
from tests.conftest import need
from tests.hooks.conftest import SHARED, Desk


def without_python(desk: Desk) -> None:
    """Leave only hints to answer."""
    hook = desk.path / ".git" / "hooks" / "post-checkout"
    hook.write_text(re.sub(r"^python=.*$", "python=/nowhere/python", hook.read_text(), flags=re.MULTILINE))


def state_of(desk: Desk) -> Path:
    return desk.path / ".git" / "mlsnap" / "models" / "state"


@pytest.fixture
def hinted(desk: Desk) -> Desk:
    """Give a work tree in which `two` and `doc` have hints; at `two`, with nothing but hints."""
    for tag in ("doc", "two", "doc", "two"):
        desk.git("checkout", "--quiet", tag)
    without_python(desk)
    return desk


def test_a_hint_answers_for_a_commit_of_the_same_version(hinted: Desk) -> None:
    two = hinted.git("rev-parse", "two").stdout[:7]
    assert hinted.git("checkout", "doc").hook == [f"models stay at {two}, no training input differs"]
    assert hinted.git("checkout", "two").hook == []


@pytest.mark.parametrize("change", ["version", "record", "pin", "settings", "models"])
def test_a_hint_does_not_outlive_what_it_rests_on(hinted: Desk, change: str) -> None:
    state = state_of(hinted)
    if change == "version":
        with (state / "ledger").open("ab") as ledger:
            ledger.write(b"")
        os.utime(state / "ledger")
    elif change == "record":
        version = hinted.git("rev-parse", "one").stdout
        live.write(state, hinted.path / "models", version=version, condition="equal")
    elif change == "pin":
        rolled_back.write(
            *(state, hinted.path / "models"), version="", version_before="", commit_before="", head="", who="me"
        )
    elif change == "settings":
        os.utime(hinted.path / "mlsnap.toml")
    else:
        shutil.rmtree(hinted.path / "models")
    assert hinted.git("checkout", "doc").hook == []


def test_a_hint_from_the_future_is_not_believed(hinted: Desk) -> None:
    folder = hinted.path / ".git" / "mlsnap-hints"
    for file in folder.iterdir():
        os.utime(file, (4_000_000_000, 4_000_000_000))
    assert hinted.git("checkout", "doc").hook == []


def test_a_hint_is_as_old_as_its_pen(tmp_path: Path) -> None:
    with hint.Pen(tmp_path) as pen:
        ground = tmp_path / "ground"
        ground.touch()
        os.utime(ground)
        pen.write("c0ffee", [hint.Grounds(unchanged=(ground,))], say=["a line"])
    written = tmp_path / "mlsnap-hints" / "c0ffee"
    assert written.read_text() == f"< {ground}\n> a line\n"
    assert written.stat().st_mtime_ns <= ground.stat().st_mtime_ns
    assert list(written.parent.iterdir()) == [written]


def test_no_hint_is_written_with_a_line_that_the_shell_could_misread(tmp_path: Path) -> None:
    with hint.Pen(tmp_path) as pen:
        pen.write("c0ffee", [hint.Grounds(unchanged=(tmp_path / "a\nb",))], say=[])
        pen.write("c0ffee", [hint.Grounds(unchanged=(tmp_path,))], say=["a\n> b"])
    assert list((tmp_path / "mlsnap-hints").iterdir()) == []


def test_while_a_run_trains_the_models_stay(desk: Desk) -> None:
    state = state_of(desk)
    taken = lease.acquire(state, "volume", owner="ada@example", ttl=600, run="a-run")
    (line,) = desk.git("checkout", "--quiet", "one").hook
    assert re.fullmatch(r"ada@example changes the models since .*; models stay at [0-9a-f]{7}", line)
    lease.release(state, taken)
    desk.git("checkout", "--quiet", "two")
    assert len(desk.git("checkout", "--quiet", "one").hook) == 1
    assert desk.model == "one"


def test_a_run_in_progress_is_named_by_its_commit(desk: Desk) -> None:
    three = desk.commit("three", params="three\n")
    desk.mlsnap("begin", env={"RUNNER_TEMP": str(desk.path.parent)})
    (line,) = desk.git("checkout", "--quiet", "one").hook
    assert line.startswith(f"{three[:7]} is training since ")
    assert desk.model == "two"


@pytest.mark.parametrize("condition", ["in-change", "changed-by-failed-run"])
def test_what_was_left_over_is_for_a_person(desk: Desk, condition: live.Condition) -> None:
    version = desk.git("rev-parse", "two").stdout
    live.write(state_of(desk), desk.path / "models", version=version, condition=condition)
    (line,) = desk.git("checkout", "--quiet", "one").hook
    assert ("`mlsnap recover`" in line, desk.model) == (True, "two")


def test_models_that_were_rolled_back_stay_there(desk: Desk) -> None:
    version = SnapshotName(sha=desk.git("rev-parse", "two").stdout)
    rolled_back.write(
        *(state_of(desk), desk.path / "models"),
        version=str(version),
        version_before="",
        commit_before="",
        head=desk.head,
        who="ada",
    )
    (line,) = desk.git("checkout", "--quiet", "one").hook
    assert ("mlsnap rollback --undo" in line, desk.model) == (True, "two")


# -- storage that hangs ---------------------------------------------------------------------------------


@pytest.fixture
def hung(tmp_path: Path, needs_root: None) -> Iterator[Path]:
    """Give a mounted folder whose file system never answers: a FUSE server that reads no request."""
    need(os.access("/dev/fuse", os.R_OK | os.W_OK), "needs /dev/fuse")
    libc = ctypes.CDLL(None, use_errno=True)
    place = tmp_path / "hung"
    place.mkdir()
    server = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={server},rootmode=40000,user_id=0,group_id=0".encode()
    mounted = libc.mount(b"hung", os.fsencode(place), b"fuse", 0, options) == 0
    try:
        need(mounted, "needs mounts of FUSE")
        yield place
    finally:
        os.close(server)
        if mounted:
            libc.umount2(os.fsencode(place), 2)


def test_storage_that_hangs_is_given_up(shared_desk: Desk, hung: Path) -> None:
    shared_desk.settings(SHARED.format(volume=hung / "digits"))
    moved = shared_desk.head
    shared_desk.git("checkout", "--quiet", "s1")
    trust = shared_desk.path / ".git" / "mlsnap" / ".hooks" / "trust.json"
    volume = str(shared_desk.path.parent / "volume")
    trust.write_text(trust.read_text().replace(volume, str(hung)))
    (line,) = shared_desk.git("checkout", "--quiet", moved, env={"MLSNAP_HOOK_SECONDS": "0.3"}).hook
    assert line.startswith("the storage did not answer within 0.3 s; models stay as they are")
    assert shared_desk.model == "shared 1"


def test_whoever_reads_gits_output_does_not_wait_for_a_child_that_was_left(desk: Desk) -> None:
    # `git` of a desk reads both streams to their end.
    (line,) = desk.git("checkout", "--quiet", "one", env={"MLSNAP_HOOK_SECONDS": "0"}).hook
    assert line.startswith("the storage did not answer within 0 s")
    assert desk.model == "two"


def test_what_runs_before_the_child_imports_nothing_of_mlsnap() -> None:
    code = "import sys; sys.path.append(sys.argv[1]); import ci_mlsnap.hooks.entry; print(*sys.modules)"
    root = str(Path(entry.__file__).parents[2])
    asked = (sys.executable, "-I", "-S", "-c", code, root)
    loaded = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split()
    assert {name for name in loaded if name.startswith("ci_mlsnap")} == {
        *("ci_mlsnap", "ci_mlsnap.hooks", "ci_mlsnap.hooks.entry")
    }
    assert not {"click", "msgspec", "typing", "asyncio"} & set(loaded)


def test_a_child_that_cannot_start_is_said(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(desk.path)
    entry.main("/nowhere", "post-checkout", "a", "b", "1", starting=0.0)
    assert "models stay as they are" in capfd.readouterr().err
