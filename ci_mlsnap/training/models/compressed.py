"""Compressed files of the usual kinds, unpacked in memory up to a bound."""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable
from typing import Protocol

from ci_mlsnap.training.models.found import TooMuch
from ci_mlsnap.training.models.source import Source

_UNPACKED_AT_MOST = 64 << 20
_PART = 1 << 20


class _Unpacker(Protocol):
    """What the standard library's decompressors have in common."""

    @property
    def eof(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int = ...) -> bytes: ...


def unpacked(source: Source) -> Source | None:
    """Give what a compressed file holds, at most so much of it; None for what is none. Raises `Unread`."""
    opener = _opener(source.at(0, min(6, source.size)))
    if opener is None:
        return None
    content, unpacker = io.BytesIO(), opener()
    source.seek(0)
    try:
        while not unpacker.eof and (part := source.read(_PART)):
            content.write(unpacker.decompress(part, _UNPACKED_AT_MOST - content.tell() + 1))
            if content.tell() > _UNPACKED_AT_MOST:
                raise TooMuch(f"unpacked it is larger than {_UNPACKED_AT_MOST >> 20} MiB")
    except (OSError, ValueError, EOFError, zlib.error, lzma.LZMAError):
        return None
    return Source(content, allowance=source.allowance)


def _opener(head: bytes) -> Callable[[], _Unpacker] | None:
    if head.startswith(b"\x1f\x8b"):
        return lambda: zlib.decompressobj(wbits=31)
    if head[:1] == b"\x78" and len(head) > 1 and int.from_bytes(head[:2], "big") % 31 == 0:
        return zlib.decompressobj
    if head.startswith(b"BZh"):
        return bz2.BZ2Decompressor
    if head.startswith((b"\xfd7zXZ", b"\x5d\x00\x00")):
        return lambda: lzma.LZMADecompressor(memlimit=128 << 20)
    return None
