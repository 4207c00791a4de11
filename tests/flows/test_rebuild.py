"""rebuild: with all but the snapshots and git deleted, the same versions, attempts, holds and channels."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ci_mlsnap.cli.printing import Lines
from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.domain.pins import DataPlan, Pin
from ci_mlsnap.errors import IntegrityDamage, MlsnapError
from ci_mlsnap.flows.context import Project
from ci_mlsnap.flows.holding import owner
from ci_mlsnap.flows.promote import promote
from ci_mlsnap.flows.rebuild import rebuild
from ci_mlsnap.flows.verify import verify
from ci_mlsnap.services import Site, open_project
from ci_mlsnap.state import catalogue, channels
from ci_mlsnap.state.sequences import next_sequence
from ci_mlsnap.testing.ground import (
    FIRST,
    MODEL,
    PROJECT,
    SECOND,
    manifest_of,
    marker_of,
    pin,
    publish,
)
from ci_mlsnap.testing.memory import MemoryDriver, MemoryStorage
from ci_mlsnap.trees.remove import remove_tree
from tests.conftest import GitRepository
from tests.flows.conftest import QUIET, MakePlace, Place
from tests.property.effects import Crash, crashing

NAMES = [FIRST, SnapshotName(sha=FIRST.sha, attempt=2), SECOND]


class Store:
    """A checkout whose store is filled by hand, looked at within this process."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.root = top / ".git/mlsnap/models"
        self.state = self.root / "state"
        self.live = top / "models"
        self.numbers = 0

    def open(self) -> Project:
        return open_project(Site(progress_for=Lines, project=str(self.top), environ=os.environ))

    def begin(self) -> None:
        """Begin anew, without any version."""
        for tree in (self.root, self.live):
            remove_tree(tree)
        self.numbers = 0
        project = self.open()
        project.driver.initialise(project=PROJECT, model=MODEL)

    def make(self, name: SnapshotName) -> None:
        self.numbers += 1
        (self.live / "weights").write_text(f"{self.numbers}")
        publish(self.open().driver, self.live, name, sequence=self.numbers)

    def picture(self) -> object:
        """Give all that is known and must be known again."""
        project = self.open()
        driver = project.driver
        read = catalogue.read(driver)
        return (
            {it.name: (str(it.marker), frozenset(it.holds)) for it in driver.list()},
            {it.name: str(it.marker) for it in driver.pruned()},
            {str(name) for name in driver.used_names()},
            {it.header.name: (it.header.verdict, it.header.sequence, it.digest) for it in read.versions},
            channels.live(project.state),
            read.damaged,
        )


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a repository once: git is asked for nothing that a test changes."""
    top = tmp_path_factory.mktemp("rebuild") / "checkout"
    top.mkdir()
    (top / "mlsnap.toml").write_text(
        f'train = "true"\nvolume = "models"\nproject = "{PROJECT}"\nmodel = "{MODEL}"\n'
    )
    (top / ".gitignore").write_text("/models\n")
    repository = GitRepository(path=top)
    repository.git("init", "--quiet")
    repository.commit()
    return top


@pytest.fixture
def store(checkout: Path) -> Store:
    made = Store(checkout)
    made.begin()
    return made


@pytest.fixture
def kept(store: Store) -> Store:
    """Give a store with three versions, a hold, a channel, a pruned and a deleted one."""
    for name in NAMES:
        store.make(name)
    _act(store, ("hold", 0))
    _act(store, ("promote", 2))
    _act(store, ("prune", 1))
    store.make(SnapshotName(sha=FIRST.sha, attempt=3))
    store.open().driver.delete(SnapshotName(sha=FIRST.sha, attempt=3))
    return store


def _act(store: Store, deed: tuple[str, int]) -> None:
    """Do one deed; one that is refused is none."""
    what, which = deed
    project, name = store.open(), NAMES[which]
    driver = project.driver
    deeds: dict[str, Callable[[], object]] = {
        "make": lambda: store.make(name),
        "hold": lambda: driver.hold(name, "ada"),
        "release": lambda: driver.release_hold(name, "ada"),
        "promote": lambda: promote(project, str(name) if name.attempt > 1 else f"{name}.1", "production"),
        "stage": lambda: promote(project, str(name) if name.attempt > 1 else f"{name}.1", "staging"),
        "prune": lambda: driver.prune(name),
        "undelete": lambda: driver.undelete(name),
        "delete": lambda: driver.delete(name),
    }
    try:
        deeds[what]()
    except MlsnapError:
        return


# -- what can be lost ----------------------------------------------------------------------------------


def _state(store: Store) -> None:
    shutil.rmtree(store.state)


def _state_and_record(store: Store) -> None:
    shutil.rmtree(store.state)
    (store.root / "volume.json").unlink()


def _all_but_snapshots(store: Store) -> None:
    _state_and_record(store)
    remove_tree(store.live)


def _ledger(store: Store) -> None:
    (store.state / "ledger").unlink()


def _older_ledger(store: Store) -> None:
    """An older copy of the state was put back."""
    file = store.state / "ledger"
    lines = file.read_bytes().splitlines(keepends=True)
    file.unlink()
    file.write_bytes(b"".join(lines[:3]))


LOSSES = [_state, _state_and_record, _all_but_snapshots, _ledger, _older_ledger]


@pytest.mark.parametrize("lose", LOSSES)
def test_what_is_lost_is_known_again_and_twice_is_once(kept: Store, lose: Callable[[Store], None]) -> None:
    before = kept.picture()
    lose(kept)
    assert rebuild(kept.open()).changed
    assert kept.picture() == before
    again = rebuild(kept.open())
    assert (again.changed, again.adopted, again.channels, again.lost) == (False, (), (), ())
    assert kept.picture() == before
    project = kept.open()
    assert next_sequence(project.state, project.driver) == kept.numbers + 1


@pytest.mark.parametrize("lose", [_state, _ledger, _older_ledger])
def test_until_then_nothing_is_taken_for_foreign_and_the_way_out_is_said(
    kept: Store, lose: Callable[[Store], None]
) -> None:
    lose(kept)
    driver = kept.open().driver
    for deed in (driver.list, driver.used_names, lambda: driver.hold(FIRST, "eve"), lambda: kept.make(SECOND)):
        with pytest.raises(IntegrityDamage) as caught:
            deed()
        assert "mlsnap rebuild" in caught.value.hint


@pytest.mark.parametrize("lose", LOSSES)
def test_cut_short_at_any_effect_and_run_again_it_ends_the_same(
    kept: Store, lose: Callable[[Store], None]
) -> None:
    before = kept.picture()
    number, crashed = 0, True
    while crashed:
        number += 1
        lose(kept)
        try:
            with crashing(number):
                rebuild(kept.open())
            crashed = False
        except Crash:
            rebuild(kept.open())
        assert kept.picture() == before, f"cut short before effect {number}"
    assert number > 3


DEEDS = st.tuples(
    st.sampled_from(["make", "make", "hold", "release", "promote", "stage", "prune", "undelete", "delete"]),
    st.integers(0, len(NAMES) - 1),
)


@settings(max_examples=settings().max_examples // 5)
@given(history=st.lists(DEEDS, max_size=12), lose=st.sampled_from(LOSSES))
def test_after_any_history_all_is_known_again(
    checkout: Path, history: Sequence[tuple[str, int]], lose: Callable[[Store], None]
) -> None:
    store = Store(checkout)
    store.begin()
    store.make(NAMES[0])
    for deed in history:
        _act(store, deed)
    before = store.picture()
    lose(store)
    rebuild(store.open())
    assert store.picture() == before


# -- by manifests alone --------------------------------------------------------------------------------


def test_without_the_ledgers_twin_manifests_tell_what_is_ours_and_the_rest_is_listed_as_lost(kept: Store) -> None:
    before = kept.picture()
    _state(kept)
    (kept.root / "ledger").unlink()
    found = rebuild(kept.open())
    assert sorted(found.adopted) == sorted(str(name) for name in NAMES)
    assert "which snapshots were held, and the names of those that were deleted" in found.lost
    after = kept.picture()
    assert isinstance(before, tuple) and isinstance(after, tuple)
    assert (after[3], after[1]) == (before[3], before[1])
    assert {each.level for each in verify(kept.open(), (), everything=True)} == {"self-consistent"}
    assert not rebuild(kept.open()).changed


def test_a_dry_run_says_the_same_and_writes_nothing(kept: Store) -> None:
    _state(kept)
    (kept.root / "ledger").unlink()
    before = sorted(str(it) for it in kept.root.rglob("*"))
    said = rebuild(kept.open(), dry_run=True)
    assert sorted(str(it) for it in kept.root.rglob("*")) == before
    assert said.adopted == rebuild(kept.open()).adopted


def _writable(place: Path) -> Path:
    for each in (place.parent, place):
        each.chmod(stat.S_IMODE(each.stat().st_mode) | 0o200)
    return place


def test_what_is_foreign_stays_foreign(kept: Store) -> None:
    snapshots = kept.root / "snapshots"
    copied = SnapshotName(sha=SECOND.sha, attempt=2)
    shutil.copytree(snapshots / str(SECOND), snapshots / str(copied))
    shutil.copytree(snapshots / str(SECOND), snapshots / "hourly.2026-11-25")
    (snapshots / ("c" * 40)).mkdir()
    (snapshots / ("d" * 40)).symlink_to(str(SECOND))
    shutil.copytree(snapshots / str(FIRST), snapshots / ("e" * 40))
    _writable(snapshots / ("e" * 40) / ".mlsnap/manifest.jsonl").write_bytes(b"{}\n")
    _state(kept)
    (kept.root / "ledger").unlink()
    found = rebuild(kept.open())
    refused = dict(found.refused)
    assert refused[str(copied)] == "its manifest is that of another snapshot"
    assert set(refused) == {str(copied), "c" * 40, "d" * 40, "e" * 40}
    foreign = {it.name for it in kept.open().driver.list() if it.marker is None}
    assert foreign == {*refused, "hourly.2026-11-25"}


def test_a_snapshot_of_another_volume_or_model_is_not_adopted(kept: Store) -> None:
    snapshots = kept.root / "snapshots"
    volume = (snapshots / str(SECOND) / ".mlsnap/volume.json").read_bytes()
    _writable(snapshots / str(SECOND) / ".mlsnap/volume.json").write_bytes(volume.replace(b'"id":"', b'"id":"0'))
    _state(kept)
    (kept.root / "ledger").unlink()
    assert dict(rebuild(kept.open()).refused) == {str(SECOND): "it is a snapshot of another volume"}


def test_a_deleted_name_that_stands_again_is_not_adopted(kept: Store) -> None:
    name = str(SnapshotName(sha=FIRST.sha, attempt=3))
    shutil.copytree(kept.root / "snapshots" / str(FIRST), kept.root / "snapshots" / name)
    _state(kept)
    assert dict(rebuild(kept.open()).refused) == {
        name: "a snapshot of this name was deleted, and names are not used again"
    }


# -- data ----------------------------------------------------------------------------------------------


def test_versions_hold_the_data_again_that_they_were_trained_on(store: Store, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / "one").write_text("1")
    storage = MemoryStorage(folder=tmp_path / "storage")
    data = MemoryDriver(images, storage, data=True)
    data.initialise(project=PROJECT, model="")
    pin(data, images, SECOND)
    plan = DataPlan(name="images", path=str(images), driver="memory", store="", pin="snapshot")
    gone = Pin(volume="images", kind="snapshot", path="", name=str(NAMES[1]), held=True)
    for name, pinned in ((FIRST, msgspec.structs.replace(gone, name=str(SECOND))), (SECOND, gone)):
        driver = store.open().driver
        frozen = driver.freeze(store.live, parent=None, full=False, inventory=True)
        made = manifest_of(driver, name, frozen)
        made = msgspec.structs.replace(made, header=msgspec.structs.replace(made.header, pins=(pinned,)))
        driver.seal(frozen, made, marker_of(name, made))
    project = store.open()
    hands = msgspec.structs.replace(project.hands, open_data=lambda wanted: data)
    project = msgspec.structs.replace(project, hands=hands, data=(plan,))
    found = rebuild(project)
    assert found.pins == (("images", str(SECOND)),)
    assert found.lost[0].startswith(f"the data images at {NAMES[1]}: ")
    assert storage.holds[str(SECOND)].keys() == {owner(project.driver, str(FIRST))}
    assert rebuild(project).pins == ()


# -- damage --------------------------------------------------------------------------------------------


def test_each_damaged_line_of_the_ledger_costs_what_it_said_and_is_told(kept: Store) -> None:
    file = kept.state / "ledger"
    whole = file.read_bytes()
    lines = whole.splitlines(keepends=True)
    for number in range(len(lines)):
        rotten = lines[number].replace(b'"v":{', b'"v":[', 1)
        file.write_bytes(b"".join([*lines[:number], rotten, *lines[number + 1 :]]))
        with pytest.raises(IntegrityDamage):
            kept.picture()
        found = rebuild(kept.open())
        assert "what 1 lines of the ledger said, which cannot be read any more" in found.lost
        assert set(kept.open().driver.used_names()) >= set(NAMES)
        assert list(kept.state.glob("ledger.damaged-*"))
        file.write_bytes(whole)
    assert not rebuild(kept.open()).changed


def test_a_version_that_is_gone_is_listed_as_lost(kept: Store) -> None:
    remove_tree(kept.root / "snapshots" / str(SECOND))
    assert rebuild(kept.open()).lost == (f"the version {SECOND}: nothing stands under its name",)


def test_without_a_volume_nothing_is_made(checkout: Path) -> None:
    store = Store(checkout)
    store.begin()
    remove_tree(store.root)
    remove_tree(store.live)
    assert not rebuild(store.open()).changed
    assert not store.root.exists()


# -- the command ---------------------------------------------------------------------------------------


def test_the_command_says_what_is_known_again_and_what_is_lost(trained: Place) -> None:
    shutil.rmtree(trained.store / "state")
    said = trained.refused("integrity", 60, "log", env=QUIET)
    assert "mlsnap rebuild" in said.error[-1]
    said = trained.mlsnap("rebuild", env=QUIET)
    assert said.stdout.splitlines()[0] == "known: 1 snapshot"
    assert "  lost      the journals of runs, and the records of those that made no version" in said.stdout
    assert trained.mlsnap("verify", env=QUIET).stdout.startswith(
        f"ok  {trained.repository.head()[:7]}  matches ledger"
    )


def test_all_volumes_of_a_version_are_looked_at_and_known_again(make_place: MakePlace) -> None:
    place = make_place(
        settings='train = "sh train.sh"\n[volumes.models]\npath = "models"\n[volumes.words]\npath = "words"\n'
    )
    place.train_with('date > "$MLSNAP_MODEL_DIR/weights"; date > "$MLSNAP_MODEL_DIR_WORDS/words"\n')
    place.commit(**{".gitignore": "/models\n/words\n"})
    place.mlsnap("run", env=QUIET)
    second = place.store.parent / "words"
    for store in (place.store, second):
        shutil.rmtree(store / "state")
    place.mlsnap("rebuild", env=QUIET)
    assert place.mlsnap("verify", env=QUIET).stdout.startswith("ok  ")
    snapshot = second / "snapshots" / place.repository.head()
    snapshot.chmod(0o755)
    (snapshot / "words").unlink()
    assert (
        "    volume words: 'words': it is missing"
        in place.mlsnap("verify", expect=60, env=QUIET).stdout.splitlines()
    )
