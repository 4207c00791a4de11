"""One journal per run: what it set out to do, what came of it, whatever process did it.

A run is a folder `<state>/runs/<run id>/` with `plan.json` (the plan's canonical bytes), `journal` (chained
lines, each durable before the next outside effect) and, later, `record.json`.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, Self, get_args

import msgspec

from ci_mlsnap.domain import plan as plans
from ci_mlsnap.domain.plan import Plan
from ci_mlsnap.domain.record import Record
from ci_mlsnap.durable import lines
from ci_mlsnap.durable.atomic import fsync_folder, make_folder, open_shared, storage_errors, write_atomically
from ci_mlsnap.errors import IntegrityDamage, NoSuchVersion, UsageError
from ci_mlsnap.state import documents

Event = Literal[
    "planned",
    "begun",
    "leased",
    "pinned",
    "prepared",
    "training",
    "trained",
    "frozen",
    "sealing",
    "published",
    "read-back",
    "recorded",
    "advanced",
    "announced",
    "failed-step",
    "concluded",
    "failed",
    "abandoned",
]
ENDINGS = frozenset({"concluded", "failed", "abandoned"})

_RUN_ID = re.compile(r"[0-9a-f]{12}-[0-9a-f]{8}")
_RESERVE = "reserve"
_RESERVED = 512 << 10
"""Bytes that are set aside while a run trains: enough for what its end writes, when training left no other."""
_AFTER_TRAINING = frozenset({"trained", *ENDINGS})

_ENDED = "ended"
"""A file beside the journal of an ended run, so that looking for open runs need not read every journal."""


class _Noted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    event: str
    facts: dict[str, Any]


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run on the storage; `digest` is that of the plan's bytes."""

    folder: Path
    plan: Plan
    digest: str

    @classmethod
    def create(cls, state: Path, plan: Plan, run_id: str) -> Self:
        """Make a run, durably and at once: no other process ever sees a part of it.

        Raises `UsageError` for an id outside `<sha12>-<8 hex>` or one that is taken, `StorageFailed`.
        """
        if _RUN_ID.fullmatch(run_id) is None:
            raise UsageError(f"{run_id[:60]!r} is no id of a run")
        runs = state / "runs"
        beside = runs / f".new-{secrets.token_hex(8)}"
        data = plans.encode(plan)
        digest = hashlib.sha256(data).hexdigest()
        make_folder(beside)
        try:
            write_atomically(beside / "plan.json", data)
            lines.append(beside / "journal", {"event": "planned", "facts": {"digest": digest}})
            _publish(beside, runs / run_id)
        except BaseException:
            _discard(beside)
            raise
        return cls(folder=runs / run_id, plan=plan, digest=digest)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open a run, its plan held against the digest in its journal.

        Raises `NoSuchVersion` when there is none, `IntegrityDamage` when plan or journal was changed.
        """
        data = documents.contents(folder / "plan.json")
        if data is None:
            raise NoSuchVersion(f"there is no run at {folder}", hint="`mlsnap begin` makes one")
        digest = hashlib.sha256(data).hexdigest()
        if not any(note.facts.get("digest") == digest for note in _notes(folder) if note.event == "planned"):
            raise _damaged(folder, "the plan is not the one that the journal names")
        try:
            return cls(folder=folder, plan=msgspec.json.decode(data, type=Plan), digest=digest)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            raise _damaged(folder, "the plan cannot be read") from None

    @property
    def run_id(self) -> str:
        """The run's id, which names its folder."""
        return self.folder.name

    @property
    def state(self) -> Path:
        """The state folder that the run is in."""
        return self.folder.parent.parent

    def note(self, event: Event, **facts: object) -> None:
        """Add a line, durably, before this returns. Raises `StorageFailed`, `IntegrityDamage`.

        Training may fill the disk: from its start on space is set aside, with which the run can be ended.
        """
        if event not in get_args(Event):
            raise UsageError(f"{event[:60]!r} is no event of a run")
        if event == "training":
            _set_aside(self.folder / _RESERVE)
        elif event in _AFTER_TRAINING:
            _give_up(self.folder / _RESERVE)
        lines.append(self.folder / "journal", {"event": event, "facts": facts})
        if event in ENDINGS:
            write_atomically(self.folder / _ENDED, b"")

    def facts(self, event: Event) -> dict[str, Any] | None:
        """Give what was noted last for an event; None when it never was. Raises `IntegrityDamage`."""
        return next((note.facts for note in reversed(_notes(self.folder)) if note.event == event), None)

    @property
    def last(self) -> str:
        """The event that was noted last."""
        return _notes(self.folder)[-1].event

    @property
    def ended(self) -> bool:
        """Tell whether the run came to rest; nothing is left to recover then."""
        return any(note.event in ENDINGS for note in _notes(self.folder))

    def write_record(self, record: Record) -> None:
        """Write the run's record, in place of an earlier one. Raises `StorageFailed`."""
        write_atomically(self.folder / "record.json", msgspec.json.encode(record, order="deterministic") + b"\n")

    def record(self) -> Record | None:
        """Give the run's record; None before it was written. Raises `IntegrityDamage`."""
        data = documents.contents(self.folder / "record.json")
        try:
            return None if data is None else msgspec.json.decode(data, type=Record)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            raise _damaged(self.folder, "the record cannot be read") from None


