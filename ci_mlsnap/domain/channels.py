"""Channels: moving names such as `production`, and the moves that say what each led to, when and why."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import msgspec

from ci_mlsnap.domain.names import is_label
from ci_mlsnap.errors import UsageError


class Move(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename={"before": "from", "version": "to"},
):
    """One move of a channel, as a line of the ledger has it.

    `before` and `version` name snapshots; `before` is empty for the first move, `version` for one that ends the
    channel. `link` is where the channel's link leads, as it is written in the link; `manifest` the digest of the
    version's manifest. `at` is UTC, ISO 8601, for people: the order of the lines says what came first.
    """

    channel: str
    before: str
    version: str
    link: str
    manifest: str
    who: str
    at: str
    why: str = ""
    run_url: str = ""


def require_channel(text: str) -> str:
    """Give the name when it may be a channel's. Raises `UsageError`."""
    if not is_label(text):
        raise UsageError(
            f"{text[:80]!r} can be no channel",
            why="a channel is named with 1 to 63 of a-z, 0-9 and -, and does not begin with -",
            safe="nothing was changed",
            hint="use a name such as `production`",
        )
    return text


def digest(move: Move) -> str:
    """Give the SHA-256 of a move as it is written."""
    return hashlib.sha256(msgspec.json.encode(move)).hexdigest()


def last_moves(moves: Iterable[Move]) -> dict[str, Move]:
    """Give the last move of each channel, also of those that ended, by name."""
    return {move.channel: move for move in moves}


def live_at(moves: Sequence[Move], moment: str) -> dict[str, str]:
    """Say which version each channel led to at a moment: UTC, ISO 8601, as moves have it.

    The order of the moves counts before their times: what followed a later move was not there earlier.
    """
    until = next((number for number, move in enumerate(moves) if move.at > moment), len(moves))
    return {name: move.version for name, move in sorted(last_moves(moves[:until]).items()) if move.version}


def broken_at(moves: Iterable[Move]) -> int:
    """Give the number, from 1, of the first move that does not go on from where its channel was; 0 when all do."""
    at: dict[str, str] = {}
    for number, move in enumerate(moves, 1):
        if move.before != at.get(move.channel, "") or not is_label(move.channel):
            return number
        at[move.channel] = move.version
    return 0
