"""What a retention policy is held against: what git, the storage and the state say now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.domain.policy import Branch, Facts, Policy
from ci_mlsnap.domain.status import one_line
from ci_mlsnap.domain.versions import Version
from ci_mlsnap.errors import MlsnapError, Refused
from ci_mlsnap.flows.context import Project
from ci_mlsnap.flows.holding import is_over
from ci_mlsnap.flows.members import besides_first, drivers_of
from ci_mlsnap.ports import Refs
from ci_mlsnap.state import catalogue, channels, live
from ci_mlsnap.state.journal import ended, open_runs

_HISTORY = 10_000
"""How many commits of a branch are looked at."""


def gather(project: Project) -> tuple[Facts, tuple[str, ...]]:
    """Give the facts, and notes for people on what could not be known. Changes nothing.

    Raises `Refused` in a clone that has not all branches and tags, `IntegrityDamage`, `StorageFailed`.
    """
    refs = _refs(project)
    policy = project.settings.retention
    needed = _needed(project)
    found = catalogue.read(project.driver)
    facts = Facts(
        versions=found.versions,
        needed=needed,
        branches=tuple(_branches(project, refs)),
        tagged=project.repository.commits_and_trees(set(refs.tags.values()), ancestors=False),
        reachable=_reachable(project, refs, policy),
        contents=_contents(project, found.versions, policy),
        total_bytes=_total_bytes(project, policy),
    )
    notes = [f"{name} stays: its manifest is damaged" for name in found.damaged]
    if not refs.asked:
        notes.append("origin did not answer: its branches and tags are those of the last fetch")
    return facts, tuple(notes)


def _refs(project: Project) -> Refs:
    """Give branches and tags. What this clone does not have could be what a version is kept for."""
    if project.repository.is_shallow():
        raise Refused(
            "this is a shallow clone, which does not know what branches and tags mean",
            safe="nothing was removed",
            hint="git fetch --unshallow --tags, or `fetch-depth: 0` in CI; then run again",
        )
    refs = project.repository.refs()
    if refs.missing:
        first = ", ".join(one_line(name) for name in refs.missing[:3])
        raise Refused(
            f"origin has branches or tags that are not in this clone: {first}",
            why=f"what {len(refs.missing)} of them keep would not be known",
            safe="nothing was removed",
            hint="git fetch --tags origin '+refs/heads/*:refs/remotes/origin/*'; then run again",
        )
    return refs


# -- what something needs ------------------------------------------------------------------------------


def _needed(project: Project) -> Mapping[str, Sequence[str]]:
    """Say of versions what needs them, by name."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, reason in (*_held(project), *_looked_at(project), *_of_runs(project)):
        if name and reason not in found[name]:
            found[name].append(reason)
    return found


def _held(project: Project) -> Iterator[tuple[str, str]]:
    state = project.state
    for snapshot in project.driver.list():
        for hold in snapshot.holds:
            if not is_over(state, hold):
                yield snapshot.name, f"held by {one_line(hold)}"
    for channel, name in channels.live(state).items():
        yield name, f"the channel {channel} leads to it"


def _looked_at(project: Project) -> Iterator[tuple[str, str]]:
    """Give what live trees and the views of this repository's work trees show, of all volumes."""
    for driver in drivers_of(project.driver):
        for tree in live.everywhere(driver.state_folder()):
            for name in (tree.version, tree.target):
                yield name, f"the live tree {one_line(tree.path)} is it"
    top = project.repository.top
    views = [Path(volume.view) for volume in (project.volume, *project.others) if volume.view]
    inside = [view.relative_to(top) for view in views if view.is_relative_to(top)]
    for worktree in project.repository.worktrees() if inside else ():
        for link in (worktree / view for view in inside):
            if link.is_symlink() and SnapshotName.parse_or_none(link.readlink().name) is not None:
                yield link.readlink().name, f"the view {one_line(str(link))} leads to it"


def _of_runs(project: Project) -> Iterator[tuple[str, str]]:
    """Give what open runs need, and what workspaces that are kept were made from."""
    for run in open_runs(project.state):
        for name in (run.plan.name, run.plan.parent, run.plan.baseline, run.plan.answered_by):
            yield name, f"the open run {run.run_id} needs it"
    work = project.store / "work"
    for workspace in sorted(work.iterdir()) if work.is_dir() else ():
        run_that_ended = ended(project.state, workspace.name)
        if run_that_ended is not None:
            yield run_that_ended.plan.parent, f"the workspace of {workspace.name} was made from it"


# -- git -----------------------------------------------------------------------------------------------


def _branches(project: Project, refs: Refs) -> Iterator[Branch]:
    repository = project.repository
    below = project.folder.relative_to(repository.top).as_posix()
    heads: dict[str, str] = {}
    for name, sha in refs.branches.items():
        heads.setdefault(sha, one_line(name))
    for sha, name in heads.items():
        yield Branch(
            name=name,
            commits=repository.ancestors(sha, limit=_HISTORY),
            tree=repository.commit(sha).tree,
            inputs_digest=repository.inputs_digest(sha, project.settings.train.inputs, below=below),
        )


def _reachable(project: Project, refs: Refs, policy: Policy) -> set[str] | None:
    if policy.keep_unreachable or not refs.asked:
        return None
    heads = {*refs.branches.values(), *refs.tags.values(), project.repository.head()}
    return project.repository.commits_and_trees(heads, ancestors=True)


# -- space ---------------------------------------------------------------------------------------------


def _total_bytes(project: Project, policy: Policy) -> int:
    return project.driver.probe().total_bytes if policy.max_space is not None else 0


def _contents(project: Project, versions: Sequence[Version], policy: Policy) -> dict[str, Mapping[str, int]]:
    """Give the files of versions by digest, where they could be too many: that reads every manifest."""
    if policy.max_space is None:
        return {}
    room = policy.max_space.of(_total_bytes(project, policy))
    if not project.others and sum(version.header.bytes for version in versions) <= room:
        return {}
    return {version.header.name: _files(project, version) for version in versions}


def _files(project: Project, version: Version) -> Mapping[str, int]:
    drivers = [member.driver for member in besides_first(project.driver, version.header)]
    try:
        manifests = [driver.manifest(version.name) for driver in (project.driver, *drivers)]
    except MlsnapError:
        return {}
    return {entry.sha256: entry.size for manifest in manifests for entry in manifest.entries if entry.sha256}
