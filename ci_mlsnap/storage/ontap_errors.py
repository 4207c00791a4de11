"""ONTAP's error codes, each named once, and what they mean to us.

Codes are from NetApp's REST reference of snapshots, volumes and jobs; what is not named here is a plain failure.
"""

from __future__ import annotations

from ci_mlsnap.domain.status import one_line
from ci_mlsnap.errors import (
    Busy,
    MlsnapError,
    Refused,
    SnapshotHeld,
    StorageAuth,
    StorageFailed,
    StorageForbidden,
    StorageFull,
    StorageReadOnly,
    VolumeMissing,
)


class Absent(Exception):
    """What was named is not there."""


class Taken(Exception):
    """Something has that name already."""


class Unclear(Exception):
    """Whether it was done is not known: only looking tells. The text says why."""


class Later(Unclear):
    """The cluster has too much to do, and did not even begin: it may be asked again."""


_ABSENT = {4, 1638600}
_TAKEN = {1, 525059}
_UNCLEAR = range(1638536, 1638540)
"""ONTAP itself does not know whether a create, delete or rename was done."""

ENOUGH = "`mlsnap doctor --role run` prints the commands of a role that is enough"
_FORBIDDEN = 6
_LOGIN = 6691623

_MEANINGS: dict[int, tuple[type[MlsnapError], str]] = {
    525062: (StorageFull, "the volume has as many snapshots as it can have: `mlsnap prune` removes some of ours"),
    524479: (StorageFull, "bring the volume online, or give it space: `volume show -fields state,available`"),
    9437885: (VolumeMissing, "bring the volume online: `volume online`"),
    1638461: (StorageReadOnly, "use the volume that can be written to, not its mirror"),
    1638521: (StorageReadOnly, "use the volume that can be written to, not its mirror"),
    1638522: (StorageReadOnly, "use the volume that can be written to, not its mirror"),
    1638532: (Busy, "the volume is being restored; run again when that is over"),
    524481: (Busy, "the volume is locked by another act of the cluster; run again later"),
    524486: (Busy, "the volume is busy; run again later"),
    1638543: (SnapshotHeld, "something of the cluster uses it: `volume snapshot show -fields owners`"),
    1638555: (SnapshotHeld, "it is locked, or a clone stands on it: `volume clone show` names clones"),
    524615: (SnapshotHeld, "clones stand on it: `volume clone show` names them"),
    1638477: (Refused, "the name is kept for ONTAP itself"),
    1638518: (Refused, "ONTAP does not accept the name"),
    524508: (Refused, "ONTAP does not accept the name"),
    524511: (StorageFailed, "`event log show` may say more; without --in-place the cluster restores nothing"),
    1638480: (SnapshotHeld, "SnapMirror needs a newer snapshot: `snapmirror show`; restore without --in-place"),
    9437886: (SnapshotHeld, "a newer snapshot is locked until its time is over; restore without --in-place"),
    1638590: (Refused, "a snapshot from before the volume's conversion; restore without --in-place"),
    1638574: (Refused, "a FlexGroup's snapshots have no expiry time"),
}


def failure(act: str, *, status: int, code: int, message: str) -> Exception:
    """Give what a refused request or a failed job means: an error of ours, or one of the three above.

    `act` says what could not be done ("the snapshot cannot be made"); `status` is HTTP's, 0 of a job. The message
    is the server's and may hold anything.
    """
    why = told(code, message)
    if code in _ABSENT or (status == 404 and code not in _MEANINGS):
        return Absent(why)
    if code in _TAKEN:
        return Taken(why)
    if code in _UNCLEAR or (status >= 500 and code not in _MEANINGS):
        return Unclear(why)
    kind, hint = _meaning(status, code)
    return kind(act, why=why, safe="nothing was changed", hint=hint)


def _meaning(status: int, code: int) -> tuple[type[MlsnapError], str]:
    if code in _MEANINGS:
        return _MEANINGS[code]
    if status == 401 or code == _LOGIN:
        return StorageAuth, "check user and password: `security login show -application http`"
    if status == 403 or code == _FORBIDDEN:
        return StorageForbidden, ENOUGH
    return StorageFailed, "the cluster's event log may say more: `event log show`"


def told(code: int, message: str) -> str:
    """Say what the server said, on one line of bounded length."""
    said = one_line(message)[:200] or "the cluster gives no reason"
    return f"{said} (ONTAP code {code})" if code else said
