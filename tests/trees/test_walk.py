from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ci_mlsnap.errors import LateWriter, LinkEscapes, StorageReadOnly, TreeUnsupported, VolumeMissing
from ci_mlsnap.trees.files import open_found
from ci_mlsnap.trees.folders import OPEN_AT_MOST
from ci_mlsnap.trees.inventory import survey, take_inventory
from ci_mlsnap.trees.remove import remove_tree
from ci_mlsnap.trees.walk import Found, walk
from tests.conftest import AsUser, LoopMount
from tests.trees.conftest import DEEP, dig, facts_of


def test_everything_is_found_once_and_a_folder_before_what_is_in_it(rich_tree: Path) -> None:
    paths = [found.path for found in walk(rich_tree)]
    assert sorted(paths) == sorted(facts_of(rich_tree))
    for path in paths:
        above = path.rpartition(b"/")[0]
        assert not above or paths.index(above) < paths.index(path)


def test_a_deep_tree_is_walked_with_few_open_folders(tmp_path: Path) -> None:
    root = tmp_path / "deep"
    root.mkdir()
    dig(root)
    before = len(os.listdir("/proc/self/fd"))
    try:
        opened = [len(os.listdir("/proc/self/fd")) - before for _ in walk(root)]
        assert len(opened) == DEEP + 1
        assert max(opened) <= OPEN_AT_MOST + 2
        assert len(os.listdir("/proc/self/fd")) == before
    finally:
        remove_tree(root)


def test_a_tree_with_branches_at_every_depth_is_found_whole(tmp_path: Path) -> None:
    """Coming back up from far below, folders that were closed are opened again."""
    root = tmp_path / "comb"
    here = root
    for _ in range(OPEN_AT_MOST + 30):
        (here / "a").mkdir(parents=True)
        (here / "b").mkdir()
        (here / "b" / "file").touch()
        here = here / "a"
    assert {found.path for found in walk(root)} == facts_of(root).keys()


def _make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))


@pytest.mark.parametrize(
    ("make", "what"), [(os.mkfifo, "a FIFO"), (_make_socket, "a socket")], ids=["fifo", "socket"]
)
def test_what_no_snapshot_can_carry_is_refused_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None], what: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "root" / "sub").mkdir(parents=True)
    make(tmp_path / "root" / "sub" / "bad\x1b")
    with pytest.raises(TreeUnsupported) as caught:
        list(walk(tmp_path / "root"))
    assert caught.value.what == rf"'sub/bad\x1b' is {what}"
    assert caught.value.hint


def test_devices_are_refused(needs_root: None, tmp_path: Path) -> None:
    os.mknod(tmp_path / "null", 0o20600, os.makedev(1, 3))
    with pytest.raises(TreeUnsupported, match="a character device"):
        list(walk(tmp_path))
    (tmp_path / "null").unlink()
    os.mknod(tmp_path / "loop", 0o60600, os.makedev(7, 99))
    with pytest.raises(TreeUnsupported, match="a block device"):
        list(walk(tmp_path))


def test_another_file_system_in_the_tree_is_refused_and_never_removed(loop_mount: LoopMount) -> None:
    mounted = loop_mount("ext4", 8)
    (mounted / "theirs").touch()
    with pytest.raises(TreeUnsupported, match="0-ext4' is another mounted file system"):
        list(walk(mounted.parent))
    assert list(walk(mounted))


def test_a_subvolume_in_the_tree_is_refused(loop_mount: LoopMount) -> None:
    root = loop_mount("btrfs", 120)
    subprocess.run(("btrfs", "subvolume", "create", str(root / "nested")), check=True, capture_output=True)
    with pytest.raises(TreeUnsupported, match="'nested' is a subvolume"):
        list(walk(root))


