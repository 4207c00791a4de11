"""A checkout without a CI: somebody runs mlsnap by hand, and HEAD is meant."""

from __future__ import annotations

from collections.abc import Mapping

from ci_mlsnap.ci.naming import explicit_sha
from ci_mlsnap.domain.event import Event
from ci_mlsnap.ports import Repository


class Checkout:
    """No CI. Fulfils `ports.Build`; the terminal shows everything already, so most of it does nothing."""

    name = ""

    def __init__(self, environ: Mapping[str, str], repository: Repository | None) -> None:
        self._environ = environ
        self._repository = repository

    def event(self) -> Event:
        """Name the commit that is checked out, or the one given by MLSNAP_SHA. Raises `UsageError`, `NoCommit`."""
        explicit = explicit_sha(self._environ)
        if self._repository is None:
            return Event(kind="local", sha=explicit)
        branch = self._repository.branch()
        return Event(
            kind="local",
            sha=explicit or self._repository.head(),
            ref=f"refs/heads/{branch}" if branch else "",
            branch=branch,
            repository=self._repository.origin(),
            default_branch=self._repository.default_branch(),
        )

    def group(self, title: str) -> None:
        """A terminal has no sections."""

    def error(self, text: str, *, title: str = "", file: str = "", line: int = 0) -> None:
        """The terminal shows it already."""

    def fence(self) -> None:
        """Nobody reads commands from a terminal."""

    def unfence(self) -> None:
        """There was no fence."""

    def output(self, values: Mapping[str, str]) -> None:
        """There are no later steps."""

    def summary(self, markdown: str) -> None:
        """There is no page."""
