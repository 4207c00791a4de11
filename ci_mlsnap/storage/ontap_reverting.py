"""Have the cluster make an ONTAP volume what one of its snapshots is: in no time, at the cost of all newer ones.

The one act that deletes what nobody named by itself, so it is told beforehand what it may delete, and refuses to
begin where anything else would go too.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ci_mlsnap.domain.manifest import MANIFEST_PATH, Entry
from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.errors import (
    LinkEscapes,
    NoSuchVersion,
    Refused,
    StorageFailed,
    StorageUnknown,
    TreeUnsupported,
    VolumeRefused,
)
from ci_mlsnap.ports import Snapshot
from ci_mlsnap.storage.ontap_api import NativeSnapshot
from ci_mlsnap.storage.ontap_errors import Absent, Taken
from ci_mlsnap.storage.ontap_home import Home
from ci_mlsnap.storage.ontap_requests import settled
from ci_mlsnap.storage.ontap_restoring import OntapRestoring
from ci_mlsnap.storage.ontap_volume import require_id
from ci_mlsnap.trees.compare import differences


@dataclass(frozen=True, kw_only=True)
class OntapReverting:
    """Whole-volume restores of one volume."""

    restoring: OntapRestoring

    @property
    def _home(self) -> Home:
        return self.restoring.home

    def newer_than(self, name: SnapshotName) -> Sequence[Snapshot]:
        """See `Reverting.newer_than`: of the same second counts as newer."""
        shelf = self._home.own_shelf
        book = shelf.ledger.read()
        return [shelf.told(it, book) for it in self._newer(name)]

    def revert(self, name: SnapshotName, *, losing: Collection[str]) -> None:
        """See `Reverting.revert`."""
        home = self._home
        _require_state_elsewhere(home)
        require_id(home.store, home.volume_id)
        entries = self.restoring.undamaged(name)
        with home.store.locked():
            newer = self._newer(name)
            _require_named([it.name for it in newer if it.name not in losing])
            self._have_it_done(name, newer, entries)
            self._await_shown(name, entries)

    # -- the act -----------------------------------------------------------------------------------

    def _have_it_done(
        self, name: SnapshotName, newer: Sequence[NativeSnapshot], entries: Sequence[Entry] | None
    ) -> None:
        natives = self._home.own_shelf.required()
        try:
            settled(
                lambda: natives.api.restore_volume(natives.volume, str(name)),
                lambda: self._is_done(name, newer, entries),
                f"it is not known whether the volume was restored to {name}",
                pause=natives.api.patience.between,
            )
        except (Absent, Taken) as error:
            raise StorageFailed(
                f"the volume cannot be restored to {name}", why=str(error), safe="nothing was changed"
            ) from None
        finally:
            natives.ask_anew()

    def _is_done(
        self, name: SnapshotName, newer: Sequence[NativeSnapshot], entries: Sequence[Entry] | None
    ) -> bool:
        gone = {it.uuid for it in newer}
        return not gone & {it.uuid for it in self._listed()} and self._shows(name, entries)

    def _await_shown(self, name: SnapshotName, entries: Sequence[Entry] | None) -> None:
        """Wait until the mount shows it: an answer alone proves nothing. Raises `StorageUnknown`."""
        patience = self._home.patience
        until = time.monotonic() + patience.shown
        while not self._shows(name, entries):
            if time.monotonic() >= until:
                raise StorageUnknown(
                    f"the storage says that the volume is {name}, and {self._home.path} does not show it",
                    safe="the snapshot is there; the live tree is in change",
                    hint="run again; what is written there meanwhile would look like this too",
                )
            time.sleep(patience.between)

    def _shows(self, name: SnapshotName, entries: Sequence[Entry] | None) -> bool:
        """Tell whether the live tree is the version, by what a look at it tells."""
        live, place = self._home.path, self._home.own_shelf.place(name)
        try:
            if (live / MANIFEST_PATH).read_bytes() != (place / MANIFEST_PATH).read_bytes():
                return False
            return entries is None or not differences(live, entries, read=False)
        except (OSError, TreeUnsupported, LinkEscapes, StorageFailed):  # of the tree before, or as it just goes
            return False

    # -- what is newer -----------------------------------------------------------------------------

    def _newer(self, name: SnapshotName) -> Sequence[NativeSnapshot]:
        listed = self._listed()
        wanted = next((it for it in listed if it.name == str(name)), None)
        if wanted is None:
            raise NoSuchVersion(f"there is no version {name}", safe="nothing was changed")
        since = _moment(wanted.created)
        return [it for it in listed if it is not wanted and _moment(it.created, now=True) >= since]

    def _listed(self) -> Sequence[NativeSnapshot]:
        natives = self._home.own_shelf.required()
        natives.ask_anew()
        return natives.all()


def _moment(text: str, *, now: bool = False) -> datetime:
    """Read a moment of the cluster's; what is none is the earliest, or with `now` the latest there could be."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return datetime.max.replace(tzinfo=UTC) if now else datetime.min.replace(tzinfo=UTC)
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _require_state_elsewhere(home: Home) -> None:
    if os.path.realpath(home.store.root).startswith(os.path.realpath(home.path) + os.sep):
        raise VolumeRefused(
            "state is kept in the volume itself, and would go back with it",
            why="who holds which version, and what was ever made, would be forgotten",
            safe="nothing was changed",
            hint="set `state` to a folder on another volume, or restore without --in-place",
        )


def _require_named(others: Sequence[str]) -> None:
    if others:
        raise Refused(
            f"newer snapshots would be lost that were not named: {', '.join(map(ascii, sorted(others)))}",
            safe="nothing was changed",
            hint="run again, which names them; without --in-place nothing is lost",
        )
