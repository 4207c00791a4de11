"""HDF5 as far as models need it: groups, datasets' shapes and kinds, attributes that are texts.

Read are superblocks 0 to 3, object headers 1 and 2, groups as symbol tables and as links in their header. The
large groups of newer files, which keep links in a heap of their own, are said to be unread. Numbers are
little-endian; addresses and lengths have as many bytes as the superblock says.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ci_mlsnap.training.models.found import Unread
from ci_mlsnap.training.models.hdf5_messages import (
    Attribute,
    Message,
    Numbers,
    attribute,
    dataspace,
    datatype,
    link,
)
from ci_mlsnap.training.models.source import Source

MAGIC = b"\x89HDF\r\n\x1a\n"
_MESSAGES_AT_MOST = 100_000
_OBJECTS_AT_MOST = 100_000
_DEEP_AT_MOST = 64
_SUPERBLOCKS_AT = (0, 512, 1024, 2048, 4096)
_SPACE, _LINK_INFO, _TYPE, _LINK, _ATTRIBUTE, _CONTINUED, _TABLE = 0x1, 0x2, 0x3, 0x6, 0xC, 0x10, 0x11
_ATTRIBUTE_INFO = 0x15


class Dataset(NamedTuple):
    """A dataset by its path in the file."""

    name: str
    shape: tuple[int, ...]
    dtype: str


class _Object:
    """What an object's header says."""

    def __init__(self) -> None:
        self.attributes: list[Attribute] = []
        self.links: list[tuple[str, int]] = []
        self.shape: tuple[int, ...] | None = None
        self.dtype = ""


def is_hdf5(source: Source) -> bool:
    """Tell it by the signature, at the start or behind a block of the user's own."""
    return _superblock_place(source) is not None


