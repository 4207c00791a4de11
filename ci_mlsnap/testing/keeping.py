"""Reading, damage, holding and deleting."""

from __future__ import annotations

from typing import Literal

import pytest

from ci_mlsnap.errors import IntegrityDamage, NoSuchVersion, SnapshotConflict, SnapshotForeign, SnapshotHeld
from ci_mlsnap.testing.acts import NOTHING, folder_of, published, ready, refuses
from ci_mlsnap.testing.ground import FIRST, SECOND, THIRD, DriverUnderTest, every_stat, look, publish, write


class Reading:
    """Looking things up."""

    def test_an_unknown_name_is_nothing(self, driver: DriverUnderTest) -> None:
        published(driver)
        assert driver.driver.get(NOTHING) is None
        look_up = driver.driver
        for read in (look_up.view, look_up.manifest, look_up.manifest_header, look_up.read_back):
            with pytest.raises(NoSuchVersion):
                read(NOTHING)

    def test_another_process_sees_the_same(self, driver: DriverUnderTest) -> None:
        snapshot, _ = published(driver)
        other = driver.reopen()
        assert other.get(FIRST) == snapshot
        assert list(other.list()) == [snapshot]
        assert other.view(FIRST) == driver.driver.view(FIRST)

    def test_a_view_is_there_by_its_path_alone(self, driver: DriverUnderTest) -> None:
        published(driver)
        assert (driver.driver.view(FIRST) / "epoch/1/log.txt").read_bytes() == b"loss 0.5\n"
        assert "path" in driver.driver.links(FIRST)

    def test_looking_writes_nothing(self, driver: DriverUnderTest) -> None:
        published(driver)
        driver.plant("hourly.0", driver.live)
        before = every_stat(driver.ground)
        other = driver.reopen()
        _ = other.volume_id, other.capabilities, other.probe(), other.state_folder()
        _ = other.get(FIRST), other.get(NOTHING), list(other.list()), list(other.used_names())
        _ = other.view(FIRST), other.manifest(FIRST), other.manifest_header(FIRST), other.links(FIRST)
        other.read_back(FIRST)
        assert every_stat(driver.ground) == before


class Damage:
    """Stored things that are not what was written."""

    def test_a_damaged_file_is_found_by_the_read_back(self, driver: DriverUnderTest) -> None:
        published(driver)
        driver.damage(FIRST, "weights.bin")
        with pytest.raises(IntegrityDamage, match="weights"):
            driver.reopen().read_back(FIRST)

    def test_a_damaged_file_is_not_shared_with_the_next_version(self, driver: DriverUnderTest) -> None:
        published(driver)
        driver.damage(FIRST, "script.sh")
        publish(driver.driver, driver.live, SECOND, parent=FIRST)
        driver.driver.read_back(SECOND)
        assert look(driver.driver.view(SECOND), write_bits=False) == look(driver.live, write_bits=False)
        with pytest.raises(IntegrityDamage):
            driver.driver.read_back(FIRST)

    @pytest.mark.parametrize("way", [None, "swap", "sync"])
    def test_damage_stops_a_restore_before_anything_changes(
        self, driver: DriverUnderTest, way: Literal["swap", "sync"] | None
    ) -> None:
        published(driver)
        if refuses(driver, way):
            return
        driver.damage(FIRST, "script.sh")
        write(driver.live, {"precious": b"work"})
        before = every_stat(driver.live)
        with pytest.raises(IntegrityDamage):
            driver.driver.restore(FIRST, driver.live, way=way)
        assert every_stat(driver.live) == before

    def test_a_damaged_version_is_not_cloned(self, driver: DriverUnderTest) -> None:
        published(driver)
        driver.damage(FIRST, "script.sh")
        with pytest.raises(IntegrityDamage):
            driver.driver.clone(FIRST, driver.scratch / "clone")
        assert not list(driver.scratch.iterdir())

    def test_a_damaged_manifest_is_found_and_the_others_still_read(self, driver: DriverUnderTest) -> None:
        published(driver)
        publish(driver.driver, driver.live, SECOND, parent=FIRST)
        driver.damage(FIRST, ".mlsnap/manifest.jsonl")
        other = driver.reopen()
        for read in (other.get, other.manifest, other.manifest_header, other.read_back):
            with pytest.raises(IntegrityDamage):
                read(FIRST)
        assert [snapshot.name for snapshot in other.list()] == [str(FIRST), str(SECOND)]
        other.read_back(SECOND)


class Keeping:
    """Holds and deleting."""

    def test_a_held_snapshot_is_not_deleted(self, driver: DriverUnderTest) -> None:
        published(driver)
        driver.driver.hold(FIRST, "ada")
        driver.driver.hold(FIRST, "ada")
        driver.driver.hold(FIRST, "ben")
        found = driver.reopen().get(FIRST)
        assert found is not None and found.holds == ("ada", "ben")
        driver.driver.release_hold(FIRST, "ada")
        with pytest.raises(SnapshotHeld):
            driver.reopen().delete(FIRST)
        driver.driver.read_back(FIRST)
        driver.driver.release_hold(FIRST, "ben")
        driver.reopen().delete(FIRST)
        assert driver.driver.get(FIRST) is None

    def test_releasing_what_nobody_holds_is_nothing(self, driver: DriverUnderTest) -> None:
        published(driver)
        driver.driver.release_hold(FIRST, "ada")
        driver.driver.release_hold(NOTHING, "ada")
        with pytest.raises(NoSuchVersion):
            driver.driver.hold(NOTHING, "ada")

    def test_deleting_what_is_gone_is_fine(self, driver: DriverUnderTest) -> None:
        published(driver)
        driver.driver.delete(FIRST)
        driver.driver.delete(FIRST)
        driver.driver.delete(NOTHING)

    def test_deleting_one_leaves_the_others_whole(self, driver: DriverUnderTest) -> None:
        published(driver)
        publish(driver.driver, driver.live, SECOND, parent=FIRST)
        publish(driver.driver, driver.live, THIRD, parent=SECOND)
        driver.driver.delete(SECOND)
        driver.driver.read_back(FIRST)
        driver.driver.read_back(THIRD)
        assert look(driver.driver.view(THIRD), write_bits=False) == look(driver.live, write_bits=False)

    def test_names_stay_used_after_they_are_deleted(self, driver: DriverUnderTest) -> None:
        published(driver)
        driver.driver.delete(FIRST)
        assert list(driver.reopen().used_names()) == [FIRST]
        with pytest.raises(SnapshotConflict):
            publish(driver.driver, driver.live, FIRST)

    def test_what_is_not_ours_is_never_deleted(self, driver: DriverUnderTest) -> None:
        ready(driver)
        driver.plant(str(FIRST), folder_of(driver, {"somebody": b"else's"}))
        with pytest.raises(SnapshotForeign):
            driver.driver.delete(FIRST)
        with pytest.raises(NoSuchVersion):
            driver.driver.hold(FIRST, "ada")
        assert driver.driver.get(FIRST) is not None
