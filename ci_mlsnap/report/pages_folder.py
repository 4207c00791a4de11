"""The folder of a report: only what changed is made and written, only what is ours is replaced or removed.

Training may have been able to write there, so no link in it is followed, and a page is never opened for writing:
it is written beside and renamed.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from ci_mlsnap.durable.faults import shown, storage_errors
from ci_mlsnap.durable.locks import wait_for_lock
from ci_mlsnap.errors import Refused, StorageFailed

MARKER = "mlsnap-report.json"
"""Says whose report a folder holds, and which of its files are ours."""

LOCK_WAIT = 60.0
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NAME = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,255}")
_LARGEST = 64 << 20


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Files that are made together, in one folder below the report's (empty: in itself).

    `key` is another one whenever what they are made of is another; `make` gives the files by name.
    """

    name: str
    folder: str = ""
    key: str
    make: Callable[[], Mapping[str, bytes]]


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What was done: how many files there are, and how many of them were written or removed."""

    files: int
    written: int
    removed: int


class _Noted(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    folder: str
    key: str
    sizes: dict[str, int]


class _Marker(msgspec.Struct, frozen=True, kw_only=True, tag_field="format", tag="mlsnap/report/1"):
    project: str
    model: str
    groups: dict[str, _Noted] = {}


def write_groups(
    folder: Path, groups: Sequence[Group], *, project: str, model: str, kept: Collection[str] = ()
) -> Written:
    """Make the folder hold exactly these groups beside what is not ours; cut off, it is finished the next time.

    Groups that are there already and whose names are among `kept` stay as they are.

    Raises `Refused` for a folder that holds something else, `Busy`, `StorageFull`, `StorageFailed`.
    """
    with storage_errors("the report cannot be written"):
        folder.mkdir(parents=True, exist_ok=True)
        with _opened(folder) as top:
            with suppress(StorageFailed):  # where a folder cannot be locked, two reports at once stay possible
                wait_for_lock(top, folder, wait=LOCK_WAIT)
            return _written(top, groups, _marker(top, folder, project=project, model=model), kept)


def _written(top: int, groups: Sequence[Group], before: _Marker, kept_names: Collection[str]) -> Written:
    noted = {name: it for name, it in before.groups.items() if name in kept_names}
    count = 0
    _write(top, MARKER, msgspec.json.encode(before))  # from here on the folder is ours, even if we are cut off
    for group in groups:
        old = before.groups.get(group.name)
        if old is not None and old.key == group.key and old.folder == group.folder and _is_there(top, old):
            noted[group.name] = old
            continue
        made = group.make()
        with _below(top, group.folder, make=True) as place:
            count += sum([_write(place, name, data) for name, data in made.items()])
        sizes = {name: len(data) for name, data in made.items()}
        noted[group.name] = _Noted(folder=group.folder, key=group.key, sizes=sizes)
    kept = {(it.folder, name) for it in noted.values() for name in it.sizes}
    gone = {(it.folder, name) for it in before.groups.values() for name in it.sizes} - kept
    removed = sum([_remove(top, *it) for it in sorted(gone)])
    after = msgspec.structs.replace(before, groups=noted)
    _write(top, MARKER, msgspec.json.encode(after))
    return Written(files=len(kept), written=count, removed=removed)


# -- whose folder it is --------------------------------------------------------------------------------


def _marker(top: int, folder: Path, *, project: str, model: str) -> _Marker:
    """Read whose report this is; an empty folder is ours, also where names that begin with a dot are in it."""
    mine = _Marker(project=project, model=model)
    data = _read(top, MARKER)
    if data is None:
        if any(not name.startswith(".") for name in os.listdir(top)):
            raise _foreign(folder, "it is not empty, and no report of mlsnap is in it")
        return mine
    try:
        found = msgspec.json.decode(data, type=_Marker)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise _foreign(folder, f"its {MARKER} cannot be read") from None
    if (found.project, found.model) != (project, model):
        raise _foreign(folder, "it holds the report of another model")
    return found if all(map(_is_sound, found.groups.values())) else mine


def _is_sound(it: _Noted) -> bool:
    """Tell whether a note names files that can be ours, and nothing elsewhere."""
    return all(_NAME.fullmatch(name) for name in (*it.sizes, *([it.folder] if it.folder else [])))


def _foreign(folder: Path, why: str) -> Refused:
    return Refused(
        f"{shown(os.fsencode(folder))} is no folder for this report",
        why=why,
        safe="nothing in it was changed",
        hint="name a new or an empty folder",
    )


# -- files ---------------------------------------------------------------------------------------------


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _below(top: int, name: str, *, make: bool = False) -> Iterator[int]:
    if not name:
        yield top
        return
    if make:
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=top)
    descriptor = os.open(name, _FOLDER, dir_fd=top)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _is_there(top: int, noted: _Noted) -> bool:
    prefix, sizes = f"{noted.folder}/" if noted.folder else "", noted.sizes.items()
    try:
        found = [(os.stat(prefix + name, dir_fd=top, follow_symlinks=False), it) for name, it in sizes]
    except OSError:
        return False
    return all(stat.S_ISREG(it.st_mode) and it.st_size == size for it, size in found)


def _write(place: int, name: str, data: bytes) -> bool:
    """Put a file in its place, unless it is there already; tell whether it was written."""
    if _read(place, name) == data:
        return False
    beside = f".{secrets.token_hex(8)}.part"
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=place), "wb") as file:
            file.write(data)
        os.rename(beside, name, src_dir_fd=place, dst_dir_fd=place)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside, dir_fd=place)
        raise
    return True


def _read(place: int, name: str) -> bytes | None:
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=place)
    except OSError:
        return None  # missing, or a link, which is replaced
    with os.fdopen(descriptor, "rb") as file:
        return file.read(_LARGEST + 1) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None


def _remove(top: int, folder: str, name: str) -> bool:
    """Remove a file that was ours, and its folder when that is empty then."""
    try:
        with _below(top, folder) as place:
            os.unlink(name, dir_fd=place)
    except OSError:
        return False
    if folder:
        with suppress(OSError):
            os.rmdir(folder, dir_fd=top)
    return True
