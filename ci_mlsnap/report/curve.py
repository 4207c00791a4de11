"""Curves in text: a sparkline for a table's cell, and a chart in Mermaid, which GitHub draws."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

import msgspec

from ci_mlsnap.domain.metrics import Curve, number
from ci_mlsnap.domain.status import cut

_BARS = "▁▂▃▄▅▆▇█"
_GAP = "·"
_POINTS = 50
_NAME_LIMIT = 40
_LARGEST, _SMALLEST = 1e12, 1e-6
"""Mermaid reads no exponents, so what is beyond these would be very long, or nothing but zeros."""


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """A curve that can be drawn: the text of a Mermaid chart, in which no stranger's character means anything."""

    name: str
    mermaid: str


def sparkline(curve: Curve, width: int = 12) -> str:
    """Draw a curve in a few characters; what is no finite number is a dot. Empty for less than two points."""
    values = [number(value) for _, value in _sampled(curve, width)]
    finite = [value for value in values if math.isfinite(value)]
    if len(values) < 2 or not finite:
        return ""
    low, high = min(finite), max(finite)
    return "".join(_bar(value, low, high) for value in values)


def chart(curve: Curve, *, axis: str = "step") -> Chart | None:
    """Draw a curve in Mermaid over its `axis`; None where that cannot be, as for one point or infinite values."""
    points = [(step, number(value)) for step, value in _sampled(curve, _POINTS)]
    points = [(step, value) for step, value in points if math.isfinite(value)]
    if len(points) < 2 or not _can_be_drawn([value for _, value in points]):
        return None
    first, last = points[0][0], points[-1][0]
    if not (first < last and _can_be_drawn([first, last])):
        return None
    name = plain(curve.name)
    lines = [
        "xychart-beta",
        f'  title "{name}"',
        f'  x-axis "{axis}" {_decimal(first)} --> {_decimal(last)}',
        f'  y-axis "{name}"',
        f"  line [{', '.join(_decimal(value) for _, value in points)}]",
    ]
    return Chart(name=curve.name, mermaid="\n".join(lines))


def plain(name: str) -> str:
    """Leave of a name only what means nothing in Mermaid: letters, digits, and a few signs."""
    kept = "".join(char if char.isalnum() or char in " _/+-" else "?" for char in name)
    return cut(kept, _NAME_LIMIT)


def _sampled(curve: Curve, most: int) -> list[tuple[float, float | str]]:
    """Take at most so many points, at even distances on the axis of steps, the first and the last among them."""
    steps, values = _ascending(curve)
    if len(steps) <= most:
        return list(zip(steps, values, strict=True))
    first, last = steps[0], steps[-1]
    wanted = [first + (last - first) * part / (most - 1) for part in range(most - 1)]
    found = [bisect_right(steps, step) - 1 for step in wanted] + [len(steps) - 1]
    return [(steps[index], values[index]) for index in found]


def _ascending(curve: Curve) -> tuple[Sequence[float], Sequence[float | str]]:
    """Give the points in the order of their finite steps; of several at one step the last."""
    points = {step: value for step, value in zip(curve.steps, curve.values, strict=False) if math.isfinite(step)}
    ordered = sorted(points.items())
    return [step for step, _ in ordered], [value for _, value in ordered]


def _bar(value: float, low: float, high: float) -> str:
    if not math.isfinite(value):
        return _GAP
    if high == low:
        return _BARS[0]
    # Halved first: the distance of two large numbers of either sign may be infinite.
    part = (value / 2 - low / 2) / (high / 2 - low / 2)
    return _BARS[min(int(part * len(_BARS)), len(_BARS) - 1)]


def _can_be_drawn(values: Sequence[float]) -> bool:
    largest = max(abs(value) for value in values)
    return largest < _LARGEST and (largest == 0 or largest >= _SMALLEST)


def _decimal(value: float) -> str:
    """Write a number without an exponent, with six decimals at most."""
    return f"{value:.6f}".rstrip("0").rstrip(".") or "0"