@pytest.mark.parametrize("make", [Path.touch, lambda path: path.symlink_to(path.parent)], ids=["file", "link"])
def test_a_root_that_is_no_folder_is_refused(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "root")
    with pytest.raises(TreeUnsupported, match="root' is no folder"):
        list(walk(tmp_path / "root"))


def test_a_missing_root_is_told(tmp_path: Path) -> None:
    with pytest.raises(VolumeMissing, match="missing"):
        list(walk(tmp_path / "missing"))


@pytest.mark.parametrize(
    "target", ["/etc/passwd", "../outside", "sub/../../x", ".mlsnap/volume.json", ".snapshot/a"]
)
def test_a_link_out_of_the_tree_is_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(target)
    with pytest.raises(LinkEscapes) as caught:
        list(walk(tmp_path / "root"))
    assert caught.value.what == f"the link 'link' leads out of the tree, to '{target}'"


def test_a_folder_that_may_not_be_read_is_named(as_user: AsUser, open_folder: Path) -> None:
    (open_folder / "root" / "closed").mkdir(parents=True)
    (open_folder / "root" / "closed").chmod(0o700)

    def act() -> str:
        with pytest.raises(StorageReadOnly) as caught:
            list(walk(open_folder / "root"))
        return caught.value.what

    assert as_user(12001, act) == "'closed' cannot be read"


# -- what changes under the walk -------------------------------------------------------------------------


def _first(root: Path) -> tuple[Found, Iterator[Found]]:
    walking = walk(root)
    return next(walking), walking


@pytest.mark.parametrize("swap", ["link", "fifo", "other", "gone", "written"])
def test_a_file_that_is_not_the_one_that_was_found_is_not_opened(tmp_path: Path, swap: str) -> None:
    victim = tmp_path / "root" / "victim"
    victim.parent.mkdir()
    victim.write_text("plain")
    (tmp_path / "secret").write_text("secret")
    found, _walking = _first(victim.parent)
    if swap == "written":
        victim.write_text("other")
    else:
        victim.unlink()
    if swap == "link":
        victim.symlink_to(tmp_path / "secret")
    elif swap == "fifo":
        os.mkfifo(victim)
    elif swap == "other":
        (tmp_path / "secret").rename(victim)
    with pytest.raises(LateWriter, match="victim"):
        open_found(found)


@pytest.mark.parametrize("swap", ["link", "file", "gone"])
def test_a_folder_that_is_not_the_one_that_was_found_is_not_entered(tmp_path: Path, swap: str) -> None:
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    (root / "last").touch()  # given when all names of the root were looked at
    found, walking = _first(root)
    assert found.name == b"last"
    (root / "folder").rmdir()
    if swap == "link":
        (root / "folder").symlink_to(tmp_path)
    elif swap == "file":
        (root / "folder").touch()
    with pytest.raises(LateWriter, match="folder"):
        list(walking)


# -- inventory -------------------------------------------------------------------------------------------


def test_known_files_are_not_read_again_and_changed_ones_are(rich_tree: Path) -> None:
    listing = survey(rich_tree)
    known = listing.known

    def wrong(found: Found) -> str:
        return "taken on trust" if found.path in known and known[found.path].covers(found.stat) else ""

    (rich_tree / "large").write_bytes(b"changed")
    entries = {entry.path: entry for entry in take_inventory(rich_tree, known=wrong).entries}
    assert entries[b"nothing"].sha256 == "taken on trust"
    assert len(entries[b"large"].sha256) == 64


def test_the_same_tree_always_has_the_same_content_digest(rich_tree: Path) -> None:
    first = take_inventory(rich_tree)
    assert take_inventory(rich_tree) == first
    (rich_tree / "nothing").chmod(0o700)
    assert take_inventory(rich_tree).content_digest != first.content_digest


def test_an_attribute_with_a_name_that_no_manifest_can_hold_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.setxattr(tmp_path / "file", b"user.\xff", b"")
    with pytest.raises(TreeUnsupported, match="not UTF-8"):
        take_inventory(tmp_path)
