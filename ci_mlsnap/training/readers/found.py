"""What has been read so far: metrics by name, once each, and curves, all bounded in number and size."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

METRICS_AT_MOST = 1000
POINTS_AT_MOST = 1000
_NAME_AT_MOST = 200
_KEPT_AT_MOST = 4 * POINTS_AT_MOST

Point = tuple[float, float]
"""A step and the value there."""


class Refused(Exception):
    """Why a file is no metrics, and the way out."""


class Found:
    """The metrics of all files of one request. Methods raise `Refused`."""

    def __init__(self) -> None:
        self.scalars: dict[str, float | str] = {}
        self.curves: dict[str, tuple[list[float], list[float]]] = {}

    def add(self, name: str, value: float, *, replace: bool = True) -> None:
        """Take a final value; without `replace` an earlier one of the name stays."""
        _require_name(name)
        if name in self.scalars and not replace:
            return
        self.scalars[name] = value if math.isfinite(value) else str(value)
        if len(self.scalars) > METRICS_AT_MOST:
            raise too_many()

    def add_curve(self, name: str, points: list[Point], *, replace: bool = True) -> None:
        """Take a curve, thinned, and its last value."""
        if points:
            self.add(name, points[-1][1], replace=replace)
            thinned = _thinned(points)
            self.curves[name] = ([step for step, _ in thinned], [value for _, value in thinned])

    def answer(self) -> dict[str, Any]:
        """Give all of it as JSON's values."""
        curves = [
            {"name": name, "steps": steps, "values": [it if math.isfinite(it) else str(it) for it in values]}
            for name, (steps, values) in self.curves.items()
        ]
        return {"scalars": self.scalars, "curves": curves}


class Curves:
    """Curves that come point by point, in bounded memory however many points there are."""

    def __init__(self) -> None:
        self._curves: dict[str, _Growing] = {}

    def add(self, name: str, step: float, value: float) -> None:
        """Take one point. Raises `Refused` for too many names."""
        curve = self._curves.get(name)
        if curve is None:
            if len(self._curves) >= METRICS_AT_MOST:
                raise too_many()
            curve = self._curves[name] = _Growing()
        curve.add((step, value))

    def drop(self, name: str) -> None:
        """Forget a curve."""
        self._curves.pop(name, None)

    def __bool__(self) -> bool:
        return bool(self._curves)

    def give(self, found: Found, read: Callable[[float], float] = float) -> None:
        """Hand the curves over, each value as `read` gives it; final values that another file has stay."""
        for name, curve in self._curves.items():
            points = [(step, read(value)) for step, value in curve.points()]
            found.add_curve(name, points, replace=False)


class _Growing:
    """One curve: every so-many-th point, and the newest.

    A step that is not beyond the last one is a training that went on from an earlier state: what it had done
    after that step counts no more.
    """

    def __init__(self) -> None:
        self._kept: list[Point] = []
        self._newest: Point = (-math.inf, math.nan)
        self._every = 1
        self._seen = 0

    def add(self, point: Point) -> None:
        while self._kept and self._kept[-1][0] >= point[0]:
            self._kept.pop()
        if self._seen % self._every == 0:
            self._kept.append(point)
        self._newest = point
        self._seen += 1
        if len(self._kept) > _KEPT_AT_MOST:
            self._kept = self._kept[::2]
            self._every *= 2

    def points(self) -> list[Point]:
        return self._kept if self._kept and self._kept[-1] is self._newest else [*self._kept, self._newest]


def too_many() -> Refused:
    """Give the refusal of too many metrics."""
    return Refused(f"it holds more than {METRICS_AT_MOST} metrics", "report the ones that are looked at")


def _require_name(name: str) -> None:
    try:
        name.encode()
        fine = 0 < len(name) <= _NAME_AT_MOST
    except UnicodeEncodeError:
        fine = False
    if not fine:
        why = f"the name of a metric is empty, no Unicode, or longer than {_NAME_AT_MOST} characters"
        raise Refused(why, "give it a short name")


def _thinned(points: list[Point]) -> list[Point]:
    """Keep so many points, evenly, the first and the last among them."""
    if len(points) <= POINTS_AT_MOST:
        return points
    last = len(points) - 1
    return [points[place * last // (POINTS_AT_MOST - 1)] for place in range(POINTS_AT_MOST)]
