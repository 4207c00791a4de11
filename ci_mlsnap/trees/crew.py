"""Several threads at one pile of work, with a bounded queue and one first error."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

SMALL = 64 << 10
"""Up to so many bytes, a file is read by the thread that found it."""

HANDS = max(2, min(8, os.cpu_count() or 2))


class Stopped(Exception):
    """The work is given up because another part of it failed."""


class Crew:
    """Threads that do what they are given; leaving the block waits for them.

    The first error, in a thread or in the block, stops the others at their next `go_on` and is raised.
    Tasks that were given are always started, so that they can close what they hold.
    """

    def __init__(self, hands: int = HANDS) -> None:
        self._tasks: queue.Queue[Callable[[], None] | None] = queue.Queue(maxsize=4 * hands)
        self._failure: BaseException | None = None
        self._stopped = False
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(hands)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped = self._stopped or error is not None
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join()
        if self._failure is not None and (error is None or isinstance(error, Stopped)):
            raise self._failure

    def do(self, task: Callable[[], None], size: int) -> None:
        """Have a task done that reads `size` bytes, waiting while there is enough to do.

        A small one is done at once, since handing it over would take longer. Raises `Stopped` after a failure.
        """
        if size <= SMALL:
            task()
        else:
            self._tasks.put(task)
        self.go_on()

    def go_on(self) -> None:
        """Raise `Stopped` when the work is given up; long tasks ask now and then."""
        if self._stopped:
            raise Stopped

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                task()
            except Stopped:
                pass
            except BaseException as error:  # noqa: BLE001  # it is raised in the thread that waits
                self._failure = self._failure or error
                self._stopped = True
