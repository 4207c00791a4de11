"""diff: two versions beside each other, from manifests, git, records, and the model files that differ."""

from __future__ import annotations

from collections.abc import Sequence

from ci_mlsnap.domain.code import LineChange
from ci_mlsnap.domain.comparing import Differences, Side, compare
from ci_mlsnap.domain.models import ModelFile
from ci_mlsnap.domain.selecting import attempts
from ci_mlsnap.domain.versions import Version, answer
from ci_mlsnap.errors import NoSuchVersion
from ci_mlsnap.flows.contents import Part, entries_of, parts_of
from ci_mlsnap.flows.context import Project
from ci_mlsnap.flows.modelling import read_again
from ci_mlsnap.flows.parameters import parameters_of
from ci_mlsnap.flows.versions import find_version, known_ancestors
from ci_mlsnap.state.catalogue import versions
from ci_mlsnap.state.records import record_of


def diff(project: Project, before: str = "", after: str = "") -> Differences:
    """Say what differs from `before`, else what the other is compared with, to `after`, else HEAD's version.

    Writes nothing. Raises `NoSuchVersion`, `NoCommit`, and `IntegrityDamage` for a manifest that is damaged.
    """
    new = find_version(project, after or "HEAD").version
    old = find_version(project, before).version if before else _compared_with(project, new)
    code, notes = _code(project, old, new)
    parts = [parts_of(project.driver, version) for version in (old, new)]
    several = max(map(len, parts)) > 1
    entries = [entries_of(side, several=several) for side in parts]
    parameters = parameters_of(project, (old, new), parts, code)
    models = _models((old, new), parts)
    sides = [
        Side(version=it, entries=files, record=record_of(project.state, it), parameters=values, models=files_)
        for it, files, values, files_ in zip((old, new), entries, parameters, models, strict=True)
    ]
    return compare(*sides, code=code, notes=notes)


def _models(versions: Sequence[Version], parts: Sequence[Sequence[Part]]) -> list[Sequence[ModelFile]]:
    """Read the model files that both versions have and that are not the same, through the snapshots."""
    one, other = (
        {(part.volume, it.path): it.sha256 for part in side for it in part.manifest.entries if it.sha256}
        for side in parts
    )
    differing = {path for volume, path in one.keys() & other.keys() if one[volume, path] != other[volume, path]}
    if not differing:
        return [(), ()]
    return [read_again(side, it, differing) for it, side in zip(versions, parts, strict=True)]


def _compared_with(project: Project, version: Version) -> Version:
    """Give a version's baseline; where it is not there, that of the nearest ancestor that has one."""
    known = versions(project.driver)
    baseline = next((it for it in known if it.header.name == version.header.baseline), None)
    if baseline is not None:
        return baseline
    earlier = [it for it in attempts(known) if it.header.commit != version.header.commit]
    near = answer("", earlier, ancestors=known_ancestors(project, version.header.commit))
    if near is None:
        short = version.name.short
        raise NoSuchVersion(
            f"there is nothing that {short} is compared with",
            why="it has no baseline that is still there, and no commit before it has a version",
            hint=f"name the other one: `mlsnap diff REVISION {short}`; `mlsnap log --all` lists what there is",
        )
    return near.version


def _code(project: Project, old: Version, new: Version) -> tuple[Sequence[LineChange] | None, list[str]]:
    """Give the lines that differ between the commits of two versions, and what of the code cannot be told."""
    notes = [
        f"{it.name.short} was trained with files that are in no commit: they are not compared"
        for it in (old, new)
        if it.name.dirty
    ]
    gone = [it for it in (old, new) if not project.repository.has(it.header.commit)]
    if gone:
        named = " and ".join(dict.fromkeys(it.header.commit[:7] for it in gone))
        notes.append(f"this clone has not the commit {named}: code and its parameters are not compared")
        return None, notes
    below = project.folder.relative_to(project.repository.top).as_posix()
    return project.repository.line_changes(old.header.commit, new.header.commit, below=below), notes
