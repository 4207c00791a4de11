"""Make everything on a file system durable at once."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from ci_mlsnap.durable.faults import storage_errors


def sync_file_system(path: Path) -> None:
    """Write what is in memory of the file system that `path` is on to its storage.

    Cheaper than an `fsync` for each of many files. Raises `StorageFull`, `StorageFailed`, also for an error
    of an earlier write that nobody was told of yet.
    """
    with storage_errors("the file system cannot be made durable"):
        handle = os.open(path, os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).syncfs(handle):
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number), os.fspath(path))
        finally:
            os.close(handle)
