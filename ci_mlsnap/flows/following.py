"""What follows the ledger of channels: their links, and the holds on what is live."""

from __future__ import annotations

from contextlib import suppress

from ci_mlsnap.domain.channels import last_moves
from ci_mlsnap.domain.names import is_label
from ci_mlsnap.errors import MlsnapError
from ci_mlsnap.ports import Driver
from ci_mlsnap.state import channels

_HOLD = "channel "


def hold_of(channel: str) -> str:
    """Write who holds what a channel leads to."""
    return _HOLD + channel


def channel_of(owner: str) -> str:
    """Read the channel's name from who holds a snapshot; empty for any other holder."""
    return owner.removeprefix(_HOLD) if owner.startswith(_HOLD) and is_label(owner.removeprefix(_HOLD)) else ""


def follow(driver: Driver) -> None:
    """Finish the move that was begun, then release what channels do not lead to; for whoever is `alone`.

    A version is held before its move is written down, so one that is held and not led to is of a move that never
    was. What is held for a channel without any move stays: the ledger may be what was lost.
    Doing it twice is doing it once. Raises `IntegrityDamage`, `StorageFailed`.
    """
    state = driver.state_folder()
    channels.finish(state)
    last = last_moves(channels.moves(state))
    leads = {hold_of(name): move.version for name, move in last.items()}
    for snapshot in driver.list():
        for owner in snapshot.holds:
            if snapshot.marker and owner in leads and leads[owner] != snapshot.name:
                driver.release_hold(snapshot.marker.name, owner)


def follow_if_possible(driver: Driver) -> None:
    """Do the same in passing, for commands with other work: what is damaged there is not theirs to report."""
    state = driver.state_folder()
    if channels.exist(state):
        with suppress(MlsnapError), channels.alone(state):
            follow(driver)
