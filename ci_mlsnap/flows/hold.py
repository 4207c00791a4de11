"""hold: keeping a version from being removed, whatever the policy says; and letting it go again."""

from __future__ import annotations

import msgspec

from ci_mlsnap.domain.status import cut, one_line
from ci_mlsnap.domain.versions import Answer, Version
from ci_mlsnap.errors import Refused
from ci_mlsnap.flows.context import Project
from ci_mlsnap.flows.restore import identity
from ci_mlsnap.flows.tidying import tidy
from ci_mlsnap.flows.versions import find_version
from ci_mlsnap.state import catalogue

_PERSON = "person "
_LIMIT = 500


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """A version and who holds it now; `changed` are the holds that this command made or took back."""

    version: Version
    holds: tuple[str, ...]
    how: str = "own"
    changed: tuple[str, ...] = ()


def hold(project: Project, revision: str, *, reason: str = "") -> Holding:
    """Hold the version of `revision` until somebody releases it; held by the same person already is fine.

    Raises `NoSuchVersion`, `StorageFailed`.
    """
    found = _found(project, revision)
    wanted = _owner(project, reason)
    if wanted in _holds(project, found.version):
        return Holding(version=found.version, holds=_holds(project, found.version), how=found.how)
    project.driver.hold(found.version.name, wanted)
    return Holding(version=found.version, holds=_holds(project, found.version), how=found.how, changed=(wanted,))


def release(project: Project, revision: str) -> Holding:
    """Take back what people hold of the version, whoever they are; what nobody holds is fine.

    Raises `Refused` when only a channel, a run or a rollback holds it: these take their holds back themselves.
    """
    found = _found(project, revision)
    holds = _holds(project, found.version)
    ours = tuple(owner for owner in holds if owner.startswith(_PERSON))
    if holds and not ours:
        raise Refused(
            f"{found.version.name.short} is held by {', '.join(map(one_line, holds))}",
            why="that is no person's hold",
            safe="nothing was released",
            hint="lead the channel elsewhere (`mlsnap promote`), let the run end, or undo the rollback",
        )
    for owner in ours:
        project.driver.release_hold(found.version.name, owner)
    return Holding(version=found.version, holds=_holds(project, found.version), how=found.how, changed=ours)


def held(project: Project) -> list[Holding]:
    """List the versions that somebody holds, newest first. Writes nothing."""
    holds = {snapshot.name: snapshot.holds for snapshot in project.driver.list() if snapshot.marker}
    versions = catalogue.versions(project.driver)
    found = [Holding(version=v, holds=holds.get(v.header.name, ())) for v in versions]
    return sorted((one for one in found if one.holds), key=lambda one: -one.version.header.sequence)


def _found(project: Project, revision: str) -> Answer:
    tidy(project.hands, project.driver, identity(project))
    return find_version(project, revision)


def _holds(project: Project, version: Version) -> tuple[str, ...]:
    found = project.driver.get(version.name)
    return found.holds if found is not None else ()


def _owner(project: Project, reason: str) -> str:
    why = f": {one_line(reason)}" if reason.strip() else ""
    return cut(f"{_PERSON}{one_line(project.hands.person())}{why}", _LIMIT)
