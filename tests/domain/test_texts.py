from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_mlsnap.domain.metrics import Scalar, headline, lower_is_better, number, shown, stored
from ci_mlsnap.domain.texts import better, change, counted, duration, size

floats = st.floats()
scalars = st.one_of(st.floats(-1e300, 1e300), st.sampled_from(["nan", "inf", "-inf", "?"]))


@given(st.floats(0, 1e9))
def test_a_duration_has_at_most_two_units(seconds: float) -> None:
    assert re.fullmatch(r"\d\.\d\d s|[1-9]\d?\.\d s|\d+ min \d+ s|\d+ h \d+ min", duration(seconds))


@given(st.integers(60, 10**7))
def test_a_duration_of_minutes_counts_as_a_clock_does(seconds: int) -> None:
    first, one, second, _ = duration(seconds).split()
    whole = int(first) * (60 if one == "min" else 3600) + int(second) * (1 if one == "min" else 60)
    assert 0 <= int(second) < 60
    assert 0 <= seconds - whole < 60


@given(st.integers(0, 10**16), st.integers(0, 10**16))
def test_a_size_grows_with_the_count(one: int, other: int) -> None:
    units = ["B", "KB", "MB", "GB", "TB"]

    def back(text: str) -> float:
        amount, unit = text.split()
        return float(amount) * 1000.0 ** units.index(unit)

    small, large = sorted((one, other))
    assert back(size(small)) <= back(size(large))
    assert math.isclose(back(size(one)), one, rel_tol=0.006)


@pytest.mark.parametrize(
    ("count", "word", "text"),
    [
        (2, "process", "2 processes"),
        (3, "entry", "3 entries"),
        (1, "entry", "1 entry"),
        (0, "version", "0 versions"),
        (1_000_000, "file", "1,000,000 files"),
    ],
)
def test_nouns_have_their_plural(count: int, word: str, text: str) -> None:
    assert counted(count, word) == text


@given(scalars, st.one_of(st.none(), scalars))
def test_a_change_is_a_signed_number_or_nothing(value: Scalar, base: Scalar | None) -> None:
    text = change("m", value, base)
    finite = base is not None and math.isfinite(number(value) - number(base))
    assert bool(text) == finite
    assert not text or text[0] in "+-"


@given(scalars, scalars)
def test_what_is_better_one_way_is_worse_the_other(value: Scalar, base: Scalar) -> None:
    for name in ("accuracy", "loss"):
        there, back = better(name, value, base), better(name, base, value)
        assert (there is None) == (back is None)
        assert there is None or there != back
    upwards = better("accuracy", value, base)
    assert upwards is None or better("loss", value, base) == (not upwards)


def test_better_is_none_without_two_numbers_or_a_move() -> None:
    assert better("accuracy", 0.5, None) is None
    assert better("accuracy", "nan", 0.5) is None
    assert better("accuracy", 0.5, 0.5) is None
    assert better("accuracy", 0.6, 0.5) is True
    assert better("val_loss", 0.6, 0.5) is False


@pytest.mark.parametrize("name", ["loss", "val_loss", "train/loss", "RMSE", "top1-error", "wer", "Brier.score"])
def test_less_of_a_loss_is_better(name: str) -> None:
    assert lower_is_better(name)


@pytest.mark.parametrize("name", ["accuracy", "closs", "lossless", "terror", "f1", "power", "answer", ""])
def test_more_of_all_else_is_better(name: str) -> None:
    assert not lower_is_better(name)


@given(floats)
def test_a_value_survives_being_stored(value: float) -> None:
    again = number(stored(value))
    assert again == value or (math.isnan(again) and math.isnan(value))


@given(scalars)
def test_a_shown_value_is_short_and_close(value: Scalar) -> None:
    text = shown(value)
    assert len(text) <= 16
    if math.isfinite(number(value)):
        assert math.isclose(float(text), number(value), rel_tol=0.06)


@given(st.dictionaries(st.text(max_size=9), st.just(1.0), max_size=5), st.lists(st.text(max_size=9), max_size=3))
def test_the_headline_is_one_of_the_metrics_and_a_preferred_one_first(
    found: dict[str, float], preferred: list[str]
) -> None:
    name = headline(found, tuple(preferred))
    assert (name is None) == (not found)
    assert name is None or name in found
    wanted = [one for one in preferred if one in found]
    assert not wanted or name == wanted[0]
