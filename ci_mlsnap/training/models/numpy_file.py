"""NumPy's `.npy`: a header that is a Python literal, then the bytes of one array; and `.npz`, a zip of these."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Any

from ci_mlsnap.training.models.archive import Archive
from ci_mlsnap.training.models.found import Found, Unread
from ci_mlsnap.training.models.source import Source

MAGIC = b"\x93NUMPY"
_SHORT, _LONG = struct.Struct("<H"), struct.Struct("<I")
_HEADER_AT_MOST = 64 << 10
_KINDS = {"f": "float", "i": "int", "u": "uint", "c": "complex"}
_OTHERS = {"b": "bool", "?": "bool", "O": "object", "U": "string", "S": "string", "V": "void", "M": "datetime"}
_KIND = re.compile(r"[<>=|]?[?bBhHiIlLqQeufdgFDGcmMSaUVO][0-9]{0,9}(\[[0-9A-Za-z/]{1,20}\])?")
_OBJECT = re.compile(r"[<>=|]?O[0-9]*")
_DEEP_AT_MOST = 20
_OBJECTS = "an array of objects is a pickle, which runs what it names"


def read_npy(source: Source, found: Found, name: str = "array") -> None:
    """Take the array's shape and kind. Raises `Unread`."""
    version = source.at(len(MAGIC), 1)[0]
    form = _SHORT if version == 1 else _LONG
    (length,) = source.unpack(form, len(MAGIC) + 2)
    if length > _HEADER_AT_MOST or version not in (1, 2, 3):
        raise Unread("its header is of no known version, or very long")
    header = _literal(source.at(len(MAGIC) + 2 + form.size, length))
    descr, shape = header.get("descr"), header.get("shape")
    if not isinstance(shape, tuple):
        raise Unread("its header says not what it should")
    kinds = list(_kinds(descr, _DEEP_AT_MOST))
    found.add(name, shape, kind_of(descr) if isinstance(descr, str) else "void")
    if any(_OBJECT.fullmatch(kind) for kind in kinds):
        found.runs_code, found.why = "yes", _OBJECTS
    elif found.runs_code != "yes":
        found.runs_code, found.why = "no", "numbers alone"


def read_npz(archive: Archive, found: Found) -> None:
    """Take each array of an archive of them; what else is in it is said. Raises `Unread`."""
    others = False
    for name in archive.names:
        member = archive.member(name)
        if name.endswith(".npy") and member.size >= len(MAGIC) and member.at(0, len(MAGIC)) == MAGIC:
            read_npy(member, found, name.removesuffix(".npy"))
        else:
            others = True
    if others and found.runs_code != "yes":
        found.runs_code, found.why = "unknown", "it holds something besides arrays"


def kind_of(descr: str) -> str:
    """Name a kind of number as people do: `float32` for `<f4`."""
    text = descr.lstrip("<>=|")
    kind, size = text[:1], text[1:]
    if kind in _KINDS and size.isdecimal() and len(size) < 4:
        return f"{_KINDS[kind]}{int(size) * 8}"
    return _OTHERS.get(kind, "void")


def _literal(text: bytes) -> dict[str, Any]:
    import ast

    try:
        header = ast.literal_eval(text.decode("latin-1").strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        raise Unread("its header is no literal that can be read") from None
    if not isinstance(header, dict):
        raise Unread("its header is no dictionary")
    return header


def _kinds(descr: object, depth: int) -> Iterator[str]:
    """Give the kinds of an array's numbers, of all its fields; raise for what NumPy might read otherwise."""
    if isinstance(descr, str) and _KIND.fullmatch(descr):
        yield descr
    elif isinstance(descr, list) and depth:
        for field in descr:
            if not isinstance(field, tuple) or len(field) not in (2, 3):
                raise Unread("its header says not what it should")
            yield from _kinds(field[1], depth - 1)
    elif isinstance(descr, tuple) and len(descr) == 2 and depth:
        yield from _kinds(descr[0], depth - 1)
    else:
        raise Unread("its header says not what it should")
