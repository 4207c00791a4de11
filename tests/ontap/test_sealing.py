"""A snapshot is made once or not at all, whatever becomes of the answer, and holds what was seen or goes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ci_mlsnap.errors import (
    Busy,
    LateWriter,
    MlsnapError,
    Refused,
    SnapshotConflict,
    SnapshotForeign,
    SnapshotHeld,
    StorageFailed,
    StorageForbidden,
    StorageFull,
    StorageReadOnly,
    StorageUnknown,
    VolumeForeign,
    VolumeMissing,
    VolumeRefused,
)
from ci_mlsnap.ports import Frozen
from ci_mlsnap.storage.ontap import OntapDriver
from ci_mlsnap.storage.ontap_errors import failure
from ci_mlsnap.storage.ontap_natives import Natives
from ci_mlsnap.storage.ontap_shelf import OntapShelf
from ci_mlsnap.testing.ground import FIRST, MODEL, PROJECT, SECOND, write
from tests.ontap.cutting import CutOff, cut_off
from tests.ontap.emulator.access import SNAPSHOTS_ONLY, Account
from tests.ontap.emulator.faults import (
    BROKEN,
    LOGIN_PAGE,
    LOST_ANSWER,
    LOST_REQUEST,
    TOO_MANY,
    TRUNCATED,
    Fault,
    JobFault,
)
from tests.ontap.emulator.others import recreate
from tests.ontap.emulator.server import Emulator
from tests.ontap.emulator.values import Volume
from tests.ontap.mounted import HASTY, driver_of, endpoint_of, filled, plant, sealed, sealed_without_a_walk

POSTED = "POST */snapshots"

pytestmark = pytest.mark.usefixtures("untouched")


@pytest.fixture
def live(emulator: Emulator, models: Volume) -> Path:
    return emulator.cluster.path(models)


@pytest.fixture
def driver(emulator: Emulator, models: Volume, tmp_path: Path) -> OntapDriver:
    return driver_of(emulator, models, tmp_path / "state", patience=HASTY)


def posts(emulator: Emulator) -> int:
    return len(emulator.calls("POST"))


def told(error: MlsnapError) -> str:
    return f"{error.what} {error.why} {error.safe} {error.hint}"


# -- answers that are lost -----------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [LOST_ANSWER, TRUNCATED, Fault(code=200, body="<html>", worked=True)])
def test_a_snapshot_whose_answer_is_lost_is_found_by_its_name(
    emulator: Emulator, live: Path, driver: OntapDriver, fault: Fault
) -> None:
    frozen = filled(driver, live)
    emulator.faults.next(fault, on=POSTED)
    assert sealed(driver, frozen).name == str(FIRST)
    assert posts(emulator) == 1
    driver.read_back(FIRST)


@pytest.mark.parametrize("fault", [LOST_REQUEST, LOGIN_PAGE, BROKEN, Fault(kind="hang")])
def test_where_nothing_shows_what_came_of_it_the_outcome_is_unknown_and_the_next_try_makes_it(
    emulator: Emulator, live: Path, driver: OntapDriver, fault: Fault
) -> None:
    frozen = filled(driver, live)
    emulator.faults.next(fault, on=POSTED)
    if fault.kind == "hang":
        driver._home.cluster.patience = HASTY.__class__(looking=5.0, between=0.01, timeouts=(5.0, 0.3))
        driver._home.cluster.__dict__.pop("_connection", None)
    with pytest.raises(StorageUnknown):
        sealed(driver, frozen)
    assert posts(emulator) == 0  # none that was obeyed, and none was sent a second time
    assert sealed(driver, frozen).name == str(FIRST)


def test_a_cluster_that_has_too_much_to_do_is_asked_again(
    emulator: Emulator, models: Volume, live: Path, tmp_path: Path
) -> None:
    driver = driver_of(emulator, models, tmp_path / "state")
    frozen = filled(driver, live)
    emulator.faults.next(TOO_MANY, on=POSTED, times=3)
    assert sealed(driver, frozen).name == str(FIRST)
    assert posts(emulator) == 1


@pytest.mark.parametrize("kind", ["fail", "cancel", "lost", "hang"])
@pytest.mark.parametrize("worked", [True, False])
def test_what_a_job_says_in_the_end_does_not_count_against_what_is_there(
    emulator: Emulator, live: Path, driver: OntapDriver, kind: str, worked: bool
) -> None:
    frozen = filled(driver, live)
    emulator.faults.next_job(JobFault(kind=kind, worked=worked, code=3, message="internal error"), on=POSTED)  # type: ignore[arg-type]
    if worked:
        assert sealed(driver, frozen).name == str(FIRST)
    else:
        with pytest.raises((StorageFailed, StorageUnknown)):
            sealed(driver, frozen)
        assert driver.get(FIRST) is None
    assert posts(emulator) == 1
    assert sealed(driver, driver.freeze(live, parent=None, full=False, inventory=True)).name == str(FIRST)


def test_a_slow_job_is_waited_for(emulator: Emulator, models: Volume, live: Path, tmp_path: Path) -> None:
    driver = driver_of(emulator, models, tmp_path / "state")
    frozen = filled(driver, live)
    emulator.faults.next_job(JobFault(kind="slow", seconds=0.2), on=POSTED)
    assert sealed(driver, frozen).name == str(FIRST)
    assert len(emulator.calls("GET /api/cluster/jobs")) > 1


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (525062, StorageFull),
        (524479, StorageFull),
        (6, StorageForbidden),
        (1638461, StorageReadOnly),
        (1638532, Busy),
        (524481, Busy),
        (1638518, Refused),
        (99999, StorageFailed),
    ],
)
def test_a_job_that_fails_says_why_by_its_code(
    emulator: Emulator, live: Path, driver: OntapDriver, code: int, kind: type[MlsnapError]
) -> None:
    frozen = filled(driver, live)
    emulator.faults.next_job(JobFault(kind="fail", code=code, message="what the cluster says"), on=POSTED)
    with pytest.raises(kind) as refused:
        sealed(driver, frozen)
    assert f"what the cluster says (ONTAP code {code})" in refused.value.why
    assert refused.value.hint and refused.value.safe
    assert sealed(driver, frozen).name == str(FIRST)


@pytest.mark.parametrize("on", ["PATCH *", "DELETE *"])
@pytest.mark.parametrize("fault", [LOST_ANSWER, TRUNCATED])
def test_a_lost_answer_to_pruning_and_deleting_is_looked_up(
    emulator: Emulator, live: Path, driver: OntapDriver, on: str, fault: Fault
) -> None:
    sealed(driver, filled(driver, live))
    emulator.faults.next(fault, on=on)
    driver.prune(FIRST)
    assert [snapshot.name for snapshot in driver.pruned()] == [str(FIRST)]
    driver.delete(FIRST)
    assert list(driver.pruned()) == [] and driver.get(FIRST) is None
    assert len(emulator.calls("PATCH")) == len(emulator.calls("DELETE")) == 1


# -- others, meanwhile ---------------------------------------------------------------------------------


def test_a_late_writer_is_found_in_the_snapshot_which_is_taken_back(
    emulator: Emulator, models: Volume, live: Path, driver: OntapDriver
) -> None:
    frozen = filled(driver, live)
    emulator.faults.before(POSTED, lambda: write(live, {"epoch/1/log.txt": b"loss 0.4\n"}))
    with pytest.raises(LateWriter, match=r"log\.txt"):
        sealed(driver, frozen)
    assert list(models.snapshots) == []
    assert (live / "epoch/1/log.txt").read_bytes() == b"loss 0.4\n"
    with pytest.raises(SnapshotConflict):
        sealed(driver, driver.freeze(live, parent=None, full=False, inventory=True))
    sealed(driver, driver.freeze(live, parent=None, full=False, inventory=True), SECOND)


def test_without_the_right_to_delete_the_late_writers_snapshot_stays_and_is_no_success(
    emulator: Emulator, models: Volume, live: Path, tmp_path: Path
) -> None:
    emulator.cluster.accounts.add(Account(name="runner", role=SNAPSHOTS_ONLY, password="runners", svm="svm1"))
    endpoint = endpoint_of(emulator, user="runner", password="runners")
    driver = driver_of(emulator, models, tmp_path / "state", endpoint=endpoint, patience=HASTY)
    frozen = filled(driver, live)
    emulator.faults.before(POSTED, lambda: write(live, {"epoch/1/log.txt": b"loss 0.4\n"}))
    with pytest.raises(MlsnapError) as refused:
        sealed(driver, frozen)
    assert isinstance(refused.value, LateWriter) and "delete" in told(refused.value)
    assert list(models.snapshots) == [str(FIRST)]
    assert driver.get(FIRST) is None or driver.get(FIRST).marker is None  # type: ignore[union-attr]


def test_a_role_that_may_only_make_snapshots_is_enough_for_a_version(
    emulator: Emulator, models: Volume, live: Path, tmp_path: Path
) -> None:
    emulator.cluster.accounts.add(Account(name="runner", role=SNAPSHOTS_ONLY, password="runners", svm="svm1"))
    endpoint = endpoint_of(emulator, user="runner", password="runners")
    driver = driver_of(emulator, models, tmp_path / "state", endpoint=endpoint, patience=HASTY)
    sealed(driver, filled(driver, live))
    driver.read_back(FIRST)
    assert driver.probe().snapshots == 1
    for act in (driver.prune, driver.delete):
        with pytest.raises(StorageForbidden):
            act(FIRST)
    driver.read_back(FIRST)


def test_what_takes_the_name_meanwhile_is_never_ours(
    emulator: Emulator, models: Volume, live: Path, driver: OntapDriver
) -> None:
    frozen = filled(driver, live)
    emulator.faults.before(POSTED, lambda: plant(emulator, models, str(FIRST), live))
    with pytest.raises(SnapshotForeign):
        sealed(driver, frozen)
    assert models.snapshots[str(FIRST)].comment == ""


def test_a_snapshot_that_the_cluster_deletes_by_itself_is_missing(
    emulator: Emulator, models: Volume, live: Path, driver: OntapDriver, tmp_path: Path
) -> None:
    sealed(driver, filled(driver, live))
    emulator.cluster.drop(models, str(FIRST))
    other = driver_of(emulator, models, tmp_path / "state")
    assert list(other.missing()) == [FIRST]
    assert other.get(FIRST) is None


def test_a_snapshot_that_a_clone_stands_on_is_not_deleted(
    emulator: Emulator, models: Volume, live: Path, driver: OntapDriver
) -> None:
    made = sealed(driver, filled(driver, live))
    clone = emulator.cluster.add_volume("a_clone")
    clone.parent, clone.parent_snapshot = models.uuid, made.native_id
    with pytest.raises(SnapshotHeld, match=r".*") as refused:
        driver.delete(FIRST)
    assert "clone" in refused.value.hint
    driver.read_back(FIRST)


# -- the volume ----------------------------------------------------------------------------------------


def test_another_volume_under_the_old_name_is_refused(
    emulator: Emulator, models: Volume, live: Path, driver: OntapDriver, tmp_path: Path
) -> None:
    filled(driver, live)
    recreate(emulator.cluster, models)
    later = driver_of(emulator, models, tmp_path / "state")
    with pytest.raises(VolumeForeign, match="another one than before"):
        later.freeze(live, parent=None, full=False, inventory=True)
    assert list(models.snapshots) == []


def test_a_volume_that_a_person_says_is_the_same_is_so_from_then_on(
    emulator: Emulator, models: Volume, live: Path, driver: OntapDriver, tmp_path: Path
) -> None:
    sealed(driver, filled(driver, live))
    recreate(emulator.cluster, models)
    state, endpoint = tmp_path / "state", endpoint_of(emulator)
    moved = OntapDriver(live, state, "models", endpoint=endpoint, volume="models", moved=True, patience=HASTY)
    assert moved.rebuild(project=PROJECT, model=MODEL, dry_run=False).changed
    later = driver_of(emulator, models, state)
    later.read_back(FIRST)
    sealed(later, later.freeze(live, parent=None, full=False, inventory=True), SECOND)


def test_a_volume_without_the_recorded_id_is_not_accepted_as_moved(
    emulator: Emulator, models: Volume, live: Path, driver: OntapDriver, tmp_path: Path
) -> None:
    filled(driver, live)
    recreate(emulator.cluster, models)
    (live / ".mlsnap/volume.json").unlink()
    state, endpoint = tmp_path / "state", endpoint_of(emulator)
    moved = OntapDriver(live, state, "models", endpoint=endpoint, volume="models", moved=True, patience=HASTY)
    with pytest.raises(VolumeForeign):
        moved.rebuild(project=PROJECT, model=MODEL, dry_run=False)
    with pytest.raises(VolumeForeign, match="another one than before"):
        driver_of(emulator, models, state).list()


@pytest.mark.parametrize(
    ("facts", "kind"),
    [
        ({"state": "offline"}, VolumeMissing),
        ({"state": "restricted"}, VolumeMissing),
        ({"type": "dp"}, StorageReadOnly),
        ({"snapshots_shown": False}, StorageFailed),
    ],
)
def test_a_volume_that_can_have_no_version_is_refused_before_anything_is_made(
    emulator: Emulator, models: Volume, driver: OntapDriver, facts: dict[str, object], kind: type[MlsnapError]
) -> None:
    for name, value in facts.items():
        setattr(models, name, value)
    with pytest.raises(kind) as refused:
        driver.initialise(project=PROJECT, model=MODEL)
    assert refused.value.hint
    assert driver.volume_id == ""


def test_a_mount_that_hides_the_snapshots_is_refused_before_anything_is_made(
    live: Path, driver: OntapDriver
) -> None:
    (live / ".snapshot").rmdir()
    with pytest.raises(StorageFailed, match="cannot be opened"):
        driver.initialise(project=PROJECT, model=MODEL)
    assert driver.volume_id == ""


def test_state_in_the_volume_itself_is_worth_a_word(
    emulator: Emulator, models: Volume, live: Path, driver: OntapDriver
) -> None:
    assert driver.probe().notes == ()
    ((_, hint),) = driver_of(emulator, models, live / ".mlsnap/state").probe().notes
    assert "`state`" in hint


def test_a_volume_that_is_full_of_snapshots_is_refused_by_the_probe(
    emulator: Emulator, models: Volume, driver: OntapDriver
) -> None:
    taken = emulator.cluster.snapshot(models, "hourly.0")
    models.snapshots.update({f"hourly.{number}": taken for number in range(1023)})
    with pytest.raises(StorageFailed, match="1023"):
        driver.probe()


@pytest.mark.parametrize("named", ["other", "00000000-0000-0000-0000-000000000000"])
def test_a_volume_that_there_is_not_is_said(
    emulator: Emulator, models: Volume, tmp_path: Path, named: str
) -> None:
    driver = driver_of(emulator, models, tmp_path / "state", named=named, patience=HASTY)
    with pytest.raises(VolumeMissing, match=named):
        driver.probe()


def test_a_volume_may_be_named_by_its_uuid(emulator: Emulator, models: Volume, tmp_path: Path) -> None:
    driver = driver_of(emulator, models, tmp_path / "state", named=models.uuid)
    assert "models" in driver.probe().why


def test_of_two_volumes_of_a_name_none_is_guessed(emulator: Emulator, models: Volume, tmp_path: Path) -> None:
    emulator.cluster.add_svm("svm2")
    emulator.cluster.add_volume("models", svm="svm2")
    driver = driver_of(emulator, models, tmp_path / "state", endpoint=endpoint_of(emulator, svm=""))
    with pytest.raises(VolumeRefused, match="2 volumes"):
        driver.probe()


def test_a_folder_that_is_no_nfs_mount_does_not_tell_its_volume(
    emulator: Emulator, models: Volume, tmp_path: Path
) -> None:
    with pytest.raises(VolumeMissing, match="which volume"):
        driver_of(emulator, models, tmp_path / "state", named="").probe()


def test_another_volume_that_is_mounted_there_is_found_out(
    emulator: Emulator, models: Volume, live: Path, driver: OntapDriver, tmp_path: Path
) -> None:
    """The cluster makes a snapshot of one volume, and the mount shows another one's."""
    emulator.cluster.add_volume("other", junction="/other")
    wrong = OntapDriver(
        live, tmp_path / "state", "models", endpoint=endpoint_of(emulator), volume="other", patience=HASTY
    )
    frozen = filled(wrong, live)
    with pytest.raises(StorageFailed, match="cannot be opened"):
        sealed(wrong, frozen)


