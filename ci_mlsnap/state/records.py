"""What runs wrote down of versions that they made. A version is whole without: its manifest says what counts."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import msgspec

from ci_mlsnap.domain.record import Record
from ci_mlsnap.domain.versions import Version
from ci_mlsnap.durable.faults import storage_errors
from ci_mlsnap.errors import MlsnapError
from ci_mlsnap.state import documents

_MOST_KEPT = 8
"""How many records are kept: who asks for many asks for neighbours, and curves may be long."""
_TAIL = len("12345678/record.json")
_RUNS_BEGIN_WITH = 12
"""How many digits of its commit a run's name begins with."""


def record_of(state: Path, version: Version) -> Record | None:
    """Give the record of the run that made a version; None when it is not here, or cannot be read. Writes nothing.

    It is known by the digest of the version's manifest, so no record of another one is ever taken for it.
    """
    return Records(state).of(version)


class Records:
    """The records that are there when this is made, for whoever asks for many."""

    def __init__(self, state: Path) -> None:
        """List the runs. Raises `StorageFailed`."""
        self._runs = os.fspath(state / "runs")
        self._names: dict[str, list[str]] = {}
        for name in sorted(_names(self._runs), reverse=True):
            self._names.setdefault(name[:_RUNS_BEGIN_WITH], []).append(name)
        self._kept: dict[str, Record | None] = {}
        self._states: dict[str, str] = {}

    def of(self, version: Version) -> Record | None:
        """Give the record of the run that made a version, as `record_of` does."""
        if version.digest not in self._kept:
            if len(self._kept) == _MOST_KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[version.digest] = self._found(version)
        return self._kept[version.digest]

    def _found(self, version: Version) -> Record | None:
        for path in self._paths(version):
            record = _read(Path(path))
            if record is not None and record.outcome in ("good", "gate-missed") and _is_of(record, version):
                return record
        return None

    def state_of(self, version: Version) -> str:
        """Give a text that is another one when a record of the version's commit is; nothing is read."""
        commit = version.header.commit
        if commit not in self._states:
            found = []
            for path in self._paths(version):
                with suppress(OSError):
                    facts = os.stat(path)
                    found.append(f"{path[-_TAIL:]}:{facts.st_mtime_ns}:{facts.st_size}")
            self._states[commit] = " ".join(found)
        return self._states[commit]

    def _paths(self, version: Version) -> list[str]:
        names = self._names.get(version.header.commit[:_RUNS_BEGIN_WITH], ())
        return [f"{self._runs}/{name}/record.json" for name in names]


def _is_of(record: Record, version: Version) -> bool:
    volume = record.volume
    made = (volume.snapshot, volume.manifest_digest) if volume is not None else None
    return made == (version.header.name, version.digest)


def _names(runs: str) -> list[str]:
    with storage_errors("the runs cannot be listed"):
        try:
            return os.listdir(runs)
        except FileNotFoundError:
            return []


def _read(path: Path) -> Record | None:
    try:
        data = documents.contents(path)
        return None if data is None else msgspec.json.decode(data, type=Record)
    except (MlsnapError, msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
