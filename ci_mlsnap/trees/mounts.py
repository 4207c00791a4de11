"""Which mount a path is on. A device number does not tell: each btrfs subvolume has one of its own."""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec

_OCTAL = re.compile(r"\\([0-7]{3})")


class Mount(msgspec.Struct, frozen=True, kw_only=True):
    """A mount: where, which kind of file system, of what; `unknown` where the kernel does not tell."""

    point: Path
    kind: str
    source: str = ""


def mount_of(path: Path) -> Mount:
    """Give the mount that an existing path is on."""
    place = Path(os.path.realpath(path))
    mounts = _mounts()
    found = next((mounts[above] for above in (place, *place.parents) if above in mounts), None)
    return found or Mount(point=Path("/"), kind="unknown")


def is_mounted(path: Path) -> bool:
    """Tell whether something is mounted at the path itself."""
    place = Path(os.path.realpath(path.parent)) / path.name
    mounts = _mounts()
    return place in mounts if mounts else os.path.ismount(path)


def has_mounts_below(path: Path) -> bool:
    """Tell whether something is mounted somewhere below the path."""
    place = Path(os.path.realpath(path))
    return any(place in mount.parents for mount in _mounts())


def _mounts() -> dict[Path, Mount]:
    """Give all mounts by their place; of several at one place the last, which hides the others."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return {}
    return {mount.point: mount for mount in map(_mount, lines)}


def _mount(line: str) -> Mount:
    left, _, right = line.partition(" - ")
    kind, source, *_ = [*right.split(" "), ""]
    return Mount(point=Path(_unescaped(left.split(" ")[4])), kind=kind, source=_unescaped(source))


def _unescaped(text: str) -> str:
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), text)
