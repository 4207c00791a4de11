"""The effects of this very process: told one by one before they happen, so that a test can end it there.

A process that is killed does nothing any more. So once an effect was met with `Crash`, each later one is too:
clean-up that would run after an exception, and does not after a kill, changes nothing either.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from ci_mlsnap.trees import exchange

KINDS = frozenset(
    (
        *("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod"),
        *("os.chown", "os.utime", "os.setxattr", "os.removexattr", "fcntl.ioctl", "tests.renameat2"),
        "tests.request",
    )
)
"""What the interpreter tells of just before it happens, and what changes something on the storage."""

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

Listener = Callable[[str, tuple[Any, ...]], object]
_listener: list[Listener] = []
_hooked: list[bool] = []


class Crash(BaseException):
    """The process is gone: nothing of it runs any more."""


@contextmanager
def told(listener: Listener) -> Iterator[None]:
    """Call `listener` before each effect of the block; what it raises comes out of the effect."""
    if not _hooked:
        _hooked.append(True)
        sys.addaudithook(_hear)  # stays until the interpreter ends: it cannot be taken back
    before, _listener[:] = list(_listener), [listener]
    try:
        with mock.patch.object(exchange, "_rename", _told_rename):
            yield
    finally:
        _listener[:] = before


@contextmanager
def crashing(number: int) -> Iterator[None]:
    """End the block's process before its effect of this number, counted from 1; 0 never ends it."""
    count = 0

    def listen(kind: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        count += 1
        if 0 < number <= count:
            raise Crash

    with told(listen):
        yield


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if not _listener or not (event in KINDS or (event == "open" and _writes(arguments))):
        return
    if not threading.current_thread().daemon:  # else a server that a test plays, on another machine
        _listener[0](event, arguments)


def _writes(arguments: tuple[Any, ...]) -> bool:
    return isinstance(arguments[2], int) and bool(arguments[2] & _WRITES)


_rename = exchange._rename


def _told_rename(a: Path, b: Path, flags: int) -> None:
    sys.audit("tests.renameat2", str(a), str(b))
    _rename(a, b, flags)
