"""The lists of a report: the index, older versions in blocks, one for each branch and each metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from ci_mlsnap.domain.selecting import by_ref, metrics_of, ranked
from ci_mlsnap.domain.texts import counted, size
from ci_mlsnap.domain.versions import Version
from ci_mlsnap.flows.report_shelf import Shelf
from ci_mlsnap.ports import CommitFacts
from ci_mlsnap.report.logged import LogLine
from ci_mlsnap.report.pages import Look, file_name
from ci_mlsnap.report.pages_list import PER_PAGE, Link, Links, ListPage, columns_of, list_page

_MOST_BRANCHES = 50
_MOST_METRICS = 30
_MOST_CHARTED = 300
"""More points than that are nearer to each other than a pointer can tell."""


class VersionList(msgspec.Struct, frozen=True, kw_only=True):
    """A list before its lines are made: versions in the order shown, those drawn oldest first, and all else."""

    title: str
    heading: str
    lead: str
    table_title: str
    shown: Sequence[Version]
    charted: Sequence[Version]
    metrics: tuple[str, ...]
    more: tuple[Links, ...] = ()
    is_index: bool = False


def lists_of(shelf: Shelf, model: str, space: str) -> dict[str, VersionList]:
    """Give all lists by file name: the index, and those that it leads to."""
    blocks, branches, metrics = _blocks(shelf), _branches(shelf), _metrics(shelf)
    newest = shelf.versions[:PER_PAGE]
    groups = (("Older versions", blocks), ("Branches", branches), ("Metrics", metrics))
    index = VersionList(
        title="Versions",
        heading=f"Versions of {model}",
        lead=_lead(shelf, space),
        table_title="Newest versions" if len(shelf.versions) > PER_PAGE else "All versions",
        shown=newest,
        charted=newest[::-1],
        metrics=columns_of(newest),
        more=tuple(_links(title, lists) for title, lists in groups if lists),
        is_index=True,
    )
    return {"index.html": index, **blocks, **branches, **metrics}


def facts_of_list(shelf: Shelf, it: VersionList) -> list[object]:
    """Give all that decides what a list says."""
    said = [it.title, it.heading, it.lead, it.table_title, it.metrics, it.more]
    rows = [[_row_facts(shelf, version) for version in versions] for versions in (it.shown, it.charted)]
    return [said, rows, [shelf.leads, shelf.moves, shelf.holds, shelf.notes] if it.is_index else []]


def render_list(shelf: Shelf, look: Look, site: Mapping[str, str], file: str, it: VersionList) -> dict[str, bytes]:
    """Render a list; what its lines say of commits is read now."""
    lines = {version.header.name: line_of(shelf, version) for version in it.shown}
    for version in it.charted:  # a chart may have very many, and says no more of them than where they are
        lines.setdefault(version.header.name, line_of(shelf, version, subject=""))
    page = ListPage(
        title=it.title,
        heading=it.heading,
        lead=it.lead,
        table_title=it.table_title,
        lines=[lines[version.header.name] for version in it.shown],
        charted=[lines[version.header.name] for version in it.charted],
        metrics=it.metrics,
        more=it.more,
    )
    return {file: list_page(look, site, _with_standing(shelf, page) if it.is_index else page)}


def line_of(shelf: Shelf, version: Version, subject: str | None = None) -> LogLine:
    """Give the line that `mlsnap log` would have for a version; its subject is read where none is given."""
    header = version.header
    subject = shelf.subject_of(version) if subject is None else subject
    commit = CommitFacts(sha=header.commit, tree=header.tree, parents=header.parents, subject=subject)
    return LogLine(
        commit=commit,
        version=version,
        base=shelf.base_of(version),
        best=shelf.best is not None and shelf.best.header.name == header.name,
        channels=shelf.channels_of(version),
    )


def _with_standing(shelf: Shelf, page: ListPage) -> ListPage:
    """Add what only the index says: the best version, where channels lead, and what is held."""
    leads = [(name, shelf.by_name.get(to), to, shelf.moves.get(name)) for name, to in shelf.leads.items()]
    holds = [(shelf.by_name[name], text) for name in shelf.by_name for text in shelf.holds.get(name, ())]
    best = line_of(shelf, shelf.best) if shelf.best is not None else None
    return msgspec.structs.replace(page, best=best, channels=leads, holds=holds, notes=shelf.notes)


def _row_facts(shelf: Shelf, version: Version) -> list[object]:
    base = shelf.base_of(version)
    best = shelf.best is not None and shelf.best.header.name == version.header.name
    state = shelf.records.state_of(version)
    return [version.digest, state, base.digest if base else "", best, shelf.channels_of(version)]


def _lead(shelf: Shelf, space: str) -> str:
    held = size(sum(version.header.bytes for version in shelf.versions))
    return f"{counted(len(shelf.versions), 'version')}, {held} of files in all. {space}".strip()


def _blocks(shelf: Shelf) -> dict[str, VersionList]:
    """Give what the index has no room for, a hundred each, counted from the oldest: full ones stay as they are."""
    ordered = shelf.versions[::-1]
    found = {}
    for first in range(0, len(ordered) - PER_PAGE, PER_PAGE):
        block = ordered[first : first + PER_PAGE]
        number = first // PER_PAGE + 1
        title = f"Versions {first + 1} to {first + len(block)}"
        found[f"versions-{number}.html"] = VersionList(
            title=title,
            heading=title,
            lead=f"From {block[0].header.created[:10]} to {block[-1].header.created[:10]}, newest first.",
            table_title=title,
            shown=block[::-1],
            charted=block,
            metrics=columns_of(block[::-1]),
        )
    return found


def _branches(shelf: Shelf) -> dict[str, VersionList]:
    """Give a list for each branch, the one with the newest version first; none where all is one branch."""
    branches = by_ref(shelf.versions)
    if len(branches) < 2:
        return {}
    found = {}
    for ref, versions in list(branches.items())[:_MOST_BRANCHES]:
        name = ref.removeprefix("refs/heads/") or "no branch"
        newest = versions[:PER_PAGE]
        found[file_name("branch", name)] = VersionList(
            title=name,
            heading=f"Branch {name}",
            lead=_of(newest, versions, "the newest"),
            table_title="Versions, newest first",
            shown=newest,
            charted=newest[::-1],
            metrics=columns_of(newest),
        )
    return found


def _metrics(shelf: Shelf) -> dict[str, VersionList]:
    """Give a list for each metric, the best version first."""
    names = dict.fromkeys((*columns_of(shelf.versions), *metrics_of(shelf.versions)))
    found = {}
    for name in list(names)[:_MOST_METRICS]:
        order = ranked(shelf.versions, name)
        having = [version for version in shelf.versions[:_MOST_CHARTED] if name in version.metrics]
        if order:
            found[file_name("metric", name)] = VersionList(
                title=name,
                heading=f"Metric {name}",
                lead=_of(order[:PER_PAGE], order, "the best"),
                table_title="Versions, best first",
                shown=order[:PER_PAGE],
                charted=having[::-1],
                metrics=(name,),
            )
    return found


def _of(some: Sequence[Version], of_all: Sequence[Version], which: str) -> str:
    if len(some) == len(of_all):
        return counted(len(of_all), "version")
    return f"{counted(len(of_all), 'version')}; the table has {which} {len(some)}"


def _links(title: str, lists: Mapping[str, VersionList]) -> Links:
    return Links(title=title, links=tuple(Link(href=file, text=it.title) for file, it in lists.items()))
