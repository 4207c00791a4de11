"""Walk a tree: everything in it, once, and nothing that a snapshot cannot carry."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ci_mlsnap.domain.manifest import Kind
from ci_mlsnap.durable.faults import shown, storage_error
from ci_mlsnap.errors import LinkEscapes, MlsnapError, TreeUnsupported
from ci_mlsnap.trees.folders import Folders, changed
from ci_mlsnap.trees.links import leads_out
from ci_mlsnap.trees.subvolume import ROOT_INODE

NO_CONTENT = (b".mlsnap", b".snapshot")
"""Names at a tree's root that are ours or the storage's; deeper ones are content."""

_KINDS: dict[int, Kind] = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "link"}
_UNSUPPORTED = {
    stat.S_IFSOCK: "a socket",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFBLK: "a block device",
    stat.S_IFCHR: "a character device",
}
_VANISHED = {errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.ESTALE}


class Found(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One thing in a tree. `path` is relative to the root, `name` to the folder open at `parent`.

    The descriptors are good until the walk goes on; `folder` is the open folder itself, for folders.
    """

    path: bytes
    name: bytes
    kind: Kind
    stat: os.stat_result
    parent: int
    folder: int = -1
    target: bytes = b""


def walk(root: Path) -> Iterator[Found]:
    """Give everything below `root`, each folder before what is in it, at any depth; the root itself is not given.

    Raises `TreeUnsupported` for what no snapshot can carry, `LinkEscapes` (at the latest in the end) for links
    that lead out of the tree, `LateWriter` for what changes under the walk, `VolumeMissing`, `StorageFailed`.
    """
    links: dict[bytes, bytes] = {}
    try:
        with Folders(root) as folders:
            device = os.fstat(folders.root).st_dev
            waiting = [b""]
            while waiting:
                path = waiting.pop()
                below: list[bytes] = []
                for found in _folder(folders, path, device):
                    if found.kind == "dir" and found.path != path:
                        below.append(found.path)
                        continue
                    if found.kind == "link":
                        links[found.path] = found.target
                    yield found
                waiting.extend(reversed(below))
    except OSError as error:
        raise reading_error(os.fsencode(root), error) from error
    _refuse_escapes(links)


def reading_error(path: bytes, error: OSError) -> MlsnapError:
    """Give the error of ours for one that came while `path` was read."""
    if error.errno in _VANISHED:
        return changed(path, "it vanished, or became something else")
    return storage_error(f"{shown(path)} cannot be read", OSError(error.errno, error.strerror))


def _folder(folders: Folders, path: bytes, device: int) -> Iterator[Found]:
    """Give the folder itself, unless it is the root, and what is in it."""
    try:
        here = folders.at(path)
        if path:
            facts = os.fstat(here)
            _refuse_mount(path, facts, device)
            name = path.rpartition(b"/")[2]
            yield Found(path=path, name=name, kind="dir", stat=facts, parent=-1, folder=here)
        names = sorted(map(os.fsencode, os.listdir(here)))
    except OSError as error:
        raise reading_error(path, error) from error
    for name in names:
        if path or name not in NO_CONTENT:
            yield _look(path + b"/" + name if path else name, name, here)


def _look(path: bytes, name: bytes, parent: int) -> Found:
    try:
        facts = os.stat(name, dir_fd=parent, follow_symlinks=False)
        kind = _KINDS.get(stat.S_IFMT(facts.st_mode))
        if kind is None:
            raise _unsupported(path, _UNSUPPORTED.get(stat.S_IFMT(facts.st_mode), "a thing of unknown kind"))
        target = os.readlink(name, dir_fd=parent) if kind == "link" else b""
    except OSError as error:
        raise reading_error(path, error) from error
    if target.startswith(b"/"):
        raise _escapes(path, target)
    return Found(path=path, name=name, kind=kind, stat=facts, parent=parent, target=target)


def _refuse_mount(path: bytes, facts: os.stat_result, device: int) -> None:
    # Only folders are asked: on overlay file systems a file's device is that of its layer.
    if facts.st_dev != device:
        raise _unsupported(path, "a subvolume" if facts.st_ino == ROOT_INODE else "another mounted file system")


def _refuse_escapes(links: dict[bytes, bytes]) -> None:
    for path, target in links.items():
        if leads_out(path, links, no_content=NO_CONTENT):
            raise _escapes(path, target)


def _unsupported(path: bytes, what: str) -> TreeUnsupported:
    return TreeUnsupported(
        f"{shown(path)} is {what}",
        why="a snapshot carries files, folders and symbolic links of one file system",
        safe="nothing was changed",
        hint="remove it from the volume, or have the training put it elsewhere",
    )


def _escapes(path: bytes, target: bytes) -> LinkEscapes:
    return LinkEscapes(
        f"the link {shown(path)} leads out of the tree, to {shown(target)}",
        why="what it leads to would be in no snapshot",
        safe="nothing was changed",
        hint="put the file itself there, or a relative link to one inside the volume",
    )
