"""Where a git hook may write, whatever the commit says that was just checked out.

Inside the work tree a place counts that nobody else's files are in; a volume or store elsewhere counts only when a
person had it in their settings when they installed the hooks.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from ci_mlsnap.domain.plan import VolumePlan
from ci_mlsnap.errors import MlsnapError
from ci_mlsnap.flows.context import Project
from ci_mlsnap.flows.members import drivers_of
from ci_mlsnap.ports import Driver, Repository
from ci_mlsnap.state import documents
from ci_mlsnap.storage.layout import read_id

_WAY_OUT = "remove the file, then `mlsnap hooks install`"


class Place(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a volume, its store and its view are; a path inside the work tree counts from its top, so that it is
    the same in every clone. `store` is empty for the one in the git folder."""

    driver: str
    path: str
    store: str = ""
    view: str = ""


class Trust(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="format", tag="mlsnap/trust/1"
):
    """What was there when hooks were installed: places, and the projects' folders from the work tree's top."""

    places: tuple[Place, ...] = ()
    projects: tuple[str, ...] = ()


def own_folder(repository: Repository) -> Path:
    """Where a repository's hooks keep what they need."""
    return repository.common_folder / "mlsnap" / ".hooks"


def trust_file(repository: Repository) -> Path:
    """The file that says what is trusted in all work trees of this repository."""
    return own_folder(repository) / "trust.json"


def user_folder(environ: Mapping[str, str]) -> Path:
    """Where is kept what holds for all repositories of a user."""
    base = environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path(environ.get("HOME") or Path.home()) / ".config") / "mlsnap"


def user_trust_file(environ: Mapping[str, str]) -> Path:
    """The file that says what is trusted in all clones of a user."""
    return user_folder(environ) / "hooks-trust.json"


def read(file: Path) -> Trust:
    """Read what is trusted; nothing where the file is not there. Raises `IntegrityDamage`, `StorageFailed`."""
    if not file.parent.is_dir():
        return Trust()  # a user without a home, for example
    return documents.read(file, Trust, way_out=_WAY_OUT) or Trust()


def remember(file: Path, places: Sequence[Place], project: str = "") -> None:
    """Add places, and a project's folder. Doing it again changes nothing. Raises `StorageFailed`."""
    before = read(file)
    after = Trust(
        places=(*before.places, *(place for place in places if place not in before.places)),
        projects=tuple(sorted({*before.projects, *([project] if project else [])})),
    )
    if after != before:
        documents.write(file, after)


def places_of(project: Project) -> tuple[Place, ...]:
    """Say where the project's model volumes are, as its settings now are."""
    return tuple(place for _volume, _driver, place in _volumes(project))


def _volumes(project: Project) -> list[tuple[VolumePlan, Driver, Place]]:
    volumes = (project.volume, *project.others)
    settings = (project.settings.volume, *project.settings.others)
    return [
        (volume, driver, _place(project.repository.top, volume, own_store=bool(wished.store)))
        for volume, driver, wished in zip(volumes, drivers_of(project.driver), settings, strict=True)
    ]


def _place(top: Path, volume: VolumePlan, *, own_store: bool) -> Place:
    return Place(
        driver=volume.driver,
        path=_from_top(Path(volume.path), top),
        store=_from_top(Path(volume.store), top) if own_store or not volume.private else "",
        view=_from_top(Path(volume.view), top) if volume.view else "",
    )


def obstacle(project: Project, trusted: tuple[Place, ...]) -> str:
    """Say why a hook may not move this project's models; empty when it may."""
    found = (_obstacle(project.repository, *it, known=it[2] in trusted) for it in _volumes(project))
    return next(filter(None, found), "")


def _obstacle(repository: Repository, volume: VolumePlan, driver: Driver, place: Place, *, known: bool) -> str:
    inside = [volume.path] if volume.private else []
    for path in [*inside, *([volume.view] if volume.view else [])]:
        why = _unfit(repository, Path(path))
        if why:
            return why
    if volume.private and Path(volume.path).is_symlink():
        return f"{place.path} is a symbolic link"
    if not volume.private or place.store:
        where = place.store if volume.private else place.path
        return "" if known else f"this commit's settings name {where}, and did not when hooks were installed"
    return "" if known else _taken(Path(volume.path), driver, place)


def _unfit(repository: Repository, path: Path) -> str:
    """Say why a path is no place of its own in the work tree: by itself, or where links above it lead."""
    top = Path(os.path.realpath(repository.top))
    real = Path(os.path.realpath(path.parent)) / path.name
    git = Path(os.path.realpath(repository.common_folder))
    shown = _from_top(path, repository.top)
    if not real.is_relative_to(top) or real == top:
        return f"{shown} leads out of the work tree"
    if real.is_relative_to(git) or any(part.lower() == ".git" for part in real.relative_to(top).parts):
        return f"{shown} is in git's own folder"
    if repository.is_tracked(path):
        return f"git tracks {shown}"
    return ""


def _taken(path: Path, driver: Driver, place: Place) -> str:
    """Say why a folder may hold somebody's files: it is there, and nothing says that it is the volume."""
    try:
        if not path.exists() or (path.is_dir() and not any(path.iterdir())):
            return ""
        if read_id(path) == driver.volume_id:
            return ""
    except (OSError, MlsnapError):
        pass
    return f"{place.path} holds files and is not known to be the volume"


def _from_top(path: Path, top: Path) -> str:
    return path.relative_to(top).as_posix() if path.is_relative_to(top) else str(path)
