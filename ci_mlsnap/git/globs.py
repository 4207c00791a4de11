"""Patterns of files: `*` and `?` within a folder's name, `**` over any number of folders."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Sequence


def matcher(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Give the test whether a path, with `/` between its parts, matches one of the patterns.

    A pattern that matches a folder matches all below it: `src` is `src/**`.
    """
    compiled = [_compiled(pattern) for pattern in patterns]

    def matches(path: str) -> bool:
        parts = path.split("/")
        return any(_matches(pattern, parts) for pattern in compiled)

    return matches


_Segment = re.Pattern[str] | None
"""What one folder's or file's name must match; None is `**`."""


def _compiled(pattern: str) -> list[_Segment]:
    segments: list[_Segment] = []
    for text in pattern.removeprefix("./").strip("/").split("/"):
        if text.startswith("**"):
            segments.append(None)
        if text != "**":
            segments.append(re.compile(fnmatch.translate(re.sub(r"\*+", "*", text)), re.DOTALL))
    return segments


def _matches(pattern: Sequence[_Segment], parts: Sequence[str]) -> bool:
    """Follow all ways through the pattern at once: the time is at most its length times the path's."""
    places = _with_skips(pattern, {0})
    for part in parts:
        places = _with_skips(
            pattern, {_after(pattern[place], part, place) for place in places if place < len(pattern)} - {-1}
        )
        if len(pattern) in places:
            return True
    return False


def _after(segment: _Segment, part: str, place: int) -> int:
    if segment is None:
        return place
    return place + 1 if segment.match(part) else -1


def _with_skips(pattern: Sequence[_Segment], places: set[int]) -> set[int]:
    """Add the places behind each `**`, which may stand for no folder at all."""
    reached: set[int] = set()
    for start in places:
        place = start
        reached.add(place)
        while place < len(pattern) and pattern[place] is None:
            place += 1
            reached.add(place)
    return reached
