"""A volume's snapshots as the cluster has them: asked for, made, renamed and deleted.

One command looks at them many times within a second. What was seen a moment ago is not asked for again; what we
acted on is.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from ci_mlsnap.domain.names import Marker
from ci_mlsnap.errors import MlsnapError
from ci_mlsnap.storage.ontap_api import NativeSnapshot, OntapApi
from ci_mlsnap.storage.ontap_errors import Absent
from ci_mlsnap.storage.ontap_requests import settled

_LONG_AGO = float("-inf")


@dataclass(kw_only=True)
class Natives:
    """The snapshots of a volume, which is named by its UUID. `_seen` has by name what was found, and when."""

    api: OntapApi
    volume: str
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

    def clones(self, found: NativeSnapshot) -> Sequence[str]:
        """Name the clones that stand on a snapshot; none where the cluster does not say."""
        with suppress(MlsnapError, Absent):
            return [it.name for it in self.api.clones(self.volume, found.uuid)]
        return ()

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
            lambda: self.api.create_snapshot(self.volume, name, str(marker)),
            lambda: self._is_there(name),
            f"it is not known whether {name} was made",
            pause=self.api.patience.between,
        )

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
