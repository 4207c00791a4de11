"""Moving a live tree to a version: under the volume's lease, and never losing what only the tree has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
from msgspec.structs import replace

from ci_mlsnap.domain.advancing import Advance, is_overtaken
from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.errors import LinkEscapes, TreeUnsupported
from ci_mlsnap.flows import leases
from ci_mlsnap.flows.context import Hands
from ci_mlsnap.flows.live import Identity, LiveTree, Source, compared, keep, keep_all, look_at
from ci_mlsnap.flows.members import besides_first
from ci_mlsnap.ports import Driver
from ci_mlsnap.state import advances, displaced, live, rolled_back


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """What a move did: how, the name under which unsaved work was kept, and how many entries differed.

    `aside` is where a tree was put that no snapshot can carry; nothing ever removes it.
    """

    way: Literal["swap", "sync", "in-place", "none"]
    kept: str = ""
    changed: int = 0
    aside: Path | None = None


def move_live_tree(
    hands: Hands,
    driver: Driver,
    name: SnapshotName,
    path: Path,
    identity: Identity,
    *,
    read: bool = False,
    chosen: Sequence[str] | None = None,
) -> Moved:
    """Make the live tree equal to the version. Raises `Busy` while another changes it, `IntegrityDamage`.

    The tree is marked in change, durably, before anything happens; run again after a crash, it ends the same.
    What only the tree holds is kept as a snapshot of its own first. Without `read`, a file whose size and times
    are the version's counts as the version's. `chosen`: a person wants this version, before which came these
    commits, so that runs that already began leave the tree there.
    """
    with leases.volume_held(hands, driver):
        return move_held_tree(hands, driver, name, path, identity, read=read, chosen=chosen)


def move_held_tree(
    hands: Hands,
    driver: Driver,
    name: SnapshotName,
    path: Path,
    identity: Identity,
    *,
    read: bool = False,
    chosen: Sequence[str] | None = None,
) -> Moved:
    """Move the live tree as `move_live_tree` does, for whoever has the lease."""
    if chosen is not None:
        choice = Advance(token=leases.volume_token(driver), ancestors=tuple(chosen))
        advances.write(driver.state_folder(), path, choice)
    return _moved(hands, driver, name, path, identity, read=read)


def advance_live_tree(
    hands: Hands,
    driver: Driver,
    name: SnapshotName,
    path: Path,
    identity: Identity,
    advance: Advance,
    *,
    by_descent: bool,
    wait: float,
) -> Moved | None:
    """Move the live tree as `move_live_tree` does, for a run; None when it is at something newer already.

    None also where a person rolled the tree back. Both are looked at under the lease, so that of two runs the
    newer one has the last word. `wait` in seconds.
    """
    with leases.volume_held(hands, driver, wait=wait):
        if rolled_back.find(driver.state_folder(), path) is not None:
            return None
        if is_overtaken(advance, advances.read(driver.state_folder(), path), by_descent=by_descent):
            return None
        advances.write(driver.state_folder(), path, advance)
        return _moved(hands, driver, name, path, identity)


def keep_or_note(hands: Hands, driver: Driver, tree: Path, saved: str, identity: Identity, commit: str) -> str:
    """Make sure that all a displaced tree holds is saved, and remember it; give the name of a new keepsake.

    `saved` names the snapshot that should have it all. Somebody may have written to the tree until the swap.
    """
    found = compared(driver, tree, saved, read=False)
    kept = ""
    if found.added or found.changed:
        kept = keep(driver, tree, identity, commit=commit, now=hands.now())
    displaced.note(driver.state_folder(), tree, saved=kept or saved, now=hands.clock)
    return kept


def _moved(
    hands: Hands, driver: Driver, name: SnapshotName, path: Path, identity: Identity, *, read: bool = False
) -> Moved:
    if driver.others():
        driver.get(name)  # of a version that is not whole, none is moved
    first = _tree(driver, path, identity, read=read)
    others = [
        _tree(member.driver, member.path, replace(identity, volume=member.name), read=read)
        for member in (besides_first(driver, driver.manifest_header(name)) if driver.others() else ())
    ]
    trees = [first, *others]
    there = [_is_already(tree, name) for tree in trees]
    kept = "" if all(there) else _keep_unsaved(hands, trees, name.sha)
    if others and not all(there):
        # The first volume's tree stands for all: it is in change until each of the others is in place.
        _mark_in_change(hands, first, name)
    moved = [
        _stay(hands, tree, name) if ready else _move(hands, tree, name, kept)
        for tree, ready in reversed(list(zip(trees, there, strict=True)))
    ]
    return _moved_together(moved[::-1], kept)


class _Tree(msgspec.Struct, frozen=True, kw_only=True):
    """One live tree that is to be moved, and what it was `before`; None for one that cannot be compared.

    `read` says that sizes and times are not enough to tell what it is."""

    driver: Driver
    path: Path
    identity: Identity
    before: LiveTree | None
    read: bool


def _tree(driver: Driver, path: Path, identity: Identity, *, read: bool) -> _Tree:
    recorded = live.read(driver.state_folder(), path)
    # Files of another version may have the size and times that this one's have.
    read = read or (recorded is not None and recorded.condition == "mixed")
    try:
        before = look_at(driver, path, read=read)
    except (TreeUnsupported, LinkEscapes):
        before = None
    return _Tree(driver=driver, path=path, identity=identity, before=before, read=read)


def _is_already(tree: _Tree, name: SnapshotName) -> bool:
    before = tree.before
    if before is not None and before.state:
        return before.version == str(name)
    return _is_there(tree.driver, name, tree.path, read=tree.read)


def _keep_unsaved(hands: Hands, trees: Sequence[_Tree], commit: str) -> str:
    """Keep what only these trees have: as one keepsake of all, or each by itself where one of them is none."""
    unsaved = [tree for tree in trees if tree.before is not None and tree.before.unsaved]
    if unsaved and all(tree.before is not None and tree.path.is_dir() for tree in trees):
        sources = [Source(volume=it.identity.volume, driver=it.driver, path=it.path) for it in trees]
        return keep_all(sources, trees[0].identity, commit=commit, now=hands.now())
    kept = [keep(it.driver, it.path, it.identity, commit=commit, now=hands.now()) for it in unsaved]
    return kept[0] if kept else ""


def _stay(hands: Hands, tree: _Tree, name: SnapshotName) -> Moved:
    _mark(hands, tree.driver, tree.path, version=name, state=tree.before.state if tree.before else "")
    return Moved(way="none")


def _moved_together(moved: Sequence[Moved], kept: str) -> Moved:
    return Moved(
        way=next((it.way for it in moved if it.way != "none"), "none"),
        kept=kept or next((it.kept for it in moved if it.kept), ""),
        changed=sum(it.changed for it in moved),
        aside=next((it.aside for it in moved if it.aside is not None), None),
    )


def _mark_in_change(hands: Hands, tree: _Tree, name: SnapshotName) -> None:
    before = tree.before
    live.write(
        tree.driver.state_folder(),
        tree.path,
        version=before.version if before is not None else "",
        condition="in-change",
        target=str(name),
        run=hands.owner(),
        now=hands.clock,
    )


def _move(hands: Hands, tree: _Tree, name: SnapshotName, kept: str) -> Moved:
    driver, path, before = tree.driver, tree.path, tree.before
    _mark_in_change(hands, tree, name)
    # A tree that cannot be compared is never sorted through file by file: it goes aside as a whole.
    restored = driver.restore(name, path, way=None if before is not None else "swap", full=tree.read)
    _mark(hands, driver, path, version=name, state=restored.state)
    if before is None:
        return Moved(way=restored.way, aside=restored.displaced)
    if restored.displaced is not None and before.state:
        # It was untouched a moment ago; that it still was when it was displaced is looked at before it goes.
        displaced.note(
            driver.state_folder(),
            restored.displaced,
            saved=before.version,
            state_of_tree=before.state,
            now=hands.clock,
        )
    elif restored.displaced is not None:
        saved = kept or before.version
        kept = keep_or_note(hands, driver, restored.displaced, saved, tree.identity, name.sha) or kept
    changed = len(before.differences.removed) + len(before.differences.changed)
    return Moved(way=restored.way, kept=kept, changed=changed)


def _is_there(driver: Driver, name: SnapshotName, path: Path, *, read: bool) -> bool:
    """Tell whether the tree is the version already, also when a move was cut off after its last step."""
    if not path.is_dir():
        return False
    try:
        return not compared(driver, path, str(name), read=read)
    except (TreeUnsupported, LinkEscapes):
        return False


def _mark(hands: Hands, driver: Driver, path: Path, *, version: SnapshotName, state: str) -> None:
    live.write(
        driver.state_folder(),
        path,
        version=str(version),
        condition="equal",
        run=hands.owner(),
        state_of_tree=state,
        now=hands.clock,
    )
