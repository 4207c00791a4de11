from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_mlsnap.domain import announcing
from ci_mlsnap.domain.event import Event
from ci_mlsnap.domain.gates import Finding, Gate, Verdict
from ci_mlsnap.domain.metrics import Metrics
from ci_mlsnap.domain.plan import Plan
from ci_mlsnap.domain.record import Outcome, Record, VolumeRecord
from ci_mlsnap.domain.status import DESCRIPTION_LIMIT, State
from ci_mlsnap.domain.texts import change, counted, duration, size

A, B = "a" * 40, "b" * 40
PLAN = Plan(
    action="train",
    project="org/digits",
    model="digits",
    event=Event(kind="push", sha=A),
    commit=A,
    name=A,
    context="mlsnap/digits",
    target_url="https://ci.example/run/1",
    tool="0.1.0",
)
VOLUME = VolumeRecord(
    name="models",
    driver="local",
    way="copy",
    volume_id="v1",
    path="/r/models",
    snapshot=A,
    manifest_digest="0123456789abcdef" * 4,
    files=3,
    bytes=218_000,
)


def _record(outcome: Outcome, **changes: Any) -> Record:
    record = Record(
        format="mlsnap/record/1",
        outcome=outcome,
        project="org/digits",
        model="digits",
        commit=A,
        volume=VOLUME,
        metrics=Metrics(scalars={"accuracy": 0.9611}),
        verdict=Verdict(good=True),
        tool="0.1.0",
    )
    return msgspec.structs.replace(record, **changes)


def test_a_success_names_snapshot_metric_change_and_digest() -> None:
    made = announcing.concluded(PLAN, _record("good", baseline=B, baseline_metrics={"accuracy": 0.95}))
    assert made.state == "success"
    assert made.target_url == "https://ci.example/run/1"
    for word in ("aaaaaaa", "accuracy 0.9611", "+0.0111 vs bbbbbbb", "3 files", "218 KB", "manifest 0123456789ab"):
        assert word in made.description


def test_a_version_that_was_not_walked_says_so() -> None:
    volume = msgspec.structs.replace(VOLUME, files=0, bytes=0)
    assert "contents not inventoried" in announcing.concluded(PLAN, _record("good", volume=volume)).description


@pytest.mark.parametrize(
    ("outcome", "exit_code", "state"),
    [
        ("good", 0, "success"),
        ("gate-missed", 12, "failure"),
        ("failed", 10, "failure"),
        ("failed", 11, "failure"),
        ("failed", 20, "error"),
        ("failed", 21, "error"),
        ("failed", 60, "error"),
        ("failed", 1, "error"),
        ("cancelled", 130, "error"),
        ("reused", 0, "success"),
        ("nothing", 0, "success"),
    ],
)
def test_failure_is_the_models_fault_and_error_the_infrastructures(
    outcome: Outcome, exit_code: int, state: State
) -> None:
    assert announcing.concluded(PLAN, _record(outcome, exit_code=exit_code, reason="it broke")).state == state


def test_only_outcomes_with_a_good_version_or_nothing_to_train_are_a_success() -> None:
    bad = Verdict(good=False, findings=(Finding(metric="accuracy", good=False, text="accuracy 0.1 < 0.9"),))
    for how in ("own", "same-tree", "same-inputs"):
        plan = msgspec.structs.replace(PLAN, action="announce", answered_by=B, answered_how=how)
        assert announcing.concluded(plan, _record("reused", verdict=bad)).state == "failure"
        assert announcing.concluded(plan, _record("reused")).state == "success"


def test_what_was_used_instead_is_said() -> None:
    plan = msgspec.structs.replace(PLAN, action="announce", answered_by=B, answered_how="same-tree")
    text = announcing.concluded(plan, _record("reused")).description
    assert "Not trained" in text
    assert "bbbbbbb" in text


_hostile = st.one_of(
    st.text(max_size=200), st.sampled_from(["\x1b[2J" * 40, "😀" * 200, "a\n::error::b", "\u202e" * 9])
)
_outcomes: list[Outcome] = ["good", "gate-missed", "failed", "cancelled", "reused", "nothing"]


