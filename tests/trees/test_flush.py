from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from msgspec.structs import asdict

from ci_mlsnap.errors import MlsnapError, TreeUnsupported, VolumeMissing
from ci_mlsnap.trees import flush
from ci_mlsnap.trees.flush import flush_tree
from ci_mlsnap.trees.remove import remove_tree
from tests.conftest import AsUser


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Give a tree of three files and two folders besides its root, among things that are no files."""
    root = tmp_path / "model"
    (root / "deep/deeper").mkdir(parents=True)
    for name in ("a", "deep/b", "deep/deeper/c"):
        (root / name).write_text(name)
    (root / "link").symlink_to("/etc/passwd")
    os.mkfifo(root / "deep/fifo")
    for name in (".mlsnap", ".snapshot"):
        (root / name).mkdir()
        (root / name / "ours").touch()
    return root


def test_every_file_and_folder_is_made_durable_and_nothing_else_is_opened(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    done = flush_tree(tree)
    assert (done.files, done.folders, done.errors) == (3, 3, 0)
    wanted = [tree / name for name in ("", "a", "deep", "deep/b", "deep/deeper", "deep/deeper/c")]
    assert sorted(synced) == sorted(map(str, wanted))
    # A folder's names are durable only after what they lead to.
    assert synced.index(str(tree / "a")) < synced.index(str(tree))


def test_an_error_of_one_file_is_counted_and_the_rest_is_done(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith("/b"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    done = flush_tree(tree)
    assert (done.files, done.folders, done.errors) == (2, 3, 1)
    assert "'deep/b'" in done.problems[0]
    assert "Input/output error" in done.problems[0]


def test_a_file_system_that_fails_is_an_error_too(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> None:
        raise MlsnapError("no", why="gone")

    monkeypatch.setattr(flush, "sync_file_system", fail)
    assert flush_tree(tree).problems == [f"'{tree}': gone"]


def test_a_file_that_vanishes_meanwhile_is_fine(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.listdir
    monkeypatch.setattr(os, "listdir", lambda folder: [*real(folder), "vanished"])
    done = flush_tree(tree)
    assert (done.files, done.errors) == (3, 0)


def test_what_another_user_closed_is_left_to_the_file_system(as_user: AsUser, open_folder: Path) -> None:
    (open_folder / "closed").write_text("x")
    (open_folder / "closed").chmod(0)
    (open_folder / "locked").mkdir(mode=0o700)
    (open_folder / "open").write_text("x")
    (open_folder / "open").chmod(0o644)
    done = as_user(12001, lambda: asdict(flush_tree(open_folder)))
    assert (done["files"], done["errors"], done["problems"]) == (1, 0, [])


def test_any_depth_is_reached(tmp_path: Path) -> None:
    here = tmp_path / "model"
    here.mkdir()
    descriptor = os.open(here, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=descriptor)
        inner = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(os.open("weights", os.O_WRONLY | os.O_CREAT, dir_fd=descriptor))
    os.close(descriptor)
    try:
        done = flush_tree(here)
        assert (done.files, done.folders, done.errors) == (1, 1501, 0)
    finally:
        remove_tree(here)  # too deep for what removes the tests' old folders


def test_a_root_that_is_not_there_or_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VolumeMissing):
        flush_tree(tmp_path / "absent")
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(TreeUnsupported):
        flush_tree(tmp_path / "link")
