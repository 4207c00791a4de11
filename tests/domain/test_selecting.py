"""Which versions a list shows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_mlsnap.domain.pins import Pin
from ci_mlsnap.domain.selecting import (
    attempts,
    best,
    by_commit,
    data_snapshots,
    metrics_of,
    newest_first,
    of_branch,
    on_data,
    ranked,
    since,
)
from ci_mlsnap.domain.versions import Version
from tests.domain.strategies import version

A, B, C, D = "a" * 40, "b" * 40, "c" * 40, "d" * 40


def _names(versions: list[Version]) -> list[str]:
    return [found.header.name for found in versions]


def _scored(name: str, sequence: int, **metrics: float | str) -> Version:
    return version(name, sequence=sequence, metrics=metrics)


@pytest.mark.parametrize(("metric", "order"), [("accuracy", [B, A, C]), ("loss", [C, A, B])])
def test_the_best_come_first_in_the_direction_that_the_name_tells(metric: str, order: list[str]) -> None:
    scores = {A: 0.5, B: 0.9, C: 0.1}
    versions = [_scored(name, number, **{metric: score}) for number, (name, score) in enumerate(scores.items())]
    assert _names(ranked(versions, metric)) == order


def test_what_has_no_number_is_never_best() -> None:
    versions = [_scored(A, 1, loss="nan"), _scored(B, 2, loss="-inf"), _scored(C, 3), _scored(D, 4, loss=2.0)]
    assert _names(ranked(versions, "loss")) == [D]


def test_of_equal_ones_the_newest_is_first() -> None:
    assert _names(ranked([_scored(A, 1, f1=0.5), _scored(B, 2, f1=0.5)], "f1")) == [B, A]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=8))
def test_ranking_loses_and_adds_nothing(scores: list[float]) -> None:
    versions = [_scored(f"{number:040x}", number, accuracy=score) for number, score in enumerate(scores)]
    found = ranked(versions, "accuracy")
    assert sorted(_names(found)) == sorted(_names(versions))
    assert [v.metrics["accuracy"] for v in found] == sorted(scores, reverse=True)


def test_the_best_is_a_good_one_by_the_metric_of_the_newest() -> None:
    bad = version(C, sequence=3, good=False, metrics={"accuracy": 0.99})
    found = best([_scored(A, 1, accuracy=0.9), _scored(B, 2, accuracy=0.8, loss=0.1), bad])
    assert found is not None and found.header.name == A
    assert best([bad]) is None
    assert best([version(A)]) is None


def test_keepsakes_and_dirty_trees_are_no_attempts() -> None:
    versions = [version(A), version(f"{A}.2"), version(f"{A}-keep-1"), version(f"{A}-dirty-12345678")]
    assert _names(attempts(versions)) == [A, f"{A}.2"]


def test_order_is_that_of_the_sequence_and_not_of_clocks() -> None:
    old = version(A, sequence=2, created="2001-01-01T00:00:00+00:00")
    assert _names(newest_first([version(B, sequence=1), old])) == [A, B]
    found = by_commit([version(A, sequence=1), version(f"{A}.2", sequence=5), version(B, sequence=3)])
    assert {sha: _names(versions) for sha, versions in found.items()} == {A: [f"{A}.2", A], B: [B]}


@pytest.mark.parametrize("branch", ["side", "refs/heads/side", "heads/side"])
def test_versions_of_a_branch_are_those_that_say_so(branch: str) -> None:
    versions = [
        version(A, ref="refs/heads/side"),
        version(B, ref="refs/heads/sides"),
        version(C),
        version(D, ref="refs/heads/x/side"),
    ]
    assert _names(of_branch(versions, branch)) == [A]


def test_since_counts_from_the_moment_itself() -> None:
    versions = [
        version(A, created="2026-01-02T03:04:05+00:00"),
        version(B, created="2026-01-02T03:04:04Z"),
        version(C, created="2027-01-01T00:00:00Z"),
    ]
    assert _names(since(versions, "2026-01-02T03:04:05+00:00")) == [A, C]


def test_versions_are_found_by_their_data() -> None:
    own = Pin(volume="images", kind="snapshot", path="/d", name=B, native_id="uuid-1")
    daily = Pin(volume="images", kind="existing", path="/d", name="daily.2026")
    versions = [version(A, pins=(own,)), version(C, pins=(daily,)), version(D)]
    for asked in (B, "bbbbbbb", B[:12], "uuid-1"):
        assert _names(on_data(versions, asked)) == [A], asked
    assert _names(on_data(versions, "daily.2026")) == [C]
    for asked in ("", "bbb", "daily", "images", "/d"):
        assert on_data(versions, asked) == [], asked


def test_snapshots_of_data_are_named_once_those_of_the_newest_first() -> None:
    def on(name: str) -> tuple[Pin, ...]:
        return (Pin(volume="images", kind="existing", path="/d", name=name),)

    versions = [version(A, sequence=1, pins=on("old")), version(B, sequence=3, pins=on("new"))]
    assert data_snapshots([*versions, version(C, sequence=2, pins=on("old")), version(D)]) == ["new", "old"]


def test_metrics_are_named_once_in_order() -> None:
    assert metrics_of([_scored(A, 1, loss=1.0), _scored(B, 2, accuracy=1.0, loss=2.0)]) == ["accuracy", "loss"]
