"""Hold a snapshot's files against its manifest's entries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from ci_mlsnap.domain.manifest import Entry
from ci_mlsnap.durable.faults import shown
from ci_mlsnap.errors import IntegrityDamage, LateWriter, LinkEscapes, TreeUnsupported
from ci_mlsnap.storage.modes import by_path, mode_matches
from ci_mlsnap.storage.reading import compare_file
from ci_mlsnap.trees.crew import Crew
from ci_mlsnap.trees.walk import Found, walk


def first_damage(snapshot: Path, entries: Sequence[Entry], known: Callable[[Found], bytes | None]) -> str:
    """Say the first thing in the snapshot that is not as its entry says; empty when all is.

    Files are read, but for those that still are as `known` remembers them.
    Raises `StorageFailed`.
    """
    try:
        return _first(snapshot, entries, known)
    except (TreeUnsupported, LinkEscapes, LateWriter) as error:
        return error.what


def _first(snapshot: Path, entries: Sequence[Entry], known: Callable[[Found], bytes | None]) -> str:
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
                compare_file(crew, found, entry, known(found), partial(_note, damaged, found.path))
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


def require_equal(snapshot: Path, found: Sequence[Entry], wanted: Sequence[Entry]) -> None:
    """Hold a copy's entries against the manifest's; write bits are not in a snapshot. Raises `IntegrityDamage`."""
    for one, other in zip(found, wanted, strict=False):
        if _carried(one) != _carried(other):
            raise damage_of(snapshot, _differs(min(one.path, other.path)))
    if len(found) != len(wanted):
        longer = max(found, wanted, key=len)
        raise damage_of(snapshot, _differs(longer[min(len(found), len(wanted))].path))


def damage_of(snapshot: Path, what: str) -> IntegrityDamage:
    """Give the error for a snapshot that is not as its manifest says."""
    return IntegrityDamage(
        f"{snapshot} is damaged: {what}",
        safe="nothing was restored or changed",
        hint="use another version; `mlsnap log` names them",
    )


def _differs(path: bytes) -> str:
    return _told(path, "its content or facts differ from the manifest's")


def _carried(entry: Entry) -> tuple[object, ...]:
    mode = 0 if entry.kind == "link" else entry.mode & 0o555
    return (
        *(entry.path, entry.kind, mode, entry.mtime_ns, entry.size),
        *(entry.sha256, entry.target, entry.same_as, entry.xattrs),
    )
