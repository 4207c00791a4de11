"""The files by which a step speaks to the runner of GitHub Actions, kept as they are while training runs.

Training is not told where they are, and as the same user finds them all the same. A line in GITHUB_ENV or
GITHUB_PATH would be obeyed by the steps that come after it, which have secrets.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

NAMES = ("GITHUB_ENV", "GITHUB_PATH", "GITHUB_OUTPUT", "GITHUB_STATE", "GITHUB_STEP_SUMMARY")

_LARGEST = 64 << 20
"""Bytes; GitHub takes no such file."""


class RunnerFiles:
    """The files of this step. What is in one when it is noted stays; `undo` takes out what was added since."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._paths = {name: environ[name] for name in NAMES if environ.get(name)}
        self._contents: dict[str, bytes | None] = {}

    def note(self) -> None:
        """Remember what is in them; None for one that is not there yet."""
        self._contents = {name: _content(path, _LARGEST) for name, path in self._paths.items()}

    def undo(self) -> tuple[str, ...]:
        """Bring back what was noted; give the names of the files that somebody changed."""
        now = {name: _content(self._paths[name], len(text or b"")) for name, text in self._contents.items()}
        changed = tuple(name for name, text in self._contents.items() if now[name] != text)
        for name in changed:
            with suppress(OSError):
                _replace(self._paths[name], self._contents[name] or b"")
        self._contents = {}
        return changed


def _content(path: str, largest: int) -> bytes | None:
    """Read a regular file that no link leads to; None for anything else, and for a larger one."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        usable = stat.S_ISREG(facts.st_mode) and facts.st_size <= largest
        return file.read(largest + 1) if usable else None


def _replace(path: str, content: bytes) -> None:
    """Write a new file in the place: another process may still have the old one open."""
    Path(path).unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
