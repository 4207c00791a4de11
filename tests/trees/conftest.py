"""Trees with everything in them, and a second opinion on what is in a tree."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path

import pytest

from tests.conftest import need

Facts = dict[bytes, tuple[object, ...]]

DEEP = 220
"""Folders of 60 letters in each other, so that the path is far longer than the kernel takes at once."""


def facts_of(root: Path) -> Facts:
    """Say what is in a tree, by other means than the code under test: `os.fwalk`."""
    found: Facts = {}
    groups: dict[int, list[bytes]] = {}
    top = os.fsencode(root)
    for folder, folders, files, handle in os.fwalk(top):
        for name in (*folders, *files):
            path = os.path.relpath(os.path.join(folder, name), top)
            facts = os.stat(name, dir_fd=handle, follow_symlinks=False)
            if path in (b".mlsnap", b".snapshot") or path.startswith((b".mlsnap/", b".snapshot/")):
                continue
            if stat.S_ISREG(facts.st_mode):
                groups.setdefault(facts.st_ino, []).append(path)
            found[path] = (
                *(stat.S_IFMT(facts.st_mode), facts.st_mode & 0o777, facts.st_mtime_ns),
                _content(name, handle, facts),
            )
    linked = {path: sorted(group) for group in groups.values() for path in group}
    return {path: (*seen, *linked.get(path, ())) for path, seen in found.items()}


def _content(name: bytes, folder: int, facts: os.stat_result) -> object:
    if stat.S_ISLNK(facts.st_mode):
        return os.readlink(name, dir_fd=folder)
    opened = os.open(name, os.O_RDONLY, dir_fd=folder)
    try:
        attributes = {key: os.getxattr(opened, key) for key in os.listxattr(opened) if key.startswith("user.")}
        if stat.S_ISDIR(facts.st_mode):
            return attributes
        with os.fdopen(os.dup(opened), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest(), sorted(attributes.items())
    finally:
        os.close(opened)


def dig(root: Path, depth: int = DEEP, name: str = "d" * 60) -> None:
    """Make folders in each other, with a file in the deepest."""
    here = os.open(root, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    file = os.open("deepest", os.O_WRONLY | os.O_CREAT, dir_fd=here)
    os.write(file, b"at the bottom")
    os.close(file)
    os.close(here)


@pytest.fixture
def rich_tree(tmp_path: Path) -> Path:
    """Give a tree with one of everything that must come back bit for bit."""
    root = tmp_path / "rich"
    root.mkdir(mode=0o751)
    (root / "empty").mkdir()
    (root / "weights").mkdir()
    (root / "weights" / "layer").write_bytes(b"\0\1\2" * 1000)
    (root / "large").write_bytes(os.urandom(3 << 20))
    (root / "nothing").touch()
    for odd in (b"-rf", b"new\nline", b"\xff\xfe", "modèle".encode(), b"x" * 255):
        Path(os.fsdecode(os.fsencode(root) + b"/" + odd)).write_bytes(odd)
    os.link(root / "weights" / "layer", root / "linked")
    os.link(root / "weights" / "layer", root / "empty.linked")
    for target, name in (("../large", "weights/up"), ("missing", "dangling"), ("loop", "loop"), (".", "here")):
        (root / name).symlink_to(target)
    try:
        os.setxattr(root / "large", "user.origin", b"\0binary")
    except OSError as error:
        need(error.errno != errno.ENOTSUP, "needs a temporary folder that takes extended attributes")
        raise
    os.setxattr(root / "weights", "user.kind", b"folder")
    (root / "weights" / "layer").chmod(0o640)
    (root / "nothing").chmod(0o4755)
    (root / "empty").chmod(0o555)
    for number, path in enumerate(sorted(root.rglob("*"))):
        os.utime(path, ns=(number, 10**18 + number * 1_000_001), follow_symlinks=False)
    (root / ".mlsnap").mkdir()
    (root / ".mlsnap" / "volume.json").write_text("{}")
    (root / ".snapshot").symlink_to("/nowhere")
    (root / "weights" / ".snapshot").write_text("content, for it is not at the root")
    return root
