"""Where channels lead: one link for each, and one ledger that says how it came to lead there.

- `<state>/channels/<name>`: a link to the snapshot, replaced atomically, for whoever reads without mlsnap
- `<state>/channels.jsonl`: a line for each move, chained by digests
- `<state>/channels.json`: how many moves are finished, and the digest of the last one; so a line that is cut off
  is missed, and a move that was cut off is known

A move is a line first, then the link, then it counts as finished.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from ci_mlsnap.domain.channels import Move, broken_at, digest, last_moves
from ci_mlsnap.domain.names import is_label
from ci_mlsnap.durable import lines
from ci_mlsnap.durable.atomic import fsync_folder, make_folder
from ci_mlsnap.durable.faults import shown, storage_errors
from ci_mlsnap.durable.locks import lock
from ci_mlsnap.errors import IntegrityDamage
from ci_mlsnap.state import documents

LOCK_WAIT = 60.0
"""Seconds to wait for another who moves a channel."""

_WAY_OUT = "bring channels.json and channels.jsonl back from a copy of the store, both of the same time"


class _Finished(msgspec.Struct, frozen=True, kw_only=True, tag_field="format", tag="mlsnap/channels/1"):
    moves: int
    digest: str


def moves(state: Path) -> tuple[Move, ...]:
    """Give all finished moves, oldest first. Raises `IntegrityDamage`, which says where the ledger is damaged."""
    return _read(state)[0]


def unfinished(state: Path) -> Move | None:
    """Give the move that was begun and not finished; None when there is none. Raises `IntegrityDamage`."""
    return _read(state)[1]


def live(state: Path) -> dict[str, str]:
    """Give the version that each channel leads to, by name, after holding each link against the ledger.

    Raises `IntegrityDamage` for a ledger or a link that is not what was written, `StorageFailed`.
    """
    while True:
        book = _read(state)
        try:
            return _live(state, *book)
        except IntegrityDamage:
            if _read(state) == book:
                raise
            # Somebody moved a channel between our look at the ledger and the one at its link.


def place(state: Path, channel: str) -> Path:
    """Give the place of a channel's link."""
    return state / "channels" / channel


def exist(state: Path) -> bool:
    """Tell whether a channel was ever moved here; nothing else is looked at."""
    return place(state, "any").parent.is_dir()


def is_there(state: Path, channel: str) -> bool:
    """Tell whether something stands at the channel's place; nothing else is looked at."""
    return is_label(channel) and os.path.lexists(place(state, channel))


def text_for(state: Path, snapshot: Path) -> str:
    """Give what a channel's link to a snapshot says: relative, so that it holds wherever that is mounted."""
    folder = place(state, "any").parent
    return os.path.relpath(os.path.realpath(snapshot), os.path.realpath(folder))


@contextmanager
def alone(state: Path) -> Iterator[None]:
    """Be the only one who moves channels. Raises `Busy`, `StorageFailed`."""
    make_folder(place(state, "any").parent)
    with lock(state / "channels.lock", wait=LOCK_WAIT):
        yield


def begin(state: Path, move: Move) -> None:
    """Write a move down, durably: only for whoever is `alone`, and only when none is unfinished.

    Raises `IntegrityDamage`, `StorageFull`, `StorageFailed`.
    """
    lines.append(_ledger(state), msgspec.to_builtins(move))


def finish(state: Path) -> Move | None:
    """Let the link follow the ledger where a move is unfinished, and give that move; for whoever is `alone`.

    Raises `IntegrityDamage` when a file or folder is in the link's place, `StorageFailed`.
    """
    finished, begun = _read(state)
    if begun is None:
        return None
    point(state, begun)
    documents.write(state / "channels.json", _Finished(moves=len(finished) + 1, digest=digest(begun)))
    return begun


def point(state: Path, move: Move) -> bool:
    """Let the channel's link lead where the move says, atomically and durably; tell whether it led elsewhere.

    For whoever is `alone`. Raises `IntegrityDamage` when a file or folder is in the link's place, `StorageFailed`.
    """
    link = place(state, move.channel)
    if _text(link) == move.link:
        return False
    with storage_errors("a channel's link cannot be written"):
        for left in link.parent.glob(".*"):
            if left.is_symlink():  # cut off on its way here; what else has such a name is the file system's
                left.unlink()
        if move.link:
            made = link.with_name(f".{secrets.token_hex(8)}")
            made.symlink_to(move.link)
            made.replace(link)
        else:
            link.unlink(missing_ok=True)
    fsync_folder(link.parent)
    return True


