"""log: commits with their versions beside git's history, or versions alone: the best, of a branch, on data."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from ci_mlsnap.domain.channels import live_at
from ci_mlsnap.domain.selecting import (
    attempts,
    best,
    by_commit,
    metrics_of,
    newest_first,
    of_branch,
    on_data,
    ranked,
    since,
)
from ci_mlsnap.domain.versions import Version, preferred
from ci_mlsnap.errors import IntegrityDamage, UsageError
from ci_mlsnap.flows.context import Project
from ci_mlsnap.ports import CommitFacts, GraphLine
from ci_mlsnap.report.logged import LogLine
from ci_mlsnap.state import channels, pruned
from ci_mlsnap.state.catalogue import versions

_WHOLE_HISTORY = 10_000_000


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be listed. `best`, `branch`, `data` and `live_at` ask for versions, all else for commits.

    `revision` is whose history is meant: for commits HEAD when empty, for versions then any. `everything` adds
    versions outside that history, and keepsakes and trees with uncommitted files. Dates are as git reads them.
    """

    revision: str = ""
    limit: int = 20
    everything: bool = False
    graph: bool = False
    metrics: tuple[str, ...] = ()
    since: str = ""
    best: str = ""
    branch: str = ""
    data: str = ""
    live_at: str = ""

    @property
    def of_versions(self) -> bool:
        """Tell whether versions are asked for, whatever git's history is."""
        return bool(self.best or self.branch or self.data or self.live_at)


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """The lines, the metrics that have columns, and what is wrong with the channels, which are then left out."""

    lines: tuple[LogLine, ...]
    metrics: tuple[str, ...]
    trouble: str = ""


class _Known(msgspec.Struct, frozen=True, kw_only=True):
    """All versions, and what is said beside each."""

    versions: Sequence[Version]
    attempts: Sequence[Version]
    by_name: Mapping[str, Version]
    best: Version | None
    leading: Mapping[str, tuple[str, ...]]
    pruned: Collection[str]


def history(project: Project, wanted: Wanted) -> Listing:
    """List what is wanted. Writes nothing.

    Raises `UsageError` for a metric that no version has, for what is no date, and for what goes not together;
    `NoCommit`, `IntegrityDamage` when `live_at` is asked and the channels are damaged.
    """
    _require_possible(wanted)
    found = versions(project.driver)
    real, metrics = attempts(found), _columns(wanted, found)
    leading, trouble = ({}, "") if wanted.live_at else _leading(project)
    known = _Known(
        versions=found,
        attempts=real,
        by_name={version.header.name: version for version in found},
        best=best(real),
        leading=leading,
        pruned=pruned.commits(project.state),
    )
    lines = _of_versions(project, wanted, known) if wanted.of_versions else _of_commits(project, wanted, known)
    return Listing(lines=tuple(lines), metrics=metrics, trouble=trouble)


def _require_possible(wanted: Wanted) -> None:
    if wanted.graph and wanted.of_versions:
        raise UsageError(
            "--graph shows git's history, and --best, --branch, --data and --live-at list versions alone",
            safe="nothing was done",
            hint="`mlsnap log BRANCH --graph` draws a branch's history",
        )


def _columns(wanted: Wanted, found: Sequence[Version]) -> tuple[str, ...]:
    asked = tuple(dict.fromkeys(name for name in (wanted.best, *wanted.metrics) if name))
    there = metrics_of(found)
    for name in asked if found else ():
        if name not in there:
            raise UsageError(
                f"no version has the metric {name[:80]!r}",
                safe="nothing was done",
                hint=f"there are: {', '.join(map(ascii, there[:12]))}" if there else "no version has metrics",
            )
    return asked


def _leading(project: Project) -> tuple[Mapping[str, tuple[str, ...]], str]:
    """Give the channels that lead to each version; what is damaged there hides no version."""
    try:
        return _by_version(channels.live(project.state)), ""
    except IntegrityDamage as error:
        return {}, error.what


