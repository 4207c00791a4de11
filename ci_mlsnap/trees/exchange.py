"""Renames that the standard library lacks: two names swapped at once, and never over something."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from pathlib import Path

_NO_REPLACE = 1
_EXCHANGE = 2
_AT_CWD = -100
_SYSCALL = {"x86_64": 316, "aarch64": 276, "riscv64": 276, "ppc64le": 357, "s390x": 347}


def exchange(a: Path, b: Path) -> None:
    """Swap what stands at two paths of one file system; a reader sees one or the other, never nothing.

    Raises `OSError`: ENOENT, EXDEV, EBUSY for a mount root, EINVAL or ENOSYS where it is not possible.
    """
    _rename(a, b, _EXCHANGE)


def rename_without_replacing(a: Path, b: Path) -> None:
    """Rename `a` to `b`. Raises `FileExistsError` when there is something at `b`, `OSError`."""
    _rename(a, b, _NO_REPLACE)


def _rename(a: Path, b: Path, flags: int) -> None:
    # Numbers need their C type here: through `syscall` they would be passed as int, and the paths as pointers.
    libc = ctypes.CDLL(None, use_errno=True)
    old, new = ctypes.c_char_p(os.fsencode(a)), ctypes.c_char_p(os.fsencode(b))
    here = ctypes.c_int(_AT_CWD)
    if hasattr(libc, "renameat2"):
        failed = libc.renameat2(here, old, here, new, ctypes.c_uint(flags))
    elif platform.machine() in _SYSCALL:
        number = ctypes.c_long(_SYSCALL[platform.machine()])
        failed = libc.syscall(number, here, old, here, new, ctypes.c_uint(flags))
    else:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), os.fspath(a), None, os.fspath(b))
    if failed:
        number_of_error = ctypes.get_errno()
        raise OSError(number_of_error, os.strerror(number_of_error), os.fspath(a), None, os.fspath(b))
