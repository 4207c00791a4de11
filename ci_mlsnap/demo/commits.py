"""Commits with their statuses, as the forge's page of commits would show them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ci_mlsnap.demo.commit_board import CommitBoard

_MARKS = {"success": "✓", "pending": "●"}


def commit_page(board: CommitBoard, repository: str, commits: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Give the page's lines, newest commit first; `commits` are SHA and subject, oldest first."""
    yield f"{repository} · commits on main"
    for sha, subject in reversed(commits):
        combined = board.combined(repository, sha)
        yield f"  {_MARKS.get(str(combined['state']), '✗')} {sha[:7]}  {subject}"
        statuses = combined["statuses"]
        assert isinstance(statuses, list)
        for status in statuses:
            target = f"  -> {status['target_url']}" if status.get("target_url") else ""
            yield f"      {status['context']}  {status['state']}: {status['description']}{target}"