def _by_version(leads: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    return {version: tuple(name for name, to in leads.items() if to == version) for version in leads.values()}


# -- commits -------------------------------------------------------------------------------------------


def _of_commits(project: Project, wanted: Wanted, known: _Known) -> Iterator[LogLine]:
    """Give the commits of a history with their versions; with `everything`, then the versions of other commits."""
    repository, revision = project.repository, wanted.revision or "HEAD"
    earliest = repository.moment(wanted.since) if wanted.since else 0
    listed = by_commit(known.versions if wanted.everything else known.attempts)
    trees = _by_tree(known.attempts)
    if wanted.graph:
        room = max(map(len, listed.values()), default=1) - 1
        drawn = repository.graph(revision, limit=wanted.limit, since=earliest, room=room)
        lines = list(_drawn(drawn, listed, known, trees))
    else:
        commits = repository.log(revision, limit=wanted.limit, since=earliest)
        lines = [line for it in commits for line in _lines(it, listed.get(it.sha, ()), known, trees)]
    yield from lines
    if wanted.everything:
        there = {line.version.header.name for line in lines if line.version is not None}
        others = [version for version in known.versions if version.header.name not in there]
        late = since(others, _iso(earliest)) if earliest else others
        yield from _with_commits(project, newest_first(late), known)


def _lines(
    commit: CommitFacts, own: Sequence[Version], known: _Known, trees: Mapping[str, Version]
) -> Iterator[LogLine]:
    for version in own:
        yield _line(commit, version, known)
    if not own:
        same = trees.get(commit.tree)
        yield LogLine(
            commit=commit, same_files=same.header.name if same else "", pruned=commit.sha in known.pruned
        )


def _drawn(
    graph: Iterable[GraphLine],
    listed: Mapping[str, Sequence[Version]],
    known: _Known,
    trees: Mapping[str, Version],
) -> Iterator[LogLine]:
    """Put versions beside the graph: a commit's first in its line, the others where room was left below it."""
    waiting: list[LogLine] = []
    for line in graph:
        if line.commit is not None:
            waiting = list(_lines(line.commit, listed.get(line.commit.sha, ()), known, trees))
        if waiting and (line.commit is not None or line.room):
            yield msgspec.structs.replace(waiting.pop(0), drawn=line.drawn)
        elif set(line.drawn) - {"|", " "}:  # room that nobody needed says nothing, unless git draws a turn there
            yield LogLine(drawn=line.drawn)


def _by_tree(found: Iterable[Version]) -> dict[str, Version]:
    """Give the version that stands for each git tree."""
    trees: dict[str, list[Version]] = {}
    for version in found:
        if version.header.tree:
            trees.setdefault(version.header.tree, []).append(version)
    return {tree: it for tree, same in trees.items() if (it := preferred(same)) is not None}


# -- versions ------------------------------------------------------------------------------------------


def _of_versions(project: Project, wanted: Wanted, known: _Known) -> Iterator[LogLine]:
    """Give the versions that are wanted: the best first where that is asked, else the newest."""
    if wanted.live_at:
        yield from _live_at(project, wanted, known)
        return
    found = known.versions if wanted.everything else known.attempts
    yield from _with_commits(project, _chosen(project, wanted, found)[: wanted.limit], known)


def _chosen(project: Project, wanted: Wanted, found: Sequence[Version]) -> list[Version]:
    if wanted.branch:
        found = of_branch(found, wanted.branch)
    if wanted.data:
        found = on_data(found, wanted.data)
    if wanted.since:
        found = since(found, _iso(project.repository.moment(wanted.since)))
    if wanted.revision:
        inside = set(project.repository.ancestors(wanted.revision, limit=_WHOLE_HISTORY))
        found = [version for version in found if version.header.commit in inside]
    return ranked(found, wanted.best) if wanted.best else newest_first(found)


def _live_at(project: Project, wanted: Wanted, known: _Known) -> Iterator[LogLine]:
    moment = _iso(project.repository.moment(wanted.live_at))
    leads = _by_version(live_at(channels.moves(project.state), moment))
    there = [known.by_name[name] for name in leads if name in known.by_name]
    at_that_time = msgspec.structs.replace(known, leading=leads)
    yield from _with_commits(project, _chosen(project, wanted, there), at_that_time)
    for name in leads:
        if name not in known.by_name:
            yield LogLine(gone=name, channels=leads[name])


def _with_commits(project: Project, found: Sequence[Version], known: _Known) -> Iterator[LogLine]:
    commits = project.repository.commits(list(dict.fromkeys(version.header.commit for version in found)))
    for version in found:
        yield _line(commits.get(version.header.commit), version, known)


def _line(commit: CommitFacts | None, version: Version, known: _Known) -> LogLine:
    name = version.header.name
    return LogLine(
        commit=commit,
        version=version,
        base=known.by_name.get(version.header.baseline),
        best=known.best is not None and name == known.best.header.name,
        channels=known.leading.get(name, ()),
    )


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
