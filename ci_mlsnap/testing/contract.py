"""What every storage driver promises, as tests."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest

from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.errors import (
    IntegrityDamage,
    LinkEscapes,
    MlsnapError,
    NoSuchVersion,
    SnapshotConflict,
    SnapshotForeign,
    SnapshotHeld,
    TreeUnsupported,
    VolumeForeign,
)
from ci_mlsnap.ports import Frozen, Snapshot
from ci_mlsnap.testing.ground import (
    FIRST,
    MODEL,
    PROJECT,
    SECOND,
    THIRD,
    DriverUnderTest,
    every_stat,
    look,
    manifest_of,
    marker_of,
    publish,
    write,
    write_sample,
)

__all__ = ["DriverContract"]

NOTHING = SnapshotName(sha="9" * 40)


class _Volume:
    """The volume's own life: made, made again, refused to others."""

    def test_a_new_volume_gets_an_id_that_stays(self, driver: DriverUnderTest) -> None:
        assert driver.driver.volume_id == ""
        made = driver.driver.initialise(project=PROJECT, model=MODEL)
        assert made and driver.driver.volume_id == made == driver.reopen().volume_id
        assert driver.live.is_dir()

    def test_making_the_volume_again_changes_nothing(self, driver: DriverUnderTest) -> None:
        made = _ready(driver)
        before = look(driver.live)
        assert driver.reopen().initialise(project=PROJECT, model=MODEL) == made
        assert look(driver.live) == before

    def test_a_folder_that_holds_files_becomes_the_volume_and_keeps_them(self, driver: DriverUnderTest) -> None:
        write(driver.live, {"weights.bin": b"from before"})
        driver.driver.initialise(project=PROJECT, model=MODEL)
        assert (driver.live / "weights.bin").read_bytes() == b"from before"

    @pytest.mark.parametrize(("project", "model"), [(PROJECT, "other"), ("someone/else", MODEL)])
    def test_another_model_or_project_is_refused(self, driver: DriverUnderTest, project: str, model: str) -> None:
        _ready(driver)
        with pytest.raises(VolumeForeign):
            driver.reopen().initialise(project=project, model=model)

    def test_state_is_never_inside_the_live_tree(self, driver: DriverUnderTest) -> None:
        _ready(driver)
        state = driver.driver.state_folder()
        assert state.is_dir()
        assert not state.resolve().is_relative_to(driver.live.resolve())

    def test_probing_a_missing_volume_makes_nothing(self, driver: DriverUnderTest) -> None:
        before = every_stat(driver.ground)
        assert driver.driver.probe().volume_id == ""
        assert every_stat(driver.ground) == before

    def test_the_probe_counts_ours_and_foreign_ones(self, driver: DriverUnderTest) -> None:
        _published(driver)
        driver.plant("hourly.0", driver.live)
        probe = driver.driver.probe()
        assert (probe.snapshots, probe.foreign) == (1, 1)
        assert probe.way == driver.driver.capabilities.way


