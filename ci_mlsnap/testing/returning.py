"""Going back, clones, and what is left over."""

from __future__ import annotations

import os
import shutil
from typing import Literal

import pytest

from ci_mlsnap.errors import MlsnapError, NoSuchVersion, TreeUnsupported, VolumeForeign, VolumeMissing
from ci_mlsnap.testing.acts import NOTHING, folder_of, hostile, names_in, published, ready, refuses, upset
from ci_mlsnap.testing.ground import (
    FIRST,
    MODEL,
    PROJECT,
    SECOND,
    DriverUnderTest,
    every_stat,
    look,
    manifest_of,
    marker_of,
    publish,
    write,
)


class Restoring:
    """Going back, and clones."""

    @pytest.mark.parametrize("way", ["swap", "sync"])
    def test_a_restore_is_exact(self, driver: DriverUnderTest, way: Literal["swap", "sync"]) -> None:
        published(driver)
        before = look(driver.live)
        upset(driver.live)
        if refuses(driver, way):
            return
        driver.driver.restore(FIRST, driver.live, way=way)
        assert look(driver.live) == before

    @pytest.mark.parametrize("way", ["swap", "sync"])
    def test_what_was_restored_shares_nothing_with_the_snapshot(
        self, driver: DriverUnderTest, way: Literal["swap", "sync"]
    ) -> None:
        published(driver)
        if refuses(driver, way):
            return
        shutil.rmtree(driver.live / "epoch")
        driver.driver.restore(FIRST, driver.live, way=way)
        for file in ("weights.bin", "epoch/1/log.txt"):
            with (driver.live / file).open("r+b") as opened:
                opened.write(b"!")
        driver.driver.read_back(FIRST)

    def test_going_back_leaves_what_is_newer(self, driver: DriverUnderTest) -> None:
        published(driver)
        first = look(driver.live)
        upset(driver.live)
        second = look(driver.live)
        publish(driver.driver, driver.live, SECOND, parent=FIRST)
        driver.driver.restore(FIRST, driver.live)
        assert look(driver.live) == first
        driver.driver.restore(SECOND, driver.live)
        assert look(driver.live) == second

    def test_restoring_twice_is_restoring_once(self, driver: DriverUnderTest) -> None:
        published(driver)
        before = look(driver.live)
        driver.driver.restore(FIRST, driver.live)
        driver.reopen().restore(FIRST, driver.live)
        assert look(driver.live) == before
        driver.driver.initialise(project=PROJECT, model=MODEL)

    def test_a_reader_in_the_old_tree_keeps_it_whole(self, driver: DriverUnderTest) -> None:
        published(driver)
        if not driver.driver.capabilities.swap:
            return
        publish(driver.driver, driver.live, SECOND, parent=FIRST)
        write(driver.live, {"weights.bin": b"newer", "only-here": b"newer"})
        reader = os.open(driver.live, os.O_RDONLY | os.O_DIRECTORY)
        try:
            before = names_in(reader)
            restored = driver.driver.restore(FIRST, driver.live, way="swap")
            assert names_in(reader) == before
            with os.fdopen(os.open("weights.bin", os.O_RDONLY, dir_fd=reader), "rb") as file:
                assert file.read() == b"newer"
        finally:
            os.close(reader)
        assert restored.displaced is not None
        assert (restored.displaced / "only-here").read_bytes() == b"newer"

    @pytest.mark.parametrize("way", [None, "swap", "sync"])
    def test_a_missing_live_tree_is_made_again(
        self, driver: DriverUnderTest, way: Literal["swap", "sync"] | None
    ) -> None:
        made = ready(driver)
        publish(driver.driver, driver.live, FIRST)
        before = look(driver.live)
        shutil.rmtree(driver.live)
        if not driver.driver.capabilities.makes_volume:
            with pytest.raises(VolumeMissing):
                driver.driver.restore(FIRST, driver.live, way=way)
            assert not driver.live.exists()
            return
        driver.driver.restore(FIRST, driver.live, way=way)
        assert look(driver.live) == before
        assert driver.driver.initialise(project=PROJECT, model=MODEL) == made

    @pytest.mark.parametrize("way", [None, "swap", "sync"])
    def test_a_volume_of_another_id_is_not_touched(
        self, driver: DriverUnderTest, way: Literal["swap", "sync"] | None
    ) -> None:
        published(driver)
        record = driver.live / ".mlsnap/volume.json"
        record.write_text(record.read_text().replace(driver.driver.volume_id, "f" * 32))
        before = every_stat(driver.live)
        with pytest.raises(VolumeForeign):
            driver.driver.restore(FIRST, driver.live, way=way)
        with pytest.raises(VolumeForeign):
            driver.driver.initialise(project=PROJECT, model=MODEL)
        assert every_stat(driver.live) == before

    def test_an_unknown_version_is_not_restored(self, driver: DriverUnderTest) -> None:
        published(driver)
        before = every_stat(driver.live)
        with pytest.raises(NoSuchVersion):
            driver.driver.restore(NOTHING, driver.live)
        assert every_stat(driver.live) == before

    def test_a_clone_is_exact_writable_and_on_its_own(self, driver: DriverUnderTest) -> None:
        published(driver)
        clone = driver.driver.clone(FIRST, driver.scratch / "clone")
        assert look(clone) == look(driver.live)
        upset(clone)
        driver.driver.read_back(FIRST)
        driver.driver.remove_clone(clone)
        driver.driver.remove_clone(clone)
        assert not clone.exists()

    def test_a_clone_of_nothing_is_an_empty_folder(self, driver: DriverUnderTest) -> None:
        ready(driver)
        clone = driver.driver.clone(None, driver.scratch / "clone")
        assert look(clone) == {}
        write(clone, {"weights.bin": b"x"})

    def test_a_clone_that_was_renamed_is_still_one(self, driver: DriverUnderTest) -> None:
        published(driver)
        renamed = driver.driver.clone(FIRST, driver.scratch / "clone").rename(driver.scratch / "renamed")
        driver.driver.remove_clone(renamed)
        assert not renamed.exists()

    def test_a_clone_replaces_nothing_and_only_clones_are_removed(self, driver: DriverUnderTest) -> None:
        published(driver)
        place = driver.ground / "somebody"
        write(place, {"precious": b"work"})
        for act in (lambda: driver.driver.clone(FIRST, place), lambda: driver.driver.remove_clone(place)):
            with pytest.raises(MlsnapError):
                act()
        assert (place / "precious").read_bytes() == b"work"


