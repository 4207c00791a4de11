"""What commands that write do first: bring dead runs to rest, and remove what nobody needs any more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.errors import Busy, LinkEscapes, TreeUnsupported
from ci_mlsnap.flows import leases, staying
from ci_mlsnap.flows.context import Hands
from ci_mlsnap.flows.following import follow_if_possible
from ci_mlsnap.flows.live import Identity, compared
from ci_mlsnap.flows.moving import keep_or_note
from ci_mlsnap.flows.sealing import remove_leftovers
from ci_mlsnap.flows.workspace import begun_workspaces, remove_old, remove_remains
from ci_mlsnap.ports import Driver
from ci_mlsnap.state import catalogue, displaced
from ci_mlsnap.state.journal import open_runs
from ci_mlsnap.trees.remove import remove_tree

_NEWEST = 20
"""How many versions a displaced tree of unknown origin is compared with."""


def tidy(hands: Hands, driver: Driver, identity: Identity) -> int:
    """Recover runs whose process is dead or whose lease ran out, then empty the trash; give the recovered runs.

    Doing it twice is doing it once.
    """
    if not driver.volume_id:
        return 0  # before first use nothing is left over, and the store may yet be refused
    volumes = [_Volume(driver=driver, identity=identity), *_others(driver, identity)]
    # Listed before anything else: what is begun after this belongs to the living.
    begun = [(it.driver, it.driver.unfinished(), begun_workspaces(_store(it.driver))) for it in volumes]
    leases.free_orphans(driver)
    follow_if_possible(driver)
    staying.release_left(driver)
    recovered = _recover_runs(hands, driver)
    left = any(unfinished for _, unfinished, _ in begun) or any(map(_has_remains, volumes))
    if not (driver.others() or left):
        return recovered
    try:
        with leases.volume_held(hands, driver):
            if not open_runs(driver.state_folder()):
                for own, unfinished, cut_off in begun:
                    _remove_begun(own, unfinished, cut_off)
                remove_leftovers(driver)
            for volume in volumes:
                _tidy_volume(hands, volume, driver.state_folder())
    except Busy:
        pass  # somebody works there; the next command tidies
    return recovered


class _Volume(msgspec.Struct, frozen=True, kw_only=True):
    driver: Driver
    identity: Identity


def _others(driver: Driver, identity: Identity) -> list[_Volume]:
    """Give the other volumes that were used before."""
    return [
        _Volume(driver=member.driver, identity=replace(identity, volume=member.name))
        for member in driver.others()
        if member.driver.volume_id
    ]


def _has_remains(volume: _Volume) -> bool:
    """Tell whether there may be something to remove; mostly there is not, and a lease costs some writes."""
    driver = volume.driver
    return bool(driver.trash() or any((_store(driver) / "work").glob("*")))


def _remove_begun(driver: Driver, unfinished: Sequence[str], cut_off: Sequence[Path]) -> None:
    for token in unfinished:
        driver.discard(token)
    for workspace in cut_off:
        remove_tree(workspace)


def _tidy_volume(hands: Hands, volume: _Volume, journals: Path) -> None:
    driver = volume.driver
    for tree in driver.trash():
        _purge(hands, driver, tree, volume.identity)
    remove_remains(journals, _store(driver))
    remove_old(driver, journals, _store(driver), before=hands.clock() - hands.timing.workspace_kept)


def _store(driver: Driver) -> Path:
    return driver.state_folder().parent


def _recover_runs(hands: Hands, driver: Driver) -> int:
    recovered = 0
    for run in open_runs(driver.state_folder()):
        if not leases.is_living(hands, driver, run):
            from ci_mlsnap.flows.finish import finish  # runs are rarely dead, and it knows all of training

            finish(hands, driver, run)
            recovered += 1
    return recovered


def _purge(hands: Hands, driver: Driver, tree: Path, identity: Identity) -> None:
    """Remove a displaced tree after its grace period, which lets readers that have it open finish.

    One that was never compared, because the restore was cut off, is compared first.
    """
    state = driver.state_folder()
    known = displaced.find(state, tree)
    if known is None:
        _compare(hands, driver, tree, identity)
    elif known.state and driver.state_of(tree) != known.state:
        _compare(hands, driver, tree, identity)  # somebody still wrote to it
    elif hands.clock() >= known.since + hands.timing.trash_grace:
        driver.purge(tree)
        displaced.forget(state, tree)


def _compare(hands: Hands, driver: Driver, tree: Path, identity: Identity) -> None:
    """Find what a displaced tree has that is in no version, and keep that; what no snapshot can carry stays."""
    try:
        saved = _version_of(driver, tree)
        commit = SnapshotName.parse(saved).sha if saved else _any_commit(driver)
        if commit:
            keep_or_note(hands, driver, tree, saved, identity, commit)
    except (TreeUnsupported, LinkEscapes):
        return


def _version_of(driver: Driver, tree: Path) -> str:
    """Name a version that has all that the tree holds; empty when none of the newest has."""
    known = sorted(catalogue.versions(driver), key=lambda version: -version.header.sequence)[:_NEWEST]
    for version in known:
        found = compared(driver, tree, str(version.name), read=False)
        if not (found.added or found.changed):
            return str(version.name)
    return ""


def _any_commit(driver: Driver) -> str:
    known = catalogue.versions(driver)
    return max(known, key=lambda version: version.header.sequence).header.commit if known else ""
