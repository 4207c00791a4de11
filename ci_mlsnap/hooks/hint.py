"""Hints for the hook: that a commit needs nothing done, and what that rests on. Only ever hints."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Self

import msgspec

from ci_mlsnap.hooks.script import HINTS
from ci_mlsnap.trees.mounts import mount_of

_MOST = 500
_REMOTE = ("nfs", "cifs", "smb", "fuse", "9p", "ceph", "lustre", "gpfs", "glusterfs", "afs", "unknown")
"""How the kinds begin of file systems that may stop to answer: a shell that looks there would wait with them."""


class Grounds(msgspec.Struct, frozen=True, kw_only=True):
    """What a hint rests on: files that must not change, files that must not appear, pairs that are one file."""

    unchanged: tuple[Path, ...] = ()
    absent: tuple[Path, ...] = ()
    same: tuple[tuple[Path, Path], ...] = ()


class Pen:
    """Writes hints for one work tree. Made before anything is looked at: a hint is as old as its Pen."""

    def __init__(self, git_folder: Path) -> None:
        self._folder = git_folder / HINTS
        self._folder.mkdir(exist_ok=True)
        self._beside = self._folder / f".{secrets.token_hex(8)}"
        self._beside.touch()
        # The kernel's time of a file is that of the last tick, as it is for all files that the hint rests on.
        self._since = self._beside.stat().st_mtime_ns

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._beside.unlink()

    def write(self, commit: str, grounds: Iterable[Grounds], *, say: Iterable[str]) -> None:
        """Let the hook say these lines at this commit while the grounds last, where it may look at them."""
        lines = [line for ground in grounds for line in _lines(ground)]
        if not lines or any(_may_hang(Path(line[2:])) for line in lines):
            return
        lines += [f"> {line}" for line in say]
        if any("\n" in line for line in lines):
            return
        self._forget_many()
        text = "\n".join([*lines, ""])
        self._beside.write_bytes(text.encode("utf-8", "surrogateescape"))
        os.utime(self._beside, ns=(self._since, self._since))
        self._beside.replace(self._folder / commit)

    def _forget_many(self) -> None:
        found = [hint for hint in self._folder.iterdir() if hint != self._beside]
        for hint in found if len(found) >= _MOST else ():
            hint.unlink(missing_ok=True)


def forget(git_folder: Path) -> None:
    """Remove all hints of a work tree; none is fine."""
    folder = git_folder / HINTS
    with suppress(FileNotFoundError):
        for hint in list(folder.iterdir()):
            hint.unlink(missing_ok=True)
        folder.rmdir()


def _lines(ground: Grounds) -> list[str]:
    pairs = [line for one, other in ground.same for line in (f"= {one}", f"& {other}")]
    return [f"< {file}" for file in ground.unchanged] + [f"! {file}" for file in ground.absent] + pairs


def _may_hang(path: Path) -> bool:
    place = next((above for above in (path, *path.parents) if os.path.lexists(above)), path)
    return mount_of(place).kind.startswith(_REMOTE)
