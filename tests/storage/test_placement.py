"""Where a store may be, and what may be a volume."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ci_mlsnap.errors import ConfigInvalid, VolumeRefused
from ci_mlsnap.storage.local import LocalDriver
from ci_mlsnap.storage.placement import check_volume, file_system_of, in_ci, store_refusal
from ci_mlsnap.storage.registry import open_driver
from tests.conftest import LoopMount, need

IN_ACTIONS = {"GITHUB_ACTIONS": "true", "CI": "true"}


def refusal(store: Path, environ: dict[str, str], *, ephemeral: bool = False) -> str:
    found = store_refusal(store, store.parent / "models", environ, ephemeral=ephemeral)
    if found is None:
        return ""
    assert found.hint and found.safe
    return found.why


# -- volumes -------------------------------------------------------------------------------------------


def test_a_missing_volume_can_be_made(tmp_path: Path) -> None:
    check_volume(tmp_path / "models", tmp_path / "store")


@pytest.mark.parametrize("thing", ["file", "link", "dangling link", "fifo"])
def test_what_is_no_folder_is_refused(tmp_path: Path, thing: str) -> None:
    path = tmp_path / "models"
    match thing:
        case "file":
            path.write_bytes(b"")
        case "link":
            (tmp_path / "elsewhere").mkdir()
            path.symlink_to(tmp_path / "elsewhere")
        case "dangling link":
            path.symlink_to(tmp_path / "nowhere")
        case _:
            os.mkfifo(path)
    driver = LocalDriver(path, tmp_path / "store", "models", environ={})
    for act in (driver.probe, lambda: driver.initialise(project="a/b", model="c")):
        with pytest.raises(VolumeRefused) as refused:
            act()
        assert refused.value.hint
    assert not (tmp_path / "store").exists()


def test_the_root_of_a_mount_is_refused(loop_mount: LoopMount, tmp_path: Path) -> None:
    with pytest.raises(VolumeRefused) as refused:
        check_volume(loop_mount("ext4"), tmp_path / "store")
    assert "mount" in refused.value.why and "models" in refused.value.hint


def test_a_folder_that_everybody_may_write_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models").chmod(0o777)
    with pytest.raises(VolumeRefused, match="models") as refused:
        check_volume(tmp_path / "models", tmp_path / "store")
    assert refused.value.hint.startswith("chmod o-w")


def test_a_repository_is_refused_since_a_restore_would_remove_it(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    with pytest.raises(VolumeRefused):
        check_volume(tmp_path, tmp_path.parent / "store")


@pytest.mark.parametrize(("volume", "store"), [("a", "a/store"), ("a/b", "a"), ("a", "a")])
def test_volume_and_store_may_not_lie_in_each_other(tmp_path: Path, volume: str, store: str) -> None:
    with pytest.raises(VolumeRefused):
        check_volume(tmp_path / volume, tmp_path / store)


def test_a_link_above_does_not_hide_that_they_lie_in_each_other(tmp_path: Path) -> None:
    (tmp_path / "real/models").mkdir(parents=True)
    (tmp_path / "alias").symlink_to("real")
    with pytest.raises(VolumeRefused):
        check_volume(tmp_path / "real/models", tmp_path / "alias/models/store")


# -- stores --------------------------------------------------------------------------------------------


def test_on_a_persons_machine_any_own_folder_will_do(tmp_path: Path) -> None:
    assert refusal(tmp_path / "store", {}) == ""


@pytest.mark.parametrize("name", ["RUNNER_TEMP", "GITHUB_WORKSPACE"])
def test_a_folder_that_the_ci_cleans_is_refused(tmp_path: Path, name: str) -> None:
    environ = IN_ACTIONS | {name: str(tmp_path)}
    store = tmp_path / "repository/.git/mlsnap/models"
    assert name in refusal(store, environ)
    assert refusal(store, environ, ephemeral=True) == ""


def test_a_link_does_not_lead_out_of_the_workspace(tmp_path: Path) -> None:
    (tmp_path / "workspace").mkdir()
    (tmp_path / "alias").symlink_to("workspace")
    assert "GITHUB_WORKSPACE" in refusal(
        tmp_path / "alias/store", IN_ACTIONS | {"GITHUB_WORKSPACE": str(tmp_path / "workspace")}
    )


def test_a_jenkins_workspace_counts_on_jenkins_alone(tmp_path: Path) -> None:
    environ = {"WORKSPACE": str(tmp_path)}
    assert refusal(tmp_path / "store", environ | {"CI": "true", "RUNNER_TEMP": ""}) in ("", *_lost(tmp_path))
    assert "WORKSPACE" in refusal(tmp_path / "store", environ | {"JENKINS_URL": "http://ci.example"})


def _lost(path: Path) -> tuple[str, ...]:
    """What is said in CI where the tests' own folder is on a file system that won't last."""
    return (f"{file_system_of(path)} does not outlive the machine or container",)


def test_a_hosted_runner_is_refused(tmp_path: Path) -> None:
    assert "hosted" in refusal(tmp_path / "store", IN_ACTIONS | {"RUNNER_ENVIRONMENT": "github-hosted"})


def test_memory_is_no_place_for_a_store_in_ci() -> None:
    shm = Path("/dev/shm")
    need(shm.is_dir() and file_system_of(shm) == "tmpfs", "needs a tmpfs at /dev/shm")
    store = shm / "mlsnap-test-not-made"
    assert "tmpfs" in refusal(store, IN_ACTIONS)
    assert refusal(store, IN_ACTIONS, ephemeral=True) == ""
    assert refusal(store, {}) == ""


@pytest.mark.parametrize("mode", [0o777, 0o1777])
def test_a_store_that_everybody_may_write_to_is_refused_also_when_short_lived(tmp_path: Path, mode: int) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store").chmod(mode)
    assert "everybody" in refusal(tmp_path / "store", {}, ephemeral=True)


def test_a_new_store_may_stand_in_a_sticky_folder_and_in_no_other_open_one(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    assert refusal(tmp_path / "store", {}) == ""
    tmp_path.chmod(0o777)
    assert "everybody" in refusal(tmp_path / "store", {})


@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_store_that_is_no_folder_is_refused(tmp_path: Path, kind: str) -> None:
    store = tmp_path / "store"
    store.symlink_to(tmp_path) if kind == "link" else store.write_bytes(b"")
    assert refusal(store, {})


def test_another_file_system_is_for_those_who_say_so(loop_mount: LoopMount, tmp_path: Path) -> None:
    store, volume = loop_mount("ext4") / "store", tmp_path / "models"
    assert store_refusal(store, volume, {}, explicit=True) is None
    found = store_refusal(store, volume, {}, explicit=False)
    assert found is not None and "another file system" in found.why


def test_the_file_system_is_named(loop_mount: LoopMount) -> None:
    assert file_system_of(loop_mount("ext4") / "not/there") == "ext4"
    assert file_system_of(Path("/proc/self")) == "proc"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, False),
        ({"CI": "false"}, False),
        ({"CI": "True"}, True),
        ({"CI": "1"}, True),
        ({"JENKINS_URL": ""}, True),
    ],
)
def test_a_ci_is_known_by_its_variables(environ: dict[str, str], *, expected: bool) -> None:
    assert in_ci(environ) is expected


# -- the table of drivers ------------------------------------------------------------------------------


def test_an_unknown_driver_is_refused_naming_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="zfs") as refused:
        open_driver("zfs", tmp_path / "models", tmp_path / "store", "models")
    assert "'local'" in refused.value.hint


def test_the_local_driver_is_opened_by_its_name(tmp_path: Path) -> None:
    driver = open_driver("local", tmp_path / "models", tmp_path / "store", "models", environ={})
    driver.initialise(project="a/b", model="c")
    assert (tmp_path / "models/.snapshot").is_symlink()