class _Freezing:
    """From a live tree to a snapshot."""

    def test_the_snapshot_equals_the_live_tree(self, driver: DriverUnderTest) -> None:
        _published(driver)
        seen = look(driver.driver.view(FIRST), write_bits=False)
        assert seen == look(driver.live, write_bits=False)

    def test_the_inventory_names_everything_once(self, driver: DriverUnderTest) -> None:
        _ready(driver)
        frozen = driver.driver.freeze(driver.live, parent=None, full=False, inventory=True)
        assert [os.fsdecode(entry.path) for entry in frozen.inventory.entries] == sorted(
            look(driver.live), key=os.fsencode
        )

    def test_the_manifest_inside_is_the_one_that_was_sealed(self, driver: DriverUnderTest) -> None:
        _ready(driver)
        frozen = driver.driver.freeze(driver.live, parent=None, full=False, inventory=True)
        manifest = manifest_of(driver.driver, FIRST, frozen)
        driver.driver.seal(frozen, manifest, marker_of(FIRST, manifest))
        other = driver.reopen()
        assert other.manifest(FIRST) == manifest
        assert other.manifest_header(FIRST) == manifest.header

    def test_nobody_sees_a_frozen_tree_before_it_is_sealed(self, driver: DriverUnderTest) -> None:
        _ready(driver)
        driver.driver.freeze(driver.live, parent=None, full=False, inventory=True)
        assert list(driver.driver.list()) == []
        assert driver.driver.get(FIRST) is None

    def test_later_writes_to_the_live_tree_do_not_reach_the_snapshot(self, driver: DriverUnderTest) -> None:
        _published(driver)
        before = look(driver.driver.view(FIRST))
        with (driver.live / "weights.bin").open("r+b") as file:
            file.write(b"written in place")
        with (driver.live / "epoch/1/log.txt").open("ab") as file:
            file.write(b"appended")
        os.truncate(driver.live / "sparse", 5)
        (driver.live / "script.sh").chmod(0o700)
        assert look(driver.driver.view(FIRST)) == before
        driver.driver.read_back(FIRST)

    def test_a_frozen_tree_does_not_follow_the_live_tree(self, driver: DriverUnderTest) -> None:
        _ready(driver)
        frozen = driver.driver.freeze(driver.live, parent=None, full=False, inventory=True)
        (driver.live / "weights.bin").write_bytes(b"late")
        (driver.live / "new").write_bytes(b"late")
        manifest = manifest_of(driver.driver, FIRST, frozen)
        driver.driver.seal(frozen, manifest, marker_of(FIRST, manifest))
        driver.driver.read_back(FIRST)

    def test_freezing_does_not_write_to_the_live_tree(self, driver: DriverUnderTest) -> None:
        _ready(driver)
        before = every_stat(driver.live)
        publish(driver.driver, driver.live, FIRST)
        publish(driver.driver, driver.live, SECOND, parent=FIRST)
        assert every_stat(driver.live) == before

    def test_an_empty_tree_is_a_version_too(self, driver: DriverUnderTest) -> None:
        driver.driver.initialise(project=PROJECT, model=MODEL)
        publish(driver.driver, driver.live, FIRST)
        driver.driver.read_back(FIRST)
        assert look(driver.driver.view(FIRST)) == {}
        write(driver.live, {"later": b"x"})
        driver.driver.restore(FIRST, driver.live)
        assert look(driver.live) == {}

    def test_a_workspace_can_be_frozen(self, driver: DriverUnderTest) -> None:
        _published(driver)
        workspace = driver.driver.clone(FIRST, driver.scratch / "run")
        write(workspace, {"weights.bin": b"trained further"})
        publish(driver.driver, workspace, SECOND, parent=FIRST)
        assert (driver.driver.view(SECOND) / "weights.bin").read_bytes() == b"trained further"
        assert look(driver.driver.view(SECOND)).keys() == look(driver.live).keys()

    def test_only_what_changed_is_copied_for_the_second_version(self, driver: DriverUnderTest) -> None:
        driver.driver.initialise(project=PROJECT, model=MODEL)
        write(driver.live, {f"part-{number:02}": bytes([number]) * 50_000 for number in range(20)})
        _, first = publish(driver.driver, driver.live, FIRST)
        assert first.copied_bytes == (0 if driver.driver.capabilities.instant else 20 * 50_000)
        (driver.live / "part-07").write_bytes(b"\xff" * 50_000)
        _, second = publish(driver.driver, driver.live, SECOND, parent=FIRST)
        assert second.copied_bytes == (0 if driver.driver.capabilities.instant else 50_000)
        driver.driver.read_back(FIRST)
        driver.driver.read_back(SECOND)
        assert look(driver.driver.view(SECOND), write_bits=False) == look(driver.live, write_bits=False)

    def test_a_change_that_keeps_size_and_time_is_found(self, driver: DriverUnderTest) -> None:
        _published(driver)
        _rewrite_unseen(driver.live / "weights.bin")
        publish(driver.driver, driver.live, SECOND, parent=FIRST)
        assert look(driver.driver.view(SECOND), write_bits=False) == look(driver.live, write_bits=False)

    @pytest.mark.parametrize("change", ["mode", "time", "links", "unlinked"])
    def test_a_change_of_facts_alone_reaches_the_new_version_only(
        self, driver: DriverUnderTest, change: str
    ) -> None:
        _published(driver)
        before = look(driver.driver.view(FIRST))
        match change:
            case "mode":
                (driver.live / "script.sh").chmod(0o705)
            case "time":
                os.utime(driver.live / "script.sh", ns=(5, 5))
            case "links":
                (driver.live / "private").unlink()
                os.link(driver.live / "script.sh", driver.live / "private")
            case _:
                _part(driver.live / "epoch/weights-again.bin")
        publish(driver.driver, driver.live, SECOND, parent=FIRST)
        assert look(driver.driver.view(SECOND), write_bits=False) == look(driver.live, write_bits=False)
        assert look(driver.driver.view(FIRST)) == before
        driver.driver.read_back(FIRST)
        driver.driver.read_back(SECOND)

    def test_reading_every_file_again_gives_the_same_version(self, driver: DriverUnderTest) -> None:
        _, first = _published(driver)
        _, second = publish(driver.driver, driver.live, SECOND, parent=FIRST, full=True)
        assert second.inventory == first.inventory

    def test_a_parent_that_is_gone_is_no_hindrance(self, driver: DriverUnderTest) -> None:
        _ready(driver)
        publish(driver.driver, driver.live, FIRST, parent=NOTHING)
        driver.driver.read_back(FIRST)

    @pytest.mark.parametrize("thing", ["fifo", "socket", "absolute link", "link out", "link through a link"])
    def test_what_no_snapshot_can_carry_is_refused_and_nothing_is_left(
        self, driver: DriverUnderTest, thing: str
    ) -> None:
        _published(driver)
        before = set(every_stat(driver.ground))
        with _hostile(driver.live, thing), pytest.raises((TreeUnsupported, LinkEscapes)):
            driver.driver.freeze(driver.live, parent=FIRST, full=False, inventory=True)
        assert set(every_stat(driver.ground)) == before


