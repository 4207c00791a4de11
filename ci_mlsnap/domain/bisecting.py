"""Which of a row of versions is the first bad one, in as few looks as can be: pure, so that it can be proved."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import msgspec

from ci_mlsnap.domain.metrics import Scalar, number

Judgement = Literal["good", "bad", "skip"]
Judged = Sequence[Judgement | None]
"""What is known of each version of a row, oldest first: None is not judged yet. The first was called good by a
person, the last bad, and both may be judged too."""


class Border(msgspec.Struct, frozen=True, kw_only=True):
    """Where good turns to bad: the indexes of the last good and the first bad version, and of those between them
    that nobody could judge."""

    good: int
    bad: int
    skipped: tuple[int, ...] = ()


def border(judged: Judged) -> Border:
    """Give what is known of the border: the first bad one, and the last good one before it."""
    last = len(judged) - 1
    bad = next((index for index in range(1, last) if judged[index] == "bad"), last)
    good = next((index for index in range(bad - 1, 0, -1) if judged[index] == "good"), 0)
    skipped = tuple(index for index in range(good + 1, bad) if judged[index] == "skip")
    return Border(good=good, bad=bad, skipped=skipped)


def next_to_judge(judged: Judged) -> int | None:
    """Give the index of the version to judge next; None when the border is found.

    In the end an end of the row that the border rests on is judged too, so that nobody's word alone decides. Of
    `n` versions at most `log2(n) + 1` are judged, and one more for each that could not be: while an end was not
    judged, the half beside it is the smaller one, which leaves time to judge it.
    """
    now = border(judged)
    between = [index for index in range(now.good + 1, now.bad) if judged[index] is None]
    if between:
        middle = len(between) // 2 if judged[now.good] else (len(between) - 1) // 2
        return between[middle]
    return next((end for end in (now.bad, now.good) if judged[end] is None), None)


def contradicted(judged: Judged) -> Literal["good", "bad"] | None:
    """Say which end of the row was judged to be the opposite of what a person called it; None for neither."""
    if judged[-1] == "good":
        return "bad"
    return "good" if judged[0] == "bad" else None


def judge_exit(code: int) -> Judgement | None:
    """Read an exit code as `git bisect run` does; None for one that ends the search."""
    if code == 125:
        return "skip"
    return "good" if code == 0 else "bad" if 0 < code < 128 else None


def judge_metric(value: Scalar | None, *, min: float | None, max: float | None) -> Judgement:
    """Hold a metric against bounds; without it there is no judgement; NaN and infinity are bad as for gates."""
    if value is None:
        return "skip"
    found = number(value)
    holds = (min is None or found >= min) and (max is None or found <= max)
    return "good" if holds and math.isfinite(found) else "bad"
