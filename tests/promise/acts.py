"""What the driver of a local volume is asked to do while faults strike: its acts, one after another or each alone.

A ground is a folder on some file system: the volume is `models` in it, the store beside. Whatever way the driver
picks there is the way that is tried, so a new way needs nothing here.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from ci_mlsnap.domain.manifest import Manifest
from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.errors import MlsnapError
from ci_mlsnap.storage.local import LocalDriver
from ci_mlsnap.testing.ground import MODEL, PROJECT, publish, write
from ci_mlsnap.trees.syncfs import sync_file_system

UNEXPECTED = 99
"""The exit code of an act that ended by anything else than an error of ours."""

Say = Callable[[str], None]
Act = Callable[[Path, int, Say], None]


def driver_on(ground: Path) -> LocalDriver:
    """Open the volume of a ground."""
    return LocalDriver(live_of(ground), store_of(ground), "models", environ={})


def live_of(ground: Path) -> Path:
    """Where the live tree is."""
    return ground / "models"


def store_of(ground: Path) -> Path:
    """Where the store is."""
    return ground / ".mlsnap" / "models"


def name_of(number: int) -> SnapshotName:
    """Give the name of the ground's version of that number."""
    return SnapshotName(sha=hashlib.sha1(str(number).encode()).hexdigest())


def train(ground: Path, number: int) -> None:
    """Change the live tree as training does: most files stay, one is appended to, one made anew, one removed."""
    live = live_of(ground)
    if not (live / "weights").exists():
        write(live, {"vocabulary": b"words\n" * 50, "epoch/log": b"", "weights": b"0" * 70_000})
        (live / "latest").symlink_to("epoch/log")
        os.link(live / "weights", live / "epoch/weights")
    with (live / "epoch/log").open("ab") as log:
        log.write(b"epoch %d\n" % number)
    beside = live / "model.new"
    beside.write_bytes(b"model %d\n" % number)
    beside.rename(live / "model")
    (live / f"only-in-{number}").write_bytes(b"%d" % number)
    (live / f"only-in-{number - 1}").unlink(missing_ok=True)


# -- acts ----------------------------------------------------------------------------------------------


def initialise(ground: Path, number: int, say: Say) -> None:
    """Make the volume."""
    say(f"volume {driver_on(ground).initialise(project=PROJECT, model=MODEL)}")


def make_version(ground: Path, number: int, say: Say) -> None:
    """Publish the live tree as version `number`, sharing with the one before, and read it back."""
    driver, name = driver_on(ground), name_of(number)
    parent = name_of(number - 1) if driver.get(name_of(number - 1)) else None
    publish(driver, live_of(ground), name, parent=parent, sequence=number)
    driver.read_back(name)
    say(f"version {name}")


def swap(ground: Path, number: int, say: Say) -> None:
    """Bring version `number` back as a whole."""
    driver_on(ground).restore(name_of(number), live_of(ground), way="swap")
    say(f"live {name_of(number)}")


def sync(ground: Path, number: int, say: Say) -> None:
    """Bring version `number` back file by file."""
    driver_on(ground).restore(name_of(number), live_of(ground), way="sync")
    say(f"live {name_of(number)}")


def sync_parts(ground: Path, number: int, say: Say) -> None:
    """Bring one file of version `number` back, and leave the rest alone."""
    driver_on(ground).restore(name_of(number), live_of(ground), paths=[b"model"])
    say(f"part {name_of(number)}")


def clone(ground: Path, number: int, say: Say) -> None:
    """Make a workspace from version `number`, and throw it away."""
    driver, place = driver_on(ground), store_of(ground) / "work" / str(number)
    driver.clone(name_of(number), place)
    driver.remove_clone(place)


def hold(ground: Path, number: int, say: Say) -> None:
    """Hold version `number`."""
    driver_on(ground).hold(name_of(number), "somebody")
    say(f"held {name_of(number)}")


def prune(ground: Path, number: int, say: Say) -> None:
    """Put version `number` into the trash."""
    driver_on(ground).prune(name_of(number))
    say(f"pruned {name_of(number)}")


