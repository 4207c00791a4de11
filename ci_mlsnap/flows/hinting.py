"""What a hint for the git hook rests on: files that tell when the answer may be another one."""

from __future__ import annotations

import os
from pathlib import Path

from ci_mlsnap.config.read import PROJECT_FILE, SHARED_FILE, SITE_FILE
from ci_mlsnap.flows import trusting
from ci_mlsnap.flows.context import Project
from ci_mlsnap.hooks.hint import Grounds
from ci_mlsnap.state import live, rolled_back


def grounds(project: Project, place: Path) -> Grounds | None:
    """Say what the answer rests on while the models stay at `place`: which versions there are, which one is there,
    the settings. None where files do not tell that."""
    ledger = project.state / "ledger"
    record = live.file_of(project.state, project.volume_path) if project.private else ledger
    if not ledger.is_file() or not record.is_file() or not (project.private or place.is_symlink()):
        return None
    return Grounds(
        unchanged=(ledger, record, project.store / "volume.json", *_settings(project, there=True)),
        absent=(rolled_back.file_of(project.state, place), *_settings(project, there=False)),
        same=((place, place if project.private else place.readlink()),),
    )


def grounds_of_none(project: Project) -> Grounds:
    """Say what it rests on that the volume was never used."""
    record = project.store / "volume.json"
    return Grounds(unchanged=_settings(project, there=True), absent=(record, *_settings(project, there=False)))


def _settings(project: Project, *, there: bool) -> tuple[Path, ...]:
    """Give the files that settings are read from, or would be. What is no file, as /dev/null, never changes."""
    environ = project.hands.environ
    home = Path(environ.get("HOME") or "/")
    places = (
        project.folder / PROJECT_FILE,
        project.folder / SHARED_FILE,
        project.repository.common_folder / "config",
        Path(environ.get("GIT_CONFIG_GLOBAL") or home / ".gitconfig"),
        SITE_FILE,
        trusting.trust_file(project.repository),
        trusting.user_trust_file(environ),
    )
    return tuple(place for place in places if (place.is_file() if there else not os.path.lexists(place)))