class _Publishing:
    """Names: taken once, by us, for ever."""

    def test_sealing_the_same_again_gives_what_exists(self, driver: DriverUnderTest) -> None:
        snapshot, frozen = _published(driver)
        again = driver.reopen().freeze(driver.live, parent=FIRST, full=False, inventory=True)
        manifest = manifest_of(driver.driver, FIRST, frozen)
        assert driver.reopen().seal(again, manifest, marker_of(FIRST, manifest)) == snapshot
        assert not again.path.exists()
        assert [found.name for found in driver.driver.list()] == [str(FIRST)]

    def test_another_content_under_a_taken_name_is_a_conflict(self, driver: DriverUnderTest) -> None:
        _published(driver)
        before = look(driver.driver.view(FIRST))
        write(driver.live, {"weights.bin": b"another"})
        with pytest.raises(SnapshotConflict):
            publish(driver.driver, driver.live, FIRST)
        assert look(driver.driver.view(FIRST)) == before

    def test_what_is_not_ours_under_the_name_is_refused_and_stays(self, driver: DriverUnderTest) -> None:
        _ready(driver)
        driver.plant(str(FIRST), _folder(driver, {"somebody": b"else's"}))
        before = every_stat(driver.ground).keys()
        frozen = driver.driver.freeze(driver.live, parent=None, full=False, inventory=True)
        manifest = manifest_of(driver.driver, FIRST, frozen)
        with pytest.raises(SnapshotForeign):
            driver.driver.seal(frozen, manifest, marker_of(FIRST, manifest))
        driver.driver.discard(frozen.token)
        assert set(before) <= every_stat(driver.ground).keys()
        found = driver.driver.get(FIRST)
        assert found is not None and found.marker is None

    def test_a_copy_of_ours_under_another_name_is_foreign(self, driver: DriverUnderTest) -> None:
        """An administrator's hourly snapshot also holds a manifest of ours."""
        _published(driver)
        driver.plant(str(SECOND), driver.driver.view(FIRST))
        driver.plant("hourly.2026-01-02_0305", driver.driver.view(FIRST))
        assert [snapshot.marker is None for snapshot in driver.driver.list()] == [False, True, True]
        with pytest.raises(NoSuchVersion):
            driver.driver.manifest(SECOND)
        with pytest.raises(NoSuchVersion):
            driver.driver.restore(SECOND, driver.live)
        with pytest.raises(SnapshotForeign):
            driver.driver.delete(SECOND)
        assert len(driver.driver.list()) == 3

    def test_snapshots_are_listed_in_the_order_of_their_names(self, driver: DriverUnderTest) -> None:
        _ready(driver)
        for name in (THIRD, FIRST, SnapshotName(sha=FIRST.sha, attempt=2), SECOND):
            publish(driver.driver, driver.live, name)
        names = [snapshot.name for snapshot in driver.reopen().list()]
        assert names == sorted(map(str, (FIRST, SnapshotName(sha=FIRST.sha, attempt=2), SECOND, THIRD)))

    def test_a_manifest_of_another_snapshot_is_refused(self, driver: DriverUnderTest) -> None:
        _ready(driver)
        frozen = driver.driver.freeze(driver.live, parent=None, full=False, inventory=True)
        manifest = manifest_of(driver.driver, FIRST, frozen)
        with pytest.raises(IntegrityDamage):
            driver.driver.seal(frozen, manifest, marker_of(SECOND, manifest))
        assert list(driver.driver.list()) == []

    def test_a_frozen_tree_is_discarded_also_after_a_crash(self, driver: DriverUnderTest) -> None:
        _ready(driver)
        frozen = driver.driver.freeze(driver.live, parent=None, full=False, inventory=True)
        later = driver.reopen()
        later.discard(frozen.token)
        later.discard(frozen.token)
        assert not frozen.path.exists()
        publish(later, driver.live, FIRST)
        later.read_back(FIRST)

    def test_what_was_frozen_before_a_crash_can_be_sealed_after_it(self, driver: DriverUnderTest) -> None:
        _ready(driver)
        frozen = driver.driver.freeze(driver.live, parent=None, full=False, inventory=True)
        later = driver.reopen()
        manifest = manifest_of(later, FIRST, frozen)
        later.seal(frozen, manifest, marker_of(FIRST, manifest))
        later.read_back(FIRST)


