"""TensorFlow's record files: each record with its length, and both with a checksum.

A record is its length (8 bytes), the length's checksum (4), the data, the data's checksum (4), all little-endian.
The checksum is CRC-32C, turned and shifted by a constant, so that a checksum of checksums is a good one too.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cache, lru_cache

from ci_mlsnap.training.readers.found import Refused

_HEAD = struct.Struct("<QI")
_CHECK = struct.Struct("<I")
_POLYNOMIAL = 0x82F63B78
_CONSTANT = 0xA282EAD8


def is_record_file(content: bytes) -> bool:
    """Tell whether this is such a file, by its first checksum."""
    return len(content) >= _HEAD.size and _head(content, 0)[1]


def require_cut_off(content: bytes) -> None:
    """Refuse what is no record file, and not too short to be one either. Raises `Refused`."""
    if len(content) >= _HEAD.size:
        raise Refused("it is no event file", "let the writer of the framework write it")


def records(content: bytes) -> Iterator[bytes]:
    """Give each record's data; the last one may be cut off, as a writer that was not closed leaves it.

    Raises `Refused` where a checksum is wrong.
    """
    place, size = 0, len(content)
    while size - place >= _HEAD.size:
        length, fine = _head(content, place)
        if not fine:
            raise _damaged()
        start = place + _HEAD.size
        place = start + length + _CHECK.size
        if place > size:
            return
        data = content[start : start + length]
        if _CHECK.unpack_from(content, start + length)[0] != masked_checksum(data):
            raise _damaged()
        yield data


def masked_checksum(data: bytes) -> int:
    """Give the checksum as these files have it."""
    crc, table = 0xFFFFFFFF, _table()
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + _CONSTANT) & 0xFFFFFFFF


def _head(content: bytes, place: int) -> tuple[int, bool]:
    length, check = _HEAD.unpack_from(content, place)
    return length, check == _length_checksum(length)


@lru_cache(maxsize=1024)
def _length_checksum(length: int) -> int:
    # Most records of a file have one of a few lengths.
    return masked_checksum(length.to_bytes(8, "little"))


@cache
def _table() -> tuple[int, ...]:
    def entry(crc: int) -> int:
        for _ in range(8):
            crc = (crc >> 1) ^ (_POLYNOMIAL if crc & 1 else 0)
        return crc

    return tuple(entry(byte) for byte in range(256))


def _damaged() -> Refused:
    return Refused("it is damaged: a checksum is wrong", "look at the disk it was written to, then train again")
