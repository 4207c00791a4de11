"""Several volumes of one consistency group get their snapshots at one instant, else one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.errors import LateWriter, MlsnapError, SnapshotForeign, StorageFull, StorageUnknown
from ci_mlsnap.flows.sealing import Taken, manifests, marker_of, seal
from ci_mlsnap.storage.ontap import OntapDriver
from ci_mlsnap.testing.ground import FIRST, MODEL, PROJECT, manifest_of, write
from tests.ontap.cutting import is_cut_off
from tests.ontap.emulator.access import PRUNING, Account
from tests.ontap.emulator.faults import BROKEN, LOGIN_PAGE, LOST_ANSWER, LOST_REQUEST, TRUNCATED, Fault, JobFault
from tests.ontap.emulator.server import Emulator
from tests.ontap.emulator.values import Group, GroupSnapshot, Volume
from tests.ontap.mounted import HASTY, driver_of, endpoint_of
from tests.ontap.placed import placed

GROUPED = "POST /api/application/consistency-groups/*"

pytestmark = pytest.mark.usefixtures("untouched")


@pytest.fixture
def tokens(emulator: Emulator) -> Volume:
    return emulator.cluster.add_volume("tokens", junction="/tokens")


@pytest.fixture
def group(emulator: Emulator, models: Volume, tokens: Volume) -> Group:
    return emulator.cluster.add_group("digits", models, tokens)


@pytest.fixture
def drivers(emulator: Emulator, models: Volume, tokens: Volume, tmp_path: Path) -> list[OntapDriver]:
    return opened(emulator, [models, tokens], tmp_path)


def opened(emulator: Emulator, volumes: Sequence[Volume], folder: Path, **given: Any) -> list[OntapDriver]:
    return [
        driver_of(emulator, volume, folder / f"state-{volume.name}", named=volume.name, patience=HASTY, **given)
        for volume in volumes
    ]


def frozen(emulator: Emulator, drivers: Sequence[OntapDriver]) -> list[Taken]:
    taken = []
    for driver, volume in zip(drivers, list(emulator.cluster.volumes.values()), strict=False):
        live = emulator.cluster.path(volume)
        driver.initialise(project=PROJECT, model=MODEL)
        write(live, {"weights.bin": volume.name.encode()})
        found = driver.freeze(live, parent=None, full=False, inventory=True)
        taken.append(Taken(volume=volume.name, driver=driver, tree=live, frozen=found))
    return taken


def sealed(taken: Sequence[Taken], name: SnapshotName = FIRST) -> bool:
    header = replace(manifest_of(taken[0].driver, name, taken[0].frozen).header, volume="models")
    made = manifests(taken, header)
    return seal(taken, made, marker_of(made[0]))


def require_whole(drivers: Sequence[OntapDriver]) -> None:
    for driver in drivers:
        driver.read_back(FIRST)
        assert [snapshot.name for snapshot in driver.list() if snapshot.marker] == [str(FIRST)]


def test_a_group_of_exactly_these_volumes_makes_one_instant(
    emulator: Emulator, models: Volume, tokens: Volume, group: Group, drivers: list[OntapDriver]
) -> None:
    assert sealed(frozen(emulator, drivers))
    require_whole(drivers)
    assert models.snapshots[str(FIRST)].created == tokens.snapshots[str(FIRST)].created
    assert len(group.snapshots) == 1
    assert sealed(frozen_again(drivers, emulator))  # and again adds nothing
    assert len(group.snapshots) == 1


def frozen_again(drivers: Sequence[OntapDriver], emulator: Emulator) -> list[Taken]:
    return [
        Taken(
            volume=volume.name,
            driver=driver,
            tree=emulator.cluster.path(volume),
            frozen=driver.freeze(emulator.cluster.path(volume), parent=None, full=False, inventory=True),
        )
        for driver, volume in zip(drivers, emulator.cluster.volumes.values(), strict=False)
    ]


@pytest.mark.parametrize("how", ["no group", "another volume too", "only one", "old release"])
def test_without_such_a_group_each_has_its_own_instant(
    emulator: Emulator, models: Volume, tokens: Volume, drivers: list[OntapDriver], how: str
) -> None:
    taken = frozen(emulator, drivers)
    match how:
        case "another volume too":
            emulator.cluster.add_group("more", models, tokens, emulator.cluster.add_volume("third"))
        case "only one":
            emulator.cluster.add_group("less", models)
        case "old release":
            emulator.cluster.add_group("digits", models, tokens)
            emulator.cluster.version = (9, 8, 0)
        case _:
            pass
    assert not sealed(taken)
    require_whole(drivers)


def test_a_role_that_may_not_mark_snapshots_gets_no_group_snapshot_that_would_be_nobodys(
    emulator: Emulator, models: Volume, tokens: Volume, group: Group, tmp_path: Path
) -> None:
    role = {
        **PRUNING,
        "/api/storage/volumes/*/snapshots": "read_create",
        "/api/application/consistency-groups": "all",
    }
    emulator.cluster.accounts.add(Account(name="runner", role=role, password="runners", svm="svm1"))
    endpoint = endpoint_of(emulator, user="runner", password="runners")
    drivers = opened(emulator, [models, tokens], tmp_path, endpoint=endpoint)
    assert not sealed(frozen(emulator, drivers))
    assert group.snapshots == {}
    require_whole(drivers)


@pytest.mark.parametrize("fault", [LOST_ANSWER, TRUNCATED, Fault(code=200, body="<html>", worked=True)])
@pytest.mark.parametrize("on", [GROUPED, "PATCH *"])
def test_a_lost_answer_is_looked_up(
    emulator: Emulator, group: Group, drivers: list[OntapDriver], fault: Fault, on: str
) -> None:
    taken = frozen(emulator, drivers)
    if on != GROUPED:  # the first two changes ask whether there is a right to change anything
        emulator.faults.before(GROUPED, lambda: emulator.faults.next(fault, on=on))
    else:
        emulator.faults.next(fault, on=on)
    assert sealed(taken)
    require_whole(drivers)
    assert len(group.snapshots) == 1


@pytest.mark.parametrize("fault", [LOST_REQUEST, LOGIN_PAGE, BROKEN])
def test_where_nothing_shows_the_outcome_is_unknown_and_the_next_try_makes_it(
    emulator: Emulator, group: Group, drivers: list[OntapDriver], fault: Fault
) -> None:
    taken = frozen(emulator, drivers)
    emulator.faults.next(fault, on=GROUPED)
    with pytest.raises(StorageUnknown):
        sealed(taken)
    assert sealed(taken)
    require_whole(drivers)


@pytest.mark.parametrize("kind", ["fail", "cancel", "lost", "hang"])
@pytest.mark.parametrize("worked", [True, False])
def test_however_the_job_ends_there_is_one_version_or_none(
    emulator: Emulator, group: Group, drivers: list[OntapDriver], kind: str, worked: bool
) -> None:
    taken = frozen(emulator, drivers)
    emulator.faults.next_job(JobFault(kind=kind, worked=worked, code=53411921), on=GROUPED)  # type: ignore[arg-type]
    try:
        sealed(taken)
    except MlsnapError:
        assert not worked
        sealed(taken)
    require_whole(drivers)
    assert len(group.snapshots) == (1 if worked or kind != "fail" else 0)


def test_what_was_cut_off_before_it_was_marked_is_marked_by_the_next_try(
    emulator: Emulator, models: Volume, group: Group, drivers: list[OntapDriver]
) -> None:
    taken = frozen(emulator, drivers)
    emulator.faults.before(GROUPED, lambda: emulator.faults.next(BROKEN, on="PATCH *"))
    with pytest.raises(MlsnapError):
        sealed(taken)
    assert models.snapshots[str(FIRST)].comment == ""
    assert drivers[0].get(FIRST).marker is None  # type: ignore[union-attr]
    assert sealed(taken)
    require_whole(drivers)
    assert len(group.snapshots) == 1


def test_a_group_snapshot_of_somebody_else_under_the_name_is_not_ours(
    emulator: Emulator, models: Volume, tokens: Volume, group: Group, drivers: list[OntapDriver]
) -> None:
    taken = frozen(emulator, drivers)
    theirs = GroupSnapshot(name=str(FIRST), created=emulator.cluster.now(), comment="nightly")
    emulator.cluster.group_snapshot(group, theirs)
    with pytest.raises(SnapshotForeign):
        sealed(taken)
    assert models.snapshots[str(FIRST)].comment == tokens.snapshots[str(FIRST)].comment == ""


def test_a_late_writer_in_one_volume_leaves_no_version(
    emulator: Emulator, models: Volume, tokens: Volume, group: Group, drivers: list[OntapDriver]
) -> None:
    taken = frozen(emulator, drivers)
    emulator.faults.before(GROUPED, lambda: write(emulator.cluster.path(models), {"late": b"x"}))
    with pytest.raises(LateWriter, match="late"):
        sealed(taken)
    assert list(models.snapshots) == []


def test_the_run_says_whether_it_was_one_instant(emulator: Emulator, models: Volume, tmp_path: Path) -> None:
    tokens = emulator.cluster.add_volume("tokens", junction="/tokens")
    with placed(emulator, models, tmp_path) as place:
        settings = (place.folder / "mlsnap.toml").read_text()
        more = f'[volumes.tokens]\npath = "{emulator.cluster.path(tokens)}"\ndriver = "ontap"\nvolume = "tokens"\n'
        train = (place.folder / "train.sh").read_text()
        writing = 'cp weights.txt "$MLSNAP_MODEL_DIR_TOKENS/vocabulary"\n'
        place.commit(**{"mlsnap.toml": settings + more, "train.sh": train + writing})
        assert "not at one instant" in place.mlsnap("run").text
        emulator.cluster.add_group("digits", models, tokens)
        second = place.commit("second\n")
        assert "in 2 volumes, at one instant" in place.mlsnap("run").text
        place.mlsnap("verify", second)


@pytest.mark.parametrize(("worked", "start"), [(False, 1), (True, 3)])
def test_what_was_cut_off_at_some_request_is_ended_by_doing_it_again(
    emulator: Emulator, models: Volume, tokens: Volume, group: Group, tmp_path: Path, worked: bool, start: int
) -> None:
    for at in range(start, 40, 4):
        name = SnapshotName(sha=f"{at:040x}")
        taken = frozen(emulator, opened(emulator, [models, tokens], tmp_path))
        cut = is_cut_off(partial(sealed, taken, name), at=at, worked=worked)
        later = opened(emulator, [models, tokens], tmp_path)
        again = [replace(it, driver=driver) for it, driver in zip(taken, later, strict=True)]
        sealed(again, name)
        for driver, volume in zip(later, (models, tokens), strict=True):
            driver.read_back(name)
            assert volume.snapshots[str(name)].comment
        if not cut:
            assert at > 8
            return
    pytest.fail("the act never ended")


def test_a_volume_that_can_have_no_more_snapshots_says_so(
    emulator: Emulator, models: Volume, tokens: Volume, group: Group, drivers: list[OntapDriver]
) -> None:
    taken = frozen(emulator, drivers)
    models.limit = 0
    with pytest.raises(StorageFull):
        sealed(taken)
    assert group.snapshots == {} and models.snapshots == {}
    assert drivers[0].get(FIRST) is None
    models.limit = 1023
    sealed(taken)
    require_whole(drivers)
