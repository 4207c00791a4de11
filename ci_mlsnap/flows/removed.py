"""Commits whose version was removed: what is still known of it, and what is near."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from ci_mlsnap.domain.names import SnapshotName, is_sha
from ci_mlsnap.domain.removed import Pruned
from ci_mlsnap.domain.retention import neighbours
from ci_mlsnap.domain.status import one_line
from ci_mlsnap.domain.versions import Version
from ci_mlsnap.errors import MlsnapError, NoSuchVersion
from ci_mlsnap.flows.context import Project
from ci_mlsnap.state import catalogue, pruned

_SUFFIX = re.compile(r"(.+?)((?:\.[1-9][0-9]{0,5})|(?:-keep-[1-9][0-9]{0,5})|(?:-dirty-[0-9a-f]{8}))")


def find_removed(project: Project, revision: str) -> Pruned | None:
    """Give the removed version that a revision means; one that can come back before one that is gone."""
    known = pruned.all_of(project.state)
    if not known:
        return None
    match = _SUFFIX.fullmatch(revision)
    if match is not None and (sha := _sha_of(project, match[1], known)):
        wanted = sha if match[2] == ".1" else sha + match[2]
        return next((record for record in known if record.name == wanted), None)
    sha = _sha_of(project, revision, known)
    fitting = pruned.of_commit(project.state, sha) if sha else []
    return min(fitting, key=lambda record: record.condition == "gone", default=None)


def is_exact(revision: str) -> bool:
    """Tell whether a revision names one attempt, and no other one later."""
    return _SUFFIX.fullmatch(revision) is not None


def last_day(project: Project, record: Pruned) -> str:
    """Say until when a version in the trash can come back; empty for one that is gone."""
    if record.condition != "trash":
        return ""
    end = record.since + project.settings.retention.grace
    return datetime.fromtimestamp(end, UTC).isoformat(timespec="minutes")[:16].replace("T", " ")


def removal_of(project: Project, sha: str, name: str = "") -> NoSuchVersion | None:
    """Give the error for a commit whose version was removed, or for the version of that name; None for others."""
    found = [record for record in pruned.of_commit(project.state, sha) if name in ("", record.name)]
    if not found:
        return None
    record = min(found, key=lambda record: record.condition == "gone")
    short = SnapshotName.parse(record.name).short
    near = [SnapshotName.parse(v.header.name).short for v in neighbours_of(project, record) if v is not None]
    kept = f"kept near it: {' and '.join(near)}" if near else "no other version is kept"
    anew = f"{kept}; `mlsnap run --retrain` makes the next attempt"
    back = f"`mlsnap recover {short}` brings it back until {last_day(project, record)}"
    return NoSuchVersion(
        f"{short} was pruned on {record.at[:10]}: {one_line(record.reason)}",
        why="it was removed for good" if record.condition == "gone" else "it lies in the trash",
        safe=f"`mlsnap show {short}` has its record",
        hint=anew if record.condition == "gone" else f"{back}; {kept}",
    )


def neighbours_of(project: Project, record: Pruned) -> tuple[Version | None, Version | None]:
    """Give the kept versions made just before and just after a removed one."""
    return neighbours(record.header.sequence, catalogue.versions(project.driver))


def _sha_of(project: Project, revision: str, known: list[Pruned]) -> str:
    if is_sha(revision):
        return revision
    commits = {record.header.commit for record in known if record.header.commit.startswith(revision)}
    if len(revision) >= 7 and len(commits) == 1:
        return commits.pop()
    try:
        return project.repository.resolve(revision)
    except MlsnapError:
        return ""
