"""The outbox: statuses are durable before they are sent, and the latest one for a commit and context wins.

Three folders with one file per (repository, sha, context): `waiting`, `sent` (a mark that stays, so that a late
`pending` never covers a final state) and `undeliverable` (kept for the record).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

import msgspec

from ci_mlsnap.domain import announcing
from ci_mlsnap.domain.removed import Told
from ci_mlsnap.domain.status import CommitStatus, State
from ci_mlsnap.durable.atomic import make_folder
from ci_mlsnap.durable.locks import lock
from ci_mlsnap.errors import AnnouncingQueued, Busy, ForgeRejected, IntegrityDamage, MlsnapError
from ci_mlsnap.ports import Forge
from ci_mlsnap.state import documents

_LOCK_WAIT = 30.0
_WAY_OUT = "remove the file and run again: the status is then posted anew"


class Entry(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="format",
    tag="mlsnap/status/1",
):
    """One status to send. `snapshot` is what a success speaks of; `attempts` failed so far, the last by `why`."""

    repository: str
    status: CommitStatus
    sequence: int
    snapshot: str = ""
    attempts: int = 0
    why: str = ""


class _Mark(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="format", tag="mlsnap/sent/1"
):
    repository: str
    sha: str
    context: str
    sequence: int
    state: State
    snapshot: str = ""
    target_url: str = ""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """What was sent, what waits on and why, what will never be sent, and the files that cannot be read."""

    sent: tuple[Entry, ...] = ()
    kept: tuple[Entry, ...] = ()
    undeliverable: tuple[Entry, ...] = ()
    damaged: tuple[str, ...] = ()
    why: str = ""


class _Tally(msgspec.Struct, kw_only=True):
    end: float
    sent: list[Entry] = msgspec.field(default_factory=list)
    kept: list[Entry] = msgspec.field(default_factory=list)
    undeliverable: list[Entry] = msgspec.field(default_factory=list)
    silent: set[str] = msgspec.field(default_factory=set)
    why: str = ""

    def keep(self, entry: Entry, why: str) -> None:
        self.kept.append(entry)
        self.why = self.why or why


class Outbox:
    """The outbox of one state folder."""

    def __init__(self, state: Path) -> None:
        self._folder = state / "outbox"

    def put(
        self, repository: str, status: CommitStatus, *, snapshot: str = "", sequence: int | None = None
    ) -> Entry | None:
        """Make a status wait, durably, in place of an earlier one for the same commit and context.

        Without `sequence` it is the latest. With one that is not above all seen before it is late: nothing
        changes and None is given. Raises `StorageFailed`, `Busy`.
        """
        key = _key(repository, status)
        with self._locked():
            latest = max(self._sequence(folder, key) for folder in ("waiting", "sent", "undeliverable"))
            if sequence is not None and sequence <= latest:
                return None
            entry = Entry(repository=repository, status=status, sequence=sequence or latest + 1, snapshot=snapshot)
            documents.write(self._file("waiting", key), entry)
            return entry

    def pending(self) -> list[Entry]:
        """Give what waits, what failed least often first. Writes nothing. Raises `StorageFailed`."""
        entries = (self._waiting(path.stem) for path in self._files("waiting"))
        return sorted((e for e in entries if e), key=lambda e: (e.attempts, e.repository, e.sequence, _key_of(e)))

    def told_of(self, snapshot: str) -> list[Told]:
        """Give what commits were last told of a snapshot, or are about to be. Writes nothing."""
        waiting = {path.stem: self._waiting(path.stem) for path in self._files("waiting")}
        latest: dict[str, Entry | _Mark | None] = {
            path.stem: self._read_mark(path.stem) for path in self._files("sent")
        }
        latest |= {key: entry for key, entry in waiting.items() if entry is not None}
        return [_told(said) for said in latest.values() if said is not None and said.snapshot == snapshot]

    def undeliverable(self) -> list[Entry]:
        """Give what the forge will never take, for the record. Writes nothing."""
        entries = (self._entry("undeliverable", path.stem) for path in self._files("undeliverable"))
        return [entry for entry in entries if entry]

    def damaged(self) -> list[str]:
        """Name the files of waiting statuses that cannot be read. Writes nothing."""
        return [str(path) for path in self._files("waiting") if _is_damaged(path)]

    def deliver(
        self,
        forge: Forge,
        *,
        exists: Callable[[str], bool],
        budget: float = 60.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> Delivery:
        """Send what waits, for at most about `budget` seconds; never raises for the forge's sake.

        A success goes out only while `exists` says that its snapshot is there; otherwise the commit hears that
        it is gone. After a refusal or silence of the forge the rest of that repository waits for the next time.
        Killed between sending and marking, an entry is sent again, which is harmless. Raises `StorageFailed`.
        """
        if not self.pending():
            return Delivery(damaged=tuple(self.damaged()))
        tally = _Tally(end=monotonic() + budget)
        try:
            with lock(self._folder / "delivery.lock", wait=budget):
                for entry in self.pending():
                    if monotonic() >= tally.end:
                        tally.keep(entry, "the time for sending was used up")
                    else:
                        self._deliver_one(forge, _key_of(entry), exists, tally)
        except Busy:
            tally.kept, tally.why = self.pending(), "another process is sending"
        return Delivery(
            sent=tuple(tally.sent),
            kept=tuple(tally.kept),
            undeliverable=tuple(tally.undeliverable),
            damaged=tuple(self.damaged()),
            why=tally.why,
        )

    def _deliver_one(self, forge: Forge, key: str, exists: Callable[[str], bool], tally: _Tally) -> None:
        entry = self._waiting(key)  # read again: a later one may have taken its place meanwhile
        if entry is None:
            return
        if entry.repository in tally.silent:
            tally.keep(entry, tally.why)
            return
        try:
            true = _as_it_is(entry, exists)
        except MlsnapError as error:
            tally.keep(entry, f"whether its snapshot is there is not known: {error.what}")
            return
        try:
            forge.post_status(entry.repository, true.status)
        except ForgeRejected as error:
            tally.undeliverable.append(self._set_aside(entry, error.what))
        except AnnouncingQueued as error:
            tally.silent.add(entry.repository)
            tally.keep(self._try_later(entry, error.what), error.what)
        else:
            self._mark(true)
            tally.sent.append(true)

    def _mark(self, entry: Entry) -> None:
        status, key = entry.status, _key_of(entry)
        mark = _Mark(
            repository=entry.repository,
            sha=status.sha,
            context=status.context,
            sequence=entry.sequence,
            state=status.state,
            snapshot=entry.snapshot,
            target_url=status.target_url,
        )
        with self._locked():
            documents.write(self._file("sent", key), mark)
            self._drop(entry)
            documents.remove(self._file("undeliverable", key))

    def _set_aside(self, entry: Entry, why: str) -> Entry:
        failed = msgspec.structs.replace(entry, attempts=entry.attempts + 1, why=why)
        with self._locked():
            documents.write(self._file("undeliverable", _key_of(entry)), failed)
            self._drop(entry)
        return failed

    def _try_later(self, entry: Entry, why: str) -> Entry:
        failed = msgspec.structs.replace(entry, attempts=entry.attempts + 1, why=why)
        with self._locked():
            if self._sequence("waiting", _key_of(entry)) == entry.sequence:
                documents.write(self._file("waiting", _key_of(entry)), failed)
        return failed

    def _drop(self, entry: Entry) -> None:
        """Take an entry out, unless a later one waits in its place."""
        if self._sequence("waiting", _key_of(entry)) <= entry.sequence:
            documents.remove(self._file("waiting", _key_of(entry)))

    def _waiting(self, key: str) -> Entry | None:
        """Give what waits under a key, unless it was already sent or refused before a crash hid that."""
        entry = self._entry("waiting", key)
        done = max(self._sequence("sent", key), self._sequence("undeliverable", key))
        return entry if entry is not None and entry.sequence > done else None

    def _entry(self, folder: Literal["waiting", "undeliverable"], key: str) -> Entry | None:
        try:
            return documents.read(self._file(folder, key), Entry, way_out=_WAY_OUT)
        except IntegrityDamage:
            return None  # told by `damaged`; one bad file must not keep all others from being sent

    def _read_mark(self, key: str) -> _Mark | None:
        try:
            return documents.read(self._file("sent", key), _Mark, way_out=_WAY_OUT)
        except IntegrityDamage:
            return None

    def _sequence(self, folder: str, key: str) -> int:
        kind: type[Entry | _Mark] = _Mark if folder == "sent" else Entry
        try:
            found = documents.read(self._file(folder, key), kind, way_out=_WAY_OUT)
        except IntegrityDamage:
            return 0
        return found.sequence if found else 0

    def _files(self, folder: str) -> list[Path]:
        return sorted((self._folder / folder).glob("*.json"))

    def _file(self, folder: str, key: str) -> Path:
        return self._folder / folder / f"{key}.json"

    def _locked(self) -> AbstractContextManager[None]:
        make_folder(self._folder)
        return lock(self._folder / "lock", wait=_LOCK_WAIT)


def _told(said: Entry | _Mark) -> Told:
    told = said.status if isinstance(said, Entry) else said
    return Told(
        repository=said.repository,
        sha=told.sha,
        context=told.context,
        state=told.state,
        target_url=told.target_url,
    )


def _as_it_is(entry: Entry, exists: Callable[[str], bool]) -> Entry:
    """Give the entry, or when it announces a snapshot that is not there, one that says so."""
    status = entry.status
    if status.state != "success" or not entry.snapshot or exists(entry.snapshot):
        return entry
    told = announcing.gone(status.context, status.sha, entry.snapshot)
    return msgspec.structs.replace(entry, status=msgspec.structs.replace(told, target_url=status.target_url))


def _is_damaged(path: Path) -> bool:
    try:
        documents.read(path, Entry, way_out=_WAY_OUT)
    except IntegrityDamage:
        return True
    return False


def _key_of(entry: Entry) -> str:
    return _key(entry.repository, entry.status)


def _key(repository: str, status: CommitStatus) -> str:
    identity = f"{repository}\0{status.sha}\0{status.context}"
    return hashlib.sha256(identity.encode(errors="surrogatepass")).hexdigest()[:32]
