"""Mistakes that one could make in the product, each a single decision, and which histories find them.

`python -m tests.property.mutants [NAME …]` makes each and prints what found it. A mistake that nothing finds says
that the histories look past it.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import settings
from hypothesis.errors import HypothesisException
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test
from msgspec.structs import replace

from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.storage import ledger, shelf, trash
from ci_mlsnap.trees.remove import remove_tree
from tests.property.histories import IN_MEMORY, looked_for
from tests.property.test_interleaved_runs import SCENARIOS
from tests.property.test_property_driver import GROUNDS, volume_on
from tests.property.test_property_flows import work_on

HISTORIES = 400
SEEDS = range(40)


@dataclass(frozen=True)
class Mutant:
    """One mistake. It shows in the histories of a `volume`, in those of `work`, or in a scenario of two runs."""

    name: str
    shows_in: str
    instead: dict[str, Any]
    """What stands in whose place, below `ci_mlsnap`."""


def _nothing(*_: object, **__: object) -> None:
    """Leave something undone."""


def _never(*_: object, **__: object) -> bool:
    return False


# -- the mistakes --------------------------------------------------------------------------------------

_read = ledger.Ledger.read
_removed = trash.Trash.take_down
_sum = shelf.Shelf.used_names


def _forgets_deleted(self: ledger.Ledger) -> ledger.Book:
    return replace(_read(self), deleted=set())


def _only_present(self: shelf.Shelf) -> list[SnapshotName]:
    return [SnapshotName.parse(name) for name in self.ledger.read().present]


def _deletes_anything(self: trash.Trash, name: SnapshotName, *, even_held: bool) -> Path | None:
    place = self.shelf.store.snapshots / str(name)
    if place.exists() and self.shelf.ledger.read().present.get(str(name)) is None:
        remove_tree(place)
        return None
    return _removed(self, name, even_held=even_held)


def _displaces_for_good(built: Path, live: Path) -> None:
    remove_tree(live)
    built.rename(live)


def _links(way: object, snapshot: Path, destination: Path, entries: object) -> None:
    shutil.copytree(snapshot, destination, copy_function=os.link, symlinks=True)
    for path in (destination, *destination.rglob("*")):
        path.chmod(path.stat().st_mode | 0o700)


def _believes_size_and_time(size: int, mtime_ns: int, ctime_ns: int, inode: int, sha256: str) -> bytes:
    return b"%16d" % (hash((size, mtime_ns)) % 10**15) + bytes.fromhex(sha256)


def _passes_everything(environ: dict[str, str], **wishes: Any) -> tuple[dict[str, str], tuple[str, ...]]:
    return {**environ, **wishes["own"]}, ()


def _keeps_nothing(*_: object, **__: object) -> str:
    return ""


def _purges(hands: object, driver: Any, tree: Path, identity: object) -> None:
    driver.purge(tree)


_FREES_NOTHING = {"flows.leases.free_orphans": _nothing}
_TAKES_ALL_FOR_DEAD = {"flows.leases.is_living": _never, "flows.leases.has_process": _never}
_WITHOUT_LEASE = {"flows.leases.take_volume": _nothing, "flows.leases.check": _nothing}

VOLUME = "volume"
WORK = "work"
MUTANTS = [
    Mutant("the read back is skipped", VOLUME, {"storage.local.LocalDriver.read_back": _nothing}),
    Mutant("names of deleted snapshots are given again", VOLUME, {"storage.ledger.Ledger.read": _forgets_deleted}),
    Mutant(
        "numbers are forgotten with their snapshots", VOLUME, {"storage.shelf.Shelf.used_names": _only_present}
    ),
    Mutant(
        "the marker is not asked before a delete", VOLUME, {"storage.trash.Trash.take_down": _deletes_anything}
    ),
    Mutant("holds are not written down", VOLUME, {"storage.ledger.Ledger.held": _nothing}),
    Mutant("holds are never given back", VOLUME, {"storage.ledger.Ledger.released": _nothing}),
    Mutant(
        "a restore keeps nothing of what it displaces", VOLUME, {"storage.restoring.exchange": _displaces_for_good}
    ),
    Mutant("a restore does not look at what it restores", VOLUME, {"storage.copy.require_equal": _nothing}),
    Mutant("a sync does not look at what it restores", VOLUME, {"storage.copy.first_damage": lambda *_: ""}),
    Mutant("rotten files are shared", VOLUME, {"storage.sharing._undamaged": lambda root, wanted, _: set(wanted)}),
    Mutant("files of one size and time count as one", VOLUME, {"storage.facts._line": _believes_size_and_time}),
    Mutant("a name that is taken is not noticed", VOLUME, {"storage.shelf.Shelf.existing": _nothing}),
    Mutant("a clone shares files with its snapshot", VOLUME, {"storage.copy.CopyWay.clone": _links}),
    Mutant("purged trees stay", VOLUME, {"storage.local.LocalDriver.purge": _nothing}),
    Mutant("discarded trees stay", VOLUME, {"storage.local.LocalDriver.discard": _nothing}),
    Mutant("the ledger is not written", VOLUME, {"storage.ledger.Ledger.published": _nothing}),
    Mutant("statuses never reach the outbox", WORK, {"state.outbox.Outbox.put": _nothing}),
    Mutant("training gets the whole environment", WORK, {"flows.train.training_environment": _passes_everything}),
    Mutant("dead runs are left open", WORK, {"flows.tidying._recover_runs": lambda *_: 0}),
    Mutant(
        "unsaved work is not kept", WORK, {"flows.moving.keep": _keeps_nothing, "flows.tidying._purge": _purges}
    ),
    Mutant("every version has one number", WORK, {"flows.conclude.next_sequence": lambda *_: 1}),
    Mutant("a lease keeps nobody out", "both of one commit", {"state.lease._obstacle": _nothing}),
    Mutant("leases are not given back", "both of one commit", {"flows.leases.give_back": _nothing}),
    Mutant("no lease is looked at before a success", "a sleeper is fenced out", {"flows.leases.check": _nothing}),
    Mutant(
        "an older push moves the tree back", "two commits in workspaces", {"flows.moving.is_overtaken": _never}
    ),
    Mutant("living runs are taken for dead", "two commits in workspaces", _TAKES_ALL_FOR_DEAD),
    Mutant("a live tree is trained in without its lease", "two commits in one live tree", _WITHOUT_LEASE),
    Mutant("leases of dead runs stay", "one is killed", {"state.lease.proven_dead": _never, **_FREES_NOTHING}),
]


# -- finding them --------------------------------------------------------------------------------------


@contextmanager
def made(mutant: Mutant) -> Iterator[None]:
    """Make the mistake during the block."""
    with ExitStack() as stack:
        for place, wrong in mutant.instead.items():
            stack.enter_context(mock.patch(f"ci_mlsnap.{place}", wrong))
        yield


def finding(mutant: Mutant) -> str:
    """Make the mistake, and say what of it was seen; empty when nothing was."""
    with made(mutant):
        try:
            _look(mutant.shows_in)
        except (KeyboardInterrupt, SystemExit):
            raise
        except HypothesisException as error:
            return f"{type(error).__name__}"
        except BaseException as error:  # noqa: BLE001 - whatever a mistake leads to, it was found
            return f"{type(error).__name__}: {error}".splitlines()[0]
    return ""


def _look(where: str) -> None:
    if where == "volume":
        _play(volume_on(GROUNDS["copy"], IN_MEMORY))
    elif where == "work":
        _play(work_on(in_memory=False, place=IN_MEMORY))
    else:
        for seed in SEEDS:
            SCENARIOS[where](seed)


def _play(machine: type[RuleBasedStateMachine]) -> None:
    usual = looked_for(HISTORIES)
    wanted = settings(usual, max_examples=HISTORIES, stateful_step_count=25, derandomize=True, database=None)
    run_state_machine_as_test(machine, settings=wanted)


def main(names: Iterable[str]) -> int:
    """Print a line for each mistake; 1 when one was not found."""
    wanted, missed = list(names), 0
    for mutant in MUTANTS:
        if not wanted or mutant.name in wanted:
            since = time.monotonic()
            found = finding(mutant)
            missed += not found
            took = time.monotonic() - since
            print(f"{'found' if found else 'MISSED':7} {took:6.1f} s  {mutant.name}: {found[:60]}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
