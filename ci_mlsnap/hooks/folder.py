"""Hooks in one folder: ours put in front of what is there, and taken away again so that all is as it was."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from ci_mlsnap.durable.atomic import make_folder, write_atomically
from ci_mlsnap.durable.faults import storage_errors
from ci_mlsnap.errors import Refused
from ci_mlsnap.hooks.script import EARLIER, Program, is_ours, python_of, text_of, users_of

_LEGACY = ".legacy"
"""What pre-commit adds to the name of a hook that it puts itself in front of, and goes on to call."""

State = Literal["installed", "missing", "other"]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One hook of a folder. `python` is what ours runs, and `earlier` that another hook is called first."""

    name: str
    file: Path
    state: State
    python: str = ""
    earlier: bool = False


def found(folder: Path, name: str, user: str) -> Found:
    """Say how a hook stands for the git folder `user`. Raises `StorageFailed`."""
    for file in (folder / name, folder / (name + _LEGACY)):
        text = _text(file)
        if is_ours(text) and user in users_of(text):
            behind = file.name != name or os.path.lexists(folder / (name + EARLIER))
            return Found(name=name, file=file, state="installed", python=python_of(text), earlier=behind)
    there = os.path.lexists(folder / name) and not is_ours(_text(folder / name))
    return Found(name=name, file=folder / name, state="other" if there else "missing")


def install(folder: Path, name: str, program: Program, user: str) -> None:
    """Put our hook in front of the one that is there, which it calls first. Doing it again changes nothing.

    Raises `Refused` when the earlier hook's place is taken, `StorageFailed`.
    """
    make_folder(folder)
    ours = next((file for file in (folder / name, folder / (name + _LEGACY)) if is_ours(_text(file))), None)
    users = users_of(_text(ours)) if ours is not None else ()
    if ours is None:
        _set_aside(folder / name, folder / (name + EARLIER))
    file = ours or folder / name
    text = text_of(name, program, (*users, user))
    if _text(file) != text or not os.access(file, os.X_OK):
        write_atomically(file, text.encode("utf-8", "surrogateescape"), mode=0o755)


def uninstall(folder: Path, name: str, user: str, *, is_used: Callable[[str], bool]) -> bool:
    """Take our hook away for one git folder, and put back what was there before once nobody `is_used` needs ours.

    Tells whether anything changed. Raises `StorageFailed`.
    """
    before = folder / (name + EARLIER)
    for file in (folder / name, folder / (name + _LEGACY)):
        text = _text(file)
        if not is_ours(text):
            continue
        left = tuple(other for other in users_of(text) if other != user and is_used(other))
        with storage_errors("a hook cannot be put back"):
            if left:
                write_atomically(file, _with_users(text, left), mode=0o755)
            elif os.path.lexists(before):
                before.replace(file)
            else:
                file.unlink()
        return True
    return False


def _with_users(text: str, users: tuple[str, ...]) -> bytes:
    lines = [line for line in text.splitlines(keepends=True) if not line.startswith("# for: ")]
    lines[2:2] = [f"# for: {user}\n" for user in users]
    return "".join(lines).encode("utf-8", "surrogateescape")


def _set_aside(file: Path, before: Path) -> None:
    """Give the earlier hook its second name, before ours takes the first: at no moment is it not called."""
    if not os.path.lexists(file):
        return
    with storage_errors("a hook cannot be set aside"):
        if os.path.lexists(before):
            if os.path.samestat(before.lstat(), file.lstat()):
                return  # an installation that was cut off
            raise Refused(
                f"{before} is there already, and {file.name} is not mlsnap's",
                why="another tool replaced the hook of mlsnap, which called the one before",
                safe="nothing was changed",
                hint=f"move {before.name} away, or back to {file.name}, then run again",
            )
        os.link(file, before, follow_symlinks=False)


def _text(file: Path) -> str:
    if file.is_symlink() or not file.is_file():
        return ""
    with storage_errors("a hook cannot be read"):
        return file.read_bytes().decode("utf-8", "surrogateescape")