def _live(state: Path, finished: tuple[Move, ...], begun: Move | None) -> dict[str, str]:
    last = last_moves(finished)
    names = {*last, *_links(state), *([begun.channel] if begun else [])}
    found = {name: _leads_to(state, name, last.get(name), begun) for name in sorted(names)}
    return {name: version for name, version in found.items() if version}


def _read(state: Path) -> tuple[tuple[Move, ...], Move | None]:
    """Give the finished moves, and the one that was begun after them."""
    done = _finished(state)
    while True:
        # In this order: whatever is finished meanwhile has its line already.
        found = tuple(_move(state, number, line) for number, line in enumerate(lines.read(_ledger(state))[0], 1))
        if len(found) <= done.moves + 1 or done == (again := _finished(state)):
            break
        done = again
    _require_whole(state, found, done)
    return found[: done.moves], (found[done.moves] if len(found) > done.moves else None)


def _finished(state: Path) -> _Finished:
    return documents.read(state / "channels.json", _Finished, way_out=_WAY_OUT) or _Finished(moves=0, digest="")


def _require_whole(state: Path, found: tuple[Move, ...], done: _Finished) -> None:
    """Refuse a ledger from which a line was taken, or to which one was added; its chain holds the others."""
    count = done.moves
    if number := broken_at(found):
        raise _damage(state, number, "it does not go on from where its channel was")
    if len(found) < count:
        raise _damage(state, len(found) + 1, f"it is missing, and {count} moves were finished")
    if count and digest(found[count - 1]) != done.digest:
        raise _damage(state, count, "it is not the move that was finished")
    if len(found) > count + 1:
        raise _damage(state, count + 2, f"it was written while only {count} moves were finished")


def _move(state: Path, number: int, line: dict[str, Any]) -> Move:
    try:
        return msgspec.convert(line, Move)
    except msgspec.ValidationError:
        raise _damage(state, number, "it is no move of a channel") from None


def _links(state: Path) -> list[str]:
    with storage_errors("the channels cannot be listed"), suppress(FileNotFoundError):
        return [name for name in os.listdir(place(state, "any").parent) if is_label(name)]
    return []


def _leads_to(state: Path, channel: str, last: Move | None, begun: Move | None) -> str:
    """Give the version that a channel's link leads to, as one of the moves that may have put it there says."""
    text = _text(place(state, channel))
    meant = {last.link if last else "": last.version if last else ""}
    if begun is not None and begun.channel == channel:
        meant |= {begun.link: begun.version}
    if text not in meant:
        raise IntegrityDamage(
            f"the channel {channel} leads elsewhere than its last move says",
            why=f"its link says {shown(os.fsencode(text))}" if text else "its link is gone",
            safe="nothing was changed",
            hint=f"`mlsnap channels {channel}` lists its moves; `mlsnap promote <rev> {channel}` makes it anew",
        )
    return meant[text]


def _text(link: Path) -> str:
    """Give what a channel's link says; nothing where there is none. Raises `IntegrityDamage`."""
    if os.path.lexists(link) and not link.is_symlink():
        raise IntegrityDamage(
            f"{shown(os.fsencode(link))} is a file or folder, and a channel is a link",
            safe="nothing was changed",
            hint="move it away; `mlsnap promote` then makes the link anew",
        )
    with storage_errors("a channel's link cannot be read"), suppress(FileNotFoundError):
        return os.readlink(link)
    return ""


def _ledger(state: Path) -> Path:
    return state / "channels.jsonl"


def _damage(state: Path, number: int, why: str) -> IntegrityDamage:
    return IntegrityDamage(
        f"line {number} of {shown(os.fsencode(_ledger(state)))} is damaged",
        why=why,
        safe="nothing was changed; the links lead where they led",
        hint=_WAY_OUT,
    )
