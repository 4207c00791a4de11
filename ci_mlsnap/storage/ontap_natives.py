"""A volume's snapshots as the cluster has them: asked for, made, renamed and deleted.

One command looks at them many times within a second. What was seen a moment ago is not asked for again; what we
acted on is.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ci_mlsnap.domain.names import Marker
from ci_mlsnap.domain.status import one_line
from ci_mlsnap.domain.texts import counted
from ci_mlsnap.errors import MlsnapError
from ci_mlsnap.storage.ontap_api import NativeSnapshot, OntapApi, WantedSnapshot
from ci_mlsnap.storage.ontap_endpoint import NO_WISHES, Wishes
from ci_mlsnap.storage.ontap_errors import Absent, Unclear
from ci_mlsnap.storage.ontap_requests import settled

KEPT_SECONDS = 10 * 365 * 86400.0
"""For how long the cluster is told to keep what somebody holds."""

_LONG_AGO = float("-inf")


@dataclass(kw_only=True)
class Natives:
    """The snapshots of a volume, which is named by its UUID. `_seen` has by name what was found, and when."""

    api: OntapApi
    volume: str
    wishes: Wishes = NO_WISHES
    _seen: dict[str, tuple[float, NativeSnapshot | None]] = field(default_factory=dict)
    _listed: float = _LONG_AGO

    # -- looking -----------------------------------------------------------------------------------

    def all(self) -> Sequence[NativeSnapshot]:
        """Give all, in the order of their names."""
        acted = any(moment == _LONG_AGO for moment, _ in self._seen.values())
        if acted or not self._is_fresh(self._listed):
            now = time.monotonic()
            self._seen = {it.name: (now, it) for it in self.api.snapshots(self.volume)}
            self._listed = now
        found = (it for _, it in self._seen.values() if it is not None)
        return sorted(found, key=lambda it: it.name)

    def find(self, name: str, *, whenever: bool = False) -> NativeSnapshot | None:
        """Give one; with `whenever` it may have been seen long ago. What it holds the mount tells."""
        moment, known = self._seen.get(name, (self._listed, None))
        if self._is_fresh(moment) or (whenever and known is not None):
            return known
        now = time.monotonic()
        found = self.api.snapshot(self.volume, name)
        self._seen[name] = (now, found)
        return found

    def reasons(self, found: NativeSnapshot) -> Sequence[str]:
        """Say what keeps a snapshot from being deleted; nothing where the cluster does not tell."""
        said: list[str] = []
        with suppress(MlsnapError, Absent):
            clones = sorted(it.name for it in self.api.clones(self.volume, found.uuid))
            if clones:
                said.append(f"{counted(len(clones), 'clone')} of it: {', '.join(clones[:5])}")
            keeping = self.api.keeping(self.volume, found.uuid, locks=bool(self.wishes.lock))
            said += [f"{one_line(owner)[:60]} needs it" for owner in keeping.owners[:5]]
            if keeping.until:
                said.append(f"it is kept until {one_line(keeping.until)[:40]}")
            if keeping.locked:
                said.append(f"it is locked until {one_line(keeping.locked)[:40]}")
        return said

    def _is_fresh(self, moment: float) -> bool:
        return time.monotonic() - moment < self.api.patience.fresh

    def ask_anew(self) -> None:
        """Forget all that was seen a moment ago."""
        self._seen, self._listed = {}, _LONG_AGO

    def _ask_again(self, name: str) -> None:
        self._seen[name] = (_LONG_AGO, None)

    # -- acting ------------------------------------------------------------------------------------

    def create(self, marker: Marker) -> None:
        """Have one made with the marker as its comment, once. Raises `Taken`, `StorageUnknown`, refusals."""
        name = str(marker.name)
        self._ask_again(name)
        settled(
            lambda: self.api.create_snapshot(self.volume, self._wanted(marker)),
            lambda: self._is_there(name),
            f"it is not known whether {name} was made",
            pause=self.api.patience.between,
        )

    def _wanted(self, marker: Marker) -> WantedSnapshot:
        lock = self.wishes.lock
        locked = _after(lock) if lock else ""
        return WantedSnapshot(name=str(marker.name), comment=str(marker), label=self.wishes.label, locked=locked)

    def keep(self, found: NativeSnapshot, *, kept: bool) -> None:
        """Have the cluster keep a snapshot for years, or not any more: best effort, since holds are ours anyhow.

        The role may not allow it, and a FlexGroup's snapshots have no expiry.
        """
        with suppress(MlsnapError, Absent, Unclear):
            self.api.keep_snapshot(self.volume, found.uuid, _after(KEPT_SECONDS if kept else 0.0))

    def rename(self, found: NativeSnapshot, name: str) -> None:
        """Give a snapshot another name, once. Raises `Absent`, `Taken`, `StorageUnknown`, refusals."""
        self._ask_again(found.name)
        self._ask_again(name)
        settled(
            lambda: self.api.rename_snapshot(self.volume, found.uuid, name),
            lambda: self._is_there(name, found.uuid),
            f"it is not known whether {found.name} was renamed",
            pause=self.api.patience.between,
        )

    def delete(self, found: NativeSnapshot) -> None:
        """Delete a snapshot, once; gone is fine. Raises `SnapshotHeld`, `StorageUnknown`, refusals."""
        self._ask_again(found.name)
        try:
            settled(
                lambda: self.api.delete_snapshot(self.volume, found.uuid),
                lambda: not self._is_there(found.name, found.uuid),
                f"it is not known whether {found.name} was deleted",
                pause=self.api.patience.between,
            )
        except Absent:
            return

    def _is_there(self, name: str, uuid: str = "") -> bool:
        """Ask whether there is a snapshot of this name, and UUID."""
        self._ask_again(name)
        found = self.find(name)
        return found is not None and uuid in ("", found.uuid)


def _after(seconds: float) -> str:
    """Write the moment that is so far ahead, as requests have it."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="seconds")
