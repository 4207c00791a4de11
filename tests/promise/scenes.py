"""Acts of the driver with what must hold around each: before, right after a fault, and when it was done again."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.flows.workspace import begun_workspaces
from ci_mlsnap.testing.ground import MODEL, PROJECT
from ci_mlsnap.trees.remove import remove_tree
from tests.promise.acts import driver_on, live_of, make_version, name_of, store_of, train
from tests.promise.checking import content_of, faults_of

_HALF_MADE = re.compile(r"\.(partial|trash|mlsnap|new|exchange)-|\..*\.[0-9a-f]{16}$")
_BESIDE = re.compile(r"\..*\.[0-9a-f]{16}$")


# -- what is looked at ---------------------------------------------------------------------------------


def versions(ground: Path) -> set[int]:
    """Give the numbers of the versions; each must be whole, to an eye of its own and to the driver."""
    driver = driver_on(ground)
    listed = [snapshot.name for snapshot in driver.list() if snapshot.marker is not None]
    for name in listed:
        assert faults_of(store_of(ground) / "snapshots" / name) == []
        driver.read_back(SnapshotName.parse(name))
    numbers = {str(name_of(number)): number for number in range(400)}
    return {numbers[name] for name in listed}


def in_trash(ground: Path) -> set[int]:
    """Give the numbers of the versions that were pruned; each must be whole."""
    numbers = {str(name_of(number)): number for number in range(400)}
    names = [snapshot.name for snapshot in driver_on(ground).pruned()]
    for name in names:
        assert not [f for f in faults_of(store_of(ground) / "snapshots" / f".pruned-{name}") if name not in f]
    return {numbers[name] for name in names}


def half_made(ground: Path) -> list[str]:
    """Name all that is on its way to become something; a small file of state may stay beside its final name."""
    found = []
    for folder, folders, files in os.walk(ground):
        beside = "/.mlsnap" in folder and "/snapshots" not in folder
        found += [
            os.path.join(folder, name)
            for name in (*folders, *files)
            if _HALF_MADE.match(name) and not (beside and _BESIDE.match(name))
        ]
    return found


def equals(ground: Path, number: int) -> bool:
    """Tell whether the live tree holds the files of a version, each with its content."""
    return content_of(live_of(ground)) == content_of(store_of(ground) / "snapshots" / str(name_of(number)))


def saved_somewhere(ground: Path, number: int) -> bool:
    """Tell whether what nobody had saved is in the live tree or in one that was put aside."""
    trees = [live_of(ground), *(store_of(ground) / "snapshots").glob(".trash-*")]
    return any(content_of(tree).get(f"only-in-{number}") == b"%d" % number for tree in trees if tree.is_dir())


def recover(ground: Path) -> None:
    """Do what commands do first: make the volume's own things again, and remove what nobody needs any more."""
    driver = driver_on(ground)
    driver.initialise(project=PROJECT, model=MODEL)
    for token in driver.unfinished():
        driver.discard(token)
    for workspace in begun_workspaces(store_of(ground)):
        remove_tree(workspace)
    for tree in driver.trash():
        driver.purge(tree)


# -- scenes --------------------------------------------------------------------------------------------


class Scene:
    """An act and what surrounds it; numbers begin at 3, since versions 1 and 2 are always there.

    `prepare` comes first; `intact` holds right after a fault, whatever it did; `done` when it was done again.
    """

    act = ""

    def ground(self, ground: Path, number: int) -> Path:
        """Give the ground of this number: one for all, where nothing else is said."""
        return ground

    def target(self, number: int) -> int:
        """Give the number of the version that the act is about."""
        return number

    def prepare(self, ground: Path, number: int) -> None:
        driver = driver_on(ground)
        if not driver.volume_id:
            driver.initialise(project=PROJECT, model=MODEL)
            for first in (1, 2):
                train(ground, first)
                _make(ground, first)

    def intact(self, ground: Path, number: int) -> None:
        assert versions(ground) == {1, 2}

    def done(self, ground: Path, number: int) -> None:
        assert versions(ground) == {1, 2}


class _Making(Scene):
    act = "make_version"

    def prepare(self, ground: Path, number: int) -> None:
        super().prepare(ground, number)
        if number > 4:
            driver_on(ground).delete(name_of(number - 2))
        train(ground, number)

    def intact(self, ground: Path, number: int) -> None:
        before = {1, 2, number - 1}
        assert versions(ground) in (before, before | {number})
        assert content_of(live_of(ground)).get("model") == b"model %d\n" % number

    def done(self, ground: Path, number: int) -> None:
        assert versions(ground) == {1, 2, number - 1, number}
        assert equals(ground, number)