# -- without a walk, without a login -------------------------------------------------------------------


def test_a_runs_workspace_is_refused_before_it_is_made(driver: OntapDriver, live: Path, tmp_path: Path) -> None:
    """A run that trained there could not be sealed."""
    filled(driver, live)
    with pytest.raises(VolumeRefused, match="only the volume"):
        driver.clone(None, tmp_path / "state/work/a-run")
    assert list((tmp_path / "state/work").iterdir()) == []


def test_without_an_inventory_no_file_is_looked_at(emulator: Emulator, live: Path, driver: OntapDriver) -> None:
    driver.initialise(project=PROJECT, model=MODEL)
    write(live, {"weights.bin": b"weights"})
    (live / "unreadable").symlink_to("/etc/passwd")  # what a walk would refuse
    sealed_without_a_walk(driver, live)
    driver.read_back(FIRST)
    assert driver.manifest_header(FIRST).files_mode == "none"


def test_a_version_takes_few_calls(emulator: Emulator, models: Volume, live: Path, tmp_path: Path) -> None:
    filled(driver_of(emulator, models, tmp_path / "state"), live)
    before = len(emulator.exchanges)
    driver = driver_of(emulator, models, tmp_path / "state")
    driver.probe()
    sealed(driver, driver.freeze(live, parent=None, full=False, inventory=True))
    driver.read_back(FIRST)
    calls = [call for call in emulator.calls()[before:] if "/jobs/" not in call]
    assert len(calls) <= 6, calls


