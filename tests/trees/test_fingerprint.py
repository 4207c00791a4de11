from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ci_mlsnap.trees.fingerprint import fingerprint


def _rewrite(file: Path) -> None:
    """Write the same bytes again, and hide it from the modification time."""
    before = file.stat()
    file.write_bytes(file.read_bytes())
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def _swap(one: Path, other: Path) -> None:
    beside = one.with_name("beside")
    one.rename(beside)
    other.rename(one)
    beside.rename(other)


def _file_for_folder(place: Path) -> None:
    place.rmdir()
    place.touch()


WRITES: dict[str, Callable[[Path], object]] = {
    "other bytes": lambda root: (root / "large").write_bytes(b"x"),
    "the same bytes": lambda root: _rewrite(root / "large"),
    "a mode": lambda root: (root / "large").chmod(0o600),
    "a time": lambda root: os.utime(root / "large", ns=(1, 1)),
    "a new file": lambda root: (root / "new").touch(),
    "a new folder": lambda root: (root / "weights" / "new").mkdir(),
    "one less": lambda root: (root / "nothing").unlink(),
    "another name": lambda root: (root / "large").rename(root / "larger"),
    "exchanged names": lambda root: _swap(root / "large", root / "nothing"),
    "a file for a folder": lambda root: _file_for_folder(root / "empty"),
    "deep below": lambda root: (root / "weights" / "layer").write_bytes(b"\0\1\2" * 1000),
}


@pytest.mark.parametrize("write", WRITES)
def test_any_write_changes_the_fingerprint(rich_tree: Path, write: str) -> None:
    before = fingerprint(rich_tree)
    WRITES[write](rich_tree)
    assert fingerprint(rich_tree) != before


def test_looking_and_reading_change_nothing(rich_tree: Path) -> None:
    before = fingerprint(rich_tree)
    for folder, _, files in os.walk(rich_tree):
        for name in files:
            file = Path(folder, name)
            if file.is_file():
                file.read_bytes()
    assert fingerprint(rich_tree) == before


def test_what_is_ours_at_the_root_does_not_count(rich_tree: Path) -> None:
    before = fingerprint(rich_tree)
    (rich_tree / ".mlsnap").mkdir(exist_ok=True)
    (rich_tree / ".mlsnap" / "volume.json").write_text("{}")
    assert fingerprint(rich_tree) == before


def test_no_name_can_pass_for_another_entry(tmp_path: Path) -> None:
    """Names with line ends and spaces must not make two trees look alike."""
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    (one / "a\nb").touch()
    os.link(one / "a\nb", other / "a")
    os.link(one / "a\nb", other / "b")
    assert fingerprint(one) != fingerprint(other)


def test_an_empty_tree_has_a_fingerprint_too(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert len(fingerprint(tmp_path / "empty")) == 64
