"""The messages in HDF5's object headers: dataspaces, datatypes, links, attributes."""

from __future__ import annotations

from typing import NamedTuple

from ci_mlsnap.training.models.found import Unread
from ci_mlsnap.training.models.source import Source

_NAME_AT_MOST = 4096
_FIXED, _FLOATING, _STRING, _COMPOUND, _REFERENCE, _ENUM, _VARIABLE, _ARRAY = 0, 1, 3, 6, 7, 8, 9, 10


class Message(NamedTuple):
    """A message as it stands; a `shared` one is elsewhere, and its bytes lead there."""

    kind: int
    shared: bool
    data: bytes


class Attribute(NamedTuple):
    """A name with a value, not yet understood."""

    name: str
    dtype: str
    shape: tuple[int, ...] | None
    data: bytes


class Numbers:
    """Reads numbers of the file's own sizes. Raises `Unread`."""

    def __init__(self, source: Source, *, offset: int, length: int) -> None:
        self._source = source
        self.offset, self.length = offset, length

    def number(self, place: int, size: int) -> int:
        return int.from_bytes(self._source.at(place, size), "little")

    def address(self, place: int) -> int:
        return self.number(place, self.offset)

    def two_addresses(self, data: bytes) -> tuple[int, int]:
        return _little(data, 0, self.offset), _little(data, self.offset, self.offset)

    def address_and_length(self, data: bytes) -> tuple[int, int]:
        return _little(data, 0, self.offset), _little(data, self.offset, self.length)

    def is_undefined(self, data: bytes) -> bool:
        return data == b"\xff" * self.offset

    def name(self, place: int) -> str:
        count = min(_NAME_AT_MOST, self._source.size - place)
        name, end, _ = self._source.at(place, count).partition(b"\0")
        if not end:
            raise Unread("one of its names has no end")
        return name.decode("utf-8", "backslashreplace")


def dataspace(data: bytes, length: int) -> tuple[int, ...] | None:
    """Give a shape; None for an empty space."""
    version, dimensions = _byte(data, 0), _byte(data, 1)
    if version not in (1, 2):
        raise Unread("one of its shapes is of an unknown version")
    if version == 2 and _byte(data, 3) == 2:
        return None
    start = 8 if version == 1 else 4
    return tuple(_little(data, start + place * length, length) for place in range(dimensions))


def datatype(data: bytes) -> str:
    """Name a kind of number as NumPy does; what is not one number has a word of its own."""
    kind, size = _byte(data, 0) & 0x0F, _little(data, 4, 4)
    if kind == _FIXED and 0 < size <= 16:
        return f"{'' if _byte(data, 1) & 8 else 'u'}int{size * 8}"
    if kind == _FLOATING and 0 < size <= 16:
        # bfloat16 has the exponent of a float of 32 bits.
        return "bfloat16" if size == 2 and _byte(data, 13) == 8 else f"float{size * 8}"
    if kind == _ENUM:
        return "bool" if b"FALSE\0" in data and b"TRUE\0" in data else "enum"
    if kind == _VARIABLE:
        return "text elsewhere" if _byte(data, 1) & 0x0F == 1 else "object"
    words = {_STRING: "string", _COMPOUND: "compound", _REFERENCE: "reference", _ARRAY: "array"}
    return words.get(kind, "void")


def link(data: bytes, offset: int) -> tuple[str, int] | None:
    """Give the name and the address of a link to an object; None for one by a name, or out of the file."""
    flags, place = _byte(data, 1), 2
    kind = 0
    if flags & 0x08:
        kind, place = _byte(data, place), place + 1
    place += (8 if flags & 0x04 else 0) + (1 if flags & 0x10 else 0)
    width = 1 << (flags & 3)
    size = _little(data, place, width)
    place += width
    if kind:
        return None
    name = _cut(data, place, size).decode("utf-8", "backslashreplace")
    return name, _little(data, place + size, offset)


def attribute(data: bytes, length: int) -> Attribute:
    """Take an attribute apart."""
    version = _byte(data, 0)
    if version not in (1, 2, 3):
        raise Unread("one of its attributes is of an unknown version")
    sizes = [_little(data, 2 + 2 * place, 2) for place in range(3)]
    place, parts = 9 if version == 3 else 8, []
    for size in sizes:
        parts.append(_cut(data, place, size))
        place += -(-size // 8) * 8 if version == 1 else size
    name, kind, space = parts
    return Attribute(
        name=name.rstrip(b"\0").decode("utf-8", "backslashreplace"),
        dtype="unknown" if version > 1 and _byte(data, 1) & 1 else datatype(kind),
        shape=dataspace(space, length) if not (version > 1 and _byte(data, 1) & 2) else None,
        data=data[place:],
    )


def _byte(data: bytes, place: int) -> int:
    return _cut(data, place, 1)[0]


def _little(data: bytes, place: int, size: int) -> int:
    return int.from_bytes(_cut(data, place, size), "little")


def _cut(data: bytes, place: int, size: int) -> bytes:
    part = data[place : place + size]
    if len(part) != size:
        raise Unread("one of its headers is cut off")
    return part
