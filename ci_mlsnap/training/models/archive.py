"""Zip archives with limits: few members, each name once, nothing written, nothing unpacked without a bound."""

from __future__ import annotations

import io
import struct
from typing import IO, cast

from ci_mlsnap.training.models.found import Unread
from ci_mlsnap.training.models.source import Source

_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
_MEMBERS_AT_MOST = 50_000
_DIRECTORY_AT_MOST = 16 << 20
_LOCAL = struct.Struct("<26xHH")
_END = struct.Struct("<10xHI4x2x")
_END_AT_MOST = 66 << 10
_STORED = 0
_UNPACKED_AT_MOST = 32 << 20
_PACKED = (b"PK\x03\x04", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"\x28\xb5\x2f\xfd", b"Rar!")


def is_zip(source: Source) -> bool:
    """Tell it by the first bytes."""
    return source.size >= 22 and source.at(0, 4) in _MAGICS


def is_packed(head: bytes) -> bool:
    """Tell whether the bytes begin an archive or a compressed file of one of the usual kinds."""
    return head.startswith(_PACKED) or head[257:262] == b"ustar"


class Archive:
    """The members of a zip archive by name. Raises `Unread`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        _require_small_directory(source)
        import zipfile

        self._zip = zipfile.ZipFile(cast("IO[bytes]", source))
        self._members = {it.filename: it for it in self._zip.infolist() if not it.is_dir()}
        if len(self._members) != sum(not it.is_dir() for it in self._zip.infolist()):
            raise Unread("two of its members have the same name")
        self.names = sorted(self._members)

    def member(self, name: str) -> Source:
        """Give a member's content: where it stands in the archive, or unpacked in memory."""
        member = self._members[name]
        if member.flag_bits & 1:
            raise Unread("it is encrypted")
        if member.compress_type == _STORED:
            names, extra = self._source.unpack(_LOCAL, member.header_offset)
            return self._source.part(member.header_offset + _LOCAL.size + names + extra, member.file_size)
        if member.file_size > _UNPACKED_AT_MOST:
            raise Unread(f"a compressed part of it is larger than {_UNPACKED_AT_MOST >> 20} MiB")
        with self._zip.open(member) as stream:
            content = stream.read(_UNPACKED_AT_MOST + 1)
        if len(content) != member.file_size:
            raise Unread("a part of it has another length than it says")
        self._source.allowance.take(len(content))
        return Source(io.BytesIO(content), allowance=self._source.allowance)

    def head(self, name: str, count: int = 512) -> bytes:
        """Give the first bytes of a member."""
        if self._members[name].flag_bits & 1:
            return b""
        with self._zip.open(self._members[name]) as stream:
            return stream.read(count)

    def nested(self) -> str:
        """Name the first member that is an archive itself; empty when none is."""
        return next((name for name in self.names if is_packed(self.head(name))), "")


def _require_small_directory(source: Source) -> None:
    """Have a look at the end before all of the directory is read into memory."""
    size = min(source.size, _END_AT_MOST)
    tail = source.at(source.size - size, size)
    place = tail.rfind(b"PK\x05\x06")
    if place < 0 or place + _END.size > size:
        raise Unread("it is a zip archive without an end: it is cut off")
    count, directory = _END.unpack_from(tail, place)
    if _MEMBERS_AT_MOST < count < 0xFFFF or _DIRECTORY_AT_MOST < directory < 0xFFFFFFFF:
        raise Unread("it is an archive of very many files")
