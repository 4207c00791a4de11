from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.errors import IntegrityDamage, StorageFailed
from ci_mlsnap.ports import Snapshot
from ci_mlsnap.state import catalogue
from ci_mlsnap.state.sequences import next_sequence

ONE, TWO = "1" * 40, "2" * 40


def test_versions_are_ours_and_foreign_ones_are_not_looked_at(shelf: Any) -> None:
    shelf.add(ONE)
    shelf.snapshots.append(Snapshot(name="hourly.0", marker=None))
    shelf.snapshots.append(Snapshot(name=TWO, marker=None))
    (found,) = catalogue.versions(shelf.driver)
    assert found.name == SnapshotName(sha=ONE)
    assert found.digest == "d" * 64
    assert shelf.read == [ONE]


def test_looking_writes_nothing_unless_it_shall_remember(shelf: Any, state: Path) -> None:
    shelf.add(ONE)
    catalogue.read(shelf.driver)
    assert not state.exists()


def test_what_was_remembered_is_not_read_again(shelf: Any) -> None:
    shelf.add(ONE)
    first = catalogue.read(shelf.driver, remember=True)
    shelf.read.clear()
    assert catalogue.read(shelf.driver) == first
    assert shelf.read == []


def test_a_snapshot_with_another_marker_is_read_again(shelf: Any) -> None:
    shelf.add(ONE, sequence=1)
    catalogue.read(shelf.driver, remember=True)
    shelf.add(ONE, sequence=7, digest="e" * 64)
    (found,) = catalogue.versions(shelf.driver)
    assert (found.header.sequence, found.digest) == (7, "e" * 64)


def test_a_deleted_snapshot_is_forgotten(shelf: Any, state: Path) -> None:
    shelf.add(ONE)
    shelf.add(TWO)
    catalogue.read(shelf.driver, remember=True)
    shelf.remove(ONE)
    assert [str(found.name) for found in catalogue.versions(shelf.driver, remember=True)] == [TWO]
    assert list(json.loads((state / "catalogue.json").read_bytes())["versions"]) == [TWO]


def test_one_that_is_deleted_while_we_look_is_left_out(shelf: Any) -> None:
    shelf.add(ONE)
    shelf.headers.clear()
    assert catalogue.read(shelf.driver) == catalogue.Catalogue(versions=(), damaged=())


def test_a_damaged_version_is_named_and_hides_no_other(shelf: Any) -> None:
    shelf.add(ONE)
    shelf.add(TWO)
    shelf.damaged.add(ONE)
    found = catalogue.read(shelf.driver, remember=True)
    assert found.damaged == (ONE,)
    assert [str(version.name) for version in found.versions] == [TWO]
    shelf.damaged.clear()
    assert len(catalogue.versions(shelf.driver)) == 2


def test_a_manifest_of_another_snapshot_is_damage(shelf: Any) -> None:
    shelf.add(ONE, inside=TWO)
    assert catalogue.read(shelf.driver).damaged == (ONE,)


def test_a_storage_that_fails_is_not_taken_for_an_empty_one(shelf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: object) -> None:
        raise StorageFailed("the disk is gone")

    shelf.add(ONE)
    monkeypatch.setattr(shelf, "manifest_header", fail)
    with pytest.raises(StorageFailed):
        catalogue.read(shelf.driver)


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"format":"mlsnap/catalogue/9"}', b'{"format":"mlsnap/catalogue/1"}']
)
def test_a_damaged_cache_is_only_a_slower_start(shelf: Any, state: Path, content: bytes) -> None:
    shelf.add(ONE)
    first = catalogue.read(shelf.driver, remember=True)
    (state / "catalogue.json").write_bytes(content)
    assert catalogue.read(shelf.driver, remember=True) == first


def test_a_cached_header_under_another_name_is_not_believed(shelf: Any, state: Path) -> None:
    shelf.add(ONE, sequence=1)
    shelf.add(TWO, sequence=2)
    catalogue.read(shelf.driver, remember=True)
    cache = json.loads((state / "catalogue.json").read_bytes())
    cache["versions"][ONE] = cache["versions"][TWO]
    (state / "catalogue.json").write_text(json.dumps(cache))
    assert [found.header.sequence for found in catalogue.versions(shelf.driver)] == [1, 2]


# -- sequence numbers ----------------------------------------------------------------------------------


def test_each_number_is_above_all_before(shelf: Any, state: Path) -> None:
    assert [next_sequence(state, shelf.driver) for _ in range(3)] == [1, 2, 3]
    shelf.add(ONE, sequence=10)
    assert next_sequence(state, shelf.driver) == 11


def test_a_number_is_not_given_again_after_its_version_was_pruned(shelf: Any, state: Path) -> None:
    shelf.add(ONE, sequence=next_sequence(state, shelf.driver))
    shelf.remove(ONE)
    assert next_sequence(state, shelf.driver) == 2


def test_without_its_counter_counting_goes_on_from_the_newest_version(shelf: Any, state: Path) -> None:
    shelf.add(ONE, sequence=41)
    next_sequence(state, shelf.driver)
    (state / "sequence.json").unlink()
    assert next_sequence(state, shelf.driver) == 42


def test_a_damaged_counter_is_told_with_the_way_out(shelf: Any, state: Path) -> None:
    next_sequence(state, shelf.driver)
    (state / "sequence.json").write_bytes(b"7")
    with pytest.raises(IntegrityDamage) as caught:
        next_sequence(state, shelf.driver)
    assert "move the file away" in caught.value.hint


def test_processes_at_the_same_time_never_get_the_same_number(
    shelf: Any, state: Path, tmp_path: Path, together: Callable[[Sequence[Callable[[], object]]], list[int]]
) -> None:
    def count() -> None:
        for _ in range(10):
            (tmp_path / f"number-{next_sequence(state, shelf.driver)}").mkdir()

    assert together([count, count, count]) == [0, 0, 0]
    assert len(list(tmp_path.glob("number-*"))) == 30


def test_killed_at_any_step_the_next_number_is_still_a_new_one(
    shelf: Any, state: Path, tmp_path: Path, killed_at_each_step: Callable[..., int]
) -> None:
    given = tmp_path / "given"

    def take() -> None:
        number = next_sequence(state, shelf.driver)
        with given.open("a") as file:
            file.write(f"{number}\n")

    assert killed_at_each_step(lambda: None, take, take) >= 4
    numbers = [int(line) for line in given.read_text().split()]
    assert numbers == sorted(set(numbers))
