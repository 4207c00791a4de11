from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_mlsnap.domain.gates import Gate, judge
from ci_mlsnap.domain.metrics import Scalar, headline, lower_is_better, number, shown, stored

finite = st.floats(-1e6, 1e6)


@given(st.sampled_from([math.nan, math.inf, -math.inf]), st.floats(-1e6, 1e6))
def test_a_metric_that_is_no_finite_number_misses_every_gate(value: float, bound: float) -> None:
    for gate in (
        Gate(metric="m", min=bound),
        Gate(metric="m", max=bound),
        Gate(metric="m", max_drop=abs(bound)),
        Gate(metric="m", max_rise=abs(bound)),
        Gate(metric="m"),
    ):
        assert not judge([gate], {"m": stored(value)}, {"m": 1.0}).good


@given(finite)
def test_a_metric_that_was_not_reported_misses_its_gate(bound: float) -> None:
    verdict = judge([Gate(metric="m", min=bound)], {"n": 1.0}, {})
    assert not verdict.good
    assert "not reported" in verdict.missed[0].text


@given(finite, finite)
def test_fixed_bounds_include_the_bound_itself(value: float, bound: float) -> None:
    assert judge([Gate(metric="m", min=bound)], {"m": value}, {}).good == (value >= bound)
    assert judge([Gate(metric="m", max=bound)], {"m": value}, {}).good == (value <= bound)


@given(finite, finite, st.floats(0, 1e6))
def test_a_drop_and_a_rise_are_mirror_images(value: float, base: float, bound: float) -> None:
    drop = judge([Gate(metric="m", max_drop=bound)], {"m": value}, {"m": base}).good
    rise = judge([Gate(metric="m", max_rise=bound)], {"m": -value}, {"m": -base}).good
    assert drop == rise


@given(finite, finite, st.floats(0, 1e6))
def test_a_change_for_the_better_never_misses_a_comparison(value: float, base: float, bound: float) -> None:
    better, worse = max(value, base), min(value, base)
    assert judge([Gate(metric="m", max_drop=bound)], {"m": better}, {"m": worse}).good
    assert judge([Gate(metric="m", max_rise=bound)], {"m": worse}, {"m": better}).good


@pytest.mark.parametrize(("value", "good"), [(0.94, True), (0.9399, False), (0.95, True), (0.99, True)])
def test_a_drop_of_exactly_the_bound_is_within_it(value: float, good: bool) -> None:
    """0.95 - 0.94 is a little more than 0.01 in binary."""
    assert judge([Gate(metric="m", max_drop=0.01)], {"m": value}, {"m": 0.95}).good is good


@pytest.mark.parametrize("baseline", [{}, {"m": "nan"}, {"m": "inf"}, {"other": 1.0}])
def test_without_a_usable_baseline_a_comparison_passes_and_says_so(baseline: dict[str, Scalar]) -> None:
    verdict = judge([Gate(metric="m", max_drop=0.01)], {"m": 0.1}, baseline)
    assert verdict.good
    assert "no baseline" in verdict.findings[0].text


def test_one_missed_rule_among_many_makes_the_verdict_bad_and_is_named() -> None:
    gates = [Gate(metric="a", min=0.5, max=0.9), Gate(metric="b", max=1.0)]
    verdict = judge(gates, {"a": 0.95, "b": 0.5}, {})
    assert not verdict.good
    assert [finding.text for finding in verdict.missed] == ["a 0.9500 > 0.9000"]
    assert len(verdict.findings) == 3


def test_a_version_without_gates_is_good() -> None:
    assert judge([], {"m": "nan"}, {}).good


@pytest.mark.parametrize("value", ["1.0", "0", "Infinity", "", "true"])
def test_a_text_is_no_number_even_when_it_looks_like_one(value: str) -> None:
    assert not judge([Gate(metric="m", min=-1e9)], {"m": value}, {}).good


@given(st.floats())
def test_every_float_is_stored_and_read_back(value: float) -> None:
    back = number(stored(value))
    assert back == value or (math.isnan(back) and math.isnan(value))


@given(st.floats())
def test_every_value_can_be_shown_in_few_characters(value: float) -> None:
    assert 1 <= len(shown(stored(value))) <= len("-999999999999999")


@pytest.mark.parametrize("name", ["loss", "val_loss", "error_rate", "train/rmse", "WER", "test.mae"])
def test_less_of_a_loss_or_an_error_is_better(name: str) -> None:
    assert lower_is_better(name)


@pytest.mark.parametrize("name", ["accuracy", "f1", "auc", "glossary_hits", "terror", "maestro"])
def test_more_of_the_rest_is_better(name: str) -> None:
    assert not lower_is_better(name)


def test_the_metric_shown_first_is_a_gated_one_then_a_usual_one_then_the_first_by_name() -> None:
    scalars: dict[str, Scalar] = {"zeta": 1.0, "loss": 0.2, "accuracy": 0.9, "beta": 3.0}
    assert headline(scalars, ("zeta",)) == "zeta"
    assert headline(scalars) == "accuracy"
    assert headline({"zeta": 1.0, "beta": 2.0}) == "beta"
    assert headline({}) is None
