"""What is remembered of removed versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci_mlsnap.domain.removed import Pruned, Told
from ci_mlsnap.errors import IntegrityDamage
from ci_mlsnap.state import pruned
from tests.domain.strategies import version

A, B = "a" * 40, "b" * 40


def removed(name: str, *, sequence: int, good: bool = True) -> Pruned:
    found = version(name, sequence=sequence, good=good)
    return Pruned(
        header=found.header,
        digest=found.digest,
        condition="trash",
        reason="no rule keeps it",
        by="ada",
        at="2026-03-01T00:00:00+00:00",
        since=1.0,
        told=(Told(repository="o/d", sha=A, context="mlsnap/digits", state="success"),),
    )


def test_what_was_written_is_found_again_by_name_and_by_commit(tmp_path: Path) -> None:
    first, second = removed(A, sequence=1), removed(f"{A}.2", sequence=5, good=False)
    for record in (second, first, removed(B, sequence=3)):
        pruned.write(tmp_path, record)
    assert pruned.find(tmp_path, A) == first
    assert [record.name for record in pruned.all_of(tmp_path)] == [A, B, f"{A}.2"]
    assert pruned.of_commit(tmp_path, A) == [first, second]
    pruned.forget(tmp_path, A)
    pruned.forget(tmp_path, A)
    assert pruned.find(tmp_path, A) is None


def test_nothing_removed_is_nothing_known(tmp_path: Path) -> None:
    assert pruned.all_of(tmp_path) == pruned.of_commit(tmp_path, A) == []
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_record_is_told_with_the_way_out(tmp_path: Path) -> None:
    pruned.write(tmp_path, removed(A, sequence=1))
    file = tmp_path / "pruned" / f"{A}.json"
    file.write_text(file.read_text().replace("mlsnap/pruned/1", "mlsnap/pruned/x"))
    with pytest.raises(IntegrityDamage) as caught:
        pruned.all_of(tmp_path)
    assert "comes back" in caught.value.hint
