"""As much of protobuf's wire format as event files need: fields by number, nothing of a length believed."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from ci_mlsnap.training.readers.found import Refused

Value = int | bytes
"""A whole number as it stands on the wire, or the bytes of anything else."""

_VARINT, _EIGHT, _LENGTH, _FOUR = 0, 1, 2, 5


def fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """Give each field's number and value in order. Raises `Refused`."""
    place = 0
    while place < len(data):
        key, place = data[place], place + 1
        if key > 0x7F:
            key, place = _varint(data, place - 1)
        kind = key & 7
        if kind == _VARINT:
            value, place = _varint(data, place)
            yield key >> 3, value
            continue
        if kind == _LENGTH:
            size, place = _varint(data, place)
        elif kind in (_EIGHT, _FOUR):
            size = 8 if kind == _EIGHT else 4
        else:
            raise broken()
        if size > len(data) - place:
            raise broken()
        yield key >> 3, data[place : place + size]
        place += size


def whole(value: Value) -> int:
    """Give a signed whole number of 64 bits. Raises `Refused`."""
    if not isinstance(value, int):
        raise broken()
    return value - (1 << 64) if value >= 1 << 63 else value


def part(value: Value) -> bytes:
    """Give the bytes of a text, of bytes or of a message. Raises `Refused`."""
    if isinstance(value, int):
        raise broken()
    return value


def text(value: Value) -> str:
    """Give a text. Raises `Refused`."""
    try:
        return str(part(value), "utf-8")
    except UnicodeDecodeError:
        raise broken() from None


def one(form: str, value: Value) -> float:
    """Give the one number of `struct`'s form that these bytes are. Raises `Refused`."""
    data = part(value)
    if len(data) != struct.calcsize(form):
        raise broken()
    return float(struct.unpack(form, data)[0])


def broken() -> Refused:
    """Give the refusal of what is no event."""
    return Refused("one of its records is no event", "let the writer of the framework write it")


def _varint(data: bytes, place: int) -> tuple[int, int]:
    if place < len(data) and data[place] < 0x80:
        return data[place], place + 1
    value = 0
    # Ten bytes hold 64 bits; nothing longer is a number.
    for shift in range(0, 70, 7):
        if place >= len(data):
            break
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, place
    raise broken()
