"""What git says of the code of two commits."""

from __future__ import annotations

import msgspec


class LineChange(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the code, with how many lines came and went; None for one that is no text."""

    path: str
    added: int | None
    removed: int | None