class _Swap(Scene):
    act = "swap"

    def target(self, number: int) -> int:
        return 1

    def prepare(self, ground: Path, number: int) -> None:
        super().prepare(ground, number)
        train(ground, number)

    def intact(self, ground: Path, number: int) -> None:
        super().intact(ground, number)
        trained = content_of(live_of(ground)).get("model") == b"model %d\n" % number
        assert trained or equals(ground, 1)
        assert saved_somewhere(ground, number)

    def done(self, ground: Path, number: int) -> None:
        super().done(ground, number)
        assert equals(ground, 1)
        assert (live_of(ground) / ".snapshot" / str(name_of(1))).is_dir()


class _Sync(_Swap):
    act = "sync"

    def intact(self, ground: Path, number: int) -> None:
        Scene.intact(self, ground, number)


class _SyncParts(_Sync):
    act = "sync_parts"

    def intact(self, ground: Path, number: int) -> None:
        super().intact(ground, number)
        assert content_of(live_of(ground))[f"only-in-{number}"] == b"%d" % number

    def done(self, ground: Path, number: int) -> None:
        Scene.done(self, ground, number)
        found, wanted = content_of(live_of(ground)), content_of(store_of(ground) / "snapshots" / str(name_of(1)))
        assert found["model"] == wanted["model"]
        assert found[f"only-in-{number}"] == b"%d" % number


class _Clone(Scene):
    act = "clone"

    def target(self, number: int) -> int:
        return 2

    def prepare(self, ground: Path, number: int) -> None:
        super().prepare(ground, number)
        driver_on(ground).remove_clone(store_of(ground) / "work" / "2")

    def intact(self, ground: Path, number: int) -> None:
        super().intact(ground, number)
        driver_on(ground).remove_clone(store_of(ground) / "work" / "2")


class _Hold(Scene):
    act = "hold"

    def target(self, number: int) -> int:
        return 2

    def prepare(self, ground: Path, number: int) -> None:
        super().prepare(ground, number)
        driver_on(ground).release_hold(name_of(2), "somebody")

    def done(self, ground: Path, number: int) -> None:
        found = driver_on(ground).get(name_of(2))
        assert found is not None and found.holds == ("somebody",)


class _Delete(Scene):
    act = "delete"

    def prepare(self, ground: Path, number: int) -> None:
        super().prepare(ground, number)
        train(ground, number)
        _make(ground, number)

    def intact(self, ground: Path, number: int) -> None:
        assert versions(ground) in ({1, 2}, {1, 2, number})


class _Prune(_Delete):
    act = "prune"

    def intact(self, ground: Path, number: int) -> None:
        listed, pruned = versions(ground), in_trash(ground)
        assert (listed, pruned) in (({1, 2, number}, set()), ({1, 2}, {number}))

    def done(self, ground: Path, number: int) -> None:
        assert (versions(ground), in_trash(ground)) == ({1, 2}, {number})
        driver_on(ground).undelete(name_of(number))
        assert versions(ground) == {1, 2, number}
        driver_on(ground).delete(name_of(number))


class _Undelete(_Prune):
    act = "undelete"

    def prepare(self, ground: Path, number: int) -> None:
        super().prepare(ground, number)
        driver_on(ground).prune(name_of(number))

    def done(self, ground: Path, number: int) -> None:
        assert (versions(ground), in_trash(ground)) == ({1, 2, number}, set())
        driver_on(ground).delete(name_of(number))


class _DeletePruned(_Undelete):
    act = "delete"

    def intact(self, ground: Path, number: int) -> None:
        assert versions(ground) == {1, 2}
        assert in_trash(ground) in (set(), {number})

    def done(self, ground: Path, number: int) -> None:
        assert (versions(ground), in_trash(ground)) == ({1, 2}, set())


class _Initialise(Scene):
    act = "initialise"

    def ground(self, ground: Path, number: int) -> Path:
        return ground / str(number)

    def prepare(self, ground: Path, number: int) -> None:
        ground.mkdir()

    def intact(self, ground: Path, number: int) -> None:
        assert versions(ground) == set()

    def done(self, ground: Path, number: int) -> None:
        train(ground, number)
        _make(ground, number)
        assert driver_on(ground).view(name_of(number)) == live_of(ground) / ".snapshot" / str(name_of(number))
        assert versions(ground) == {number}


def _make(ground: Path, number: int) -> None:
    make_version(ground, number, lambda _: None)


_ALL: tuple[Scene, ...] = (
    *(
        _Initialise(),
        _Making(),
        _Swap(),
        _Sync(),
        _SyncParts(),
        _Clone(),
        _Hold(),
        _Prune(),
        _Undelete(),
        _Delete(),
    ),
)
SCENES: dict[str, Scene] = {scene.act: scene for scene in _ALL} | {"delete from the trash": _DeletePruned()}
