"""The JUnit file, read by a parser as CIs do."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from ci_mlsnap.domain.gates import Finding, Gate, Verdict
from ci_mlsnap.domain.record import Record
from ci_mlsnap.domain.status import cut, one_line
from ci_mlsnap.report.junit import junit
from tests.report.corpus import HOSTILE
from tests.report.records import SHA, hostile_record, record


def cases(made: Record) -> dict[str, tuple[str, str]]:
    """Give for each case how it ended, and what it says."""
    suite = ET.fromstring(junit(made)).find("testsuite")
    assert suite is not None
    found = {}
    for case in suite.findall("testcase"):
        assert case.get("classname") == suite.get("name")
        result = next(iter(case), None)
        ended = "passed" if result is None or result.tag == "system-out" else result.tag
        said = "" if result is None else result.get("message") or result.text or ""
        found[str(case.get("name"))] = (ended, said)
    states = [state for state, _ in found.values()]
    assert suite.get("tests") == str(len(found))
    for attribute, state in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert suite.get(attribute) == str(states.count(state))
    return found


def test_a_run_has_a_case_for_the_training_and_one_for_each_gate() -> None:
    assert cases(record()) == {
        "training": ("passed", f"snapshot {SHA}"),
        "gate accuracy": ("passed", "accuracy 0.9611 >= 0.9000"),
        "gate val_loss": ("failure", "val_loss 0.2500 > 0.2000"),
    }


def test_a_metric_with_two_bounds_is_one_case_that_says_both() -> None:
    findings = (
        Finding(metric="val_loss", good=True, text="val_loss 0.2500 >= 0.1000"),
        Finding(metric="val_loss", good=False, text="val_loss 0.2500 > 0.2000"),
    )
    gates = (Gate(metric="val_loss", min=0.1, max=0.2),)
    found = cases(record(gates=gates, verdict=Verdict(good=False, findings=findings)))
    assert list(found) == ["training", "gate val_loss"]
    assert found["gate val_loss"] == ("failure", "val_loss 0.2500 > 0.2000")


@pytest.mark.parametrize(
    ("changes", "state", "says"),
    [
        ({"error": "training-failed", "reason": "it ended with 1", "exit_code": 10}, "failure", "it ended with 1"),
        ({"error": "late-writer", "reason": "late", "exit_code": 11}, "failure", "late"),
        ({"error": "storage-full", "reason": "no space", "exit_code": 20}, "error", "no space"),
        (
            {"outcome": "cancelled", "reason": "by SIGTERM", "exit_code": 143},
            "skipped",
            "by SIGTERM",
        ),
        ({"outcome": "nothing"}, "skipped", "nothing"),
    ],
)
def test_without_a_version_the_training_says_why_and_no_gate_is_judged(
    changes: dict[str, object], state: str, says: str
) -> None:
    found = cases(record(**{"outcome": "failed", "volume": None, "verdict": None} | changes))
    assert found["training"] == (state, says)
    assert {found["gate accuracy"][0], found["gate val_loss"][0]} == {"skipped"}


def test_a_commit_that_was_trained_before_passes_and_says_so() -> None:
    found = cases(record(outcome="reused", verdict=Verdict(good=True), gates=()))
    assert found == {"training": ("passed", f"not trained again: snapshot {SHA} is used")}


def test_times_are_seconds_with_a_point() -> None:
    text = junit(record(steps={"train": 61.5, "freeze": 0.25}, created="2026-11-25T10:00:00+00:00"))
    suite = ET.fromstring(text).find("testsuite")
    assert suite is not None
    assert (suite.get("time"), suite.get("timestamp")) == ("61.750", "2026-11-25T10:00:00")
    assert next(case.get("time") for case in suite) == "61.500"


@pytest.mark.parametrize("text", [*HOSTILE, "\x00\x08\x1b[31m", "\ud800", "\ufffe\uffff", "]]>", "x" * 5000])
def test_a_strangers_text_is_text_and_nothing_else(text: str) -> None:
    made = hostile_record(text)
    found = cases(made)
    name = cut(one_line(f"gate {text}"), 400)
    assert set(found) == {"training", name}
    assert found[name][0] == "failure"
    assert found[name][1] == cut(one_line(text), 400)
    failed = cases(record(outcome="failed", verdict=None, volume=None, gates=(Gate(metric=text),), reason=text))
    assert failed["training"][1] == cut(one_line(text), 400)
