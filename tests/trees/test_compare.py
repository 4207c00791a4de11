from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ci_mlsnap.trees.compare import Differences, differences
from ci_mlsnap.trees.inventory import survey, take_inventory


def _rewrite_unseen(root: Path) -> None:
    """Change a file's content and put its time back, as if it had not been."""
    before = (root / "large").stat()
    with (root / "large").open("r+b") as file:
        file.write(b"x")
    os.utime(root / "large", ns=(before.st_atime_ns, before.st_mtime_ns))


def _separate(root: Path) -> None:
    """Make a hard link a file of its own with the same facts."""
    before, content = (root / "linked").stat(), (root / "linked").read_bytes()
    folder = root.stat()
    (root / "linked").unlink()
    (root / "linked").write_bytes(content)
    (root / "linked").chmod(before.st_mode)
    os.utime(root / "linked", ns=(before.st_atime_ns, before.st_mtime_ns))
    os.utime(root, ns=(folder.st_atime_ns, folder.st_mtime_ns))


def _retarget(root: Path) -> None:
    before = os.lstat(root / "dangling")
    (root / "dangling").unlink()
    (root / "dangling").symlink_to("elsewhere")
    os.utime(root / "dangling", ns=(0, before.st_mtime_ns), follow_symlinks=False)


def _replace_by_folder(root: Path) -> None:
    (root / "nothing").unlink()
    (root / "nothing").mkdir()


@pytest.mark.parametrize("read", [True, False])
def test_an_unchanged_tree_has_no_differences(rich_tree: Path, read: bool) -> None:
    found = differences(rich_tree, take_inventory(rich_tree).entries, read=read)
    assert found == Differences()
    assert not found


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda root: (root / "more").touch(), Differences(added=(b"more",))),
        (lambda root: (root / "nothing").unlink(), Differences(removed=(b"nothing",))),
        (lambda root: (root / "nothing").chmod(0o600), Differences(changed=(b"nothing",))),
        (lambda root: (root / "empty").chmod(0o700), Differences(changed=(b"empty",))),
        (lambda root: (root / "nothing").write_text("x"), Differences(changed=(b"nothing",))),
        (lambda root: os.utime(root / "nothing", ns=(0, 1)), Differences(changed=(b"nothing",))),
        (_retarget, Differences(changed=(b"dangling",))),
        (_replace_by_folder, Differences(changed=(b"nothing",))),
        (
            lambda root: (root / "weights" / "up").unlink(),
            Differences(changed=(b"weights",), removed=(b"weights/up",)),
        ),
    ],
)
@pytest.mark.parametrize("read", [True, False])
def test_each_change_is_found(
    rich_tree: Path,
    change: Callable[[Path], object],
    expected: Differences,
    read: bool,
) -> None:
    entries = take_inventory(rich_tree).entries
    change(rich_tree)
    assert differences(rich_tree, entries, read=read) == expected


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (_rewrite_unseen, b"large"),
        (lambda root: os.setxattr(root / "large", "user.origin", b"forged"), b"large"),
        (lambda root: os.removexattr(root / "weights", "user.kind"), b"weights"),
        (_separate, b"linked"),
    ],
)
def test_what_the_usual_facts_do_not_show_is_found_by_reading(
    rich_tree: Path, change: Callable[[Path], object], path: bytes
) -> None:
    entries = take_inventory(rich_tree).entries
    change(rich_tree)
    assert not differences(rich_tree, entries, read=False)
    assert differences(rich_tree, entries) == Differences(changed=(path,))


def test_known_files_are_not_read_unless_their_facts_changed(
    rich_tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = survey(rich_tree)
    entries = listing.inventory().entries
    sizes: list[int] = []

    def spy(file: int, size: int, go_on: Callable[[], None]) -> str:
        sizes.append(size)
        return "another"

    monkeypatch.setattr("ci_mlsnap.trees.compare.digest", spy)
    assert not differences(rich_tree, entries, known=listing.known)
    assert sizes == []
    _rewrite_unseen(rich_tree)
    assert differences(rich_tree, entries, known=listing.known) == Differences(changed=(b"large",))
    assert sizes == [3 << 20]


def test_a_tree_without_entries_is_all_added(rich_tree: Path) -> None:
    found = differences(rich_tree, ())
    assert found.added == tuple(entry.path for entry in take_inventory(rich_tree).entries)
