"""Problems of a configuration: collected while reading, told all at once."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ci_mlsnap.config.levels import Origin, Source
from ci_mlsnap.domain.status import cut, one_line
from ci_mlsnap.errors import ConfigInvalid, ConfigLevel, Remark

MOST_TOLD = 20


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong: where, at which key, what, and the way out. `misplaced` says that the key
    stands at a level that may not set it."""

    origin: Origin
    key: str
    text: str
    hint: str = ""
    misplaced: bool = False

    @property
    def line(self) -> str:
        """The problem in one line; names are strangers' text and are shown escaped and shortened."""
        where = ": ".join(part for part in (self.origin.shown, cut(one_line(self.key), 120)) if part)
        return f"{where}: {one_line(self.text)}"

    @property
    def remark(self) -> Remark:
        """The problem at its place in the repository's file, or without one where it stands elsewhere."""
        in_file = self.origin.source in (Source.REPOSITORY, Source.TESTED)
        key = cut(one_line(self.key), 120)
        return Remark(
            text=one_line(self.text) if key and in_file else self.line,
            title=f"mlsnap: {key}" if key else "mlsnap",
            file=self.origin.place if in_file else "",
            line=self.origin.line if in_file else 0,
        )


def raise_all(problems: Sequence[Problem]) -> None:
    """Raise `ConfigLevel` when all problems are keys at the wrong level, else `ConfigInvalid`; none is fine."""
    if not problems:
        return
    error = ConfigLevel if all(problem.misplaced for problem in problems) else ConfigInvalid
    hints = list(dict.fromkeys(problem.hint for problem in problems if problem.hint))
    told = [problem.line for problem in problems[:MOST_TOLD]]
    if len(problems) > MOST_TOLD:
        told.append(f"and {len(problems) - MOST_TOLD} more")
    one = len(told) == 1
    raise error(
        told[0] if one else f"the configuration has {len(problems)} problems",
        why="" if one else "\n".join(told),
        safe="nothing was done",
        hint="; ".join(hints[:3]) or "docs/configuration.md lists every key",
        remarks=(problem.remark for problem in problems),
    )
