"""Quantities as people read them: sizes, durations, changes of a metric."""

from __future__ import annotations

import math

from ci_mlsnap.domain.metrics import Scalar, lower_is_better, number


def size(count: int) -> str:
    """Write a number of bytes with decimal units, three digits: `218 KB`, `1.07 GB`."""
    value = float(count)
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if value < 999.5 or unit == "TB":
            return f"{value:.0f} {unit}" if unit == "B" or value >= 99.5 else f"{value:.3g} {unit}"
        value /= 1000
    raise AssertionError("unreachable")


def duration(seconds: float) -> str:
    """Write a duration in its largest two units: `0.04 s`, `12.7 s`, `3 min 5 s`, `2 h 10 min`."""
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def counted(count: int, word: str) -> str:
    """Write a count with its noun: `1 file`, `3 files`, `2 processes`, `4 entries`."""
    if count == 1:
        return f"1 {word}"
    plural = f"{word[:-1]}ies" if word.endswith("ry") else f"{word}es" if word.endswith("s") else f"{word}s"
    return f"{count:,} {plural}"


def change(name: str, value: Scalar, base: Scalar | None) -> str:
    """Write how a metric moved against its baseline: `+0.0111`; empty without two finite numbers."""
    difference = number(value) - number(base if base is not None else "nan")
    return f"{difference:+.4f}" if math.isfinite(difference) else ""


def better(name: str, value: Scalar, base: Scalar | None) -> bool | None:
    """Tell whether a metric moved the good way; None when it did not move or cannot be compared."""
    difference = number(value) - number(base if base is not None else "nan")
    if not math.isfinite(difference) or difference == 0:
        return None
    return (difference < 0) == lower_is_better(name)
