"""Refused before anything is trained: what can be no volume, and a store that would not last."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import LoopMount, need
from tests.flows.conftest import QUIET, MakePlace, Place

# -- volumes -------------------------------------------------------------------------------------------


def test_a_file_is_no_volume(place: Place) -> None:
    place.volume.write_text("somebody's own")
    with place.nothing_changed():
        assert "it is no folder" in place.refused("volume-refused", 40).stderr
    assert place.volume.read_text() == "somebody's own"
    assert not place.store.exists()


def test_a_link_is_no_volume_and_what_it_leads_to_is_untouched(place: Place, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    place.volume.symlink_to(elsewhere)
    with place.nothing_changed():
        assert str(elsewhere) in place.refused("volume-refused", 40).stderr
    assert list(elsewhere.iterdir()) == []


def test_a_version_is_not_restored_through_a_link_that_came_later(trained: Place, tmp_path: Path) -> None:
    aside = tmp_path / "aside"
    trained.volume.rename(aside)
    (aside / "weights.txt").unlink()
    trained.volume.symlink_to(aside)
    with trained.nothing_changed():
        trained.refused("volume-refused", 40, "recover")
        trained.refused("volume-refused", 40, "restore", "HEAD")
    assert not (aside / "weights.txt").exists()


def test_the_root_of_a_mount_is_no_volume(make_place: MakePlace, loop_mount: LoopMount) -> None:
    root = loop_mount("ext4")
    shutil.rmtree(root / "lost+found")
    place = make_place(shared=True, volume=root)
    with place.nothing_changed():
        said = place.refused("volume-refused", 40)
    assert "mount" in said.stderr and str(root / "models") in said.stderr
    assert list(root.iterdir()) == []


def test_a_folder_that_everybody_may_write_to_is_no_volume(place: Place) -> None:
    place.volume.mkdir()
    place.volume.chmod(0o777)
    with place.nothing_changed():
        assert "chmod o-w" in place.refused("volume-refused", 40).stderr


def test_a_folder_with_a_repository_in_it_is_no_volume(place: Place) -> None:
    (place.volume / ".git").mkdir(parents=True)
    with place.nothing_changed():
        assert "git repository" in place.refused("volume-refused", 40).stderr


def test_a_volume_of_another_id_is_refused_by_every_command_that_would_write_there(trained: Place) -> None:
    record = trained.volume / ".mlsnap" / "volume.json"
    other = record.read_text().replace('"id":"', '"id":"0123')
    record.chmod(0o644)
    record.write_text(other)
    trained.commit("second")
    with trained.nothing_changed():
        for command in (("run",), ("recover",), ("restore", "HEAD^")):
            trained.refused("volume-foreign", 40, *command)
    assert record.read_text() == other


def test_a_checkout_leaves_the_code_where_it_is_when_the_model_cannot_follow(trained: Place) -> None:
    first = trained.repository.head()
    trained.commit("second")
    trained.mlsnap("run", env=QUIET)
    (trained.volume / ".mlsnap" / "volume.json").unlink()
    (trained.volume / ".mlsnap").rmdir()
    (trained.volume / ".mlsnap").write_text("somebody's own")
    with trained.nothing_changed():
        trained.refused("volume-refused", 40, "checkout", first)


def test_a_volume_of_another_store_is_refused(make_place: MakePlace, tmp_path: Path) -> None:
    first = make_place("first", shared=True)
    first.mlsnap("run", env=QUIET)
    second = make_place("second", shared=True, volume=first.volume)
    second.configure(
        f'train = "sh train.sh"\n[volumes.models]\npath = "{first.volume}"\nstore = "{tmp_path / "store"}"\n'
    )
    with first.nothing_changed(), second.nothing_changed():
        second.refused("volume-foreign", 40)


def test_a_volume_of_another_model_is_refused(make_place: MakePlace) -> None:
    place = make_place(shared=True)
    place.mlsnap("run", env=QUIET)
    other = make_place("other", shared=True, volume=place.volume)
    other.configure(f'model = "letters"\n{(other.folder / "mlsnap.toml").read_text()}')
    with place.nothing_changed(), other.nothing_changed():
        said = other.refused("volume-foreign", 40)
    assert "digits" in said.stderr and "letters" in said.stderr


def test_a_view_is_never_put_in_the_place_of_files(make_place: MakePlace) -> None:
    place = make_place(shared=True)
    (place.folder / "models").mkdir()
    (place.folder / "models" / "mine.txt").write_text("not in any version")
    sha = place.repository.head()
    place.refused("volume-refused", 40)
    assert (place.folder / "models" / "mine.txt").read_text() == "not in any version"
    assert place.snapshots() == []
    assert place.states(sha)[-1:] in ([], ["error"])
    place.require_rest()


def test_a_live_tree_that_equals_no_version_is_never_trained_over(trained: Place) -> None:
    (trained.volume / "weights.txt").write_text("changed by hand")
    sha = trained.commit("second")
    with trained.nothing_changed():
        assert "mlsnap recover" in trained.refused("live-tree-changed", 40).stderr
    assert trained.states(sha) == []


# -- stores --------------------------------------------------------------------------------------------


def _with_store(place: Place, store: Path) -> None:
    place.configure(f'train = "sh train.sh"\n[volumes.models]\npath = "models"\nstore = "{store}"\n')


def test_a_store_in_memory_is_refused_in_a_ci(place: Place) -> None:
    store = Path("/dev/shm") / f"mlsnap-test-{os.getpid()}"
    need(store.parent.is_dir(), "needs /dev/shm")
    _with_store(place, store)
    try:
        with place.nothing_changed():
            said = place.refused("store-refused", 40, env={"CI": "true"})
        assert "tmpfs" in said.stderr and "--ephemeral" in said.stderr
        assert not store.exists()
    finally:
        shutil.rmtree(store, ignore_errors=True)


@pytest.mark.parametrize("name", ["RUNNER_TEMP", "GITHUB_WORKSPACE"])
def test_a_store_in_a_folder_that_the_ci_cleans_is_refused(place: Place, tmp_path: Path, name: str) -> None:
    cleaned = tmp_path / "cleaned"
    cleaned.mkdir()
    _with_store(place, cleaned / "store")
    with place.nothing_changed():
        assert name in place.refused("store-refused", 40, env={"CI": "true", name: str(cleaned)}).stderr
    assert list(cleaned.iterdir()) == []


def test_a_store_on_a_hosted_runner_is_refused(place: Place) -> None:
    with place.nothing_changed():
        hosted = {"CI": "true", "RUNNER_ENVIRONMENT": "github-hosted"}
        assert "ends with the job" in place.refused("store-refused", 40, env=hosted).stderr
    assert not place.store.exists()


def test_a_store_that_will_not_last_may_be_asked_for(place: Place, tmp_path: Path) -> None:
    cleaned = tmp_path / "cleaned"
    _with_store(place, cleaned / "store")
    env = {"CI": "true", "GITHUB_WORKSPACE": str(cleaned)}
    place.mlsnap("run", "--ephemeral", env=env)
    assert (cleaned / "store" / "snapshots" / place.repository.head()).is_dir()


def test_a_store_that_everybody_may_write_to_is_refused(place: Place, tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    store.chmod(0o777)
    _with_store(place, store)
    with place.nothing_changed():
        assert "chmod o-w" in place.refused("store-refused", 40).stderr
    assert list(store.iterdir()) == []


@pytest.mark.parametrize("store", ["models/store", "."])
def test_a_store_within_the_volume_or_around_it_is_refused(place: Place, store: str) -> None:
    _with_store(place, Path(store))
    with place.nothing_changed():
        place.refused("volume-refused", 40)
    assert not place.volume.exists()
