"""One line on a run or a version, for the list of a CI's builds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ci_mlsnap.domain.gates import Gate
from ci_mlsnap.domain.metrics import Scalar, headline, shown
from ci_mlsnap.domain.record import Record
from ci_mlsnap.domain.status import cut, one_line
from ci_mlsnap.domain.versions import Version
from ci_mlsnap.report.rendering import short

_LIMIT = 160
_HARMLESS = str.maketrans("<>&", "()+")
"""Jenkins may read a description as HTML or as plain text, so there is no escape that is right in both."""


def described(record: Record) -> str:
    """Say in one line how the run ended: `mlsnap ab12cd3 → snapshot, accuracy 0.9700`."""
    made = record.volume.snapshot if record.volume else ""
    what = {
        "good": "snapshot",
        "gate-missed": "gate missed, snapshot kept",
        "reused": f"not trained, snapshot {short(made)} is used" if made else "not trained",
        "failed": f"no snapshot: {record.error}",
        "cancelled": "cancelled, no snapshot",
        "nothing": "nothing to train",
    }[record.outcome]
    name = made if made and record.outcome != "reused" else record.commit
    return _line(name, what, record.metrics.scalars, record.gates)


def described_version(version: Version) -> str:
    """Say the same of a version as it is now."""
    header = version.header
    what = "snapshot" if version.good else "gate missed, snapshot kept"
    return _line(header.name, what, header.metrics, header.gates)


def _line(name: str, what: str, scalars: Mapping[str, Scalar], gates: Sequence[Gate]) -> str:
    metric = headline(scalars, tuple(gate.metric for gate in gates))
    value = f", {cut(one_line(metric), 40)} {shown(scalars[metric])}" if metric is not None else ""
    return cut(f"mlsnap {short(name)} → {what}{value}", _LIMIT).translate(_HARMLESS)
