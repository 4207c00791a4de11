"""The child of a git hook: it looks, says that it has, and on the word `go` lets the models follow.

It stands beside the commands since it opens projects as they do; it is no command, and loads no command line.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

from ci_mlsnap.errors import MlsnapError
from ci_mlsnap.flows import trusting
from ci_mlsnap.flows.context import Project
from ci_mlsnap.flows.following_git import Outlook, follow, look
from ci_mlsnap.git.repository import GitRepository
from ci_mlsnap.hooks.entry import git_folder
from ci_mlsnap.hooks.hint import Pen
from ci_mlsnap.ports import Build, Step
from ci_mlsnap.services import TOKEN_VARIABLES, Site, open_project

_MB = 1_000_000


class Quiet:
    """A progress that nobody sees."""

    def __init__(self, build: Build) -> None:
        del build

    def step(self, step: Step) -> None:
        """Say nothing."""

    def group(self, title: str) -> None:
        """Say nothing."""


def main(*_root: str) -> None:
    """Answer the hook: a byte when started, one when it is known what to do, after `go` a line a project."""
    _answer(".")
    with _pen() as pen:
        outlooks = list(_outlooks(Path.cwd()))
        _answer(".")
        if sys.stdin.readline() != "go\n":
            return
        alone = len(outlooks) == 1
        lines = [line for project, outlook in outlooks for line in _lines(project, outlook, alone=alone)]
        _answer("".join(f"{line}\n" for line in lines))
        if pen is not None:
            with suppress(OSError, MlsnapError):
                _hint(pen, outlooks, lines)


def _pen() -> AbstractContextManager[Pen | None]:
    try:
        return Pen(Path(git_folder()))
    except OSError:
        return nullcontext()  # a git folder that this user may not write to


def _outlooks(top: Path) -> Iterator[tuple[Project | None, Outlook]]:
    try:
        repository = GitRepository.find(top)
        trust = trusting.read(trusting.trust_file(repository))
        places = trust.places + trusting.read(trusting.user_trust_file(os.environ)).places
        folders = trust.projects or (".",)
    except MlsnapError as error:
        yield None, Outlook(text=f"models stay as they are: {error.what}")
        return
    for folder in folders:
        if (place := _folder(repository, folder)) is not None:
            yield _outlook(place, places)


def _folder(repository: GitRepository, folder: str) -> Path | None:
    """Give a project's folder where this commit has it, and not behind a link that leads out of the work tree."""
    place = Path(os.path.realpath(repository.top / folder))
    inside = place.is_relative_to(os.path.realpath(repository.top))
    return place if inside and place.is_dir() else None


def _outlook(folder: Path, places: tuple[trusting.Place, ...]) -> tuple[Project | None, Outlook]:
    project = None
    try:
        project = open_project(site(folder))
        return project, look(project, places, copied=project.settings.hook_copy_mb * _MB)
    except MlsnapError as error:
        return project, Outlook(text=f"models stay as they are: {error.what}")
    except Exception as error:  # noqa: BLE001 - git's user gets a line, whatever this commit brought
        return project, Outlook(text=f"models stay as they are: unexpected {type(error).__name__}")


def site(folder: Path) -> Site:
    """Open a project as the hook does: without a credential, and silent."""
    environ = {name: value for name, value in os.environ.items() if name not in TOKEN_VARIABLES}
    return Site(progress_for=Quiet, project=str(folder), environ=environ, log=sys.stderr)


def _lines(project: Project | None, outlook: Outlook, *, alone: bool) -> Iterator[str]:
    text = outlook.text
    if project is not None and outlook.answer is not None:
        text = follow(project, outlook.answer)
    if text:
        model = "" if alone or project is None else f"{project.settings.model}: "
        yield _printable(f"mlsnap: {model}{text}")


def _printable(text: str) -> str:
    """Escape what a terminal would act on. The command line's own function would load the command line."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _hint(pen: Pen, outlooks: Sequence[tuple[Project | None, Outlook]], lines: Sequence[str]) -> None:
    grounds = [outlook.grounds for _, outlook in outlooks if outlook.grounds is not None]
    project = outlooks[0][0] if outlooks else None
    set_here = any(name.startswith("MLSNAP__") for name in os.environ)
    if project is not None and len(grounds) == len(outlooks) and not set_here:
        pen.write(project.repository.head(), grounds, say=lines)


def _answer(text: str) -> None:
    with suppress(BrokenPipeError):
        os.write(1, text.encode("utf-8", "backslashreplace"))
