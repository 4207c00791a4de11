"""The output of training: passed on unchanged as it comes, the end of it kept."""

from __future__ import annotations

import io
import os
import select
import threading
from contextlib import suppress
from typing import BinaryIO, Self

_PART = 1 << 16
_REST = 1 << 20
"""Bytes read at most after the end: what fits into a pipe, and not what a survivor goes on writing."""
_DRAIN_SECONDS = 5.0


class Output:
    """A pipe whose content goes to `sink`, by a thread, so that a reader who stalls stalls training and not us.

    Lines are nothing to it: a log without a newline needs no more memory than any other. A sink that fails ends
    the showing and not the training; `unshown` then says why.
    """

    def __init__(self, sink: BinaryIO, *, tail_bytes: int) -> None:
        self._sink = sink
        self._tail_bytes = tail_bytes
        self._tail = bytearray()
        self._thread = threading.Thread(target=self._pass_on, name="training output", daemon=True)
        self.unshown = ""

    def __enter__(self) -> Self:
        # What was said before must come before.
        with suppress(OSError):
            self._sink.flush()
        self._descriptor = _descriptor(self._sink)
        self._readable, self._writable = os.pipe()
        self._told, self._tell = os.pipe()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Pass on what is still in the pipe, and do not wait for writers that keep it open."""
        os.close(self._writable)
        os.close(self._tell)
        self._thread.join(_DRAIN_SECONDS)
        if self._thread.is_alive():
            self.unshown = "the reader of the log did not take the last lines"
            return
        os.close(self._readable)
        os.close(self._told)

    def fileno(self) -> int:
        """Give the end that training writes to."""
        return self._writable

    @property
    def tail(self) -> bytes:
        """The last bytes, `tail_bytes` at most."""
        return bytes(self._tail[-self._tail_bytes :]) if self._tail_bytes else b""

    def _pass_on(self) -> None:
        poll = select.poll()
        poll.register(self._readable, select.POLLIN)
        poll.register(self._told, select.POLLIN)
        rest = _REST
        while rest > 0:
            ready = {descriptor for descriptor, _ in poll.poll()}
            if self._readable not in ready:
                return
            part = os.read(self._readable, _PART)
            if not part:
                return
            self._keep(part)
            self._show(part)
            if self._told in ready:
                rest -= len(part)

    def _keep(self, part: bytes) -> None:
        self._tail += part
        if len(self._tail) > 2 * self._tail_bytes + _PART:
            del self._tail[: -self._tail_bytes or None]

    def _show(self, part: bytes) -> None:
        if self.unshown:
            return
        try:
            self._write(part)
        except (OSError, ValueError) as error:
            self.unshown = getattr(error, "strerror", None) or type(error).__name__

    def _write(self, part: bytes) -> None:
        if self._descriptor is None:
            self._sink.write(part)
            self._sink.flush()
            return
        rest = memoryview(part)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                # Node and some shells hand down a terminal or pipe that does not block.
                poll = select.poll()
                poll.register(self._descriptor, select.POLLOUT)
                poll.poll()


def _descriptor(sink: BinaryIO) -> int | None:
    try:
        return sink.fileno()
    except (io.UnsupportedOperation, AttributeError):
        return None
