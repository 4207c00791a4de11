"""From a live tree to a snapshot under a name."""

from __future__ import annotations

import os

import pytest

from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.errors import (
    IntegrityDamage,
    LateWriter,
    LinkEscapes,
    NoSuchVersion,
    SnapshotConflict,
    SnapshotForeign,
    TreeUnsupported,
    VolumeForeign,
    VolumeRefused,
)
from ci_mlsnap.testing.acts import (
    NOTHING,
    folder_of,
    hostile,
    part,
    published,
    ready,
    rewrite_unseen,
    stat_of_live,
)
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
)


class Volume:
    """The volume's own life: made, made again, refused to others."""

    def test_a_new_volume_gets_an_id_that_stays(self, driver: DriverUnderTest) -> None:
        assert driver.driver.volume_id == ""
        made = driver.driver.initialise(project=PROJECT, model=MODEL)
        assert made and driver.driver.volume_id == made == driver.reopen().volume_id
        assert driver.live.is_dir()

    def test_making_the_volume_again_changes_nothing(self, driver: DriverUnderTest) -> None:
        made = ready(driver)
        before = look(driver.live)
        assert driver.reopen().initialise(project=PROJECT, model=MODEL) == made
        assert look(driver.live) == before

    def test_a_folder_that_holds_files_becomes_the_volume_and_keeps_them(self, driver: DriverUnderTest) -> None:
        write(driver.live, {"weights.bin": b"from before"})
        driver.driver.initialise(project=PROJECT, model=MODEL)
        assert (driver.live / "weights.bin").read_bytes() == b"from before"

    @pytest.mark.parametrize(("project", "model"), [(PROJECT, "other"), ("someone/else", MODEL)])
    def test_another_model_or_project_is_refused(self, driver: DriverUnderTest, project: str, model: str) -> None:
        ready(driver)
        with pytest.raises(VolumeForeign):
            driver.reopen().initialise(project=project, model=model)

    def test_state_is_never_inside_the_live_tree(self, driver: DriverUnderTest) -> None:
        ready(driver)
        state = driver.driver.state_folder()
        assert state.is_dir()
        assert not state.resolve().is_relative_to(driver.live.resolve())

    def test_probing_a_missing_volume_makes_nothing(self, driver: DriverUnderTest) -> None:
        before = every_stat(driver.ground)
        assert driver.driver.probe().volume_id == ""
        assert every_stat(driver.ground) == before

    def test_the_probe_counts_ours_and_foreign_ones(self, driver: DriverUnderTest) -> None:
        published(driver)
        driver.plant("hourly.0", driver.live)
        probe = driver.driver.probe()
        assert (probe.snapshots, probe.foreign) == (1, 1)
        assert probe.way == driver.driver.capabilities.way


