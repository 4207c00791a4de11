"""The tests' own ground: what the fixtures promise to all other tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.conftest import AsUser, FailedAsUser, FileSystem, LoopMount, MakeRepository, need
from tests.quick_disk import leave_quick_disk, move_to_quick_disk


def test_no_variable_of_a_ci_or_a_secret_reaches_a_test() -> None:
    left = [name for name in os.environ if name.startswith(("GITHUB_", "JENKINS_", "MLSNAP_")) or "TOKEN" in name]
    assert left == []
    assert "CI" not in os.environ


@pytest.mark.parametrize(("object_format", "digits"), [("sha1", 40), ("sha256", 64)])
def test_repositories_of_both_object_formats_are_made(
    make_repository: MakeRepository, object_format: str, digits: int
) -> None:
    made = make_repository(object_format="sha1" if digits == 40 else "sha256", commits=("one", "two"))
    assert len(made.head()) == digits
    assert made.git("log", "--format=%s %an") == "two Ada Example\none Ada Example"


@pytest.mark.parametrize("fs", ["ext4", "xfs", "btrfs"])
def test_a_file_system_is_mounted_and_ordinary_users_can_reach_it(
    loop_mount: LoopMount, as_user: AsUser, ordinary_users: tuple[int, int], fs: FileSystem
) -> None:
    root = loop_mount(fs)
    assert os.path.ismount(root)
    assert as_user(ordinary_users[0], lambda: [os.getuid(), os.access(root, os.R_OK | os.X_OK)]) == [12001, True]


def test_what_fails_as_another_user_fails_here_with_its_kind(
    as_user: AsUser, ordinary_users: tuple[int, int], open_folder: Path
) -> None:
    secret = open_folder / "secret"
    secret.write_text("x")
    secret.chmod(0o600)
    with pytest.raises(FailedAsUser, match="secret") as failure:
        as_user(ordinary_users[1], secret.read_text)
    assert failure.value.kind == "PermissionError"


def test_a_quick_disk_is_there_for_one_run_alone(needs_root: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TMPDIR", raising=False)
    readable, writable = os.pipe()
    child = os.fork()  # whoever takes a mount namespace keeps it
    if child == 0:
        try:
            folder = move_to_quick_disk()
            made = tempfile.mkdtemp()
            os.write(writable, json.dumps([folder, made, os.path.ismount(folder)]).encode())
            leave_quick_disk(folder)
        finally:
            os._exit(0)
    os.close(writable)
    with os.fdopen(readable) as answer:
        folder, made, mounted = json.load(answer)
    os.waitpid(child, 0)
    need(folder, "needs loop mounts and room in /dev/shm")
    assert mounted
    assert Path(made).parent == Path(folder)
    assert not Path(folder).exists()


def test_whoever_chose_a_place_for_temporary_files_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert move_to_quick_disk() == ""
    assert os.environ["TMPDIR"] == str(tmp_path)


@pytest.mark.parametrize(
    ("ci", "workers", "exit_code", "word"), [("true", "1", 1, "failed"), ("", "0", 0, "skipped")]
)
def test_a_skip_is_a_failure_in_ci_and_only_there(
    tmp_path: Path, ci: str, workers: str, exit_code: int, word: str
) -> None:
    (tmp_path / "conftest.py").write_text((Path(__file__).parents[1] / "conftest.py").read_text())
    (tmp_path / "test_skipping.py").write_text(
        "import pytest\n\n\ndef test_one() -> None:\n    pytest.skip('no such tool')\n"
    )
    done = subprocess.run(
        (sys.executable, "-m", "pytest", "-ra", "-p", "no:cacheprovider", "-n", workers, str(tmp_path)),
        env={**os.environ, "CI": ci, "PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == exit_code, done.stdout
    assert f"1 {word}" in done.stdout
    assert "no such tool" in done.stdout
