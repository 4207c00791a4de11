"""The geometry of charts: where points, lines and ticks go. Templates draw them as SVG, style sheets colour them.

Across, places are shares of the width from 0 to 100, so that a chart fits any page and its text keeps its size;
down they are pixels. Numbers that are not finite leave a gap.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import msgspec

HEIGHT = 168
"""Of the part between the highest and the lowest tick, in pixels."""
_TRACK_HEIGHT = 112
_TICKS = 4
_MOST_STEPS = 400
"""How many points of a curve are drawn; more would be narrower than a pixel."""
_INSET = 1.5
"""The share of the width that stays free at both ends, so that no mark is cut off."""


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """What one point stands for. `label` is read out and shown beside the pointer, `text` always."""

    value: float
    label: str = ""
    href: str = ""
    kind: str = "good"
    text: str = ""


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A mark in its place."""

    x: float
    y: float
    mark: Mark


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """A line across the chart with its value."""

    y: float
    text: str


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """All that is drawn. `lines` are the points of polylines, `behind` those of the one to compare with."""

    title: str
    description: str
    ticks: tuple[Tick, ...]
    lines: tuple[str, ...]
    behind: tuple[str, ...] = ()
    points: tuple[Point, ...] = ()
    first: str = ""
    last: str = ""
    height: int = HEIGHT


class Track(msgspec.Struct, frozen=True, kw_only=True):
    """One metric over the steps of a training."""

    steps: Sequence[float]
    values: Sequence[float]

    def drawn(self) -> list[tuple[float, float]]:
        """Give at most as many points as can be told apart, the last one among them."""
        pairs = list(zip(self.steps, self.values, strict=False))
        every = math.ceil(len(pairs) / _MOST_STEPS) or 1
        return [*pairs[:-1:every], *pairs[-1:]]


def marks_chart(marks: Sequence[Mark], *, title: str, description: str, first: str, last: str) -> Chart | None:
    """Draw marks in their order, evenly apart; None where no value is finite."""
    scale = _Scale.of([mark.value for mark in marks], HEIGHT)
    if scale is None:
        return None
    apart = (100 - 2 * _INSET) / max(1, len(marks) - 1)
    points = [
        Point(x=round(_INSET + number * apart, 2), y=scale.y(mark.value), mark=mark)
        for number, mark in enumerate(marks)
        if math.isfinite(mark.value)
    ]
    return Chart(
        title=title,
        description=description,
        ticks=scale.ticks,
        lines=tuple(_polylines([(point.x, point.y) for point in points])),
        points=tuple(points),
        first=first,
        last=last,
    )


def track_chart(track: Track, behind: Track | None, *, title: str, description: str) -> Chart | None:
    """Draw a curve, and behind it the one to compare with; None where nothing can be drawn."""
    drawn, other = track.drawn(), behind.drawn() if behind is not None else []
    scale = _Scale.of([value for _, value in (*drawn, *other)], _TRACK_HEIGHT)
    steps = [step for step, _ in (*drawn, *other) if math.isfinite(step)]
    if scale is None or not steps:
        return None
    low, width = min(steps), (max(steps) - min(steps)) or 1.0

    def placed(pairs: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        return [(round(100 * (step - low) / width, 2), scale.y(value)) for step, value in pairs]

    return Chart(
        title=title,
        description=description,
        ticks=scale.ticks,
        lines=tuple(_polylines(placed(drawn))),
        behind=tuple(_polylines(placed(other))),
        first=f"{min(steps):g}",
        last=f"{max(steps):g}",
        height=_TRACK_HEIGHT,
    )


class _Scale(msgspec.Struct, frozen=True, kw_only=True):
    """From values to places: `low` and `high` are ticks."""

    low: float
    high: float
    step: float
    height: int

    @classmethod
    def of(cls, values: Sequence[float], height: int) -> _Scale | None:
        finite = [value for value in values if abs(value) < 1e300]
        if not finite:
            return None
        low, high = min(finite), max(finite)
        if low == high:
            low, high = low - abs(low) * 0.05 - 1e-9, high + abs(high) * 0.05 + 1e-9
        step = _round_step((high - low) / _TICKS)
        return cls(low=math.floor(low / step) * step, high=math.ceil(high / step) * step, step=step, height=height)

    @property
    def ticks(self) -> tuple[Tick, ...]:
        count = round((self.high - self.low) / self.step)
        digits = max(0, -math.floor(math.log10(self.step)))
        values = [self.low + number * self.step for number in range(count + 1)]
        return tuple(Tick(y=self.y(value), text=_tick_text(value, digits)) for value in values)

    def y(self, value: float) -> float:
        if not math.isfinite(value):
            return math.nan
        share = (value - self.low) / (self.high - self.low)
        return round(self.height * (1 - min(1.0, max(0.0, share))), 1)


def _round_step(wanted: float) -> float:
    """Give the next of 1, 2, 5, 10 … from there on, so that ticks are numbers that people count by."""
    power = float(10 ** math.floor(math.log10(max(wanted, 1e-300))))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= wanted * 0.999)


def _tick_text(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if digits <= 4 and abs(value) < 1e5 else f"{value:.3g}"


def _polylines(places: Sequence[tuple[float, float]]) -> Iterator[str]:
    """Give the points of each unbroken line."""
    line: list[str] = []
    for x, y in (*places, (math.nan, math.nan)):
        if math.isfinite(x) and math.isfinite(y):
            line.append(f"{x:g},{y:g}")
        else:
            if len(line) > 1:
                yield " ".join(line)
            line = []
