"""Pins: which state of a data volume a version was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.domain.status import one_line

PinKind = Literal["snapshot", "existing", "record"]

EXISTING = "existing:"
"""How a `pin` begins that uses a snapshot of the data's owner; the rest is a glob for the snapshot's name."""


class Pin(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What training read of one data volume.

    `path` is where it read it. `token` stays the same as long as the data does, as far as the storage can tell,
    and is empty where it cannot. `name` and `native_id` are those of the snapshot, ours or its owner's. `held`
    says that the snapshot stays as long as the version does; `drifted` that what was only written down, or kept by
    its owner, changed while training read it. `facts` are what was found, for people.
    """

    volume: str
    kind: PinKind
    path: str
    token: str = ""
    name: str = ""
    native_id: str = ""
    held: bool = False
    drifted: bool = False
    facts: dict[str, str] = {}


class DataPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One data volume as a run will use it; paths are absolute, `pin` is as the configuration has it."""

    name: str
    path: str
    driver: str
    store: str
    pin: str

    @property
    def kind(self) -> PinKind:
        """How the data is pinned."""
        if self.pin.startswith(EXISTING):
            return "existing"
        return "record" if self.pin == "record" else "snapshot"

    @property
    def existing(self) -> str:
        """The glob for names of the owner's snapshots; empty for the other kinds."""
        return self.pin.removeprefix(EXISTING) if self.kind == "existing" else ""


def differing(some: Sequence[Pin], others: Sequence[Pin]) -> list[str]:
    """Name the volumes of which both are not known to be the same data, pinned in the same manner."""
    one, other = ({pin.volume: _identity(pin) for pin in pins} for pins in (some, others))
    return sorted(
        volume
        for volume in one.keys() | other.keys()
        if not one.get(volume) or one.get(volume) != other.get(volume)
    )


def _identity(pin: Pin) -> tuple[str, str] | None:
    """What two pins of the same data have in common; None where nothing tells."""
    return (pin.kind, pin.token) if pin.token and not pin.drifted else None


def told(pin: Pin) -> str:
    """Say in one line what a version knows of its data, and what it does not."""
    match pin.kind:
        case "snapshot":
            return f"{pin.volume}: snapshot {SnapshotName.parse(pin.name).short}"
        case "existing":
            after = "; it went or changed while training read it" if pin.drifted else ""
            return f"{pin.volume}: its owner's snapshot {one_line(pin.name)}, which only its owner keeps{after}"
        case "record":
            after = "; it changed while training read it" if pin.drifted else ""
            return f"{pin.volume}: not pinned, only written down{after}"


def variable(volume: str) -> str:
    """Name the environment variable that tells training where the data is."""
    return "MLSNAP_DATA_" + volume.upper().replace("-", "_")


def holder(project: str, model: str, volume_id: str, name: str = "", run: str = "") -> str:
    """Write who holds a pin: a version's whole identity, or one run on its way there; without a name, what all
    holders of a model volume begin with.

    The model volume's id is in it: two clones of a repository have versions of one name on volumes of their own.
    """
    version = f"p={project} model={model} volume={volume_id} sha={name}"
    return f"{version} run={run}" if run else version