class File:
    """An HDF5 file. Methods raise `Unread`."""

    def __init__(self, source: Source) -> None:
        place = _superblock_place(source)
        if place is None:
            raise Unread("it has no signature")
        version = source.at(place + 8, 1)[0]
        if version > 3:
            raise Unread("it is of an unknown version")
        sizes = source.at(place + (13 if version < 2 else 9), 2)
        if not {sizes[0], sizes[1]} <= {2, 4, 8}:
            raise Unread("its addresses have an unknown size")
        # Addresses count from the signature, where there is a block before it.
        self._source = source.part(place, source.size - place)
        self._numbers = Numbers(self._source, offset=sizes[0], length=sizes[1])
        self._root = self._root_address(version)

    def attributes(self, group: str = "") -> dict[str, str | None]:
        """Give the attributes of the file's root, or of a group in it, that are texts; None for any other."""
        found = self._object(self._root)
        if group:
            address = dict(found.links).get(group)
            if address is None:
                return {}
            found = self._object(address)
        return {it.name: self._text(it) for it in found.attributes}

    def datasets(self) -> Iterator[Dataset]:
        """Give all datasets, in the order of the file."""
        waiting: list[tuple[str, int, int]] = [("", self._root, 0)]
        seen: set[int] = set()
        while waiting:
            name, address, depth = waiting.pop()
            if address in seen:
                continue
            seen.add(address)
            if len(seen) > _OBJECTS_AT_MOST or depth > _DEEP_AT_MOST:
                raise Unread("it has more objects, or deeper groups, than are looked at")
            it = self._object(address)
            if it.shape is not None and it.dtype:
                yield Dataset(name=name, shape=it.shape, dtype=it.dtype)
            inner = [(f"{name}/{part}" if name else part, place, depth + 1) for part, place in it.links]
            waiting += reversed(inner)

    def _root_address(self, version: int) -> int:
        numbers = self._numbers
        if version < 2:
            entry = 24 + (4 if version == 1 else 0) + 4 * numbers.offset
            return numbers.address(entry + numbers.offset)
        return numbers.address(12 + 3 * numbers.offset)

    def _object(self, address: int) -> _Object:
        it = _Object()
        for message in self._messages(address):
            if message.kind == _SPACE:
                it.shape = dataspace(message.data, self._numbers.length)
            elif message.kind == _TYPE:
                it.dtype = "" if message.shared else datatype(message.data)
                it.dtype = it.dtype or "unknown"
            elif message.kind == _ATTRIBUTE and not message.shared:
                it.attributes.append(attribute(message.data, self._numbers.length))
            elif message.kind == _LINK:
                found = link(message.data, self._numbers.offset)
                it.links += [found] if found else []
            elif message.kind == _TABLE:
                it.links += self._symbols(*self._numbers.two_addresses(message.data))
            elif message.kind in (_LINK_INFO, _ATTRIBUTE_INFO):
                self._require_in_header(message.data, order=8 if message.kind == _LINK_INFO else 2)
        return it

    def _require_in_header(self, data: bytes, *, order: int) -> None:
        """Raise for links or attributes that stand in a heap; `order` bytes are before its address, where kept."""
        place = 2 + (order if data[1:2] and data[1] & 1 else 0)
        if not self._numbers.is_undefined(data[place : place + self._numbers.offset]):
            raise Unread("it has groups or attributes in a form that is not read")

    # -- object headers ------------------------------------------------------------------------------------

    def _messages(self, address: int) -> Iterator[Message]:
        newer = self._source.at(address, 4) == b"OHDR"
        blocks = [self._first_block_2(address) if newer else self._first_block_1(address)]
        times = bool(self._source.at(address + 5, 1)[0] & 4) if newer else False
        seen: set[int] = set()
        count = 0
        while blocks:
            start, size = blocks.pop()
            if start in seen:
                raise Unread("one of its headers leads back to itself")
            seen.add(start)
            block = self._source.at(start, size)
            for message in _split_2(block, ordered=times) if newer else _split_1(block):
                count += 1
                if count > _MESSAGES_AT_MOST:
                    raise Unread("one of its headers is very long")
                if message.kind == _CONTINUED:
                    blocks.append(self._continued(message.data, newer=newer))
                else:
                    yield message

    def _first_block_1(self, address: int) -> tuple[int, int]:
        if self._source.at(address, 1) != b"\x01":
            raise Unread("one of its headers is damaged")
        return address + 16, self._numbers.number(address + 8, 4)

    def _first_block_2(self, address: int) -> tuple[int, int]:
        flags = self._source.at(address + 5, 1)[0]
        place = address + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        return place + width, self._numbers.number(place, width)

    def _continued(self, data: bytes, *, newer: bool) -> tuple[int, int]:
        start, size = self._numbers.address_and_length(data)
        return (start + 4, size - 8) if newer else (start, size)

    # -- groups as symbol tables ---------------------------------------------------------------------------

    def _symbols(self, tree: int, heap: int) -> list[tuple[str, int]]:
        numbers = self._numbers
        if self._source.at(heap, 4) != b"HEAP":
            raise Unread("one of its groups is damaged")
        names = numbers.address(heap + 8 + 2 * numbers.length)
        found: list[tuple[str, int]] = []
        waiting, seen = [tree], set[int]()
        while waiting:
            node = waiting.pop()
            if node in seen or len(seen) > _OBJECTS_AT_MOST:
                raise Unread("one of its groups leads back to itself, or is very large")
            seen.add(node)
            if self._source.at(node, 4) == b"SNOD":
                found += self._leaf(node, names)
            else:
                waiting += reversed(self._children(node))
        return found

    def _children(self, node: int) -> list[int]:
        numbers = self._numbers
        head = self._source.at(node, 8)
        if head[:5] != b"TREE\x00":
            raise Unread("one of its groups is damaged")
        used = int.from_bytes(head[6:8], "little")
        first = node + 8 + 2 * numbers.offset + numbers.length
        return [numbers.address(first + place * (numbers.offset + numbers.length)) for place in range(used)]

    def _leaf(self, node: int, names: int) -> Iterator[tuple[str, int]]:
        numbers = self._numbers
        count, size = numbers.number(node + 6, 2), 2 * numbers.offset + 24
        for place in range(count):
            entry = node + 8 + place * size
            if numbers.number(entry + 2 * numbers.offset, 4) != 2:  # 2: a link by name
                name = numbers.name(names + numbers.number(entry, numbers.offset))
                yield name, numbers.address(entry + numbers.offset)

    # -- attributes ----------------------------------------------------------------------------------------

    def _text(self, it: Attribute) -> str | None:
        """Give an attribute that is one text: its bytes, or those that it leads to."""
        if it.shape not in ((), (1,)) or it.dtype not in ("string", "text elsewhere"):
            return None
        data = it.data if it.dtype == "string" else self._elsewhere(it.data)
        return data.rstrip(b"\0").decode("utf-8", "backslashreplace")

    def _elsewhere(self, reference: bytes) -> bytes:
        numbers = self._numbers
        size = int.from_bytes(reference[:4], "little")
        heap = int.from_bytes(reference[4 : 4 + numbers.offset], "little")
        wanted = int.from_bytes(reference[4 + numbers.offset :][:4], "little")
        if self._source.at(heap, 4) != b"GCOL":
            raise Unread("one of its texts is damaged")
        place, end = heap + 8 + numbers.length, heap + numbers.number(heap + 8, numbers.length)
        for _ in range(_OBJECTS_AT_MOST):
            if place + 8 + numbers.length > end:
                break
            index, length = numbers.number(place, 2), numbers.number(place + 8, numbers.length)
            place += 8 + numbers.length
            if index == wanted:
                return self._source.at(place, min(size, length))
            place += -(-length // 8) * 8
        raise Unread("one of its texts is damaged")


def _superblock_place(source: Source) -> int | None:
    return next((it for it in _SUPERBLOCKS_AT if source.size >= it + 48 and source.at(it, 8) == MAGIC), None)


def _split_1(block: bytes) -> Iterator[Message]:
    place = 0
    while place + 8 <= len(block):
        size = int.from_bytes(block[place + 2 : place + 4], "little")
        kind = int.from_bytes(block[place : place + 2], "little")
        start = place + 8
        yield Message(kind=kind, shared=bool(block[place + 4] & 2), data=block[start : start + size])
        place = start + size


def _split_2(block: bytes, *, ordered: bool) -> Iterator[Message]:
    place, head = 0, 6 if ordered else 4
    while place + head <= len(block):
        size = int.from_bytes(block[place + 1 : place + 3], "little")
        start = place + head
        yield Message(kind=block[place], shared=bool(block[place + 3] & 2), data=block[start : start + size])
        place = start + size
