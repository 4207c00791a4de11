"""Data: looked at and snapshotted without a trace in it."""

from __future__ import annotations

import os
import shutil

import pytest

from ci_mlsnap.errors import NoSuchVersion, SnapshotHeld, VolumeMissing, VolumeRefused
from ci_mlsnap.testing.ground import FIRST, PROJECT, SECOND, DataUnderTest, every_stat, look, pin, write

__all__ = ["DataContract"]


class DataContract:
    """The tests of a driver opened for data, where it can snapshot in constant time.

    Subclass it, and give a fixture `data`: a fresh `DataUnderTest` each time.
    """

    def test_nothing_is_written_to_the_data(self, data: DataUnderTest) -> None:
        write(data.live, {"train/0.png": b"0", "labels.csv": b"0,0"})
        before = every_stat(data.live)
        data.driver.initialise(project=PROJECT, model="")
        data.driver.see_data()
        data.driver.probe()
        for name in (FIRST, SECOND):
            pin(data.driver, data.live, name)
        data.driver.hold(FIRST, "ada")
        data.driver.discard(data.driver.freeze(data.live, parent=None, full=False, inventory=False).token)
        data.driver.delete(SECOND)
        assert every_stat(data.live) == before

    def test_the_snapshot_is_what_the_data_was(self, data: DataUnderTest) -> None:
        _ready(data)
        before = look(data.live, write_bits=False)
        found = pin(data.driver, data.live, FIRST)
        write(data.live, {"labels.csv": b"1,1", "train/1.png": b"1"})
        assert look(data.driver.view(FIRST), write_bits=False) == before
        assert found.marker is not None and found.marker.model == ""
        data.reopen().read_back(FIRST)

    def test_data_is_never_brought_back_in_its_place(self, data: DataUnderTest) -> None:
        _ready(data)
        pin(data.driver, data.live, FIRST)
        write(data.live, {"labels.csv": b"newer"})
        before = every_stat(data.live)
        with pytest.raises(VolumeRefused):
            data.driver.restore(FIRST, data.live)
        assert every_stat(data.live) == before

    def test_data_that_did_not_change_has_the_token_that_it_had(self, data: DataUnderTest) -> None:
        _ready(data)
        seen = data.driver.see_data()
        assert seen.exact and seen.path == data.live
        pin(data.driver, data.live, FIRST)
        again = data.reopen().see_data()
        assert (again.token, again.steady) == (seen.token, seen.steady)
        assert data.driver.manifest_header(FIRST).data_state == seen.token

    @pytest.mark.parametrize("change", ["in place", "a file more", "a file less", "a mode", "deep down"])
    def test_data_that_changed_has_another_token(self, data: DataUnderTest, change: str) -> None:
        _ready(data)
        frozen = data.driver.freeze(data.live, parent=None, full=False, inventory=False)
        file = data.live / "labels.csv"
        match change:
            case "in place":
                facts = file.stat()
                with file.open("r+b") as opened:
                    opened.write(b"9")
                os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))
            case "a file more":
                write(data.live, {"more": b""})
            case "a file less":
                file.unlink()
            case "a mode":
                file.chmod(0o600)
            case _:
                write(data.live, {"train/deep/down": b"x"})
        assert data.reopen().see_data().token not in ("", frozen.state)

    def test_every_model_and_project_may_use_the_same_data(self, data: DataUnderTest) -> None:
        made = _ready(data)
        assert data.reopen().initialise(project="someone/else", model="") == made == data.driver.volume_id

    def test_the_state_is_outside_of_the_data(self, data: DataUnderTest) -> None:
        _ready(data)
        assert data.driver.state_folder().is_dir()
        assert not data.driver.state_folder().resolve().is_relative_to(data.live.resolve())

    def test_a_pin_that_is_held_is_not_deleted(self, data: DataUnderTest) -> None:
        _ready(data)
        pin(data.driver, data.live, FIRST)
        data.driver.hold(FIRST, "a version")
        with pytest.raises(SnapshotHeld):
            data.reopen().delete(FIRST)
        data.reopen().release_hold(FIRST, "a version")
        data.driver.delete(FIRST)
        assert data.driver.get(FIRST) is None
        assert list(data.driver.used_names()) == [FIRST]

    def test_what_was_frozen_and_not_sealed_is_found_and_goes(self, data: DataUnderTest) -> None:
        _ready(data)
        frozen = data.driver.freeze(data.live, parent=None, full=False, inventory=False)
        assert list(data.reopen().unfinished()) == [frozen.token]
        data.reopen().discard(frozen.token)
        assert not frozen.path.exists()

    def test_the_newest_fitting_snapshot_of_the_owner_is_the_one(self, data: DataUnderTest) -> None:
        _ready(data)
        data.plant("daily.9", data.live)
        write(data.live, {"labels.csv": b"newer"})
        data.plant("daily.10", data.live)
        data.plant("weekly.11", data.live)
        seen = data.driver.see_data("daily.*")
        assert (seen.name, seen.path.name) == ("daily.10", "daily.10")
        assert (seen.path / "labels.csv").read_bytes() == b"newer"
        assert seen.token == data.reopen().see_data("daily.10").token != data.driver.see_data("daily.9").token

    def test_no_fitting_snapshot_is_said(self, data: DataUnderTest) -> None:
        _ready(data)
        data.plant("weekly.1", data.live)
        with pytest.raises(NoSuchVersion, match=r"daily\.\*"):
            data.driver.see_data("daily.*")

    def test_missing_data_is_said_and_not_made(self, data: DataUnderTest) -> None:
        shutil.rmtree(data.live)
        with pytest.raises(VolumeMissing):
            data.driver.see_data()
        assert not data.live.exists()


def _ready(data: DataUnderTest) -> str:
    write(data.live, {"train/0.png": b"0", "labels.csv": b"0,0"})
    return data.driver.initialise(project=PROJECT, model="")