class LeftOver:
    """What was begun and not ended, and what restores displaced."""

    def test_a_frozen_tree_is_unfinished_until_it_is_sealed_or_discarded(self, driver: DriverUnderTest) -> None:
        ready(driver)
        assert list(driver.driver.unfinished()) == []
        first, second = (
            driver.driver.freeze(driver.live, parent=None, full=False, inventory=True) for _ in range(2)
        )
        assert sorted(driver.reopen().unfinished()) == sorted((first.token, second.token))
        manifest = manifest_of(driver.driver, FIRST, first)
        driver.driver.seal(first, manifest, marker_of(FIRST, manifest))
        assert list(driver.reopen().unfinished()) == [second.token]
        driver.reopen().discard(second.token)
        assert list(driver.driver.unfinished()) == []
        driver.driver.read_back(FIRST)

    def test_a_refused_freeze_leaves_nothing_unfinished(self, driver: DriverUnderTest) -> None:
        ready(driver)
        with hostile(driver.live, "fifo"), pytest.raises(TreeUnsupported):
            driver.driver.freeze(driver.live, parent=None, full=False, inventory=True)
        assert list(driver.driver.unfinished()) == []

    def test_displaced_trees_are_listed_oldest_first_and_kept_whole(self, driver: DriverUnderTest) -> None:
        published(driver)
        if not driver.driver.capabilities.swap:
            return
        assert list(driver.driver.trash()) == []
        for number in (b"1", b"2"):
            write(driver.live, {"only-here": number})
            driver.driver.restore(FIRST, driver.live, way="swap")
        trees = driver.reopen().trash()
        assert [(tree / "only-here").read_bytes() for tree in trees] == [b"1", b"2"]
        assert [snapshot.name for snapshot in driver.driver.list()] == [str(FIRST)]

    def test_purging_one_displaced_tree_leaves_all_else(self, driver: DriverUnderTest) -> None:
        published(driver)
        if not driver.driver.capabilities.swap:
            return
        for _ in range(2):
            driver.driver.restore(FIRST, driver.live, way="swap")
        first, second = driver.driver.trash()
        before = look(driver.live)
        driver.driver.purge(first)
        driver.reopen().purge(first)
        assert list(driver.reopen().trash()) == [second]
        assert look(driver.live) == look(second) == before
        driver.driver.read_back(FIRST)

    @pytest.mark.parametrize("what", ["a snapshot", "the live tree", "somebody's folder"])
    def test_only_displaced_trees_are_purged(self, driver: DriverUnderTest, what: str) -> None:
        published(driver)
        view = driver.driver.view(FIRST)
        places = {
            "a snapshot": view.resolve(),
            "the live tree": driver.live,
            "somebody's folder": folder_of(driver, {"precious": b"work"}),
        }
        before = every_stat(driver.ground)
        with pytest.raises(MlsnapError):
            driver.driver.purge(places[what])
        assert every_stat(driver.ground) == before
