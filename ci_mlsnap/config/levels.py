"""The three levels of trust, the sources of settings, and which source stands at which level."""

from __future__ import annotations

from enum import Enum, IntEnum

import msgspec


class Level(IntEnum):
    """Who may set something; a higher level may set all that a lower one may."""

    TESTED = 1
    """The tested commit of a change request: a stranger's proposal."""
    REPOSITORY = 2
    """The repository's file at the pushed commit, or at the base commit of a change request."""
    OPERATOR = 3
    """Whoever runs the machine or the CI job."""

    @property
    def shown(self) -> str:
        """The level as messages name it."""
        return {
            Level.TESTED: "the tested commit of a change request",
            Level.REPOSITORY: "the repository's file",
            Level.OPERATOR: "the operator",
        }[self]


class Source(Enum):
    """Where a setting was read, from the weakest to the strongest."""

    DEFAULT = "default"
    REPOSITORY = "repository file"
    TESTED = "tested commit"
    GIT_CONFIG = "git config"
    ENVIRONMENT = "environment"
    CI_INPUT = "CI input"
    FLAG = "command line"
    SITE = "site file"

    @property
    def rank(self) -> int:
        """The precedence: of two sources that set a key, the one of the higher rank wins."""
        return list(Source).index(self)

    @property
    def level(self) -> Level:
        """The trust that the source has."""
        return {Source.REPOSITORY: Level.REPOSITORY, Source.TESTED: Level.TESTED}.get(self, Level.OPERATOR)


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Which source set a key: `place` is the file, variable or flag; `line` is 0 where there is none."""

    source: Source
    place: str = ""
    line: int = 0

    @property
    def shown(self) -> str:
        """The origin in a few words: `mlsnap.toml:3`, `MLSNAP__MODEL`, `default`."""
        place = self.place or self.source.value
        shown = f"{place}:{self.line}" if self.line else place
        return f"{shown} (change request)" if self.source is Source.TESTED else shown