def test_without_a_login_versions_are_read_and_none_is_made(
    emulator: Emulator, models: Volume, live: Path, driver: OntapDriver, tmp_path: Path
) -> None:
    made = sealed(driver, filled(driver, live))
    before = len(emulator.exchanges)
    reader = OntapDriver(live, tmp_path / "state", "models", endpoint=None, volume="models")
    assert [snapshot.name for snapshot in reader.list()] == [made.name]
    assert reader.manifest(FIRST) == driver.manifest(FIRST)
    reader.read_back(FIRST)
    assert (reader.view(FIRST) / "weights.bin").read_bytes() == b"weights"
    assert list(reader.missing()) == [] and list(reader.pruned()) == []
    with pytest.raises(StorageFailed, match="no login"):
        sealed(reader, reader.freeze(live, parent=None, full=False, inventory=True), SECOND)
    for act in (reader.prune, reader.delete, reader.undelete):
        with pytest.raises(StorageFailed, match="no login"):
            act(FIRST)
    assert [call for call in emulator.calls()[before:] if not call.startswith("GET")] == []


def test_a_lost_ledger_is_known_again_from_the_cluster(
    emulator: Emulator, models: Volume, live: Path, driver: OntapDriver, tmp_path: Path
) -> None:
    sealed(driver, filled(driver, live))
    plant(emulator, models, str(SECOND), live)
    for ledger in (tmp_path / "state/ledger", tmp_path / "state/state/ledger"):
        ledger.unlink()
    later = driver_of(emulator, models, tmp_path / "state")
    assert later.get(FIRST) is not None
    planned = later.rebuild(project=PROJECT, model=MODEL, dry_run=True)
    assert (planned.ours, planned.changed, planned.refused) == (1, True, ())
    assert list(later.used_names()) == []
    assert later.rebuild(project=PROJECT, model=MODEL, dry_run=False).changed
    assert list(later.used_names()) == [FIRST]
    assert not later.rebuild(project=PROJECT, model=MODEL, dry_run=False).changed
    later.read_back(FIRST)


