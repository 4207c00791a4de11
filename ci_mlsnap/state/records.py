"""What runs wrote down of versions that they made. A version is whole without: its manifest says what counts."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from ci_mlsnap.domain.record import Record
from ci_mlsnap.domain.versions import Version
from ci_mlsnap.durable.faults import storage_errors
from ci_mlsnap.errors import MlsnapError
from ci_mlsnap.state import documents

_RUNS_BEGIN_WITH = 12
"""How many digits of its commit a run's name begins with."""


def record_of(state: Path, version: Version) -> Record | None:
    """Give the record of the run that made a version; None when it is not here, or cannot be read. Writes nothing.

    It is known by the digest of the version's manifest, so no record of another one is ever taken for it.
    """
    runs = state / "runs"
    begin = version.header.commit[:_RUNS_BEGIN_WITH] + "-"
    for name in sorted(_names(runs), reverse=True):
        record = _read(runs / name / "record.json") if name.startswith(begin) else None
        if record is not None and record.outcome in ("good", "gate-missed") and _is_of(record, version):
            return record
    return None


def _is_of(record: Record, version: Version) -> bool:
    volume = record.volume
    made = (volume.snapshot, volume.manifest_digest) if volume is not None else None
    return made == (version.header.name, version.digest)


def _names(runs: Path) -> list[str]:
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
