"""A model file's bytes by place: never beyond its end, never more than allowed in all, never too many at once."""

from __future__ import annotations

import io
import struct
from typing import IO, Any

from ci_mlsnap.training.models.found import TooMuch, Unread

READ_AT_MOST = 256 << 20
AT_ONCE = 32 << 20
_LINE_AT_MOST = 64 << 10


class Allowance:
    """How many bytes may still be read, of a file and all that is in it."""

    def __init__(self, left: int = READ_AT_MOST) -> None:
        self._left = left

    def take(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise TooMuch(f"more than {READ_AT_MOST >> 20} MiB of it would have to be read")


class Source:
    """A file, or a part of one, as what reads files expects it. Raises `Unread` where a limit is reached."""

    def __init__(
        self, file: IO[bytes], *, start: int = 0, size: int | None = None, allowance: Allowance | None = None
    ) -> None:
        self._file = file
        self._start = start
        self.size = file.seek(0, io.SEEK_END) - start if size is None else size
        self.allowance = allowance or Allowance()
        self._place = 0

    def part(self, start: int, size: int) -> Source:
        """Give a part of it as a source of its own. Raises `Unread` where it is not all there."""
        if start < 0 or size < 0 or start + size > self.size:
            raise Unread("it is cut off")
        return Source(self._file, start=self._start + start, size=size, allowance=self.allowance)

    def at(self, place: int, count: int) -> bytes:
        """Read exactly so many bytes from a place. Raises `Unread` where they are not there."""
        if not 0 <= place <= self.size - count:
            raise Unread("it is cut off")
        self.seek(place)
        return self.exactly(count)

    def exactly(self, count: int) -> bytes:
        """Read exactly so many bytes from here on. Raises `Unread` where they are not there."""
        data = self.read(count)
        if len(data) != count:
            raise Unread("it is cut off")
        return data

    def unpack(self, form: struct.Struct, place: int) -> tuple[Any, ...]:
        """Read numbers from a place."""
        return form.unpack(self.at(place, form.size))

    # -- as a file ---------------------------------------------------------------------------------------

    def read(self, count: int | None = -1) -> bytes:
        left = max(0, self.size - self._place)
        count = left if count is None or count < 0 else min(count, left)
        if count > AT_ONCE:
            raise TooMuch(f"more than {AT_ONCE >> 20} MiB of it would have to be in memory at once")
        return self._taken(count, line=False)

    def readline(self) -> bytes:
        line = self._taken(min(_LINE_AT_MOST, max(0, self.size - self._place)), line=True)
        if len(line) == _LINE_AT_MOST:
            raise TooMuch("it has a very long line")
        return line

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        before = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self.size}[whence]
        self._place = max(0, before + place)
        return self._place

    def tell(self) -> int:
        return self._place

    def seekable(self) -> bool:
        return True

    def _taken(self, count: int, *, line: bool) -> bytes:
        if not count:
            return b""
        self._file.seek(self._start + self._place)
        data = self._file.readline(count) if line else self._file.read(count)
        self.allowance.take(len(data))
        self._place += len(data)
        return data
