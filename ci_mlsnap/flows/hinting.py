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
    trees = _live_trees(project)
    files = [project.state / "ledger", project.store / "volume.json", *(record for _, record in trees)]
    links = [] if project.private else [place]
    if not all(file.is_file() for file in files) or not all(link.is_symlink() for link in links):
        return None
    return Grounds(
        unchanged=(*files, *_settings(project, there=True)),
        absent=(rolled_back.file_of(project.state, place), *_settings(project, there=False)),
        same=(*((tree, tree) for tree, _ in trees), *((link, link.readlink()) for link in links)),
    )


def grounds_of_none(project: Project) -> Grounds:
    """Say what it rests on that the volume was never used."""
    record = project.store / "volume.json"
    return Grounds(unchanged=_settings(project, there=True), absent=(record, *_settings(project, there=False)))


def _live_trees(project: Project) -> list[tuple[Path, Path]]:
    """Give the live trees that git moves, each with the file that says what it is."""
    if not project.private:
        return []
    trees = [(project.state, project.volume_path)]
    trees += [(member.driver.state_folder(), member.path) for member in project.driver.others()]
    return [(path, live.file_of(state, path)) for state, path in trees]


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
