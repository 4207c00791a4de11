"""What a local data volume holds, told without a walk: by its subvolume, its root, or a snapshot of its owner."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path

from ci_mlsnap.durable.faults import shown, storage_errors
from ci_mlsnap.errors import NoSuchVersion, VolumeMissing
from ci_mlsnap.ports import DataSeen
from ci_mlsnap.storage.btrfs import state_text
from ci_mlsnap.storage.layout import LINK
from ci_mlsnap.trees import subvolume
from ci_mlsnap.trees.mounts import mount_of
from ci_mlsnap.trees.subvolume import Subvolume
from ci_mlsnap.trees.syncfs import sync_file_system

_LOGIN = re.compile(r"//[^/]*@")
"""A user name, or more, in what is mounted: records are read by people who may not know it."""
_SHOWN = 5
"""How many names of snapshots a message lists."""


def see_data(path: Path, existing: str) -> DataSeen:
    """See `Driver.see_data`."""
    with storage_errors("the data volume cannot be looked at"):
        require_there(path)
        return _newest(path, existing) if existing else _live(path)


def require_there(path: Path) -> None:
    """Refuse data that is not there: it is never made. Raises `VolumeMissing`, `OSError`."""
    if not path.is_dir():
        raise VolumeMissing(
            f"the data volume {path} is not there",
            why="it is no folder" if os.path.lexists(path) else "",
            safe="nothing was changed",
            hint="mount it, or set its `path`",
        )


def _live(path: Path) -> DataSeen:
    tree = subvolume.look(path)
    if tree is not None and not tree.read_only:
        sync_file_system(path)  # what is only in memory has not counted as a change yet
        tree = subvolume.look(path)
    root = _root_token(path)
    if tree is None:
        return DataSeen(path=path, token=root, steady=root, exact=False, facts=_facts(path))
    token = state_text(tree.uuid, tree.changed)
    # A new access time is a change to btrfs, so that reading alone would make other data of it.
    quiet = tree.read_only or os.statvfs(path).f_flag & (os.ST_NOATIME | os.ST_RDONLY)
    return DataSeen(path=path, token=token, steady=token if quiet else root, exact=True, facts=_facts(path))


def _root_token(path: Path) -> str:
    """Put together what a folder's root tells: that something came, went or was renamed at the top, no more."""
    found = path.stat()
    return f"root {os.statvfs(path).f_fsid:x} {found.st_ino} {found.st_mtime_ns} {found.st_ctime_ns}"


def _facts(path: Path) -> dict[str, str]:
    """Write down what is there, for people."""
    mount, within = mount_of(path), _subvolume_around(path)
    facts = {
        "file system": mount.kind,
        "file system id": f"{os.statvfs(path).f_fsid:x}",
        "mounted at": str(mount.point),
        "mount source": _LOGIN.sub("//", mount.source),
        "root changed": moment(path.stat().st_mtime),
        "generation": str(within.changed) if within else "",
    }
    # A record is JSON, and what is mounted may have any bytes in its name.
    return {name: os.fsencode(fact).decode(errors="backslashreplace") for name, fact in facts.items() if fact}


def _subvolume_around(path: Path) -> Subvolume | None:
    for above in (path, *path.parents):
        with suppress(PermissionError):  # one may pass through a folder that one may not open
            if (tree := subvolume.look(above)) is not None:
                return tree
    return None


def moment(seconds: float) -> str:
    """Write a time as people read it, in UTC; one that no calendar has in seconds since 1970."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
    except (OverflowError, ValueError, OSError):
        return f"{seconds:.0f} s"


# -- snapshots of the owner ----------------------------------------------------------------------------


def _newest(path: Path, existing: str) -> DataSeen:
    found = max(_matching(path, existing), key=lambda snapshot: snapshot[0], default=None)
    if found is None:
        raise NoSuchVersion(
            f"no snapshot of {path} has a name like {existing}",
            why=_there(path),
            safe="nothing was changed",
            hint=f"set `pin` to fit the names below {path / LINK}; `ls {path / LINK}` lists them",
        )
    place = found[1]
    tree = subvolume.look(place)
    native = tree.uuid if tree else str(place.stat().st_ino)
    token = f"{place.name} {native}"
    return DataSeen(path=place, token=token, steady=token, exact=True, name=place.name, native_id=native)


def _matching(path: Path, existing: str) -> Iterator[tuple[tuple[object, ...], Path]]:
    """Give the snapshots whose name fits, each with what orders them: when it was made, else its name."""
    places = [path / LINK / name for name in _names(path) if fnmatchcase(name, existing)]
    folders = [place for place in places if place.is_dir() and not place.is_symlink()]
    made = [subvolume.look(place) for place in folders]
    timed = all(tree is not None for tree in made)  # else some could not be compared with others
    for place, tree in zip(folders, made, strict=True):
        yield (tree.created if timed and tree else 0, natural(place.name)), place


def _names(path: Path) -> list[str]:
    """Give the names of the owner's snapshots; a record could not say those that are not UTF-8."""
    try:
        found = os.listdir(path / LINK)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(name for name in found if name.isprintable())


def natural(name: str) -> tuple[tuple[int, str], ...]:
    """Order names as people do: `daily.10` after `daily.9`."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name, re.ASCII)
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in parts)


def _there(path: Path) -> str:
    names = _names(path)
    if not names:
        return f"{path / LINK} is not there, or empty"
    listed = ", ".join(shown(os.fsencode(name)) for name in names[-_SHOWN:])
    return f"there are {len(names)}, such as {listed}"
