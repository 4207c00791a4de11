"""What git says of commits: facts, the graph that they make, the lines between two of them, and dates."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence

from ci_mlsnap.domain.code import LineChange
from ci_mlsnap.errors import UsageError
from ci_mlsnap.git.run import Git
from ci_mlsnap.ports import CommitFacts, GraphLine

_FIELDS = ("%H", "%T", "%P", "%s", "%an", "%cI")
_FORMAT = "%x00".join(_FIELDS)
_LOG = ("log", "--no-show-signature", "--no-patch", "--no-color", "--encoding=UTF-8")
_UNREADABLE = "the history cannot be read"
_AT_ONCE = 1000
"""How many commits are asked for by one command: its arguments must not become too long."""
_DAY = re.compile(r"\s*[0-9]{4}-[0-9]{2}-[0-9]{2}\s*")
_NOW = frozenset({"now", "today"})


def commits(git: Git, *selection: str) -> Iterator[CommitFacts]:
    """Give the commits that `git log` gives for these options and revisions, in its order. Raises `GitFailed`."""
    listed = git.run(*_LOG, "-z", f"--format={_FORMAT}", *selection, what=_UNREADABLE)
    fields = [text.decode("utf-8", "replace") for text in listed.split(b"\0")[:-1]]
    return map(_facts, zip(*(iter(fields),) * len(_FIELDS), strict=True))


def known(git: Git, shas: Sequence[str]) -> Mapping[str, CommitFacts]:
    """Give the facts of those of the commits that are here. Raises `GitFailed`."""
    found: dict[str, CommitFacts] = {}
    for start in range(0, len(shas), _AT_ONCE):
        some = shas[start : start + _AT_ONCE]
        found |= {it.sha: it for it in commits(git, "--ignore-missing", "--no-walk=unsorted", *some)}
    return found


def graph(git: Git, *selection: str, room: int) -> Iterator[GraphLine]:
    """Give the lines of git's own graph: each commit's, with `room` lines left below it, and those between.

    Raises `GitFailed`.
    """
    # git draws nothing before a line behind a NUL, so facts are asked for apart: subjects hold all other signs.
    listed = git.run(*_LOG, "--graph", "--format=%x01%H" + "%n%x01" * room, *selection, what=_UNREADABLE)
    lines = [line.decode("ascii", "replace").partition("\x01") for line in listed.split(b"\n")[:-1]]
    facts = known(git, [sha for _, _, sha in lines if sha])
    for drawn, mark, sha in lines:
        yield GraphLine(drawn=drawn.rstrip(), commit=facts[sha] if sha else None, room=bool(mark) and not sha)


def line_changes(git: Git, before: str, after: str, *, below: str) -> list[LineChange]:
    """Give the files that differ between two commits, with their lines that came and went. Raises `GitFailed`.

    Programs that the repository names for showing differences are not run.
    """
    listed = git.run(
        *("diff", "--numstat", "-z", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color"),
        *(before, after, "--", *([below] if below not in ("", ".") else [])),
        what="the commits cannot be compared",
    )
    return [_change(*line.split(b"\t", 2)) for line in listed.split(b"\0")[:-1]]


def moment(git: Git, text: str) -> int:
    """Read a date as git does (`2 weeks ago`, `2026-11-25 12:00`), in seconds since the epoch.

    Raises `UsageError` for what git cannot read, and takes for the present. A day without a time is its begin,
    where git takes the present time on that day.
    """
    asked = git.ask("rev-parse", f"--since={text} 00:00:00" if _DAY.fullmatch(text) else f"--since={text}")
    answer = asked.line.decode("ascii", "replace").removeprefix("--max-age=")
    if asked.code != 0 or not answer.isdigit() or (_is_now(int(answer)) and text.strip().lower() not in _NOW):
        raise UsageError(
            f"{text[:80]!r} is no date that git can read",
            safe="nothing was done",
            hint="write one such as 2026-11-25, '2026-11-25 12:00' or '2 weeks ago'",
        )
    return int(answer)


def _is_now(seconds: int) -> bool:
    return abs(seconds - time.time()) < 2


def _facts(fields: Sequence[str]) -> CommitFacts:
    sha, tree, parents, subject, author, when = fields
    return CommitFacts(
        sha=sha, tree=tree, parents=tuple(parents.split()), subject=subject, author=author, time=when
    )


def _change(added: bytes, removed: bytes, path: bytes) -> LineChange:
    counts = (int(count) if count.isdigit() else None for count in (added, removed))
    one, other = counts
    return LineChange(path=os.fsdecode(path), added=one, removed=other)
