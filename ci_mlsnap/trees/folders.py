"""One folder of a tree at a time, reached by name below an open root."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from ci_mlsnap.durable.faults import shown
from ci_mlsnap.errors import LateWriter, TreeUnsupported, VolumeMissing

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
OPEN_AT_MOST = 64
"""How many folders of a path are kept open; deeper trees are reached again from the root."""


class Folders:
    """Gives descriptors of a tree's folders, at any depth, however long the path.

    Each is opened relative to the one above, so that no link that somebody puts into the path is followed.
    """

    def __init__(self, root: Path) -> None:
        """Open the root. Raises `VolumeMissing`, `TreeUnsupported` when it is no folder, `OSError`."""
        try:
            descriptor = os.open(root, FOLDER)
        except FileNotFoundError:
            raise VolumeMissing(
                f"the folder {shown(os.fsencode(root))} is not there",
                safe="nothing was changed",
                hint="check the path, and that its storage is mounted",
            ) from None
        except NotADirectoryError:
            raise TreeUnsupported(
                f"{shown(os.fsencode(root))} is no folder",
                why="it is a file or a symbolic link, which is not followed",
                safe="nothing was changed",
                hint="name the folder itself",
            ) from None
        self.root = descriptor
        self._names: list[bytes] = []
        self._open: list[int | None] = [descriptor]
        self._path = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(0)
        os.close(self.root)

    def at(self, path: bytes) -> int:
        """Give a descriptor of the folder `path` (empty: the root), good until the next call. Raises `OSError`."""
        if path != self._path:
            names = path.split(b"/") if path else []
            shared = 0
            while shared < min(len(names), len(self._names)) and names[shared] == self._names[shared]:
                shared += 1
            self._leave(shared)
            self._reopen()
            try:
                for name in names[shared:]:
                    self._enter(name)
            finally:  # where a folder is missing we stand in the one above it, and know that
                self._path = b"/".join(self._names)
        descriptor = self._open[-1]
        assert descriptor is not None
        return descriptor

    def _enter(self, name: bytes) -> None:
        self._open.append(os.open(name, FOLDER, dir_fd=self._open[-1]))
        self._names.append(name)
        old = len(self._open) - OPEN_AT_MOST
        if old > 0:
            self._close(old)

    def _leave(self, depth: int) -> None:
        """Close what is deeper than `depth`; the position is then there."""
        while len(self._names) > depth:
            self._close(len(self._names))
            self._open.pop()
            self._names.pop()
        self._path = b"/".join(self._names)

    def _reopen(self) -> None:
        """Open the folder of the position again, when it was closed for being far from the end of a long path."""
        if self._open[-1] is not None:
            return
        nearest = max(depth for depth, descriptor in enumerate(self._open) if descriptor is not None)
        for depth in range(nearest, len(self._names)):
            self._open[depth + 1] = os.open(self._names[depth], FOLDER, dir_fd=self._open[depth])
            if depth > nearest:
                self._close(depth)

    def _close(self, depth: int) -> None:
        descriptor = self._open[depth]
        if depth > 0 and descriptor is not None:
            self._open[depth] = None
            os.close(descriptor)


def changed(path: bytes, why: str) -> LateWriter:
    """Give the error for something that changed while it was read."""
    return LateWriter(
        f"{shown(path)} changed while it was read",
        why=why,
        safe="nothing was kept of this reading",
        hint="stop what still writes there, then run again",
    )
