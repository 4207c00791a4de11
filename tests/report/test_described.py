"""The line for the list of builds."""

from __future__ import annotations

import pytest

from ci_mlsnap.domain.gates import Verdict
from ci_mlsnap.domain.metrics import Metrics
from ci_mlsnap.report.described import described
from tests.report.corpus import HOSTILE
from tests.report.records import SHA, hostile_record, record

GOOD = {"outcome": "good", "verdict": Verdict(good=True), "exit_code": 0}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (GOOD, "mlsnap abababa → snapshot, accuracy 0.9611"),
        ({}, "mlsnap abababa → gate missed, snapshot kept, accuracy 0.9611"),
        (
            {"outcome": "failed", "volume": None, "error": "integrity"},
            "mlsnap abababa → no snapshot: integrity",
        ),
        ({"outcome": "cancelled", "volume": None}, "mlsnap abababa → cancelled, no snapshot"),
        ({"outcome": "nothing", "volume": None}, "mlsnap abababa → nothing to train"),
        (
            {"outcome": "reused", "commit": "ef" * 20},
            "mlsnap efefefe → not trained, snapshot abababa is used, accuracy 0.9611",
        ),
    ],
)
def test_a_run_is_described_in_one_line(changes: dict[str, object], line: str) -> None:
    metrics = {} if changes.get("volume", "there") else {"metrics": Metrics()}
    assert described(record(**changes, **metrics)) == line


@pytest.mark.parametrize("text", HOSTILE)
def test_a_strangers_text_is_no_markup_and_no_second_line(text: str) -> None:
    line = described(hostile_record(text))
    assert line.isprintable()
    assert len(line) <= 160
    assert not set("<>&") & set(line)
    assert SHA[:7] in line
