"""Gates over metrics, and the verdict: a pure decision, sealed in the manifest."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import msgspec

from ci_mlsnap.domain.metrics import Scalar, number, shown


class Gate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Bounds on one metric; `max_drop` and `max_rise` compare with the baseline's value."""

    metric: str
    min: float | None = None
    max: float | None = None
    max_drop: float | None = None
    max_rise: float | None = None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule of a gate said: `text` is for people and names value and bound."""

    metric: str
    good: bool
    text: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Good when no gate was missed; a version without gates is good."""

    good: bool
    findings: tuple[Finding, ...] = ()

    @property
    def missed(self) -> tuple[Finding, ...]:
        """The findings that made the verdict bad."""
        return tuple(finding for finding in self.findings if not finding.good)


def judge(gates: Iterable[Gate], scalars: Mapping[str, Scalar], baseline: Mapping[str, Scalar]) -> Verdict:
    """Hold metrics against gates; NaN, infinity or a missing metric misses its gate.

    A comparison with the baseline passes, and says so, while the baseline has no such finite value.
    """
    findings = tuple(finding for gate in gates for finding in _findings(gate, scalars, baseline))
    return Verdict(good=all(finding.good for finding in findings), findings=findings)


def _findings(gate: Gate, scalars: Mapping[str, Scalar], baseline: Mapping[str, Scalar]) -> Iterable[Finding]:
    if gate.metric not in scalars:
        yield Finding(metric=gate.metric, good=False, text=f"{gate.metric} was not reported")
        return
    value = number(scalars[gate.metric])
    if not math.isfinite(value):
        yield Finding(metric=gate.metric, good=False, text=f"{gate.metric} is {value}")
        return
    if gate.min is not None:
        yield _compared(gate.metric, value, value >= gate.min, ">=", "<", gate.min)
    if gate.max is not None:
        yield _compared(gate.metric, value, value <= gate.max, "<=", ">", gate.max)
    base = number(baseline.get(gate.metric, "nan"))
    if gate.max_drop is not None:
        yield _against(gate.metric, "drop", base - value, gate.max_drop, base)
    if gate.max_rise is not None:
        yield _against(gate.metric, "rise", value - base, gate.max_rise, base)


def _compared(metric: str, value: float, good: bool, fits: str, misses: str, bound: float) -> Finding:
    sign = fits if good else misses
    return Finding(metric=metric, good=good, text=f"{metric} {shown(value)} {sign} {shown(bound)}")


def _against(metric: str, word: str, change: float, bound: float, base: float) -> Finding:
    if not math.isfinite(base):
        return Finding(metric=metric, good=True, text=f"{metric} {word}: no baseline to compare with")
    # Ten parts in 10^12 of slack: 0.95 - 0.94 is more than 0.01 in binary, and nobody means that.
    good = change <= bound + 1e-11 * max(1.0, abs(base), abs(bound))
    rule = "within" if good else "beyond"
    return Finding(
        metric=metric,
        good=good,
        text=f"{metric} {word} {shown(max(change, 0.0))} from {shown(base)} is {rule} {shown(bound)}",
    )
