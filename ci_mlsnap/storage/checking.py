"""Hold a snapshot's files against its manifest's entries."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ci_mlsnap.domain.manifest import Entry
from ci_mlsnap.durable.faults import shown
from ci_mlsnap.errors import LateWriter, LinkEscapes, TreeUnsupported
from ci_mlsnap.storage.facts import Objects
from ci_mlsnap.storage.modes import by_path, mode_matches
from ci_mlsnap.storage.reading import compare_file
from ci_mlsnap.trees.crew import Crew
from ci_mlsnap.trees.walk import Found, walk


def first_damage(snapshot: Path, entries: Sequence[Entry], objects: Objects) -> str:
    """Say the first thing in the snapshot that is not as its entry says; empty when all is.

    Files are read, but for those whose size, times and inode are still those remembered in `objects`.
    Raises `StorageFailed`.
    """
    try:
        return _first(snapshot, entries, objects)
    except (TreeUnsupported, LinkEscapes, LateWriter) as error:
        return error.what


def _first(snapshot: Path, entries: Sequence[Entry], objects: Objects) -> str:
    missing = dict(by_path(entries))
    inodes: dict[bytes, int] = {}
    damaged: list[str] = []
    with Crew() as crew:
        for found in walk(snapshot):
            entry = missing.pop(found.path, None)
            why = "it is in no manifest" if entry is None else _wrong(found, entry)
            if why or entry is None:
                damaged.append(_told(found.path, why))
                break
            if found.kind == "file":
                known = objects.get(found.stat.st_ino)
                compare_file(crew, found, entry, known, partial(_note, damaged, found.path))
                if found.stat.st_nlink > 1:
                    inodes[found.path] = found.stat.st_ino
    damaged.extend(_told(path, "it is missing") for path in sorted(missing) if not damaged)
    damaged.extend(
        _told(entry.path, f"it is no more the same file as {shown(entry.same_as)}")
        for entry in entries
        if entry.same_as and not damaged and inodes.get(entry.path, -1) != inodes.get(entry.same_as)
    )
    return min(damaged, default="")


def _note(damaged: list[str], path: bytes, why: str) -> None:
    if why:
        damaged.append(_told(path, why))


def _wrong(found: Found, entry: Entry) -> str:
    if found.kind != entry.kind:
        return f"it is a {found.kind}, not a {entry.kind}"
    if found.kind == "link":
        return "" if found.target == entry.target else "it leads elsewhere"
    if not mode_matches(found.stat.st_mode, entry):
        return "its mode is another"
    if found.stat.st_mtime_ns != entry.mtime_ns:
        return "its time is another"
    if found.kind == "file" and found.stat.st_size != entry.size:
        return "its size is another"
    return ""


def _told(path: bytes, why: str) -> str:
    return f"{shown(path)}: {why}"
