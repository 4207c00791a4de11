"""Where a store may be, and what may be a volume. Looks only; changes nothing."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from ci_mlsnap.errors import StoreRefused, VolumeRefused
from ci_mlsnap.trees.mounts import is_mounted, mount_of

LOST_WITH_THE_MACHINE = frozenset(("tmpfs", "ramfs", "overlay", "aufs"))
"""File systems that end with the machine's or the container's life."""


def nearest_existing(path: Path) -> Path:
    """Give the path itself, or the nearest folder above it that is there."""
    return next(place for place in (path, *path.parents) if os.path.lexists(place))


def file_system_of(path: Path) -> str:
    """Name the kind of file system at, or above, the path; `unknown` where the kernel does not tell."""
    return mount_of(nearest_existing(path)).kind


def same_file_system(one: Path, other: Path) -> bool:
    """Tell whether both are, or would be, on one file system; each subvolume has a device number of its own."""
    places = nearest_existing(one), nearest_existing(other)
    if places[0].stat().st_dev == places[1].stat().st_dev:
        return True
    mounts = [mount_of(place) for place in places]
    return mounts[0] == mounts[1] and mounts[0].kind == "btrfs"


def check_volume(path: Path, store: Path) -> None:
    """Raise `VolumeRefused` when the path can be no volume; one that is missing can."""
    why, hint = _unfit(path)
    if not why and overlap(path, store):
        why, hint = f"its store {store} lies within it, or it within the store", "set `store` to a folder beside"
    if why:
        raise VolumeRefused(f"{path} can be no volume", why=why, safe="nothing was changed", hint=hint)


def _unfit(path: Path) -> tuple[str, str]:
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return "", ""
    except OSError as error:
        return error.strerror or "it cannot be looked at", "set `path` to a folder that this user can reach"
    return _no_plain_folder(path, facts) or _unfit_folder(path, facts) or ("", "")


def _no_plain_folder(path: Path, facts: os.stat_result) -> tuple[str, str] | None:
    if stat.S_ISLNK(facts.st_mode):
        return "it is a symbolic link", f"set `path` to the folder itself: {path.resolve()}"
    if not stat.S_ISDIR(facts.st_mode):
        return "it is no folder", "move it away, or set `path` to a folder"
    return None


def _unfit_folder(path: Path, facts: os.stat_result) -> tuple[str, str] | None:
    if is_mounted(path):
        return "it is the root of a mount, which can't be exchanged", f"set `path` to {path / 'models'}"
    if (path / ".git").exists():
        return "it holds a git repository, which a restore would remove", "set `path` to a folder below"
    if facts.st_mode & stat.S_IWOTH:
        return "everybody may write to it", f"chmod o-w {path}"
    return None


def overlap(path: Path, store: Path) -> bool:
    """Tell whether one of two places is, or would be, within the other."""
    volume, place = Path(os.path.realpath(path)), Path(os.path.realpath(store))
    return volume.is_relative_to(place) or place.is_relative_to(volume)


def store_refusal(
    store: Path,
    volume: Path,
    environ: Mapping[str, str],
    *,
    ephemeral: bool = False,
    explicit: bool = True,
) -> StoreRefused | None:
    """Say why a store may not be there, or None.

    `ephemeral` lets places pass that will not last, never unsafe ones. `explicit` is false when nobody chose the
    place: then it must be on the volume's file system.
    """
    why, hint = _unsafe(store)
    if not why and not explicit and not same_file_system(store, volume):
        why, hint = "it is on another file system than the volume", "set `store` to say that this is meant"
    if not why and not ephemeral:
        why = _short_lived(store, environ)
        hint = "set `store` to a folder that lasts, or use --ephemeral when losing it is no loss"
    if not why:
        return None
    return StoreRefused(f"the store can't be at {store}", why=why, safe="nothing was made", hint=hint)


def _unsafe(store: Path) -> tuple[str, str]:
    place = nearest_existing(store)
    # Links above the store lead where its owner wants; the store itself is named by its own path.
    mode = (place.lstat() if place == store or not place.exists() else place.stat()).st_mode
    if stat.S_ISLNK(mode):
        return f"{place} is a symbolic link", f"set `store` to the folder itself: {place.resolve()}"
    if not stat.S_ISDIR(mode):
        return f"{place} is no folder", "set `store` to another place"
    # A sticky folder, as /tmp is, protects what stands in it; but it is no place to be the store itself.
    if mode & stat.S_IWOTH and (place == store or not mode & stat.S_ISVTX):
        return f"everybody may write to {place}", f"chmod o-w {place}"
    return "", ""


def _short_lived(store: Path, environ: Mapping[str, str]) -> str:
    if not in_ci(environ):
        return ""
    if environ.get("RUNNER_ENVIRONMENT") == "github-hosted":
        return "this runner is hosted by GitHub and ends with the job"
    for name in ("RUNNER_TEMP", "GITHUB_WORKSPACE", *(("WORKSPACE",) if "JENKINS_URL" in environ else ())):
        folder = environ.get(name)
        if folder and Path(os.path.realpath(store)).is_relative_to(os.path.realpath(folder)):
            return f"it is inside the CI's {name}, which is cleaned for other builds"
    kind = file_system_of(store)
    return f"{kind} does not outlive the machine or container" if kind in LOST_WITH_THE_MACHINE else ""


def in_ci(environ: Mapping[str, str]) -> bool:
    """Tell whether a CI runs us, by the variables that CIs set."""
    named = {"GITHUB_ACTIONS", "JENKINS_URL"} & environ.keys()
    return bool(named) or environ.get("CI", "").lower() in ("true", "1")