def undelete(ground: Path, number: int, say: Say) -> None:
    """Bring version `number` back from the trash."""
    driver_on(ground).undelete(name_of(number))
    say(f"version {name_of(number)}")


def delete(ground: Path, number: int, say: Say) -> None:
    """Delete version `number`."""
    driver_on(ground).delete(name_of(number))
    say(f"deleted {name_of(number)}")


def life(ground: Path, number: int, say: Say) -> None:
    """All of it, with training between: every step of a volume's life in one process."""
    initialise(ground, 0, say)
    train(ground, 1)
    make_version(ground, 1, say)
    train(ground, 2)
    make_version(ground, 2, say)
    hold(ground, 2, say)
    train(ground, 3)
    sync_file_system(ground)
    say("trained 3")
    say("changing")
    swap(ground, 1, say)
    say("changing")
    sync(ground, 2, say)
    clone(ground, 2, say)
    delete(ground, 1, say)


def careless_file(ground: Path, number: int, say: Say) -> None:
    """A toy that forgets to make a file durable before it renames it."""
    beside = ground / "toy.new"
    beside.write_bytes(b"whole\n" * 100)
    beside.rename(ground / "toy")
    _sync_folder(ground)
    say("toy")


def careless_folder(ground: Path, number: int, say: Say) -> None:
    """A toy that makes a file durable, and forgets the folder that names it."""
    beside = ground / "toy.new"
    beside.write_bytes(b"whole\n" * 100)
    _sync_folder(beside)
    beside.rename(ground / "toy")
    say("toy")


def careful(ground: Path, number: int, say: Say) -> None:
    """A toy that forgets nothing."""
    beside = ground / "toy.new"
    beside.write_bytes(b"whole\n" * 100)
    _sync_folder(beside)
    beside.rename(ground / "toy")
    _sync_folder(ground)
    say("toy")


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


ACTS: dict[str, Act] = {
    act.__name__: act
    for act in (
        *(initialise, make_version, swap, sync, sync_parts, clone, hold, prune, undelete, delete, life),
        *(careless_file, careless_folder, careful),
    )
}


# -- mutants -------------------------------------------------------------------------------------------


def _sealed_in_sight() -> None:
    """A frozen tree has its final name already while the manifest is written into it."""
    from ci_mlsnap.storage.shelf import Shelf

    prepare = Shelf.prepare

    def in_sight(self: Shelf, partial: Path, manifest: Manifest) -> None:
        shown = self.store.snapshots / manifest.header.name
        partial.rename(shown)
        prepare(self, shown, manifest)
        shown.rename(partial)

    _put(Shelf, "prepare", in_sight)


def _moved_away_first() -> None:
    """The live tree is moved away, and then the restored one is put there: between the two there is none."""
    from ci_mlsnap.storage import restoring

    def one_by_one(a: Path, b: Path) -> None:
        between = b.with_name("between")
        b.rename(between)
        a.rename(b)
        between.rename(a)

    _put(restoring, "exchange", one_by_one)


MUTANTS: dict[str, Callable[[], None]] = {
    mutant.__name__.removeprefix("_"): mutant for mutant in (_sealed_in_sight, _moved_away_first)
}
"""Ways in which the driver could be wrong, and pass every test without faults."""


def _put(place: object, name: str, value: object) -> None:
    setattr(place, name, value)


# -- an act as the work of a process -------------------------------------------------------------------


def perform(name: str, ground: Path, number: int, say: Say, mutant: str = "") -> int:
    """Do an act, as the product or as a mutant of it, and give the exit code that a command would end with."""
    try:
        if mutant:
            MUTANTS[mutant]()
        ACTS[name](ground, number, say)
    except MlsnapError as error:
        say(f"error {error.slug}: {error.what} ({error.why})")
        return int(error.exit_code)
    except Exception as error:  # noqa: BLE001 - that no error but ours leaves the driver is what is tested
        import traceback

        say(f"trace {type(error).__name__}: {error} {traceback.format_exc()!r}")
        return UNEXPECTED
    return 0