class Freezing:
    """From a live tree to a snapshot."""

    def test_the_snapshot_equals_the_live_tree(self, driver: DriverUnderTest) -> None:
        published(driver)
        seen = look(driver.driver.view(FIRST), write_bits=False)
        assert seen == look(driver.live, write_bits=False)

    def test_the_inventory_names_everything_once(self, driver: DriverUnderTest) -> None:
        ready(driver)
        frozen = driver.driver.freeze(driver.live, parent=None, full=False, inventory=True)
        assert [os.fsdecode(entry.path) for entry in frozen.inventory.entries] == sorted(
            look(driver.live), key=os.fsencode
        )

    def test_the_manifest_inside_is_the_one_that_was_sealed(self, driver: DriverUnderTest) -> None:
        ready(driver)
        frozen = driver.driver.freeze(driver.live, parent=None, full=False, inventory=True)
        manifest = manifest_of(driver.driver, FIRST, frozen)
        driver.driver.seal(frozen, manifest, marker_of(FIRST, manifest))
        other = driver.reopen()
        assert other.manifest(FIRST) == manifest
        assert other.manifest_header(FIRST) == manifest.header

    def test_nobody_sees_a_frozen_tree_before_it_is_sealed(self, driver: DriverUnderTest) -> None:
        ready(driver)
        driver.driver.freeze(driver.live, parent=None, full=False, inventory=True)
        assert list(driver.driver.list()) == []
        assert driver.driver.get(FIRST) is None

    def test_later_writes_to_the_live_tree_do_not_reach_the_snapshot(self, driver: DriverUnderTest) -> None:
        published(driver)
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
        ready(driver)
        frozen = driver.driver.freeze(driver.live, parent=None, full=False, inventory=True)
        (driver.live / "weights.bin").write_bytes(b"late")
        (driver.live / "new").write_bytes(b"late")
        manifest = manifest_of(driver.driver, FIRST, frozen)
        if not driver.driver.capabilities.apart:
            with pytest.raises(LateWriter):
                driver.driver.seal(frozen, manifest, marker_of(FIRST, manifest))
            assert driver.reopen().get(FIRST) is None
            assert (driver.live / "new").read_bytes() == b"late"
            return
        driver.driver.seal(frozen, manifest, marker_of(FIRST, manifest))
        driver.driver.read_back(FIRST)

    def test_one_byte_written_after_freezing_is_late_or_not_in_the_version(self, driver: DriverUnderTest) -> None:
        """Also where neither size nor modification time tell."""
        ready(driver)
        frozen = driver.driver.freeze(driver.live, parent=None, full=False, inventory=True)
        rewrite_unseen(driver.live / "weights.bin")
        manifest = manifest_of(driver.driver, FIRST, frozen)
        if driver.driver.capabilities.apart:
            driver.driver.seal(frozen, manifest, marker_of(FIRST, manifest))
            driver.driver.read_back(FIRST)
        else:
            with pytest.raises(LateWriter):
                driver.driver.seal(frozen, manifest, marker_of(FIRST, manifest))
            assert driver.reopen().get(FIRST) is None

    def test_freezing_does_not_write_to_the_live_tree(self, driver: DriverUnderTest) -> None:
        ready(driver)
        before = stat_of_live(driver)
        publish(driver.driver, driver.live, FIRST)
        publish(driver.driver, driver.live, SECOND, parent=FIRST)
        assert stat_of_live(driver) == before

    def test_an_empty_tree_is_a_version_too(self, driver: DriverUnderTest) -> None:
        driver.driver.initialise(project=PROJECT, model=MODEL)
        publish(driver.driver, driver.live, FIRST)
        driver.driver.read_back(FIRST)
        assert look(driver.driver.view(FIRST)) == {}
        write(driver.live, {"later": b"x"})
        driver.driver.restore(FIRST, driver.live)
        assert look(driver.live) == {}

    def test_a_workspace_can_be_frozen(self, driver: DriverUnderTest) -> None:
        published(driver)
        workspace = driver.driver.clone(FIRST, driver.scratch / "run")
        write(workspace, {"weights.bin": b"trained further"})
        if not driver.driver.capabilities.freezes_clones:
            with pytest.raises(VolumeRefused):
                driver.driver.freeze(workspace, parent=FIRST, full=False, inventory=True)
            return
        publish(driver.driver, workspace, SECOND, parent=FIRST)
        assert (driver.driver.view(SECOND) / "weights.bin").read_bytes() == b"trained further"
        assert look(driver.driver.view(SECOND)).keys() == look(driver.live).keys()

    def test_only_what_changed_is_copied_for_the_second_version(self, driver: DriverUnderTest) -> None:
        driver.driver.initialise(project=PROJECT, model=MODEL)
        write(driver.live, {f"part-{number:02}": bytes([number]) * 50_000 for number in range(20)})
        _, first = publish(driver.driver, driver.live, FIRST)
        assert first.copied_bytes in ((0,) if driver.driver.capabilities.instant else (0, 20 * 50_000))
        (driver.live / "part-07").write_bytes(b"\xff" * 50_000)
        _, second = publish(driver.driver, driver.live, SECOND, parent=FIRST)
        assert second.copied_bytes == min(first.copied_bytes, 50_000)
        driver.driver.read_back(FIRST)
        driver.driver.read_back(SECOND)
        assert look(driver.driver.view(SECOND), write_bits=False) == look(driver.live, write_bits=False)

    def test_a_change_that_keeps_size_and_time_is_found(self, driver: DriverUnderTest) -> None:
        published(driver)
        rewrite_unseen(driver.live / "weights.bin")
        publish(driver.driver, driver.live, SECOND, parent=FIRST)
        assert look(driver.driver.view(SECOND), write_bits=False) == look(driver.live, write_bits=False)

    @pytest.mark.parametrize("change", ["mode", "time", "links", "unlinked"])
    def test_a_change_of_facts_alone_reaches_the_new_version_only(
        self, driver: DriverUnderTest, change: str
    ) -> None:
        published(driver)
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
                part(driver.live / "epoch/weights-again.bin")
        publish(driver.driver, driver.live, SECOND, parent=FIRST)
        assert look(driver.driver.view(SECOND), write_bits=False) == look(driver.live, write_bits=False)
        assert look(driver.driver.view(FIRST)) == before
        driver.driver.read_back(FIRST)
        driver.driver.read_back(SECOND)

    def test_reading_every_file_again_gives_the_same_version(self, driver: DriverUnderTest) -> None:
        _, first = published(driver)
        _, second = publish(driver.driver, driver.live, SECOND, parent=FIRST, full=True)
        assert second.inventory == first.inventory

    def test_a_parent_that_is_gone_is_no_hindrance(self, driver: DriverUnderTest) -> None:
        ready(driver)
        publish(driver.driver, driver.live, FIRST, parent=NOTHING)
        driver.driver.read_back(FIRST)

    @pytest.mark.parametrize("thing", ["fifo", "socket", "absolute link", "link out", "link through a link"])
    def test_what_no_snapshot_can_carry_is_refused_and_nothing_is_left(
        self, driver: DriverUnderTest, thing: str
    ) -> None:
        published(driver)
        before = set(every_stat(driver.ground))
        with hostile(driver.live, thing), pytest.raises((TreeUnsupported, LinkEscapes)):
            driver.driver.freeze(driver.live, parent=FIRST, full=False, inventory=True)
        assert set(every_stat(driver.ground)) == before


