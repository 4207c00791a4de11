"""A lock between processes, which the kernel releases when its owner dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ci_mlsnap.durable.atomic import open_shared
from ci_mlsnap.durable.faults import shown, storage_errors
from ci_mlsnap.errors import Busy


@contextmanager
def lock(path: Path, *, wait: float, pause: float = 0.02) -> Iterator[None]:
    """Hold the lock at `path` for the block, waiting at most `wait` seconds for it.

    The file is made when missing and never deleted: deleting would let two owners hold two files of one name.
    Threads exclude each other too; it cannot be taken twice. Raises `Busy`, `StorageFailed`.
    """
    with storage_errors("a lock cannot be opened"):
        file = open_shared(path, os.O_RDWR)
    try:
        wait_for_lock(file, path, wait=wait, pause=pause)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)
    finally:
        os.close(file)


def wait_for_lock(file: int, path: Path, *, wait: float, pause: float = 0.02) -> None:
    """Lock an open file, waiting at most `wait` seconds. Raises `Busy`, `StorageFailed`."""
    deadline = time.monotonic() + wait
    while not _try(file):
        left = deadline - time.monotonic()
        if left <= 0:
            raise Busy(
                f"another process holds {shown(os.fsencode(path))}",
                why=f"it did not let go within {wait:g} s",
                safe="nothing was changed",
                hint="run again; `fuser -v` on that file names the process",
            )
        time.sleep(min(pause, left))


def _try(file: int) -> bool:
    with storage_errors("a lock cannot be taken"):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
