from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_mlsnap.config.durations import LONGEST, seconds


@pytest.mark.parametrize(
    ("text", "expected"), [("90s", 90), ("30m", 1800), ("6h", 21600), ("2d", 172800), ("1.5h", 5400), ("0s", 0)]
)
def test_a_number_with_a_unit_is_read(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize(
    "value",
    [
        *("", "6", "6 h", "6H", "-1s", "h", "1h30m", "٣s", "1e3s", "6h\n", "999999999d"),
        *(True, False, None, [], -1, -0.5, float("nan"), float("inf"), 10**400, LONGEST + 1),
    ],
)
def test_anything_else_is_no_duration(value: object) -> None:
    assert seconds(value) is None


@given(st.integers(min_value=0, max_value=int(LONGEST)))
def test_a_bare_number_is_seconds_and_equals_its_text(count: int) -> None:
    assert seconds(count) == seconds(f"{count}s") == count