def open_runs(state: Path) -> list[Run]:
    """Give the runs that are not at rest, by id. Writes nothing. Raises `IntegrityDamage`, `StorageFailed`."""
    candidates = [folder for folder in _folders(state) if not (folder / _ENDED).exists()]
    return [run for run in map(Run.open, candidates) if not run.ended]


def is_known(state: Path, run_id: str) -> bool:
    """Tell whether there is such a run, at rest or not."""
    return _RUN_ID.fullmatch(run_id) is not None and (state / "runs" / run_id).is_dir()


def ended(state: Path, run_id: str) -> Run | None:
    """Give a run that is at rest; None for one that is not, is not there, or cannot be read. Writes nothing."""
    folder = state / "runs" / run_id
    if _RUN_ID.fullmatch(run_id) is None or not (folder / _ENDED).exists():
        return None
    with suppress(IntegrityDamage, NoSuchVersion):
        return Run.open(folder)
    return None


def _folders(state: Path) -> list[Path]:
    with storage_errors("the runs cannot be listed"), suppress(FileNotFoundError):
        names = sorted(name for name in os.listdir(state / "runs") if _RUN_ID.fullmatch(name))
        return [state / "runs" / name for name in names]
    return []


def _publish(beside: Path, folder: Path) -> None:
    with storage_errors("a run cannot be made"):
        if folder.exists():
            raise UsageError(f"there already is a run {folder.name}", safe="nothing was changed")
        # A folder with something in it is never replaced by a rename: two runs of one id cannot both win.
        os.rename(beside, folder)
    fsync_folder(folder.parent)


def _set_aside(reserve: Path) -> None:
    """Take space while there is some; a run without it ends worse on a full disk, and as well elsewhere."""
    with suppress(OSError):
        file = open_shared(reserve, os.O_WRONLY)
        try:
            os.posix_fallocate(file, 0, _RESERVED)
        finally:
            os.close(file)


def _give_up(reserve: Path) -> None:
    with suppress(OSError):
        os.unlink(reserve)


def _discard(beside: Path) -> None:
    with suppress(OSError):
        for name in os.listdir(beside):
            os.unlink(beside / name)
        os.rmdir(beside)


def _notes(folder: Path) -> list[_Noted]:
    payloads, _torn = lines.read(folder / "journal")
    try:
        return msgspec.convert(payloads, type=list[_Noted])
    except msgspec.ValidationError:
        raise _damaged(folder, "its journal has a line that says nothing") from None


def _damaged(folder: Path, why: str) -> IntegrityDamage:
    return IntegrityDamage(
        f"run {folder.name} is damaged",
        why=why,
        safe="versions that were published before are not touched",
        hint=f"look at {folder}; when it is of no use, move it away and run again",
    )
