"""From what a person types to the version that is meant."""

from __future__ import annotations

import re

from ci_mlsnap.domain.names import SnapshotName, is_sha
from ci_mlsnap.domain.versions import Answer, Version, answer
from ci_mlsnap.errors import NoCommit, NoSuchVersion, Refused
from ci_mlsnap.flows.context import Project
from ci_mlsnap.flows.planning import HISTORY
from ci_mlsnap.flows.removed import removal_of
from ci_mlsnap.ports import Step
from ci_mlsnap.state import channels
from ci_mlsnap.state.catalogue import versions

_WITH_ATTEMPT = re.compile(r"(.+)\.([1-9][0-9]{0,5})")
_WITH_SUFFIX = re.compile(r"(.+)(-keep-[1-9][0-9]{0,5}|-dirty-[0-9a-f]{8})")


def find_version(project: Project, revision: str, *, nearest: bool = False) -> Answer:
    """Say which version `revision` means: a name of git, with `.2` an exact attempt, or a snapshot's name.

    Where git knows no such name, a channel's. Raises `NoSuchVersion`, which names what is near, `NoCommit`, and
    `Refused` for a version of more volumes than are known here.
    """
    found = _found(project, revision, nearest=nearest)
    missing = set(found.version.header.members) - {project.volume.name, *(it.name for it in project.others)}
    if missing:
        more = ", ".join(sorted(missing))
        raise Refused(
            f"version {found.version.name.short} has volumes that are not configured: {more}",
            why="a part of a version is never taken for the version",
            safe="nothing was changed",
            hint="name the volumes in mlsnap.toml as they were when it was made",
        )
    return found


def _found(project: Project, revision: str, *, nearest: bool) -> Answer:
    known = versions(project.driver)
    exact = _exact(project, revision, known)
    if exact is not None:
        return Answer(version=exact, how="own")
    try:
        sha = _sha_of(project, revision, known)
    except NoCommit:
        if not channels.is_there(project.state, revision):
            raise
        return _of_channel(project, revision, known)
    _tell_namesake(project, revision)
    found = answer(sha, known, **_git_facts(project, sha))
    if found is None:
        near = answer(sha, known, ancestors=known_ancestors(project, sha))
        if nearest and near is not None:
            return near
        raise removal_of(project, sha) or _none(revision, sha, near)
    return found


def _exact(project: Project, revision: str, known: list[Version]) -> Version | None:
    """Find the snapshot that is named exactly; the part before the suffix may be any name git knows."""
    match = _WITH_ATTEMPT.fullmatch(revision) or _WITH_SUFFIX.fullmatch(revision)
    if match is None:
        return None
    suffix = f".{match[2]}" if match.re is _WITH_ATTEMPT else match[2]
    sha = _sha_of(project, match[1], known)
    wanted = sha if suffix == ".1" else sha + suffix
    found = next((version for version in known if version.header.name == wanted), None)
    if found is None and (removal := removal_of(project, sha, wanted)) is not None:
        raise removal
    if found is None and match.re is _WITH_SUFFIX:
        raise NoSuchVersion(f"there is no snapshot {wanted[:60]}", hint="`mlsnap log --all` lists what there is")
    return found


def find_channel(project: Project, channel: str) -> Answer:
    """Say which version a channel leads to, whatever git has under that name. Raises as `find_version` does."""
    return _of_channel(project, channel, versions(project.driver))


def _of_channel(project: Project, channel: str, known: list[Version]) -> Answer:
    name = channels.live(project.state).get(channel)
    found = next((version for version in known if version.header.name == name), None)
    if found is None:
        raise NoSuchVersion(
            f"the channel {channel[:80]!r} leads to {SnapshotName.parse(name).short}, which is not there"
            if name
            else f"there is no channel {channel[:80]!r}",
            safe="nothing was changed",
            hint="`mlsnap channels` lists what there is; `mlsnap promote <rev> <channel>` makes one",
        )
    return Answer(version=found, how="channel")


def _tell_namesake(project: Project, revision: str) -> None:
    """Say that git's name was taken where a channel has it too: a branch may come from anybody."""
    if channels.is_there(project.state, revision):
        text = f"{revision} is taken as git's name; the channel of that name: `mlsnap path --channel {revision}`"
        project.hands.progress.step(Step(name="revision", state="note", text=text))


def _sha_of(project: Project, revision: str, known: list[Version]) -> str:
    """Resolve by git, else by the versions themselves: their commits may be gone from a shallow clone."""
    candidates = {version.header.commit for version in known if version.header.commit.startswith(revision)}
    if len(revision) >= 7 and len(candidates) == 1:
        return candidates.pop()
    return revision if is_sha(revision) else project.repository.resolve(revision)


def _git_facts(project: Project, sha: str) -> dict[str, str]:
    if not project.repository.has(sha):
        return {}
    below = project.folder.relative_to(project.repository.top).as_posix()
    digest = project.repository.inputs_digest(sha, project.settings.train.inputs, below=below)
    return {"tree": project.repository.commit(sha).tree, "inputs_digest": digest}


def known_ancestors(project: Project, sha: str) -> list[str]:
    """Give the commits before this one that the checkout has, newest first."""
    if not project.repository.has(sha):
        return []
    return [ancestor for ancestor in project.repository.ancestors(sha, limit=HISTORY) if ancestor != sha]


def _none(revision: str, sha: str, near: Answer | None) -> NoSuchVersion:
    hint = "`mlsnap run` makes one"
    if near is not None:
        short = SnapshotName.parse(near.version.header.name).short
        hint = f"the nearest ancestor with one is {short}; {hint}"
    named = sha[:7] if sha.startswith(revision) or is_sha(revision) else f"{revision[:60]} ({sha[:7]})"
    return NoSuchVersion(
        f"no version for {named}",
        why="it was not trained on this volume, and no version has the same files",
        hint=hint,
    )
