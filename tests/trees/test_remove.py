from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from ci_mlsnap.errors import StorageFailed
from ci_mlsnap.trees.remove import remove_tree
from tests.conftest import AsUser
from tests.trees.conftest import dig


def test_everything_goes_and_gone_is_fine(rich_tree: Path) -> None:
    remove_tree(rich_tree)
    assert not rich_tree.exists()
    remove_tree(rich_tree)


def test_a_tree_far_deeper_than_a_path_may_be_long_goes(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    dig(tmp_path / "deep")
    remove_tree(tmp_path / "deep")
    assert os.listdir(tmp_path) == []


def test_what_links_lead_to_stays(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "file").touch()
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "theirs")
    (tmp_path / "root").symlink_to(tmp_path / "theirs")
    remove_tree(tmp_path / "tree")
    remove_tree(tmp_path / "root")
    assert os.listdir(tmp_path) == ["theirs"]
    assert os.listdir(tmp_path / "theirs") == ["file"]


def test_files_that_others_share_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "shared").write_text("model")
    (tmp_path / "one" / "shared").chmod(0o400)
    os.link(tmp_path / "one" / "shared", tmp_path / "other")
    remove_tree(tmp_path / "one")
    assert stat.S_IMODE((tmp_path / "other").stat().st_mode) == 0o400
    assert (tmp_path / "other").read_text() == "model"


def test_its_owner_removes_folders_that_nobody_may_write_to_or_read(as_user: AsUser, open_folder: Path) -> None:
    open_folder.chmod(0o777)

    def act() -> list[str]:
        tree = open_folder / "tree"
        (tree / "sealed" / "below").mkdir(parents=True)
        (tree / "sealed" / "below" / "file").touch(0o400)
        for path, mode in ((tree / "sealed" / "below", 0o000), (tree / "sealed", 0o555), (tree, 0o500)):
            path.chmod(mode)
        remove_tree(tree)
        return os.listdir(open_folder)

    assert as_user(12001, act) == []


def test_what_is_another_users_is_told(as_user: AsUser, open_folder: Path) -> None:
    (open_folder / "tree").mkdir()
    (open_folder / "tree" / "file").touch()

    def act() -> str:
        with pytest.raises(StorageFailed) as caught:
            remove_tree(open_folder / "tree")
        return caught.value.slug

    assert as_user(12001, act) == "storage-read-only"
    assert (open_folder / "tree" / "file").exists()


def test_another_file_system_below_is_not_emptied(needs_root: None, tmp_path: Path) -> None:
    mounted = tmp_path / "tree" / "mounted"
    mounted.mkdir(parents=True)
    subprocess.run(("mount", "-t", "tmpfs", "tmpfs", str(mounted)), check=True)
    try:
        (mounted / "theirs").touch()
        with pytest.raises(StorageFailed, match="/mounted' is another file system"):
            remove_tree(tmp_path / "tree")
        assert os.listdir(mounted) == ["theirs"]
    finally:
        subprocess.run(("umount", str(mounted)), check=True)


def test_no_descriptor_is_left(rich_tree: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    remove_tree(rich_tree)
    assert len(os.listdir("/proc/self/fd")) == before
