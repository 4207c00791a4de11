"""NumPy's `.npy`: a header that is a Python literal, then the bytes of one array; and `.npz`, a zip of these."""

from __future__ import annotations

import ast
import struct
from typing import Any

from ci_mlsnap.training.models.archive import Archive
from ci_mlsnap.training.models.found import Found, Unread
from ci_mlsnap.training.models.source import Source

MAGIC = b"\x93NUMPY"
_SHORT, _LONG = struct.Struct("<H"), struct.Struct("<I")
_HEADER_AT_MOST = 64 << 10
_KINDS = {"f": "float", "i": "int", "u": "uint", "c": "complex"}
_OTHERS = {"b": "bool", "?": "bool", "O": "object", "U": "string", "S": "string", "V": "void", "M": "datetime"}
_OBJECTS = "an array of objects is a pickle, which runs what it names"


def read_npy(source: Source, found: Found, name: str = "array") -> None:
    """Take the array's shape and kind. Raises `Unread`."""
    if found.runs_code != "yes":
        found.runs_code, found.why = "no", "numbers alone"
    version = source.at(len(MAGIC), 1)[0]
    form = _SHORT if version == 1 else _LONG
    (length,) = source.unpack(form, len(MAGIC) + 2)
    if length > _HEADER_AT_MOST or version not in (1, 2, 3):
        raise Unread("its header is of no known version, or very long")
    header = _literal(source.at(len(MAGIC) + 2 + form.size, length))
    descr, shape = header.get("descr"), header.get("shape")
    if not isinstance(descr, str | list) or not isinstance(shape, tuple):
        raise Unread("its header says not what it should")
    dtype = kind_of(descr) if isinstance(descr, str) else "void"
    found.add(name, shape, dtype)
    if dtype == "object" or (isinstance(descr, list) and _has_objects(descr)):
        found.runs_code, found.why = "yes", _OBJECTS


def read_npz(archive: Archive, found: Found) -> None:
    """Take each array of an archive of them; what else is in it is said. Raises `Unread`."""
    for name in archive.names:
        member = archive.member(name)
        if name.endswith(".npy") and member.size >= len(MAGIC) and member.at(0, len(MAGIC)) == MAGIC:
            read_npy(member, found, name.removesuffix(".npy"))
        elif found.runs_code != "yes":
            found.runs_code, found.why = "unknown", "it holds something besides arrays"


def kind_of(descr: str) -> str:
    """Name a kind of number as people do: `float32` for `<f4`."""
    text = descr.lstrip("<>=|")
    kind, size = text[:1], text[1:]
    if kind in _KINDS and size.isdecimal() and len(size) < 4:
        return f"{_KINDS[kind]}{int(size) * 8}"
    return _OTHERS.get(kind, "void")


def _literal(text: bytes) -> dict[str, Any]:
    try:
        header = ast.literal_eval(text.decode("latin-1").strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        raise Unread("its header is no literal that can be read") from None
    if not isinstance(header, dict):
        raise Unread("its header is no dictionary")
    return header


def _has_objects(fields: list[Any]) -> bool:
    waiting = list(fields)
    while waiting:
        it = waiting.pop()
        if isinstance(it, list | tuple):
            waiting += it
        elif isinstance(it, str) and it.lstrip("<>=|") == "O":
            return True
    return False
