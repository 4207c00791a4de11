"""jenkins describe and keep: what a build on Jenkins says of its version, and how long it is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from ci_mlsnap.domain.holds import OF_RUN
from ci_mlsnap.domain.versions import Version
from ci_mlsnap.errors import JenkinsNotFound
from ci_mlsnap.flows.context import Project
from ci_mlsnap.flows.hold import held
from ci_mlsnap.flows.versions import find_version
from ci_mlsnap.report.described import described_version
from ci_mlsnap.state import kept_builds
from ci_mlsnap.state.records import record_of

if TYPE_CHECKING:
    from ci_mlsnap.ci.jenkins_api import Server

Did = Literal["kept", "kept already", "kept by somebody", "released", "gone", "made elsewhere"]


class OfVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version with the address of the build that made it, and what was done to that."""

    version: str
    url: str
    did: Did
    changed: bool = False


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """The line that now stands in a build's description, and whether it was new there."""

    version: str
    url: str
    text: str
    changed: bool


def describe(project: Project, server: Server, revision: str) -> Described:
    """Have the build that made a version say so in its description; what stands there besides stays.

    Raises `NoSuchVersion`, `JenkinsNotFound` for a version of no build on this server, and what the server raises.
    """
    version = find_version(project, revision).version
    url = _build_of(project, version)
    place = server.place_of(url)
    if place is None:
        raise JenkinsNotFound(
            f"{version.name.short} was made by no build on {server.host}",
            why=f"it was made at {url}" if url else "nothing says where it was made",
            safe="nothing was changed",
            hint="check jenkins.url: it must be the address that the builds have",
        )
    before = server.build(*place).description
    text = described_version(version)
    begin = text.partition(" → ")[0]
    others = [line for line in before.splitlines() if not line.startswith(f"{begin} ") and line.strip()]
    wanted = "\n".join([*others, text])
    changed = wanted.splitlines() != before.splitlines()
    if changed:
        server.describe(*place, wanted)
    return Described(version=version.header.name, url=url, text=text, changed=changed)


def keep(project: Project, server: Server, *, dry_run: bool = False) -> list[OfVersion]:
    """Have the builds kept for ever whose versions people or channels hold, and release those that were kept so.

    A build that a person keeps is left alone, also afterwards. Raises `Busy`, and what the server raises; run
    again, it does what is missing.
    """
    if dry_run:
        return _acts(project, server, dry_run=True)
    with kept_builds.alone(project.state):
        return _acts(project, server, dry_run=False)


def _acts(project: Project, server: Server, *, dry_run: bool) -> list[OfVersion]:
    wanted = [(_build_of(project, version), version.header.name) for version in _held(project)]
    done = [_keep(project, server, url, name, dry_run=dry_run) for url, name in wanted]
    over = {url: name for url, name in kept_builds.read(project.state).items() if url not in dict(wanted)}
    return done + [_release(project, server, url, name, dry_run=dry_run) for url, name in over.items()]


def _keep(project: Project, server: Server, url: str, name: str, *, dry_run: bool) -> OfVersion:
    place = server.place_of(url)
    if place is None:
        return OfVersion(version=name, url=url, did="made elsewhere")
    try:
        kept = server.build(*place).kept
        ours = url in kept_builds.read(project.state)
        if kept:
            return OfVersion(version=name, url=url, did="kept already" if ours else "kept by somebody")
        if not dry_run:
            # Written down first: a build that is kept and not written down would be taken for a person's.
            kept_builds.note(project.state, url, name)
            server.keep(*place, kept=True)
    except JenkinsNotFound:
        return OfVersion(version=name, url=url, did="gone")
    return OfVersion(version=name, url=url, did="kept", changed=True)


def _release(project: Project, server: Server, url: str, name: str, *, dry_run: bool) -> OfVersion:
    place = server.place_of(url)
    if place is None:
        return OfVersion(version=name, url=url, did="made elsewhere")
    did: Did = "released"
    try:
        changed = server.build(*place).kept if dry_run else server.keep(*place, kept=False)
    except JenkinsNotFound:
        did, changed = "gone", False
    if not dry_run:
        kept_builds.forget(project.state, url)
    return OfVersion(version=name, url=url, did=did, changed=changed)


def _held(project: Project) -> list[Version]:
    """The versions that somebody holds but a run, which lets go when it ends."""
    return [one.version for one in held(project) if not all(owner.startswith(OF_RUN) for owner in one.holds)]


def _build_of(project: Project, version: Version) -> str:
    record = record_of(project.state, version)
    return record.run_url if record is not None else ""