class Publishing:
    """Names: taken once, by us, for ever."""

    def test_sealing_the_same_again_gives_what_exists(self, driver: DriverUnderTest) -> None:
        snapshot, frozen = published(driver)
        again = driver.reopen().freeze(driver.live, parent=FIRST, full=False, inventory=True)
        manifest = manifest_of(driver.driver, FIRST, frozen)
        assert driver.reopen().seal(again, manifest, marker_of(FIRST, manifest)) == snapshot
        assert not again.path.exists()
        assert [found.name for found in driver.driver.list()] == [str(FIRST)]

    def test_another_content_under_a_taken_name_is_a_conflict(self, driver: DriverUnderTest) -> None:
        published(driver)
        before = look(driver.driver.view(FIRST))
        write(driver.live, {"weights.bin": b"another"})
        with pytest.raises(SnapshotConflict):
            publish(driver.driver, driver.live, FIRST)
        assert look(driver.driver.view(FIRST)) == before

    def test_what_is_not_ours_under_the_name_is_refused_and_stays(self, driver: DriverUnderTest) -> None:
        ready(driver)
        driver.plant(str(FIRST), folder_of(driver, {"somebody": b"else's"}))
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
        published(driver)
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
        ready(driver)
        for name in (THIRD, FIRST, SnapshotName(sha=FIRST.sha, attempt=2), SECOND):
            publish(driver.driver, driver.live, name)
        names = [snapshot.name for snapshot in driver.reopen().list()]
        assert names == sorted(map(str, (FIRST, SnapshotName(sha=FIRST.sha, attempt=2), SECOND, THIRD)))

    def test_a_manifest_of_another_snapshot_is_refused(self, driver: DriverUnderTest) -> None:
        ready(driver)
        frozen = driver.driver.freeze(driver.live, parent=None, full=False, inventory=True)
        manifest = manifest_of(driver.driver, FIRST, frozen)
        with pytest.raises(IntegrityDamage):
            driver.driver.seal(frozen, manifest, marker_of(SECOND, manifest))
        assert list(driver.driver.list()) == []

    def test_a_frozen_tree_is_discarded_also_after_a_crash(self, driver: DriverUnderTest) -> None:
        ready(driver)
        frozen = driver.driver.freeze(driver.live, parent=None, full=False, inventory=True)
        later = driver.reopen()
        later.discard(frozen.token)
        later.discard(frozen.token)
        assert not frozen.path.exists()
        publish(later, driver.live, FIRST)
        later.read_back(FIRST)

    def test_what_was_frozen_before_a_crash_can_be_sealed_after_it(self, driver: DriverUnderTest) -> None:
        ready(driver)
        frozen = driver.driver.freeze(driver.live, parent=None, full=False, inventory=True)
        later = driver.reopen()
        manifest = manifest_of(later, FIRST, frozen)
        later.seal(frozen, manifest, marker_of(FIRST, manifest))
        later.read_back(FIRST)
