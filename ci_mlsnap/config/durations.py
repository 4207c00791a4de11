"""Durations as people write them."""

from __future__ import annotations

import math
import re

LONGEST = 366 * 86400.0
"""The longest duration that is no slip of the pen, in seconds."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_TEXT = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([smhd])", re.ASCII)


def seconds(value: object) -> float | None:
    """Read `90s`, `30m`, `6h`, `2d`, or a number of seconds; None for anything else, and beyond a year."""
    if isinstance(value, str):
        found = _TEXT.fullmatch(value)
        count = float(found[1]) * _UNITS[found[2]] if found else math.nan
    elif isinstance(value, int | float) and not isinstance(value, bool):
        count = float(value) if abs(value) <= LONGEST else math.nan
    else:
        count = math.nan
    return count if 0 <= count <= LONGEST else None
