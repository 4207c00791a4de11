"""The rights that `doctor --role` prints are enough for what they are for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest
from msgspec.structs import replace

from ci_mlsnap.flows.sealing import Taken, manifests, marker_of, seal
from ci_mlsnap.storage.ontap import OntapDriver
from ci_mlsnap.storage.ontap_endpoint import Wishes
from ci_mlsnap.storage.ontap_roles import ROLES
from ci_mlsnap.testing.ground import FIRST, MODEL, PROJECT, SECOND, look, manifest_of, publish, write
from tests.ontap.emulator.access import Account, Role
from tests.ontap.emulator.server import Emulator
from tests.ontap.emulator.values import Volume
from tests.ontap.mounted import HASTY, driver_of, endpoint_of

pytestmark = pytest.mark.usefixtures("untouched")


def let_in(emulator: Emulator, kind: str) -> None:
    """Let a user in with the printed role alone."""
    emulator.cluster.accounts.add(
        Account(name=kind, role=cast("Role", ROLES[kind]), password="secret", svm="svm1")
    )


def opened(emulator: Emulator, volume: Volume, folder: Path, kind: str, wishes: Wishes) -> OntapDriver:
    endpoint = endpoint_of(emulator, user=kind, password="secret")
    state = folder / f"state-{volume.name}"
    return driver_of(emulator, volume, state, named=volume.name, endpoint=endpoint, patience=HASTY, wishes=wishes)


@pytest.fixture
def live(emulator: Emulator, models: Volume, tmp_path: Path) -> Path:
    """Give the live tree of a volume with two versions, made with all rights."""
    place = emulator.cluster.path(models)
    driver = driver_of(emulator, models, tmp_path / "state-models", patience=HASTY)
    driver.initialise(project=PROJECT, model=MODEL)
    for name in (FIRST, SECOND):
        write(place, {"weights.bin": name.sha.encode()})
        publish(driver, place, name)
    return place


def test_clone_is_enough_to_make_and_remove_clones(
    emulator: Emulator, models: Volume, live: Path, tmp_path: Path
) -> None:
    let_in(emulator, "clone")
    root = emulator.cluster.places.junction("svm1", "/")
    driver = opened(emulator, models, tmp_path, "clone", Wishes(clones=str(root)))
    place = driver.clone(SECOND, root / "mine")
    assert look(place) == look(live)
    driver.remove_clone(place)
    assert not place.exists()


def test_in_place_is_enough_to_restore_the_volume(
    emulator: Emulator, models: Volume, live: Path, tmp_path: Path
) -> None:
    let_in(emulator, "in-place")
    driver = opened(emulator, models, tmp_path, "in-place", Wishes())
    driver.revert(FIRST, losing=[snapshot.name for snapshot in driver.newer_than(FIRST)])
    assert (live / "weights.bin").read_bytes() == FIRST.sha.encode()


def test_group_is_enough_for_one_instant(emulator: Emulator, models: Volume, tmp_path: Path) -> None:
    volumes = [models, emulator.cluster.add_volume("tokens", junction="/tokens")]
    emulator.cluster.add_group("digits", *volumes)
    let_in(emulator, "group")
    assert seal_together(emulator, [opened(emulator, it, tmp_path, "group", Wishes()) for it in volumes], volumes)


def seal_together(emulator: Emulator, drivers: Sequence[OntapDriver], volumes: Sequence[Volume]) -> bool:
    taken = []
    for driver, volume in zip(drivers, volumes, strict=True):
        place = emulator.cluster.path(volume)
        driver.initialise(project=PROJECT, model=MODEL)
        write(place, {"weights.bin": b"trained"})
        frozen = driver.freeze(place, parent=None, full=False, inventory=True)
        taken.append(Taken(volume=volume.name, driver=driver, tree=place, frozen=frozen))
    made = manifests(taken, replace(manifest_of(drivers[0], FIRST, taken[0].frozen).header, volume="models"))
    return seal(taken, made, marker_of(made[0]))
