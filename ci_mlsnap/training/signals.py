"""Being told to stop: the first signal counts, and repeats change nothing."""

from __future__ import annotations

import os
import select
import signal
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Self

_NUMBERS = 4096
_BOUNCE_SECONDS = 1.0
"""A second Ctrl-C within this time after the first is the same wish."""


class StopSignal:
    """Notes the first SIGINT, SIGTERM or SIGHUP while the block runs; must be entered in the main thread.

    CIs repeat their signals (Jenkins every few seconds, GitHub's runner with SIGTERM after SIGINT), so later ones
    are ignored: stopping goes on undisturbed. Only a person's second Ctrl-C, more than a second after the first,
    ends the process at once, after what `at_once` registered.
    """

    def __init__(self, *, bounce_seconds: float = _BOUNCE_SECONDS) -> None:
        self._bounce_seconds = bounce_seconds
        self._received: int | None = None
        self._interrupted_at: float | None = None
        self._last_acts: list[Callable[[], object]] = []
        self._before: dict[int, Any] = {}
        self._woken_before = -1
        self._readable, self._writable = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._close = weakref.finalize(self, _close, self._readable, self._writable)

    @property
    def received(self) -> int | None:
        """The number of the first signal; None while there was none."""
        self._look()
        return self._received

    def fileno(self) -> int:
        """Give a descriptor that becomes readable with a signal, to wait on with others; ask `received` first."""
        return self._readable

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds` for a signal; tell whether there was one."""
        deadline = time.monotonic() + seconds
        poll = select.poll()
        poll.register(self._readable, select.POLLIN)
        while self.received is None and (rest := deadline - time.monotonic()) > 0:
            poll.poll(rest * 1000)
        return self.received is not None

    @contextmanager
    def at_once(self, act: Callable[[], object]) -> Iterator[None]:
        """During the block, do `act` before the process ends without waiting for anything."""
        self._last_acts.append(act)
        try:
            yield
        finally:
            self._last_acts.remove(act)

    def __enter__(self) -> Self:
        # The kernel may give a signal to any thread, and then this one would sleep on: Python's handlers run only
        # here, when something else wakes it. So the pipe is written where the signal arrives.
        self._woken_before = signal.set_wakeup_fd(self._writable, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # A background process of a shell starts with SIGINT ignored, and must still stop when told so; an
            # ignored SIGHUP is somebody's wish (nohup).
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        signal.set_wakeup_fd(self._woken_before)
        self._look()
        self._before.clear()
        self._close()

    def _look(self) -> None:
        """Take the numbers of the signals that arrived, also before their handlers ran."""
        if self._close.alive:
            with suppress(BlockingIOError):
                for number in os.read(self._readable, _NUMBERS):
                    if self._received is None and number in self._before:
                        self._received = number

    def _note(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._received is None:
            self._received = number
        if number != signal.SIGINT:
            return
        if self._interrupted_at is None:
            self._interrupted_at = now
        elif now - self._interrupted_at > self._bounce_seconds:
            self._end_at_once()

    def _end_at_once(self) -> None:
        try:
            for act in reversed(self._last_acts):
                act()
        finally:
            os._exit(128 + signal.SIGINT)


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
