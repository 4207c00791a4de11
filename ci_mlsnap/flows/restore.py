"""checkout, restore and recover: bringing versions back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.domain.versions import Answer
from ci_mlsnap.durable.faults import storage_errors
from ci_mlsnap.errors import MlsnapError, NoCommit, Refused, UsageError
from ci_mlsnap.flows import staying, views
from ci_mlsnap.flows import writable as copies
from ci_mlsnap.flows.context import Project
from ci_mlsnap.flows.live import Identity, look_if_possible
from ci_mlsnap.flows.members import besides_first
from ci_mlsnap.flows.moving import Moved, move_live_tree
from ci_mlsnap.flows.tidying import tidy
from ci_mlsnap.flows.versions import find_version, known_ancestors
from ci_mlsnap.ports import Member, StorageClones
from ci_mlsnap.state import live, rolled_back


class Back(msgspec.Struct, frozen=True, kw_only=True):
    """What was brought back: the answer, where to, and what became of the tree before.

    `clone` is the storage's own name of what was made there; empty for a copy. `lost` names the snapshots that a
    restore in place ended."""

    answer: Answer
    place: Path
    moved: Moved | None = None
    clone: str = ""
    lost: tuple[str, ...] = ()


def restore(
    project: Project,
    revision: str,
    *,
    shared: bool = False,
    writable: bool = False,
    nearest: bool = False,
    read: bool = False,
) -> Back:
    """Make the live tree (private volume) or this checkout's view (shared volume) the version of `revision`.

    `shared` moves the live tree of a shared volume, for all who use it; with `writable` its view leads to a copy
    that this checkout may write to, until it moves on. `read` compares contents also of files
    whose size and times look unchanged. Unsaved work is kept first, and a rollback ends.
    Raises `NoSuchVersion`, `Busy`, `IntegrityDamage`, `VolumeRefused`, `VolumeForeign`.
    """
    if writable:
        copies.require_view(project)
    return _restore(project, revision, shared=shared, writable=writable, nearest=nearest, read=read, chosen=True)


def _restore(
    project: Project,
    revision: str,
    *,
    shared: bool = False,
    writable: bool = False,
    nearest: bool = False,
    read: bool = False,
    chosen: bool = False,
) -> Back:
    tidy(project.hands, project.driver, identity(project))
    found = find_version(project, revision, nearest=nearest)
    name = found.version.name
    place = project.volume_path if project.private or shared else project.view
    noted = rolled_back.find(project.state, place) if chosen and place is not None else None
    if not project.private and not shared:
        if project.view is None:
            raise Refused(
                "the volume is shared, and a checkout never changes a shared live tree",
                safe="nothing was changed",
                hint=f"open {project.driver.view(name)}, set `view` in mlsnap.toml, use --to DIR, or --shared",
            )
        moved = _move_view(project, project.view, name, writable=writable)
        if noted is not None:
            staying.let_move(project.driver, project.view, noted)
        return Back(answer=found, place=project.view, moved=moved)
    require_volume(project)
    before = known_ancestors(project, found.version.header.commit) if chosen else None
    moved = move_live_tree(
        project.hands, project.driver, name, project.volume_path, identity(project), read=read, chosen=before
    )
    if noted is not None:
        staying.let_move(project.driver, project.volume_path, noted)
    return Back(answer=found, place=project.volume_path, moved=moved)


def _move_view(project: Project, view: Path, name: SnapshotName, *, writable: bool) -> Moved | None:
    """Let the view lead to the version, or to a copy of it; None when nothing had to be kept for that."""
    if writable:
        done = copies.show_copy(project, name, identity(project))
        if done is None:
            return Moved(way="none")
    else:
        done = copies.show_version(project, view, name, identity(project))
    return Moved(way="swap", kept=done.kept, aside=done.aside) if done.kept or done.aside else None


def restore_to(project: Project, revision: str, destination: Path, *, nearest: bool = False) -> Back:
    """Make a writable copy of a version at `destination`, which must not exist: of several volumes, one each below
    it."""
    if destination.exists() or destination.is_symlink():
        raise UsageError(f"{destination} exists already", hint="name a folder that does not exist")
    found = find_version(project, revision, nearest=nearest)
    project.driver.read_back(found.version.name)
    others = besides_first(project.driver, found.version.header)
    if others:
        _clone_all(project, found.version.name, destination, others)
    else:
        project.driver.clone(found.version.name, destination)
    clone = project.driver.clone_on_storage(destination) if isinstance(project.driver, StorageClones) else ""
    return Back(answer=found, place=destination, clone=clone)


def _clone_all(project: Project, name: SnapshotName, destination: Path, others: Sequence[Member]) -> None:
    with storage_errors(f"{destination} cannot be made"):
        destination.mkdir(parents=True)
    cloned = [(project.driver, destination / project.volume.name)]
    cloned += [(member.driver, destination / member.name) for member in others]
    try:
        for driver, place in cloned:
            driver.clone(name, place)
    except MlsnapError:
        for driver, place in cloned:
            driver.remove_clone(place)
        destination.rmdir()
        raise


def checkout(project: Project, revision: str) -> Back:
    """Check out the code of `revision` by git and its model with it; git's own refusals stand.

    The version and the volume are looked at first, so that nothing moves when there is none.
    """
    found = find_version(project, revision)
    if project.private:
        require_volume(project)
    project.repository.checkout(_known_to_git(project, revision) or found.version.header.commit)
    return restore(project, str(found.version.name))


def recover(project: Project, *, shared: bool = False) -> Back | None:
    """Bring the live tree (of a private volume, or `shared`) or the view back; None when nothing differs.

    Back to the version recorded for the tree, else the one that answers HEAD. Files that no version has are
    kept as a snapshot first. Raises `NoSuchVersion` when there is no version at all.
    """
    tidy(project.hands, project.driver, identity(project))
    recorded = live.read(project.driver.state_folder(), project.volume_path)
    revision = (recorded.target or recorded.version) if recorded else ""
    if not project.private and not shared:
        return _recover_view(project)
    noted = rolled_back.find(project.state, project.volume_path)
    revision = revision or (noted.version if noted is not None else "")
    if not revision or project.driver.get(SnapshotName.parse(revision)) is None:
        revision = project.repository.head()
    require_volume(project)
    tree = look_if_possible(project.driver, project.volume_path, read=True)
    if tree is not None and tree.equal and tree.version == revision:
        return None
    nearest = not (recorded and recorded.version)
    return _restore(project, revision, shared=shared, nearest=nearest, read=True)


def require_volume(project: Project) -> None:
    """Refuse a live tree that is not the volume, before it is compared with anything; one made anew is taken.

    Raises `VolumeRefused`, `VolumeForeign`.
    """
    paths = [project.volume_path, *(Path(volume.path) for volume in project.others)]
    there = any(path.exists() or path.is_symlink() for path in paths)
    if there and project.driver.volume_id:
        project.driver.initialise(project=project.project_id, model=project.settings.model)


def _known_to_git(project: Project, revision: str) -> str:
    """Give the revision when git has such a name, so that a branch is checked out as a branch; else nothing."""
    try:
        project.repository.resolve(revision)
    except NoCommit:
        return ""
    return revision


def identity(project: Project) -> Identity:
    """Whose the project's volume is."""
    return Identity(project=project.project_id, model=project.settings.model, volume=project.settings.volume.name)


def _recover_view(project: Project) -> Back | None:
    noted = rolled_back.find(project.state, project.view) if project.view is not None else None
    found = find_version(project, noted.version if noted is not None else "HEAD", nearest=True)
    if project.view is not None and views.are_at(project, found.version.name):
        return None
    return _restore(project, str(found.version.name))
