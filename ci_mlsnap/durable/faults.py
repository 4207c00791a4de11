"""What the operating system refuses, told as an error that a person can act on."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from ci_mlsnap.errors import StorageFailed, StorageFull, StorageReadOnly

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_CLOSED = {errno.EROFS, errno.EACCES, errno.EPERM}


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Turn an `OSError` of the block into `StorageFull`, `StorageReadOnly` or `StorageFailed`.

    `what` says what could not be done ("the ledger cannot be written"); the path comes from the error.
    """
    try:
        yield
    except OSError as error:
        raise storage_error(what, error) from error


def storage_error(what: str, error: OSError) -> StorageFailed:
    """Give the error of ours that stands for `error`."""
    text = f"{what}{_place(error)}"
    why = error.strerror or type(error).__name__
    if error.errno in _FULL:
        return StorageFull(text, why=why, hint="free space, inodes (`df -i`) or quota there, then run again")
    if error.errno in _CLOSED:
        return StorageReadOnly(text, why=why, hint="check the mount, the owner and the mode, then run again")
    return StorageFailed(text, why=why, hint="check that the storage is mounted and healthy, then run again")


def _place(error: OSError) -> str:
    if error.filename is None or isinstance(error.filename, int):
        return ""
    return f": {shown(os.fsencode(error.filename))}"


def shown(path: bytes) -> str:
    """Write a path in quotes, on one line, with everything escaped that a terminal could obey."""
    text = path.decode("utf-8", "backslashreplace")
    safe = (char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return "'" + "".join(safe) + "'"
