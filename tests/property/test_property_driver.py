"""Any history of a volume on any ground, held against a model that is a page long.

The model knows what each snapshot holds, who holds it, which names were used, and what is not ours. Processes end
before any of their effects, strangers come and go, bits rot: what the driver says and has is what the model has.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ci_mlsnap import errors
from ci_mlsnap.domain.manifest import MANIFEST_PATH
from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.errors import MlsnapError
from ci_mlsnap.ports import Driver, Frozen, Restored
from ci_mlsnap.testing import DriverUnderTest
from ci_mlsnap.testing.ground import MODEL, PROJECT, manifest_of, marker_of
from ci_mlsnap.trees.remove import remove_tree
from tests.conftest import FileSystem
from tests.promise.checking import content_of, everything_of
from tests.property.effects import Crash, crashing
from tests.property.histories import IN_MEMORY, looked_for
from tests.storage.test_contract import local_on, memory_on

Tree = dict[str, bytes]
Outcome = Literal["done", "crashed"] | type[MlsnapError]

NAMES = [SnapshotName(sha=digit * 40, attempt=attempt) for digit in "ab" for attempt in (1, 2)]
LEDGER = "ml/.mlsnap/digits/state/ledger"
FILES = ("model.bin", "layers/one", "layers/two")
CONTENTS = (b"", b"first weights", b"other weights", b"longer " * 20)

files = st.sampled_from(FILES)
contents = st.sampled_from(CONTENTS)
numbers = st.integers(0, 4)
"""Which of several there are; the last one means one that is not there."""
crashes = st.one_of(st.just(0), st.integers(1, 40))
"""Before which effect the process ends; it often does not."""


@dataclass
class Sealed:
    """A snapshot as the model has it; `rotten` files do not hold what was sealed."""

    tree: Tree
    marker: str
    holds: set[str] = field(default_factory=set)
    rotten: set[str] = field(default_factory=set)


@dataclass
class Cold:
    """What was frozen and is not sealed yet."""

    frozen: Frozen
    tree: Tree


@dataclass(frozen=True, kw_only=True)
class Ground:
    """Where a history is played: a driver, and the file system that it needs, if it needs a certain one."""

    on: Callable[[Path], DriverUnderTest]
    outlives: bool = True
    """Whether all that the driver knows outlives its process."""
    file_system: FileSystem | None = None
    histories: int = 40
    """How many are played in the usual suite."""


class Volume(RuleBasedStateMachine):
    """One volume, its store, an administrator, and time."""

    ground: Ground
    place: Path | None

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="mlsnap-property-", dir=self.place))
        self.under_test = self.ground.on(self.folder)
        self.driver: Driver = self.under_test.driver
        self.live: Tree = {}
        self.sealed: dict[str, Sealed] = {}
        self.pruned: dict[str, Sealed] = {}
        self.gone: set[str] = set()
        self.cold: list[Cold] = []
        self.foreign: dict[str, dict[str, tuple[int, ...]]] = {}
        self.clones = 0

    @initialize(versions=st.integers(0, 2))
    def first_use(self, versions: int) -> None:
        self.driver.initialise(project=PROJECT, model=MODEL)
        for number in range(versions):
            self.train(NAMES[number], FILES[number], CONTENTS[1], crash=0)

    def teardown(self) -> None:
        remove_tree(self.folder)

    # -- acting ----------------------------------------------------------------------------------------

    def act(self, deed: Callable[[], object], crash: int) -> tuple[Outcome, object]:
        """Do something in a process of its own, which may end on the way."""
        self.driver = self.under_test.reopen()
        try:
            with crashing(crash if self.ground.outlives else 0):
                return "done", deed()
        except Crash:
            self.driver = self.under_test.reopen()
            return "crashed", None
        except MlsnapError as error:
            return type(error), None

    def one_of_ours(self, number: int) -> SnapshotName:
        """Pick a name that has a snapshot, or had, or is foreign, or is free."""
        known = sorted(self.sealed)
        return SnapshotName.parse(known[number]) if number < len(known) else NAMES[number % len(NAMES)]

    def snapshot(self, name: str) -> Path:
        """Where a snapshot stands on the storage, looked up by no driver."""
        (place,) = (path for path in self.under_test.ground.glob(f"**/snapshots/{name}"))
        return place

    def place_of(self, name: str) -> Path:
        """Where a snapshot stands, in the trash or out of it."""
        if name in self.sealed:
            return self.snapshot(name)
        ground = self.under_test.ground
        (place,) = (*ground.glob(f"**/snapshots/.pruned-{name}"), *ground.glob(f"**/pruned/{name}"))
        return place

    # -- people write ----------------------------------------------------------------------------------

    @rule(name=st.sampled_from(NAMES), file=files, content=contents, crash=crashes)
    def train(self, name: SnapshotName, file: str, content: bytes, crash: int) -> None:
        """The usual: something is written, and becomes a version that shares with the one before."""
        self.write(file, content, same_time=False)
        parent = len(self.sealed) - 1 if self.sealed else None
        self.freeze(parent, full=False, crash=0)
        self.seal(len(self.cold) - 1, name, crash)
        self.tidy()

    @rule(file=files, content=contents, same_time=st.booleans())
    def write(self, file: str, content: bytes, same_time: bool) -> None:
        """Write a file; sometimes its times claim that it was not written."""
        place = self.under_test.live / file
        before = place.stat() if place.exists() else None
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        if same_time and before is not None:
            os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))
        self.live[file] = content

    @rule(file=files)
    def remove(self, file: str) -> None:
        (self.under_test.live / file).unlink(missing_ok=True)
        self.live.pop(file, None)

    # -- snapshots -------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.cold) < 3)
    @rule(parent=st.none() | numbers, full=st.booleans(), crash=crashes)
    def freeze(self, parent: int | None, full: bool, crash: int) -> None:
        def deed() -> Frozen:
            shared = None if parent is None else self.one_of_ours(parent)
            return self.driver.freeze(self.under_test.live, parent=shared, full=full, inventory=True)

        outcome, frozen = self.act(deed, crash)
        assert outcome in ("done", "crashed")
        if isinstance(frozen, Frozen):
            self.cold.append(Cold(frozen=frozen, tree=dict(self.live)))

    @precondition(lambda self: self.cold)
    @rule(number=numbers, name=st.sampled_from(NAMES), crash=crashes)
    def seal(self, number: int, name: SnapshotName, crash: int) -> None:
        cold = self.cold[number % len(self.cold)]
        manifest = manifest_of(self.driver, name, cold.frozen)
        marker = marker_of(name, manifest)
        outcome, _ = self.act(lambda: self.driver.seal(cold.frozen, manifest, marker), crash)
        expected = self._sealing(str(name), str(marker))
        if outcome == "crashed":
            there = expected == "done" and self._is_there(str(name))
        else:
            assert outcome == expected or (
                outcome == errors.SnapshotConflict and expected == errors.IntegrityDamage
            )
            there = outcome == "done"
        if there or outcome == "crashed":
            self.cold.remove(cold)  # what a crash leaves half sealed is not sealed again, but frozen anew
        if there:
            self.sealed.setdefault(str(name), Sealed(tree=cold.tree, marker=str(marker)))

    def _sealing(self, name: str, marker: str) -> Outcome:
        if name in self.gone or name in self.pruned:
            return errors.SnapshotConflict
        if name in self.foreign:
            return errors.SnapshotForeign
        found = self.sealed.get(name)
        if found is None:
            return "done"
        if MANIFEST_PATH in found.rotten:
            return errors.IntegrityDamage
        return "done" if found.marker == marker else errors.SnapshotConflict

    def _is_there(self, name: str) -> bool:
        found = self.driver.get(SnapshotName.parse(name))
        return found is not None and found.marker is not None

    @precondition(lambda self: self.cold)
    @rule(number=numbers, crash=crashes)
    def discard(self, number: int, crash: int) -> None:
        cold = self.cold.pop(number % len(self.cold))
        self.act(lambda: self.driver.discard(cold.frozen.token), crash)

    @rule()
    def tidy(self) -> None:
        """Discard what was not sealed and what processes that ended have left, as the next command does."""
        for token in self.driver.unfinished():
            self.driver.discard(token)
        assert list(self.driver.unfinished()) == []
        self.cold.clear()

    @precondition(lambda self: self.sealed)
    @rule(number=numbers, owner=st.sampled_from(["production", "ada"]), crash=crashes)
    def hold(self, number: int, owner: str, crash: int) -> None:
        name = self.one_of_ours(number)
        found = self.sealed.get(str(name))
        outcome, _ = self.act(lambda: self.driver.hold(name, owner), crash)
        if found is None:
            assert outcome in (errors.NoSuchVersion, "crashed")
        elif outcome == "crashed":
            found.holds = self._holds(name)
        else:
            found.holds.add(owner)

    @precondition(lambda self: self.sealed)
    @rule(number=numbers, owner=st.sampled_from(["production", "ada"]), crash=crashes)
    def release(self, number: int, owner: str, crash: int) -> None:
        name = self.one_of_ours(number)
        outcome, _ = self.act(lambda: self.driver.release_hold(name, owner), crash)
        assert outcome in ("done", "crashed")
        if (found := self.sealed.get(str(name))) is not None:
            found.holds = self._holds(name) if outcome == "crashed" else found.holds - {owner}

    def _holds(self, name: SnapshotName) -> set[str]:
        return {owner for found in self.driver.list() if found.name == str(name) for owner in found.holds}

    @precondition(lambda self: self.sealed)
    @rule(number=numbers, crash=crashes)
    def delete(self, number: int, crash: int) -> None:
        name = self.one_of_ours(number)
        outcome, _ = self.act(lambda: self.driver.delete(name), crash)
        if str(name) in self.foreign:
            assert outcome in (errors.SnapshotForeign, "crashed")
            return
        found = self.sealed.get(str(name))
        if found is None:
            assert outcome in ("done", "crashed")
        elif MANIFEST_PATH in found.rotten:
            assert outcome in (errors.IntegrityDamage, "crashed", "done", errors.SnapshotHeld)
        elif found.holds:
            assert outcome in (errors.SnapshotHeld, "crashed")
        else:
            assert outcome in ("done", "crashed")
        if found is not None and not found.holds and not self._is_listed(name):
            self.driver.delete(name)  # again, as after a crash: once it is gone, that only notes it
            del self.sealed[str(name)]
            self.gone.add(str(name))
        if str(name) in self.pruned and str(name) not in self._in_trash():
            self.driver.delete(name)
            del self.pruned[str(name)]
            self.gone.add(str(name))

    @precondition(lambda self: self.sealed)
    @rule(number=numbers, crash=crashes)
    def prune(self, number: int, crash: int) -> None:
        name = self.one_of_ours(number)
        outcome, _ = self.act(lambda: self.driver.prune(name), crash)
        if str(name) in self.foreign:
            assert outcome in (errors.SnapshotForeign, "crashed")
            return
        found = self.sealed.get(str(name))
        if found is not None and MANIFEST_PATH in found.rotten:
            assert outcome in (errors.IntegrityDamage, "crashed")
        elif found is not None and found.holds:
            assert outcome in (errors.SnapshotHeld, "crashed")
        else:
            assert outcome in ("done", "crashed")
        if found is not None and not self._is_listed(name):
            self.pruned[str(name)] = self.sealed.pop(str(name))

    @precondition(lambda self: self.pruned)
    @rule(number=numbers, crash=crashes)
    def undelete(self, number: int, crash: int) -> None:
        name = sorted(self.pruned)[number % len(self.pruned)]
        outcome, _ = self.act(lambda: self.driver.undelete(SnapshotName.parse(name)), crash)
        rotten = MANIFEST_PATH in self.pruned[name].rotten
        assert outcome in ((errors.IntegrityDamage if rotten else "done"), "crashed")
        if name not in self._in_trash():
            assert not rotten
            self.sealed[name] = self.pruned.pop(name)

    def _in_trash(self) -> set[str]:
        return {found.name for found in self.driver.pruned()}

    def _is_listed(self, name: SnapshotName) -> bool:
        return any(found.name == str(name) for found in self.driver.list())

    # -- bringing back ---------------------------------------------------------------------------------

    @precondition(lambda self: self.sealed)
    @rule(number=numbers, way=st.sampled_from([None, "swap", "sync"]), crash=crashes)
    def restore(self, number: int, way: Literal["swap", "sync"] | None, crash: int) -> None:
        name = self.one_of_ours(number)
        outcome, restored = self.act(lambda: self.driver.restore(name, self.under_test.live, way=way), crash)
        found, now = self.sealed.get(str(name)), content_of(self.under_test.live)
        if found is None:
            assert outcome in (errors.NoSuchVersion, "crashed")
            assert now == self.live
        elif found.rotten:
            assert outcome in (errors.IntegrityDamage, "crashed")
            assert now == self.live
        elif outcome == "crashed":
            self._require_old_or_new(now, found.tree, whole=way != "sync")
        else:
            assert outcome == "done"
            assert now == found.tree
            if isinstance(restored, Restored) and restored.displaced is not None:
                assert content_of(restored.displaced) == self.live
            self.live = dict(found.tree)

    def _require_old_or_new(self, now: Tree, new: Tree, *, whole: bool) -> None:
        if whole:
            assert now in (self.live, new)
        for file, content in now.items():
            # File by file each is made beside its place; the next restore removes what is left of that.
            assert content in (self.live.get(file), new.get(file)) or ".mlsnap-" in file
        self.live = now

    @rule()
    def purge(self) -> None:
        for tree in self.driver.trash():
            self.driver.purge(tree)
        assert list(self.driver.trash()) == []

    @precondition(lambda self: self.sealed)
    @rule(number=numbers, crash=crashes)
    def clone(self, number: int, crash: int) -> None:
        name = self.one_of_ours(number)
        self.clones += 1
        destination = self.under_test.scratch / f"clone{self.clones}"
        outcome, _ = self.act(lambda: self.driver.clone(name, destination), crash)
        found = self.sealed.get(str(name))
        if found is None:
            assert outcome in (errors.NoSuchVersion, "crashed")
        elif found.rotten:
            assert outcome in (errors.IntegrityDamage, "crashed")
        elif outcome == "done" or destination.exists():
            assert content_of(destination) == found.tree
            (destination / "written by training").write_bytes(b"anything")
            for path in destination.rglob("*"):
                if path.is_file() and ".mlsnap" not in path.parts:
                    path.write_bytes(b"nothing of this may reach a snapshot")
            self.driver.remove_clone(destination)
        assert not destination.exists()

    # -- strangers -------------------------------------------------------------------------------------

    @rule(name=st.sampled_from(["hourly.0", *map(str, NAMES)]))
    def an_administrator_snapshots(self, name: str) -> None:
        """The storage's schedule, or somebody's script: a copy of the live tree, under a name that is free."""
        if name not in self.foreign | self.sealed and name not in {str(used) for used in self.driver.used_names()}:
            self.under_test.plant(name, self.under_test.live)
            self.foreign[name] = everything_of(self.snapshot(name))

    @precondition(lambda self: self.sealed)
    @rule(number=numbers)
    def an_administrator_copies_one_of_ours(self, number: int) -> None:
        """It has a manifest of ours in it, and is still not ours."""
        if "daily.0" not in self.foreign:
            original = sorted(self.sealed)[number % len(self.sealed)]
            self.under_test.plant("daily.0", self.snapshot(original))
            self.foreign["daily.0"] = everything_of(self.snapshot("daily.0"))

    @precondition(lambda self: self.sealed and not self.cold)
    @rule(number=numbers, file=st.sampled_from([*FILES, MANIFEST_PATH]))
    def a_bit_rots(self, number: int, file: str) -> None:
        """Or is mended: doing it twice makes it whole again. Files that snapshots share rot in all of them.

        Not between a freeze and its seal: a shared file that rots then is taken for whole from then on.
        """
        name = sorted(self.sealed)[number % len(self.sealed)]
        place = self.snapshot(name) / file
        if not place.is_file() or not place.stat().st_size:
            return
        rotting = place.stat()
        for other, sealed in (*self.sealed.items(), *self.pruned.items()):
            shared = self.place_of(other) / file
            if shared.is_file() and os.path.samestat(shared.stat(), rotting):
                sealed.rotten ^= {file}
        self.under_test.damage(SnapshotName.parse(name), file)

    @precondition(lambda self: len(self._ledger()) > 1)
    @rule(line=numbers, place=st.integers(0, 10_000), bit=st.integers(0, 7))
    def a_bit_of_the_ledger_rots(self, line: int, place: int, bit: int) -> None:
        """And is mended. Until then nothing is believed and nothing is done; what only reads says so too.

        Each line is held by the one after it, so that the last one is held by its snapshot alone.
        """
        ledger = self.folder / LEDGER
        before, lines = ledger.read_bytes(), self._ledger()
        number = line % (len(lines) - 1)
        at = sum(map(len, lines[:number])) + place % len(lines[number])
        ledger.write_bytes(before[:at] + bytes([before[at] ^ (1 << bit)]) + before[at + 1 :])
        driver, name = self.under_test.reopen(), self.one_of_ours(line)
        deeds: list[Callable[[], object]] = [
            driver.list,
            driver.pruned,
            driver.used_names,
            lambda: driver.get(name),
        ]
        deeds += [lambda: driver.delete(name), lambda: driver.restore(name, self.under_test.live)]
        for deed in deeds:
            with pytest.raises(errors.IntegrityDamage):
                deed()
        ledger.write_bytes(before)

    def _ledger(self) -> list[bytes]:
        """Give the ledger's lines; a driver that keeps its books in memory has none."""
        ledger = self.folder / LEDGER
        return ledger.read_bytes().splitlines(keepends=True) if ledger.is_file() else []

    # -- what is always true ---------------------------------------------------------------------------

    @invariant()
    def what_is_foreign_is_as_it_was(self) -> None:
        for name, facts in self.foreign.items():
            assert everything_of(self.snapshot(name)) == facts

    @invariant()
    def the_live_tree_is_as_it_was_left(self) -> None:
        assert content_of(self.under_test.live) == self.live

    @invariant()
    def what_is_listed_is_what_there_is(self) -> None:
        ours = {found.name for found in self.driver.list() if found.marker is not None}
        assert ours == set(self.sealed)
        assert {found.name for found in self.driver.list()} - ours == set(self.foreign)
        assert self._in_trash() == set(self.pruned)
        for found in self.driver.list():
            if found.name in self.sealed:
                assert (str(found.marker), set(found.holds)) == (
                    self.sealed[found.name].marker,
                    self.sealed[found.name].holds,
                )

    @invariant()
    def a_name_is_used_for_ever(self) -> None:
        found = {str(name) for name in self.driver.used_names()}
        assert set(self.sealed) | set(self.pruned) | self.gone <= found
        assert found <= {str(name) for name in NAMES}

    @invariant()
    def each_snapshot_holds_what_was_sealed_or_says_that_it_does_not(self) -> None:
        for name, sealed in self.sealed.items():
            parsed = SnapshotName.parse(name)
            if sealed.rotten:
                with pytest.raises(errors.IntegrityDamage):
                    self.driver.read_back(parsed)
                continue
            self.driver.read_back(parsed)
            assert content_of(self.driver.view(parsed)) == sealed.tree
            assert self.driver.manifest(parsed).header.name == name


GROUNDS = {
    "memory": Ground(on=memory_on, outlives=False),
    "copy": Ground(on=local_on),
    "reflink": Ground(on=local_on, file_system="xfs", histories=12),
    "btrfs": Ground(on=local_on, file_system="btrfs", histories=12),
}


def volume_on(ground: Ground, place: Path | None) -> type[Volume]:
    """Give the machine whose volumes are on this ground, each in a folder of its own at the place."""
    return type("Volume", (Volume,), {"ground": ground, "place": place})


@pytest.mark.parametrize("name", GROUNDS)
def test_any_history_of_a_volume_is_the_models(name: str, request: pytest.FixtureRequest) -> None:
    ground = GROUNDS[name]
    place = IN_MEMORY
    if ground.file_system is not None:
        place = request.getfixturevalue("loop_mount")(ground.file_system, 600)
    run_state_machine_as_test(volume_on(ground, place), settings=looked_for(ground.histories))
