"""Small JSON documents of state: written atomically, read whole and strictly.

Each kind is a msgspec struct whose tag is its format, such as `mlsnap/lease/1`. A damaged document is never
taken for a missing one, and one of a newer mlsnap is left untouched.
"""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import TypeVar

import msgspec

from ci_mlsnap.durable.atomic import make_folder, storage_errors, write_atomically
from ci_mlsnap.errors import IntegrityDamage, Refused

Kind = TypeVar("Kind", bound=msgspec.Struct)

_SIZE_LIMIT = 64 * 2**20
_STALE_ATTEMPTS = 5


class _Tagged(msgspec.Struct):
    format: str = ""


def read(path: Path, kind: type[Kind], *, way_out: str) -> Kind | None:
    """Read a document; None when there is none.

    Raises `IntegrityDamage` when it is not what was written, with `way_out` as the hint, `Refused` when a newer
    mlsnap wrote it, `StorageFailed`.
    """
    data = contents(path)
    if data is None:
        return None
    expected, found = str(kind.__struct_config__.tag), _format(data)
    if _generation(found, expected) > _generation(expected, expected):
        raise _newer(path, found, expected)
    try:
        if found == expected:  # msgspec takes a missing tag for the right one
            return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        pass
    raise IntegrityDamage(
        f"{path} is damaged", why=f"it is no {expected}", safe="it was not touched", hint=way_out
    )


def write(path: Path, value: msgspec.Struct) -> None:
    """Write a document durably, in place of the one before. Raises `StorageFull`, `StorageFailed`."""
    make_folder(path.parent)
    write_atomically(path, msgspec.json.encode(value) + b"\n")


def contents(path: Path) -> bytes | None:
    """Give a file's bytes, None when there is none; a link is not followed. Raises `StorageFailed`."""
    with storage_errors("a document of state cannot be read"):
        for _ in range(_STALE_ATTEMPTS):
            try:
                return _bytes(path)
            except FileNotFoundError:
                return None
            except OSError as error:
                # On NFS a file that another host replaced while we read it is stale; the new one is there.
                if error.errno != errno.ESTALE:
                    raise
        return _bytes(path)


def remove(path: Path) -> None:
    """Remove a document; gone is fine. Raises `StorageFailed`."""
    with storage_errors("a document of state cannot be removed"):
        path.unlink(missing_ok=True)


def _bytes(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        return file.read(_SIZE_LIMIT + 1)


def _format(data: bytes) -> str:
    try:
        return msgspec.json.decode(data, type=_Tagged).format
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return ""


def _newer(path: Path, found: str, expected: str) -> Refused:
    return Refused(
        f"{path} was written by a newer mlsnap",
        why=f"it has the format {found}, and this version reads up to {expected}",
        safe="it was not touched",
        hint="use the newer mlsnap here",
    )


def _generation(found: str, expected: str) -> int:
    """Give the number of a format of the same family as `expected`; 0 for any other."""
    family, _, _ = expected.rpartition("/")
    numbered = re.fullmatch(re.escape(family) + r"/([0-9]{1,6})", found)
    return int(numbered[1]) if numbered else 0
