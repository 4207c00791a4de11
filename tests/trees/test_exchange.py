from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

import pytest

from ci_mlsnap.errors import StorageFailed
from ci_mlsnap.trees.exchange import exchange, rename_without_replacing
from ci_mlsnap.trees.syncfs import sync_file_system
from tests.conftest import LoopMount

_LIBRARY = ctypes.CDLL


class _OldLibrary:
    """A C library from before these renames; the kernel has them."""

    def __init__(self, name: None, *, use_errno: bool) -> None:
        self.syscall = _LIBRARY(name, use_errno=use_errno).syscall


@pytest.fixture(params=["library", "system call"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "system call":
        monkeypatch.setattr(ctypes, "CDLL", _OldLibrary)


def _folder(path: Path, content: str) -> Path:
    path.mkdir()
    (path / "file").write_text(content)
    return path


def test_two_folders_change_places_and_who_has_one_open_keeps_it(way: None, tmp_path: Path) -> None:
    live, other = _folder(tmp_path / "live", "old"), _folder(tmp_path / "other\xff", "new")
    opened = os.open(live, os.O_RDONLY)
    exchange(live, other)
    assert (live / "file").read_text() == "new"
    assert (other / "file").read_text() == "old"
    with open(os.open("file", os.O_RDONLY, dir_fd=opened)) as file:
        assert file.read() == "old"
    os.close(opened)


def test_a_rename_never_replaces(way: None, tmp_path: Path) -> None:
    one, other = _folder(tmp_path / "one", "1"), tmp_path / "other"
    other.mkdir()  # an empty folder, which a plain rename would replace
    with pytest.raises(FileExistsError) as caught:
        rename_without_replacing(one, other)
    assert caught.value.filename == str(one)
    assert caught.value.filename2 == str(other)
    rename_without_replacing(one, tmp_path / "third")
    assert (tmp_path / "third" / "file").read_text() == "1"
    assert not one.exists()


def test_what_is_missing_is_told_and_nothing_moves(way: None, tmp_path: Path) -> None:
    one = _folder(tmp_path / "one", "1")
    with pytest.raises(FileNotFoundError):
        exchange(one, tmp_path / "missing")
    with pytest.raises(FileNotFoundError):
        rename_without_replacing(tmp_path / "missing", one)
    assert (one / "file").read_text() == "1"


def test_two_file_systems_and_mount_roots_cannot_be_exchanged(tmp_path: Path, loop_mount: LoopMount) -> None:
    mounted = loop_mount("ext4", 8)
    with pytest.raises(OSError) as caught:
        exchange(_folder(tmp_path / "one", "1"), _folder(mounted / "two", "2"))
    assert caught.value.errno == errno.EXDEV
    with pytest.raises(OSError) as caught:
        exchange(_folder(mounted.parent / "one", "1"), mounted)
    assert caught.value.errno in (errno.EBUSY, errno.EXDEV)


def test_a_file_system_is_made_durable_through_a_folder_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    before = len(os.listdir("/proc/self/fd"))
    sync_file_system(tmp_path)
    sync_file_system(tmp_path / "file")
    assert len(os.listdir("/proc/self/fd")) == before
    with pytest.raises(StorageFailed, match="missing"):
        sync_file_system(tmp_path / "missing")
