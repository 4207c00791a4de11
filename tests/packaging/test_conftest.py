"""The tests' own ground: what the fixtures promise to all other tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import AsUser, FailedAsUser, FileSystem, LoopMount, MakeRepository


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
        env={**os.environ, "CI": ci},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == exit_code, done.stdout
    assert f"1 {word}" in done.stdout
    assert "no such tool" in done.stdout