def test_a_lost_state_is_known_again_from_the_cluster_and_the_volumes_own_id(
    emulator: Emulator, models: Volume, live: Path, driver: OntapDriver, tmp_path: Path
) -> None:
    sealed(driver, filled(driver, live))
    shutil.rmtree(tmp_path / "state")
    later = driver_of(emulator, models, tmp_path / "state")
    with pytest.raises(VolumeForeign):
        later.initialise(project=PROJECT, model=MODEL)
    assert not later.rebuild(project="someone/else", model=MODEL, dry_run=False).changed
    assert later.rebuild(project=PROJECT, model=MODEL, dry_run=True).changed and later.bound() is None
    assert later.rebuild(project=PROJECT, model=MODEL, dry_run=False).ours == 1
    assert (later.volume_id, later.bound()) == (driver.volume_id, (PROJECT, MODEL))
    later.read_back(FIRST)
    assert list(later.used_names()) == [FIRST]
    assert later.initialise(project=PROJECT, model=MODEL) == driver.volume_id


# -- codes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422])
@pytest.mark.parametrize("code", [0, 2, 6, 262197, 1638543, 9437885])
def test_every_refusal_has_a_way_out(status: int, code: int) -> None:
    error = failure("it cannot be done", status=status, code=code, message="\x1b[31m no\n")
    if isinstance(error, MlsnapError):
        assert error.hint and error.safe and error.why.isprintable()


