"""A writable copy of a version in the place of a view: one checkout's own, gone with the view's next move.

It is made where workspaces are, and what only it has is kept as a snapshot before it goes. Copies of other
checkouts, and of other machines that may have the same paths, are never touched.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.durable.locks import lock
from ci_mlsnap.errors import LinkEscapes, Refused, TreeUnsupported, UsageError
from ci_mlsnap.flows.context import Project
from ci_mlsnap.flows.live import Identity, LiveTree, compared, keep, look_if_possible
from ci_mlsnap.flows.views import show_others
from ci_mlsnap.flows.workspace import link_view, links_folder
from ci_mlsnap.state import live

_LOCK_WAIT = 60.0
"""Seconds to wait for another command that moves the same view."""


class PutAway(msgspec.Struct, frozen=True, kw_only=True):
    """What became of earlier copies: the name under which changes were kept, and a copy that no snapshot can hold,
    which stays where it is."""

    kept: str = ""
    aside: Path | None = None


def copy_in_view(project: Project) -> Path | None:
    """Give the writable copy that the view leads to, if it is one of this checkout's."""
    view = project.view
    if view is None or not view.is_symlink():
        return None
    target = view.readlink()
    return target if target in _copies(project, view) else None


def look_at_copy(project: Project, copy: Path) -> LiveTree | None:
    """Compare a copy with the version it was made of; None when no snapshot could hold it."""
    return look_if_possible(project.driver, copy)


def require_view(project: Project) -> Path:
    """Give the view that may lead to a writable copy. Raises `UsageError`, `Refused`."""
    if project.private:
        raise UsageError(
            "--writable is for shared volumes",
            why=f"the live tree {project.volume_path} is this checkout's own, and writable",
            safe="nothing was changed",
            hint="leave --writable away, or use --to DIR",
        )
    if project.others:
        raise UsageError(
            "--writable is for one model volume, and this model has several",
            safe="nothing was changed",
            hint="--to DIR makes a writable copy of all of them",
        )
    if project.view is None:
        raise Refused(
            "there is no view that could lead to a writable copy",
            safe="nothing was changed",
            hint="set `view` in mlsnap.toml, or use --to DIR",
        )
    if not project.driver.capabilities.freezes_clones:
        raise Refused(
            "this storage gives no writable copies within the volume",
            safe="nothing was changed",
            hint="use --to DIR: a copy that is yours",
        )
    return project.view


def show_copy(project: Project, name: SnapshotName, identity: Identity) -> PutAway | None:
    """Let the view lead to a writable copy of the version; None when it does so already, and nothing was changed.

    Raises `IntegrityDamage`, `NoSuchVersion`, `StorageFull`, `Busy`, `VolumeRefused` for a view that is no link.
    """
    view = require_view(project)
    with _alone(project, view):
        current = copy_in_view(project)
        tree = look_at_copy(project, current) if current is not None else None
        if tree is not None and tree.equal and tree.version == str(name):
            return None
        copy = _place(project, view, secrets.token_hex(4))
        project.driver.read_back(name)
        project.driver.clone(name, copy)
        live.write(
            project.state,
            copy,
            version=str(name),
            condition="equal",
            run=project.hands.owner(),
            state_of_tree=project.driver.state_of(copy),
            now=project.hands.clock,
        )
        return _move(project, view, copy, identity)


def show_version(project: Project, view: Path, name: SnapshotName, identity: Identity) -> PutAway:
    """Let the view lead to the version itself, and put writable copies away. Raises as `show_copy` does."""
    with _alone(project, view):
        project.driver.read_back(name)
        show_others(project, name)
        return _move(project, view, project.driver.view(name), identity)


def _move(project: Project, view: Path, target: Path, identity: Identity) -> PutAway:
    """Keep what only earlier copies have, move the view, then remove them."""
    left = [copy for copy in _copies(project, view) if copy != target]
    saved = {copy: _save(project, copy, identity) for copy in left}
    link_view(view, target, made_in=links_folder(project.repository))
    for copy, name in saved.items():
        if name is not None:
            _remove(project, copy, name, identity)
    kept = next((name for name in saved.values() if name), "")
    return PutAway(kept=kept, aside=next((copy for copy, name in saved.items() if name is None), None))


def _save(project: Project, copy: Path, identity: Identity) -> str | None:
    """Keep what differs from the copy's version; give the name, empty when nothing does, None when it can't be."""
    tree = look_at_copy(project, copy)
    if tree is None:
        return None
    return _keep(project, copy, identity) if tree.unsaved else ""


def _remove(project: Project, copy: Path, saved: str, identity: Identity) -> None:
    """Remove a copy, unless somebody put into it meanwhile what cannot be kept."""
    recorded = live.read(project.state, copy)
    try:
        found = compared(project.driver, copy, saved or (recorded.version if recorded else ""), read=False)
        if found.added or found.changed:
            _keep(project, copy, identity)
    except (TreeUnsupported, LinkEscapes):
        return
    project.driver.remove_clone(copy)
    live.forget(project.state, copy)


def _keep(project: Project, copy: Path, identity: Identity) -> str:
    recorded = live.read(project.state, copy)
    version = recorded.version if recorded else ""
    commit = SnapshotName.parse(version).sha if version else project.repository.head()
    return keep(project.driver, copy, identity, commit=commit, now=project.hands.now())


@contextmanager
def _alone(project: Project, view: Path) -> Iterator[None]:
    with lock(project.state / f"view-{_key(view)}.lock", wait=_LOCK_WAIT):
        yield


def _copies(project: Project, view: Path) -> Sequence[Path]:
    return sorted((project.store / "work").glob(f"writable-{_key(view)}-*"))


def _place(project: Project, view: Path, token: str) -> Path:
    return project.store / "work" / f"writable-{_key(view)}-{token}"


def _key(view: Path) -> str:
    # Two machines may have the same path, and see each other's copies in a store that they share.
    return hashlib.sha256(f"{os.uname().nodename} {live.key(view)}".encode()).hexdigest()[:16]