class _Reading:
    """Looking things up."""

    def test_an_unknown_name_is_nothing(self, driver: DriverUnderTest) -> None:
        _published(driver)
        assert driver.driver.get(NOTHING) is None
        look_up = driver.driver
        for read in (look_up.view, look_up.manifest, look_up.manifest_header, look_up.read_back):
            with pytest.raises(NoSuchVersion):
                read(NOTHING)

    def test_another_process_sees_the_same(self, driver: DriverUnderTest) -> None:
        snapshot, _ = _published(driver)
        other = driver.reopen()
        assert other.get(FIRST) == snapshot
        assert list(other.list()) == [snapshot]
        assert other.view(FIRST) == driver.driver.view(FIRST)

    def test_a_view_is_there_by_its_path_alone(self, driver: DriverUnderTest) -> None:
        _published(driver)
        assert (driver.driver.view(FIRST) / "epoch/1/log.txt").read_bytes() == b"loss 0.5\n"
        assert "path" in driver.driver.links(FIRST)

    def test_looking_writes_nothing(self, driver: DriverUnderTest) -> None:
        _published(driver)
        driver.plant("hourly.0", driver.live)
        before = every_stat(driver.ground)
        other = driver.reopen()
        _ = other.volume_id, other.capabilities, other.probe(), other.state_folder()
        _ = other.get(FIRST), other.get(NOTHING), list(other.list()), list(other.used_names())
        _ = other.view(FIRST), other.manifest(FIRST), other.manifest_header(FIRST), other.links(FIRST)
        other.read_back(FIRST)
        assert every_stat(driver.ground) == before


