"""Notices that wait: durable before they are sent, the latest of each identity, each until it was sent once.

Unlike a status, a notice must not be sent twice; that is the forge's to hold, which looks for what is there first.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from ci_mlsnap.domain.notices import Notice, identity_of
from ci_mlsnap.durable.atomic import make_folder
from ci_mlsnap.durable.locks import lock
from ci_mlsnap.errors import (
    AnnouncingQueued,
    Busy,
    ForgeForbidden,
    ForgeRejected,
    IntegrityDamage,
    MlsnapError,
)
from ci_mlsnap.ports import Forge
from ci_mlsnap.state import documents

_LOCK_WAIT = 30.0
_WAY_OUT = "remove the file: the next run of the commit tells it anew"


class Waiting(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="format",
    tag="mlsnap/notice/1",
):
    """One notice to send. `snapshot` is what it speaks of; `attempts` failed so far, the last by `why`."""

    repository: str
    notice: Notice
    sequence: int
    snapshot: str = ""
    attempts: int = 0
    why: str = ""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What was sent, with its address at the forge; what waits; and what was given up. Each with the reason."""

    sent: tuple[tuple[Notice, str], ...] = ()
    kept: tuple[tuple[Notice, str], ...] = ()
    dropped: tuple[tuple[Notice, str], ...] = ()


class NoticeBox:
    """The notices of one state folder."""

    def __init__(self, state: Path) -> None:
        self._folder = state / "notices"

    def put(self, repository: str, notice: Notice, *, snapshot: str = "") -> None:
        """Make a notice wait, durably, in place of an earlier one. Raises `StorageFailed`, `Busy`."""
        path = self._file(repository, notice)
        with self._locked():
            latest = max((entry.sequence for entry in self.pending()), default=0)
            entry = Waiting(repository=repository, notice=notice, sequence=latest + 1, snapshot=snapshot)
            documents.write(path, entry)

    def pending(self) -> list[Waiting]:
        """Give what waits, in order. A file that cannot be read is left out. Writes nothing."""
        found = (_read(path) for path in sorted(self._folder.glob("*.json")))
        return sorted((entry for entry in found if entry), key=lambda entry: entry.sequence)

    def deliver(
        self,
        forge: Forge,
        *,
        exists: Callable[[str], bool],
        budget: float = 60.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> Told:
        """Send what waits, for at most about `budget` seconds; never raises for the forge's sake.

        What speaks of a snapshot that is gone, and what the forge forbids or rejects, is given up: a comment is
        no reason to fail run after run. After a silence of the forge the rest waits. Raises `StorageFailed`.
        """
        if not self.pending():
            return Told()
        end = monotonic() + budget
        told: dict[str, list[tuple[Notice, str]]] = {"sent": [], "kept": [], "dropped": []}
        silence = ""
        try:
            with lock(self._folder / "delivery.lock", wait=budget):
                for entry in self.pending():
                    if not silence and monotonic() >= end:
                        silence = "the time for sending was used up"
                    became, text = ("kept", silence) if silence else self._deliver_one(forge, entry, exists)
                    silence = text if became == "kept" else ""
                    told[became].append((entry.notice, text))
        except Busy:
            told["kept"] = [(entry.notice, "another process is sending") for entry in self.pending()]
        return Told(**{name: tuple(found) for name, found in told.items()})

    def _deliver_one(self, forge: Forge, entry: Waiting, exists: Callable[[str], bool]) -> tuple[str, str]:
        try:
            if entry.snapshot and not exists(entry.snapshot):
                self._drop(entry)
                return "dropped", f"snapshot {entry.snapshot[:12]} is gone"
            sent = forge.tell(entry.repository, entry.notice)
        except (ForgeForbidden, ForgeRejected) as error:
            self._drop(entry)
            return "dropped", f"{error.what} ({error.why}): {error.hint}"
        except AnnouncingQueued as error:
            self._try_later(entry, error.what)
            return "kept", error.what
        except MlsnapError as error:
            return "kept", f"whether its snapshot is there is not known: {error.what}"
        self._drop(entry)
        return "sent", sent.url

    def _try_later(self, entry: Waiting, why: str) -> None:
        with self._locked():
            if self._is_latest(entry):
                later = msgspec.structs.replace(entry, attempts=entry.attempts + 1, why=why)
                documents.write(self._file(entry.repository, entry.notice), later)

    def _drop(self, entry: Waiting) -> None:
        """Take an entry out, unless a later one took its place."""
        with self._locked():
            if self._is_latest(entry):
                documents.remove(self._file(entry.repository, entry.notice))

    def _is_latest(self, entry: Waiting) -> bool:
        there = _read(self._file(entry.repository, entry.notice))
        return there is not None and there.sequence == entry.sequence

    def _file(self, repository: str, notice: Notice) -> Path:
        identity = "\0".join((repository, *identity_of(notice)))
        return self._folder / f"{hashlib.sha256(identity.encode(errors='replace')).hexdigest()[:32]}.json"

    def _locked(self) -> AbstractContextManager[None]:
        make_folder(self._folder)
        return lock(self._folder / "lock", wait=_LOCK_WAIT)


def _read(path: Path) -> Waiting | None:
    try:
        return documents.read(path, Waiting, way_out=_WAY_OUT)
    except IntegrityDamage:
        return None  # one bad file must not keep all others from being sent
