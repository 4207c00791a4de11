"""Protobuf's wire format in a source: what is large is stepped over, and no length is believed."""

from __future__ import annotations

from collections.abc import Iterator

from ci_mlsnap.training.models.found import Unread
from ci_mlsnap.training.models.source import Source

VARINT, EIGHT, LENGTH, FOUR = 0, 1, 2, 5
_FIELDS_AT_MOST = 5_000_000
_TEXT_AT_MOST = 64 << 10


class Message:
    """One message: a stretch of a source."""

    def __init__(self, source: Source, start: int, size: int) -> None:
        if size < 0 or start + size > source.size:
            raise Unread("it is cut off")
        self._source = source
        self.start, self.size = start, size

    def fields(self) -> Iterator[tuple[int, int | Message]]:
        """Give each field's number with its whole number, or with the stretch it takes. Raises `Unread`."""
        place, end = self.start, self.start + self.size
        for _ in range(_FIELDS_AT_MOST):
            if place == end:
                return
            key, place = self._varint(place, end)
            number, kind = key >> 3, key & 7
            if kind == VARINT:
                value, place = self._varint(place, end)
                yield number, value
                continue
            size, place = self._size(kind, place, end)
            if not number or size > end - place:
                raise Unread("one of its fields is damaged")
            yield number, Message(self._source, place, size)
            place += size
        raise Unread("it has more fields than are looked at")

    def text(self) -> str:
        """Give what it is as a text."""
        return self.bytes().decode("utf-8", "backslashreplace")

    def bytes(self) -> bytes:
        """Give its bytes. Raises `Unread` for more than a text has."""
        if self.size > _TEXT_AT_MOST:
            raise Unread("one of its texts is very long")
        return self._source.at(self.start, self.size)

    def varints(self) -> Iterator[int]:
        """Give the whole numbers that are packed in it."""
        place, end = self.start, self.start + self.size
        while place < end:
            value, place = self._varint(place, end)
            yield value

    def _size(self, kind: int, place: int, end: int) -> tuple[int, int]:
        if kind == LENGTH:
            return self._varint(place, end)
        if kind not in (EIGHT, FOUR):
            raise Unread("one of its fields is damaged")
        return (8 if kind == EIGHT else 4), place

    def _varint(self, place: int, end: int) -> tuple[int, int]:
        data = self._source.at(place, min(10, end - place))
        value = 0
        for count, byte in enumerate(data):
            value |= (byte & 0x7F) << 7 * count
            if byte < 0x80:
                return value & 0xFFFFFFFFFFFFFFFF, place + count + 1
        raise Unread("one of its numbers is damaged")