class _Damage:
    """Stored things that are not what was written."""

    def test_a_damaged_file_is_found_by_the_read_back(self, driver: DriverUnderTest) -> None:
        _published(driver)
        driver.damage(FIRST, "weights.bin")
        with pytest.raises(IntegrityDamage, match="weights"):
            driver.reopen().read_back(FIRST)

    def test_a_damaged_file_is_not_shared_with_the_next_version(self, driver: DriverUnderTest) -> None:
        _published(driver)
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
        _published(driver)
        driver.damage(FIRST, "script.sh")
        write(driver.live, {"precious": b"work"})
        before = every_stat(driver.live)
        with pytest.raises(IntegrityDamage):
            driver.driver.restore(FIRST, driver.live, way=way)
        assert every_stat(driver.live) == before

    def test_a_damaged_version_is_not_cloned(self, driver: DriverUnderTest) -> None:
        _published(driver)
        driver.damage(FIRST, "script.sh")
        with pytest.raises(IntegrityDamage):
            driver.driver.clone(FIRST, driver.scratch / "clone")
        assert not list(driver.scratch.iterdir())

    def test_a_damaged_manifest_is_found_and_the_others_still_read(self, driver: DriverUnderTest) -> None:
        _published(driver)
        publish(driver.driver, driver.live, SECOND, parent=FIRST)
        driver.damage(FIRST, ".mlsnap/manifest.jsonl")
        other = driver.reopen()
        for read in (other.get, other.manifest, other.manifest_header, other.read_back):
            with pytest.raises(IntegrityDamage):
                read(FIRST)
        assert [snapshot.name for snapshot in other.list()] == [str(FIRST), str(SECOND)]
        other.read_back(SECOND)


class _Restoring:
    """Going back, and clones."""

    @pytest.mark.parametrize("way", ["swap", "sync"])
    def test_a_restore_is_exact(self, driver: DriverUnderTest, way: Literal["swap", "sync"]) -> None:
        _published(driver)
        before = look(driver.live)
        _upset(driver.live)
        driver.driver.restore(FIRST, driver.live, way=way)
        assert look(driver.live) == before

    @pytest.mark.parametrize("way", ["swap", "sync"])
    def test_what_was_restored_shares_nothing_with_the_snapshot(
        self, driver: DriverUnderTest, way: Literal["swap", "sync"]
    ) -> None:
        _published(driver)
        shutil.rmtree(driver.live / "epoch")
        driver.driver.restore(FIRST, driver.live, way=way)
        for file in ("weights.bin", "epoch/1/log.txt"):
            with (driver.live / file).open("r+b") as opened:
                opened.write(b"!")
        driver.driver.read_back(FIRST)

    def test_going_back_leaves_what_is_newer(self, driver: DriverUnderTest) -> None:
        _published(driver)
        first = look(driver.live)
        _upset(driver.live)
        second = look(driver.live)
        publish(driver.driver, driver.live, SECOND, parent=FIRST)
        driver.driver.restore(FIRST, driver.live)
        assert look(driver.live) == first
        driver.driver.restore(SECOND, driver.live)
        assert look(driver.live) == second

    def test_restoring_twice_is_restoring_once(self, driver: DriverUnderTest) -> None:
        _published(driver)
        before = look(driver.live)
        driver.driver.restore(FIRST, driver.live)
        driver.reopen().restore(FIRST, driver.live)
        assert look(driver.live) == before
        driver.driver.initialise(project=PROJECT, model=MODEL)

    def test_a_reader_in_the_old_tree_keeps_it_whole(self, driver: DriverUnderTest) -> None:
        _published(driver)
        if not driver.driver.capabilities.swap:
            return
        publish(driver.driver, driver.live, SECOND, parent=FIRST)
        write(driver.live, {"weights.bin": b"newer", "only-here": b"newer"})
        reader = os.open(driver.live, os.O_RDONLY | os.O_DIRECTORY)
        try:
            before = _names(reader)
            restored = driver.driver.restore(FIRST, driver.live, way="swap")
            assert _names(reader) == before
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
        made = _ready(driver)
        publish(driver.driver, driver.live, FIRST)
        before = look(driver.live)
        shutil.rmtree(driver.live)
        driver.driver.restore(FIRST, driver.live, way=way)
        assert look(driver.live) == before
        assert driver.driver.initialise(project=PROJECT, model=MODEL) == made

    @pytest.mark.parametrize("way", [None, "swap", "sync"])
    def test_a_volume_of_another_id_is_not_touched(
        self, driver: DriverUnderTest, way: Literal["swap", "sync"] | None
    ) -> None:
        _published(driver)
        record = driver.live / ".mlsnap/volume.json"
        record.write_text(record.read_text().replace(driver.driver.volume_id, "f" * 32))
        before = every_stat(driver.live)
        with pytest.raises(VolumeForeign):
            driver.driver.restore(FIRST, driver.live, way=way)
        with pytest.raises(VolumeForeign):
            driver.driver.initialise(project=PROJECT, model=MODEL)
        assert every_stat(driver.live) == before

    def test_an_unknown_version_is_not_restored(self, driver: DriverUnderTest) -> None:
        _published(driver)
        before = every_stat(driver.live)
        with pytest.raises(NoSuchVersion):
            driver.driver.restore(NOTHING, driver.live)
        assert every_stat(driver.live) == before

    def test_a_clone_is_exact_writable_and_on_its_own(self, driver: DriverUnderTest) -> None:
        _published(driver)
        clone = driver.driver.clone(FIRST, driver.scratch / "clone")
        assert look(clone) == look(driver.live)
        _upset(clone)
        driver.driver.read_back(FIRST)
        driver.driver.remove_clone(clone)
        driver.driver.remove_clone(clone)
        assert not clone.exists()

    def test_a_clone_of_nothing_is_an_empty_folder(self, driver: DriverUnderTest) -> None:
        _ready(driver)
        clone = driver.driver.clone(None, driver.scratch / "clone")
        assert look(clone) == {}
        write(clone, {"weights.bin": b"x"})

    def test_a_clone_replaces_nothing_and_only_clones_are_removed(self, driver: DriverUnderTest) -> None:
        _published(driver)
        place = driver.ground / "somebody"
        write(place, {"precious": b"work"})
        for act in (lambda: driver.driver.clone(FIRST, place), lambda: driver.driver.remove_clone(place)):
            with pytest.raises(MlsnapError):
                act()
        assert (place / "precious").read_bytes() == b"work"


