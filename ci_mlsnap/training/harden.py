"""Three switches of the Linux kernel about processes, each set by `prctl`."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

_SET_DUMPABLE = 4
_SET_CHILD_SUBREAPER = 36
_GET_CHILD_SUBREAPER = 37
_SET_NO_NEW_PRIVS = 38


def forbid_reading_this_process() -> None:
    """Keep other processes of the same user from reading our memory and first environment. Raises `OSError`.

    A child with an empty environment could otherwise read the secrets of its parent in `/proc`. Root still can.
    """
    _prctl(_SET_DUMPABLE, 0)


def forbid_new_privileges() -> None:
    """Let nothing that this thread starts from now on gain rights by set-user-id files. Raises `OSError`.

    The switch belongs to the thread, and what it starts inherits it; other threads keep their rights.
    """
    _prctl(_SET_NO_NEW_PRIVS, 1)


@contextmanager
def adopting_orphans() -> Iterator[None]:
    """Become, for the block, the parent of every descendant whose own parent ends. Raises `OSError`."""
    before = ctypes.c_int(0)
    _prctl(_GET_CHILD_SUBREAPER, ctypes.addressof(before))
    _prctl(_SET_CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        _prctl(_SET_CHILD_SUBREAPER, before.value)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    # The kernel wants the unused arguments to be zero, each as wide as a pointer.
    arguments = [ctypes.c_ulong(number) for number in (value, 0, 0, 0)]
    if libc.prctl(ctypes.c_int(option), *arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"prctl {option}: {os.strerror(number)}")