# -- what was seen a moment ago ------------------------------------------------------------------------


def test_what_was_seen_a_moment_ago_is_not_asked_for_again_but_what_we_did_is(
    emulator: Emulator, models: Volume, live: Path, tmp_path: Path
) -> None:
    driver = driver_of(emulator, models, tmp_path / "state", patience=replace(HASTY, fresh=1000.0))
    frozen = filled(driver, live)
    assert list(driver.list()) == []
    sealed(driver, frozen)
    before = len(emulator.exchanges)
    assert [snapshot.name for snapshot in driver.list()] == [str(FIRST)]
    assert driver.get(FIRST) is not None and driver.get(SECOND) is None
    assert len(emulator.exchanges) == before
    driver.prune(FIRST)
    assert list(driver.list()) == [] and [snapshot.name for snapshot in driver.pruned()] == [str(FIRST)]
    driver.undelete(FIRST)
    assert driver.get(FIRST) is not None and list(driver.pruned()) == []
    driver.delete(FIRST)
    assert driver.get(FIRST) is None and list(driver.list()) == []


# -- cut off -------------------------------------------------------------------------------------------


def acted(driver: OntapDriver, act: str, frozen: Frozen) -> None:
    match act:
        case "seal":
            sealed(driver, frozen, SECOND)
        case "prune":
            driver.prune(FIRST)
        case "undelete":
            driver.undelete(FIRST)
        case _:
            driver.delete(FIRST)


