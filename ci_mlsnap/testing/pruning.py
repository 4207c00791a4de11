"""The trash: what was pruned is out of sight, whole, and comes back as it was."""

from __future__ import annotations

import pytest

from ci_mlsnap.errors import NoSuchVersion, SnapshotConflict, SnapshotForeign, SnapshotHeld
from ci_mlsnap.testing.acts import NOTHING, folder_of, published, ready
from ci_mlsnap.testing.ground import FIRST, SECOND, DriverUnderTest, every_stat, look, publish


class Pruning:
    """Into the trash, back, and out of it for good."""

    def test_a_pruned_snapshot_is_out_of_sight(self, driver: DriverUnderTest) -> None:
        snapshot, _ = published(driver)
        publish(driver.driver, driver.live, SECOND, parent=FIRST)
        driver.driver.prune(FIRST)
        other = driver.reopen()
        assert other.get(FIRST) is None
        assert [found.name for found in other.list()] == [str(SECOND)]
        assert [(found.name, found.marker) for found in other.pruned()] == [(str(FIRST), snapshot.marker)]
        for read in (other.view, other.manifest, other.manifest_header, other.read_back):
            with pytest.raises(NoSuchVersion):
                read(FIRST)
        with pytest.raises(NoSuchVersion):
            other.hold(FIRST, "ada")
        other.read_back(SECOND)

    def test_it_comes_back_as_it_was(self, driver: DriverUnderTest) -> None:
        snapshot, _ = published(driver)
        before = look(driver.driver.view(FIRST))
        driver.driver.prune(FIRST)
        driver.reopen().undelete(FIRST)
        other = driver.reopen()
        assert other.get(FIRST) == snapshot
        assert list(other.pruned()) == []
        other.read_back(FIRST)
        assert look(other.view(FIRST)) == before

    def test_pruning_and_undeleting_again_change_nothing(self, driver: DriverUnderTest) -> None:
        published(driver)
        driver.driver.undelete(FIRST)
        driver.driver.prune(FIRST)
        before = every_stat(driver.ground)
        driver.driver.prune(FIRST)
        driver.driver.prune(NOTHING)
        assert _without_locks(every_stat(driver.ground)) == _without_locks(before)
        driver.driver.undelete(FIRST)
        before = every_stat(driver.ground)
        driver.driver.undelete(FIRST)
        assert _without_locks(every_stat(driver.ground)) == _without_locks(before)
        with pytest.raises(NoSuchVersion):
            driver.driver.undelete(NOTHING)

    def test_looking_into_the_trash_writes_nothing(self, driver: DriverUnderTest) -> None:
        published(driver)
        driver.driver.prune(FIRST)
        before = every_stat(driver.ground)
        driver.reopen().pruned()
        assert every_stat(driver.ground) == before

    def test_a_pruned_name_stays_used(self, driver: DriverUnderTest) -> None:
        published(driver)
        driver.driver.prune(FIRST)
        assert list(driver.reopen().used_names()) == [FIRST]
        with pytest.raises(SnapshotConflict):
            publish(driver.driver, driver.live, FIRST)

    def test_a_pruned_snapshot_can_be_deleted_for_good(self, driver: DriverUnderTest) -> None:
        published(driver)
        driver.driver.prune(FIRST)
        driver.driver.delete(FIRST)
        driver.driver.delete(FIRST)
        other = driver.reopen()
        assert list(other.pruned()) == [] and other.get(FIRST) is None
        assert list(other.used_names()) == [FIRST]
        with pytest.raises(NoSuchVersion):
            other.undelete(FIRST)

    def test_a_held_snapshot_is_not_pruned(self, driver: DriverUnderTest) -> None:
        published(driver)
        driver.driver.hold(FIRST, "ada")
        with pytest.raises(SnapshotHeld):
            driver.reopen().prune(FIRST)
        driver.driver.read_back(FIRST)

    def test_a_held_snapshot_is_deleted_where_that_is_meant(self, driver: DriverUnderTest) -> None:
        published(driver)
        driver.driver.hold(FIRST, "ada")
        driver.driver.delete(FIRST, even_held=True)
        assert driver.reopen().get(FIRST) is None

    def test_what_is_not_ours_is_never_pruned(self, driver: DriverUnderTest) -> None:
        ready(driver)
        driver.plant(str(FIRST), folder_of(driver, {"somebody": b"else's"}))
        for act in (driver.driver.prune, lambda name: driver.driver.delete(name, even_held=True)):
            with pytest.raises(SnapshotForeign):
                act(FIRST)
        assert driver.driver.get(FIRST) is not None

    def test_what_took_the_name_meanwhile_stays_and_the_snapshot_too(self, driver: DriverUnderTest) -> None:
        published(driver)
        driver.driver.prune(FIRST)
        driver.plant(str(FIRST), folder_of(driver, {"somebody": b"else's"}))
        with pytest.raises(SnapshotForeign):
            driver.driver.undelete(FIRST)
        assert [found.name for found in driver.driver.pruned()] == [str(FIRST)]
        found = driver.driver.get(FIRST)
        assert found is not None and found.marker is None


def _without_locks(facts: dict[str, tuple[object, ...]]) -> dict[str, tuple[object, ...]]:
    """Leave out what taking the store lock touches: nothing today, but a lock file's own facts are no promise."""
    return {name: found for name, found in facts.items() if not name.endswith("lock")}