class _Keeping:
    """Holds and deleting."""

    def test_a_held_snapshot_is_not_deleted(self, driver: DriverUnderTest) -> None:
        _published(driver)
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
        _published(driver)
        driver.driver.release_hold(FIRST, "ada")
        driver.driver.release_hold(NOTHING, "ada")
        with pytest.raises(NoSuchVersion):
            driver.driver.hold(NOTHING, "ada")

    def test_deleting_what_is_gone_is_fine(self, driver: DriverUnderTest) -> None:
        _published(driver)
        driver.driver.delete(FIRST)
        driver.driver.delete(FIRST)
        driver.driver.delete(NOTHING)

    def test_deleting_one_leaves_the_others_whole(self, driver: DriverUnderTest) -> None:
        _published(driver)
        publish(driver.driver, driver.live, SECOND, parent=FIRST)
        publish(driver.driver, driver.live, THIRD, parent=SECOND)
        driver.driver.delete(SECOND)
        driver.driver.read_back(FIRST)
        driver.driver.read_back(THIRD)
        assert look(driver.driver.view(THIRD), write_bits=False) == look(driver.live, write_bits=False)

    def test_names_stay_used_after_they_are_deleted(self, driver: DriverUnderTest) -> None:
        _published(driver)
        driver.driver.delete(FIRST)
        assert list(driver.reopen().used_names()) == [FIRST]
        with pytest.raises(SnapshotConflict):
            publish(driver.driver, driver.live, FIRST)

    def test_what_is_not_ours_is_never_deleted(self, driver: DriverUnderTest) -> None:
        _ready(driver)
        driver.plant(str(FIRST), _folder(driver, {"somebody": b"else's"}))
        with pytest.raises(SnapshotForeign):
            driver.driver.delete(FIRST)
        with pytest.raises(NoSuchVersion):
            driver.driver.hold(FIRST, "ada")
        assert driver.driver.get(FIRST) is not None