@pytest.mark.parametrize("worked", [False, True])
@pytest.mark.parametrize("act", ["seal", "prune", "undelete", "delete"])
def test_what_was_cut_off_at_any_request_is_ended_by_doing_it_again(
    emulator: Emulator, models: Volume, live: Path, tmp_path: Path, act: str, worked: bool
) -> None:
    for at in range(1, 20):
        state = tmp_path / f"state-{at}"
        models.snapshots.clear()
        shutil.rmtree(live / ".snapshot")
        (live / ".snapshot").mkdir()
        (live / ".mlsnap/volume.json").unlink(missing_ok=True)
        driver = driver_of(emulator, models, state)
        sealed(driver, filled(driver, live))
        if act == "undelete":
            driver.prune(FIRST)
        frozen = driver.freeze(live, parent=None, full=False, inventory=True)
        with pytest.MonkeyPatch.context() as patched:
            ended = driver_of(emulator, models, state)
            cut_off(patched, at=at, worked=worked)
            try:
                acted(ended, act, frozen)
            except CutOff:
                over = False
            else:
                over = True
        if over:
            assert at > 3
            return
        later = driver_of(emulator, models, state)
        acted(later, act, frozen)
        ours = {"seal": [FIRST, SECOND], "undelete": [FIRST]}.get(act, [])
        assert [snapshot.name for snapshot in later.list() if snapshot.marker] == [str(name) for name in ours]
        assert len(models.snapshots) == len(ours) + (act == "prune")
        for name in ours:
            later.read_back(name)
        assert list(later.missing()) == []
    pytest.fail("the act never ended")


