"""Standard output and error of a command whose reader may leave before its end, or whose disk may be full."""

from __future__ import annotations

import io
import os
import sys

TYPE_CHECKING = False  # `typing` itself would cost `mlsnap --version` a third of its time
if TYPE_CHECKING:
    from typing import Any


class _Patient(io.FileIO):
    """A stream that drops what cannot be written, so that a command goes on to its true end.

    That nobody reads any more is fine; any other reason is in `lost`.
    """

    lost: OSError | None = None

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data) or 0
        except BrokenPipeError:
            pass
        except OSError as error:
            self.lost = error
        return memoryview(data).nbytes


def settle_streams() -> None:
    """Make standard output and error outlive their readers, and give closed ones a place that is no other file."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
    sys.stdout = _opened(1, sys.stdout)
    sys.stderr = _opened(2, sys.stderr)


def flush_streams() -> OSError | None:
    """Write what is left, and give the reason why some of standard output was lost; None when nothing was."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    raw = getattr(sys.stdout.buffer, "raw", None)
    return raw.lost if isinstance(raw, _Patient) else None


def _opened(descriptor: int, before: Any) -> io.TextIOWrapper:
    encoding = getattr(before, "encoding", None) or "utf-8"
    raw = _Patient(descriptor, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=encoding,
        # A path that is not UTF-8 leaves as the bytes it is; what another encoding lacks is shown escaped.
        errors="surrogateescape" if encoding.lower().replace("-", "") == "utf8" else "backslashreplace",
        line_buffering=descriptor == 2 or raw.isatty(),
    )