class _LeftOver:
    """What was begun and not ended, and what restores displaced."""

    def test_a_frozen_tree_is_unfinished_until_it_is_sealed_or_discarded(self, driver: DriverUnderTest) -> None:
        _ready(driver)
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
        _ready(driver)
        with _hostile(driver.live, "fifo"), pytest.raises(TreeUnsupported):
            driver.driver.freeze(driver.live, parent=None, full=False, inventory=True)
        assert list(driver.driver.unfinished()) == []

    def test_displaced_trees_are_listed_oldest_first_and_kept_whole(self, driver: DriverUnderTest) -> None:
        _published(driver)
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
        _published(driver)
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
        _published(driver)
        view = driver.driver.view(FIRST)
        places = {
            "a snapshot": view.resolve(),
            "the live tree": driver.live,
            "somebody's folder": _folder(driver, {"precious": b"work"}),
        }
        before = every_stat(driver.ground)
        with pytest.raises(MlsnapError):
            driver.driver.purge(places[what])
        assert every_stat(driver.ground) == before


class DriverContract(_Volume, _Freezing, _Publishing, _Reading, _Damage, _Restoring, _Keeping, _LeftOver):
    """The tests of a driver. Subclass it, and give a fixture `driver`: a fresh `DriverUnderTest` each time."""


# -- what the tests do to trees ------------------------------------------------------------------------


def _ready(driver: DriverUnderTest) -> str:
    made = driver.driver.initialise(project=PROJECT, model=MODEL)
    write_sample(driver.live)
    return made


def _published(driver: DriverUnderTest) -> tuple[Snapshot, Frozen]:
    _ready(driver)
    return publish(driver.driver, driver.live, FIRST)


def _names(folder: int) -> list[str]:
    with os.scandir(folder) as found:
        return sorted(entry.name for entry in found)


def _folder(driver: DriverUnderTest, files: dict[str, bytes]) -> Path:
    folder = driver.scratch / "a-folder"
    write(folder, files)
    return folder


def _rewrite_unseen(file: Path) -> None:
    """Change a file's content so that neither size nor modification time tell."""
    found = file.stat()
    with file.open("r+b") as opened:
        opened.write(b"UNSEEN")
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))


def _part(file: Path) -> None:
    """Make one name of a file a file of its own, with the same facts."""
    beside = file.with_name("beside")
    shutil.copy2(file, beside)
    os.utime(beside, ns=(1, file.stat().st_mtime_ns))
    folder = file.parent.stat()
    beside.replace(file)
    os.utime(file.parent, ns=(1, folder.st_mtime_ns))


def _upset(tree: Path) -> None:
    """Change, remove, add, and make one kind of thing another."""
    write(tree, {"weights.bin": b"changed", "extra/deep/file": b"x"})
    (tree / "script.sh").chmod(0o700)
    (tree / "empty").rmdir()
    (tree / "empty").write_bytes(b"a file now")
    (tree / "private").unlink()
    (tree / "private").mkdir()
    (tree / "latest").unlink()
    (tree / "latest").symlink_to("weights.bin")
    (tree / "epoch/weights-again.bin").unlink()
    (tree / "-rf").unlink()
    os.utime(tree / "epoch", ns=(7, 7))


@contextmanager
def _hostile(tree: Path, thing: str) -> Iterator[None]:
    bad = tree / "bad"
    match thing:
        case "fifo":
            os.mkfifo(bad)
        case "socket":
            _leave_socket(bad)
        case "absolute link":
            bad.symlink_to("/etc/passwd")
        case "link out":
            bad.symlink_to("epoch/../../outside")
        case _:
            (tree / "inner").symlink_to("epoch")
            bad.symlink_to("inner/../../outside")
    try:
        yield
    finally:
        bad.unlink()
        (tree / "inner").unlink(missing_ok=True)


def _leave_socket(path: Path) -> None:
    # A socket's path may have 107 bytes, which a test's folder may need already: it is bound by a short name.
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)
