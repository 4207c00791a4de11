"""status, show, path: looking without writing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from ci_mlsnap.domain.versions import Answer
from ci_mlsnap.errors import IntegrityDamage, MlsnapError
from ci_mlsnap.flows.announce import waiting_in
from ci_mlsnap.flows.context import Project
from ci_mlsnap.flows.live import LiveTree, look_if_possible
from ci_mlsnap.flows.planning import dirty_paths
from ci_mlsnap.flows.versions import find_channel, find_version
from ci_mlsnap.flows.writable import copy_in_view
from ci_mlsnap.state import channels, rolled_back
from ci_mlsnap.state.journal import open_runs
from ci_mlsnap.state.rolled_back import RolledBack


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where a checkout stands. `answer` is None when HEAD has no version."""

    commit: str
    branch: str
    dirty: int
    shallow: bool
    live: LiveTree | None
    """None for a tree that cannot be compared."""
    view: str
    copy: LiveTree | None
    """The writable copy that the view leads to, compared with its version; None for a view of a version itself."""
    answer: Answer | None
    versions: int
    foreign: int
    unfinished: tuple[str, ...]
    waiting: int
    stays: tuple[RolledBack, ...] = ()
    """The live tree or the view, where a person rolled it back."""
    channels: Mapping[str, str] = {}
    trouble: str = ""
    """What is wrong with the channels, or with the note of a rollback; empty when nothing is."""


def standing(project: Project) -> Standing:
    """Say which version the live tree is, which one HEAD means, and what is unfinished."""
    repository, driver = project.repository, project.driver
    head = repository.head()
    snapshots = driver.list()
    view, copy = _view(project)
    stays, leads, trouble = _stays_and_channels(project)
    return Standing(
        commit=head,
        branch=repository.branch(),
        dirty=sum(1 for _path in dirty_paths(project)),
        shallow=repository.is_shallow(),
        live=look_if_possible(driver, project.volume_path),
        view=view,
        copy=copy,
        answer=_answer_or_none(project, head),
        versions=sum(snapshot.marker is not None and snapshot.marker.name.is_version for snapshot in snapshots),
        foreign=sum(snapshot.marker is None for snapshot in snapshots),
        unfinished=tuple(run.plan.event.run_url or run.run_id for run in open_runs(project.state)),
        waiting=waiting_in(project.state),
        stays=stays,
        channels=leads,
        trouble=trouble,
    )


def _view(project: Project) -> tuple[str, LiveTree | None]:
    """Name the version in the view, and look at the writable copy of it that it may lead to."""
    if project.view is None or not project.view.is_symlink():
        return "", None
    copy = copy_in_view(project)
    tree = look_if_possible(project.driver, copy) if copy is not None else None
    return tree.version if tree is not None else project.view.readlink().name, tree


def _stays_and_channels(project: Project) -> tuple[tuple[RolledBack, ...], Mapping[str, str], str]:
    """Look at both; what is damaged there is told beside all else that status says."""
    try:
        places = [project.volume_path, *([project.view] if project.view is not None else [])]
        found = [rolled_back.find(project.state, place) for place in places]
        return tuple(noted for noted in found if noted is not None), channels.live(project.state), ""
    except IntegrityDamage as error:
        return (), {}, error.what


def shown(project: Project, revision: str) -> Answer:
    """Find the version to show."""
    return find_version(project, revision)


def path_of(project: Project, revision: str, *, nearest: bool = False, channel: bool = False) -> Path:
    """Give the read-only path of a version; with `channel`, of what that channel leads to."""
    found = find_channel(project, revision) if channel else find_version(project, revision, nearest=nearest)
    return project.driver.view(found.version.name)


def _answer_or_none(project: Project, head: str) -> Answer | None:
    try:
        return find_version(project, head)
    except MlsnapError:
        return None