@given(st.sampled_from(_outcomes), _hostile, _hostile, st.one_of(st.floats(-1e300, 1e300), st.just("nan")))
def test_every_status_keeps_the_limit_and_its_state_whatever_strangers_wrote(
    outcome: Outcome, text: str, metric: str, value: float | str
) -> None:
    finding = Finding(metric=metric, good=False, text=text)
    record = _record(
        outcome,
        reason=text,
        metrics=Metrics(scalars={metric: value}),
        gates=(Gate(metric=metric, min=0),),
        verdict=Verdict(good=False, findings=(finding, finding, finding)),
        baseline=text,
        baseline_metrics={metric: 1.0},
        exit_code=20,
        steps={"train": 1e9},
    )
    for made in (
        announcing.concluded(PLAN, record),
        announcing.waiting(PLAN, text),
        announcing.gone(PLAN.context, A, text),
    ):
        assert len(made.description) <= DESCRIPTION_LIMIT
        assert made.description.isprintable()
        assert (made.sha, made.context) == (A, "mlsnap/digits")


def test_a_missed_gate_says_which_before_the_text_is_cut() -> None:
    findings = tuple(Finding(metric="m", good=False, text=f"m{n} 0.1 < 0.9 " + "x" * 50) for n in range(9))
    made = announcing.concluded(PLAN, _record("gate-missed", verdict=Verdict(good=False, findings=findings)))
    assert made.description.startswith("Gate missed: m0 0.1 < 0.9")
    assert made.description.endswith("snapshot kept, not advanced")


def test_beginning_and_waiting_are_pending() -> None:
    assert announcing.pending(PLAN).state == "pending"
    assert announcing.waiting(PLAN, "run 7").state == "pending"
    assert announcing.gone("c", A, A).state == "error"


@given(st.integers(0, 10**18))
def test_sizes_are_short(count: int) -> None:
    assert size(count).split()[1] in ("B", "KB", "MB", "GB", "TB")
    assert len(size(count)) <= 12
    assert "e" not in size(count)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 KB"),
        (218_000, "218 KB"),
        (999_600, "1 MB"),
        (1_073_741_824, "1.07 GB"),
    ],
)
def test_sizes_read_as_people_write_them(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.041, "0.04 s"), (12.66, "12.7 s"), (59.96, "60.0 s"), (185, "3 min 5 s"), (7800, "2 h 10 min")],
)
def test_durations_read_as_people_write_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_counts_and_changes_read_as_people_write_them() -> None:
    assert (counted(1, "file"), counted(0, "file"), counted(12345, "file")) == (
        "1 file",
        "0 files",
        "12,345 files",
    )
    assert (change("m", 0.5, 0.4), change("m", "nan", 0.4), change("m", 0.5, None)) == ("+0.1000", "", "")


def test_a_pruned_version_is_said_to_be_pruned_with_the_verdict_it_had() -> None:
    states: tuple[State, State] = ("success", "failure")
    for state in states:
        made = announcing.pruned("mlsnap/digits", A, state, name=f"{A}.2", day="2026-03-01", near=B)
        assert made.state == state
        start, _, end = made.description.partition("; ")
        assert start == "Pruned on 2026-03-01: snapshot aaaaaaa.2 is not kept"
        assert end == "the nearest kept version is bbbbbbb"
    alone = announcing.pruned("mlsnap/digits", A, "success", name=A, day="2026-03-01")
    assert alone.description == "Pruned on 2026-03-01: snapshot aaaaaaa is not kept"


def test_a_version_that_came_back_carries_its_digest_again() -> None:
    made = announcing.brought_back(
        "mlsnap/digits", A, "success", name=A, manifest_digest="0123456789ab" + "f" * 52
    )
    assert made.description == "Snapshot aaaaaaa is back from the trash, manifest 0123456789ab"


def test_a_storage_that_is_nearly_full_is_said_behind_the_rest() -> None:
    volume = msgspec.structs.replace(VOLUME, filling="storage 93 % full")
    made = announcing.concluded(PLAN, _record("good", volume=volume))
    assert made.description.endswith("manifest 0123456789ab, storage 93 % full")
