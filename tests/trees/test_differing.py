"""What is found when a sealed tree is held against its entries: everything that differs, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ci_mlsnap.domain.manifest import Entry
from ci_mlsnap.errors import TreeUnsupported, VolumeMissing
from ci_mlsnap.trees.differing import sealed_differences
from ci_mlsnap.trees.inventory import take_inventory
from tests.conftest import need

LARGE = 1 << 20
Sealed = tuple[Path, tuple[Entry, ...]]


@pytest.fixture
def sealed(tmp_path: Path) -> Sealed:
    """Give a tree of every kind, and its entries."""
    root = tmp_path / "tree"
    (root / "a/deep").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "a/small").write_text("small")
    (root / "a/deep/large").write_bytes(os.urandom(LARGE))
    (root / "one").write_text("linked")
    os.link(root / "one", root / "two")
    (root / "link").symlink_to("a/small")
    (root / os.fsdecode(b"n\xff\n")).write_text("strange")
    return root, take_inventory(root).entries


def _told(sealed: Sealed, *, read: bool = False) -> list[str]:
    return [str(difference) for difference in sealed_differences(*sealed, read=read)]


def _other_content(file: Path) -> None:
    before = file.stat()
    file.write_bytes(bytes(byte ^ 1 for byte in file.read_bytes()))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("read", [False, True])
def test_an_untouched_tree_differs_in_nothing(sealed: Sealed, read: bool) -> None:
    assert _told(sealed, read=read) == []


def test_write_bits_that_sealing_took_do_not_count(sealed: Sealed) -> None:
    for place in sorted(sealed[0].rglob("*"), reverse=True):
        if not place.is_symlink():
            place.chmod(place.stat().st_mode & ~0o222)
    assert _told(sealed) == []


def _shorter(root: Path) -> None:
    before = (root / "a/small").stat()
    (root / "a/small").write_text("x")
    os.utime(root / "a/small", ns=(before.st_atime_ns, before.st_mtime_ns))


def _younger(root: Path) -> None:
    os.utime(root / "a/small", ns=(1, 1))


def _executable(root: Path) -> None:
    (root / "a/small").chmod(0o755)


def _fifo(root: Path) -> None:
    (root / "one").unlink()
    os.mkfifo(root / "one")
    (root / "two").unlink()
    (root / "two").symlink_to("/etc/passwd")


def _led_elsewhere(root: Path) -> None:
    (root / "link").unlink()
    (root / "link").symlink_to("one")


def _torn(root: Path) -> None:
    before = (root / "two").stat()
    (root / "two").unlink()
    (root / "two").write_text("linked")
    os.utime(root / "two", ns=(before.st_atime_ns, before.st_mtime_ns))


def _planted(root: Path) -> None:
    (root / "planted").mkdir()
    (root / "planted/deep").write_text("x")


def _emptied(root: Path) -> None:
    (root / "a/deep/large").unlink()
    (root / "a/deep").rmdir()


@pytest.mark.parametrize(
    ("harm", "wanted"),
    [
        (_shorter, ["'a/small': its size is another"]),
        (_younger, ["'a/small': its time is another"]),
        (_executable, ["'a/small': its mode is another"]),
        (_fifo, ["'one': it is no file any more", "'two': it is no file any more"]),
        (_led_elsewhere, ["'link': it leads elsewhere"]),
        (_torn, ["'two': it is no more the same file as 'one'"]),
        (_planted, ["'planted': it is in no manifest"]),
        (_emptied, ["'a': its time is another", "'a/deep': it is missing", "'a/deep/large': it is missing"]),
    ],
)
def test_all_damage_is_named_without_reading_a_file(
    sealed: Sealed, harm: Callable[[Path], None], wanted: list[str]
) -> None:
    harm(sealed[0])
    assert _told(sealed) == wanted


def test_other_content_is_found_by_reading_alone_and_in_every_file(sealed: Sealed) -> None:
    for name in ("a/small", "a/deep/large"):
        _other_content(sealed[0] / name)
    assert _told(sealed) == []
    wanted = ["'a/deep/large': its content is another", "'a/small': its content is another"]
    assert _told(sealed, read=True) == wanted


def test_another_attribute_is_found_by_reading(sealed: Sealed) -> None:
    try:
        os.setxattr(sealed[0] / "a/small", "user.note", b"x")
    except OSError:
        need(False, "needs a file system with user attributes")
    assert _told(sealed, read=True) == ["'a/small': its extended attributes are others"]


def test_a_folder_that_became_a_link_is_not_followed(sealed: Sealed, tmp_path: Path) -> None:
    (sealed[0] / "empty").rmdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("x")
    (sealed[0] / "empty").symlink_to(tmp_path / "outside")
    assert _told(sealed) == ["'empty': it is no folder any more"]


def test_a_root_that_is_gone_or_no_folder_is_refused(sealed: Sealed, tmp_path: Path) -> None:
    with pytest.raises(VolumeMissing):
        sealed_differences(tmp_path / "nowhere", sealed[1])
    (tmp_path / "leads").symlink_to(sealed[0])
    with pytest.raises(TreeUnsupported):
        sealed_differences(tmp_path / "leads", sealed[1])
