"""What a rollback would do, said before anything moves."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.domain.versions import How, Version, good_before
from ci_mlsnap.errors import Busy, NoSuchVersion, Refused
from ci_mlsnap.flows.context import Project
from ci_mlsnap.flows.live import look_if_possible
from ci_mlsnap.flows.versions import find_version, known_ancestors
from ci_mlsnap.flows.writable import copy_in_view
from ci_mlsnap.state import live, rolled_back
from ci_mlsnap.state.catalogue import versions
from ci_mlsnap.state.rolled_back import RolledBack


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """What a rollback, or its undoing, would do. `why` says how `then` was found, `how` as for any revision.

    `now` names what the place is at, empty where that is unknown; `added` and `changed` count the files that no
    version has, which are kept first. `noted` is the rollback that stands already. `arrived`: nothing is to do.
    `fits` is false for a tree that holds what no snapshot can carry: it is put aside as a whole.
    """

    place: Path
    view: bool
    now: str
    then: Version
    why: str
    how: How = "own"
    now_version: Version | None = None
    added: int = 0
    changed: int = 0
    fits: bool = True
    noted: RolledBack | None = None
    arrived: bool = False


def propose(project: Project, revision: str | None = None, *, shared: bool = False) -> Proposal:
    """Say what a rollback would do, after reading the version back; writes nothing.

    Without a revision it is to the good version before the one that is there. Raises `NoSuchVersion`, `Refused`,
    `Busy` while a run trains through the view, `IntegrityDamage` for a version that is damaged.
    """
    place = place_of(project, shared=shared)
    noted = rolled_back.find(project.state, place)
    now = now_at(project, place)
    known = {version.header.name: version for version in versions(project.driver)}
    then, why, how = _meant(project, revision, known, now, noted)
    project.driver.read_back(then.name)
    proposal = Proposal(
        place=place,
        view=_is_view(project, place),
        now=now,
        now_version=known.get(now),
        then=then,
        why=why,
        how=how,
        noted=noted,
    )
    if noted is not None and noted.version == now == then.header.name:
        return msgspec.structs.replace(proposal, arrived=True)
    return _with_unsaved(project, proposal)


def propose_undo(project: Project, *, shared: bool = False) -> Proposal | None:
    """Say what undoing the rollback would do; None where none stands. Raises as `propose` does."""
    place = place_of(project, shared=shared)
    noted = rolled_back.find(project.state, place)
    if noted is None:
        return None
    known = {version.header.name: version for version in versions(project.driver)}
    then = known.get(noted.kept or noted.version_before)
    if then is None:
        raise NoSuchVersion(
            f"what {place} was before it was rolled back is not known any more",
            why="no version was recorded for it"
            if not noted.version_before
            else f"{noted.version_before} is gone",
            safe="nothing was changed",
            hint="`mlsnap restore <rev>` brings a version that you name, and ends the rollback",
        )
    project.driver.read_back(then.name)
    now = now_at(project, place)
    proposal = Proposal(
        place=place,
        view=_is_view(project, place),
        now=now,
        now_version=known.get(now),
        then=then,
        why=f"what it was until {noted.who} rolled it back",
        noted=noted,
    )
    return _with_unsaved(project, proposal)


def place_of(project: Project, *, shared: bool) -> Path:
    """Give what is rolled back here: a private volume's live tree, else the view, or the live tree if `shared`."""
    if project.private or shared:
        return project.volume_path
    if project.view is None:
        raise Refused(
            "the volume is shared, and this checkout has no view of it",
            safe="nothing was changed",
            hint="set `view` in mlsnap.toml; or --shared rolls back the live tree, for all who use it",
        )
    return project.view


def now_at(project: Project, place: Path) -> str:
    """Name the version that the place is at, as far as that is written down. Raises `Busy` where a run is."""
    tree = written_at(project, place)
    if tree is not None:
        recorded = live.read(project.state, tree)
        return recorded.version if recorded is not None else ""
    target = place.readlink() if place.is_symlink() else Path("/")
    if target.is_relative_to(project.store / "work"):
        raise Busy(
            f"a run trains through {place}",
            why="its scripts write where the view leads",
            safe="nothing was changed",
            hint="`mlsnap status` says which; roll back when it has ended, or stop it",
        )
    found = SnapshotName.parse_or_none(target.name)
    return target.name if found is not None and project.driver.get(found) is not None else ""


def written_at(project: Project, place: Path) -> Path | None:
    """Give the tree that people write to there: the live tree, or a view's writable copy, if it has one."""
    return copy_in_view(project) if _is_view(project, place) else place


def _is_view(project: Project, place: Path) -> bool:
    return place != project.volume_path


def _meant(
    project: Project, revision: str | None, known: dict[str, Version], now: str, noted: RolledBack | None
) -> tuple[Version, str, How]:
    """Give the version to go to, why it is that one, and how it answers the revision."""
    if revision is not None:
        found = find_version(project, revision)
        return found.version, f"named as {revision}", found.how
    if noted is not None and noted.version in known:
        return known[noted.version], f"it was rolled back to that by {noted.who}", "own"
    if now not in known:
        raise NoSuchVersion(
            "it is not known which version is there, so none is before it",
            safe="nothing was changed",
            hint="name one: `mlsnap rollback <rev>`; `mlsnap log` lists them",
        )
    return (*_before(project, list(known.values()), known[now]), "own")


def _before(project: Project, known: list[Version], now: Version) -> tuple[Version, str]:
    commit = now.header.commit
    ancestors = known_ancestors(project, commit) if project.repository.has(commit) else None
    found = good_before(known, now, ancestors)
    if found is None:
        raise NoSuchVersion(
            f"no good version is before {now.name.short}",
            why="none of the commits before its own has one"
            if ancestors is not None
            else f"git does not know its commit, and none was made on {now.header.ref or 'the same ref'} before",
            safe="nothing was changed",
            hint="name one: `mlsnap rollback <rev>`; `mlsnap log --all` lists them",
        )
    if ancestors is None:
        return found, f"the newest good one made before {now.name.short} on the same ref"
    same = found.header.commit == commit
    return found, f"{'an earlier attempt at the same commit' if same else 'the good one before'} {now.name.short}"


def _with_unsaved(project: Project, proposal: Proposal) -> Proposal:
    place = written_at(project, proposal.place)
    if place is None:
        return proposal
    tree = look_if_possible(project.driver, place)
    if tree is None:
        return msgspec.structs.replace(proposal, fits=False)
    return msgspec.structs.replace(
        proposal, added=len(tree.differences.added), changed=len(tree.differences.changed)
    )