def test_what_nobody_came_to_look_at_is_looked_at_before_it_counts(
    emulator: Emulator, models: Volume, live: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that ended between the snapshot and the look at it, with a late writer in between."""
    driver = driver_of(emulator, models, tmp_path / "state")
    frozen = filled(driver, live)
    emulator.faults.before(POSTED, lambda: write(live, {"epoch/1/log.txt": b"loss 0.4\n"}))
    with monkeypatch.context() as patched:
        patched.setattr(OntapShelf, "make", ended_after(OntapShelf.make))
        with pytest.raises(CutOff):
            sealed(driver, frozen)
    assert list(models.snapshots) == [str(FIRST)]
    with pytest.raises(LateWriter, match=r"log\.txt"):
        sealed(driver_of(emulator, models, tmp_path / "state"), frozen)
    assert list(models.snapshots) == []


def test_a_name_whose_pruning_was_cut_off_is_not_used_again(
    emulator: Emulator, models: Volume, live: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = driver_of(emulator, models, tmp_path / "state")
    sealed(driver, filled(driver, live))
    with monkeypatch.context() as patched:
        patched.setattr(Natives, "rename", ended_after(Natives.rename))
        with pytest.raises(CutOff):
            driver.prune(FIRST)
    later = driver_of(emulator, models, tmp_path / "state")
    with pytest.raises(SnapshotConflict):
        sealed(later, later.freeze(live, parent=None, full=False, inventory=True))
    assert list(models.snapshots) == [f"mlsnap-pruned-{FIRST}"]


def test_a_mount_that_shows_a_snapshot_late_is_waited_for(
    emulator: Emulator, models: Volume, live: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an NFS client does that looked for the name before."""
    driver = driver_of(emulator, models, tmp_path / "state")
    frozen = filled(driver, live)
    place, away = live / ".snapshot" / str(FIRST), tmp_path / "away"
    emulator.faults.before("GET */snapshots", lambda: place.is_dir() and place.rename(away))
    waited: list[Path] = []
    patched = lambda _: waited.append(away.rename(place))  # noqa: E731
    monkeypatch.setattr("ci_mlsnap.storage.ontap_shelf.time.sleep", patched)
    assert sealed(driver, frozen).name == str(FIRST)
    assert waited == [place]
    driver.read_back(FIRST)


def ended_after(act: Callable[..., object]) -> Callable[..., object]:
    def cut(*arguments: Any, **given: Any) -> object:
        act(*arguments, **given)
        raise CutOff

    return cut
