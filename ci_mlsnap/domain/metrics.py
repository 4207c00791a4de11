"""Metrics: numbers that training reported, the direction in which they are better, and curves."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import lru_cache

import msgspec

Scalar = float | str
"""A metric's value as stored: a number, or "nan", "inf", "-inf", which JSON has no number for."""

_DOWN = re.compile(
    r"(^|[^a-z])(loss|error|err|mse|rmse|mae|mape|perplexity|ppl|wer|cer|fid|nll|brier|latency)([^a-z]|$)"
)


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """One metric over training steps: `steps[i]` belongs to `values[i]`."""

    name: str
    steps: tuple[float, ...]
    values: tuple[Scalar, ...]


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """What one training run reported: final `scalars` by name, `curves`, and the `source` they were read from."""

    source: str = ""
    scalars: dict[str, Scalar] = {}
    curves: tuple[Curve, ...] = ()


def stored(value: float) -> Scalar:
    """Give the form in which a value is kept in JSON."""
    return value if math.isfinite(value) else "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"


def number(value: Scalar) -> float:
    """Give a stored value back as a number, `nan` for a text that is none."""
    if isinstance(value, float | int):
        return float(value)
    return {"inf": math.inf, "-inf": -math.inf}.get(value, math.nan)


@lru_cache(maxsize=1024)
def lower_is_better(name: str) -> bool:
    """Guess from a metric's name whether less of it is better, as for losses and errors."""
    return _DOWN.search(name.lower().replace("_", " ")) is not None


def headline(scalars: Mapping[str, Scalar], preferred: tuple[str, ...] = ()) -> str | None:
    """Name the metric to show first: a gated one, then the usual names, then the first by name."""
    usual = ("accuracy", "val_accuracy", "acc", "f1", "auc", "score", "loss", "val_loss")
    return next((name for name in (*preferred, *usual) if name in scalars), min(scalars, default=None))


def shown(value: Scalar) -> str:
    """Write a value for people: four decimals for the ordinary, whole large counts as such, `%g` for the rest."""
    n = number(value)
    if not math.isfinite(n):
        return str(n)
    if n.is_integer() and 100 <= abs(n) < 1e15:
        return f"{n:.0f}"
    return f"{n:.4f}" if n == 0 or 1e-3 <= abs(n) < 1e5 else f"{n:.4g}"
