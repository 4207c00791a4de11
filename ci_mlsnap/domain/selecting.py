"""Which versions a list shows: the best by a metric, those of a branch, those that were trained on some data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from ci_mlsnap.domain.metrics import headline, lower_is_better, number
from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.domain.pins import Pin
from ci_mlsnap.domain.versions import Version

SHORTEST = 7
"""The fewest characters that stand for a longer name."""


def attempts(versions: Iterable[Version]) -> list[Version]:
    """Leave out what is no attempt at a commit: keepsakes, and trees with uncommitted files."""
    return [version for version in versions if version.name.is_version]


def by_commit(versions: Iterable[Version]) -> dict[str, list[Version]]:
    """Give the versions of each commit, the newest first."""
    found: dict[str, list[Version]] = {}
    for version in newest_first(versions):
        found.setdefault(version.header.commit, []).append(version)
    return found


def newest_first(versions: Iterable[Version]) -> list[Version]:
    """Put versions in order, the newest first; `sequence` decides, never a clock."""
    return sorted(versions, key=lambda version: -version.header.sequence)


def ranked(versions: Iterable[Version], metric: str) -> list[Version]:
    """Put those versions in order that have a number for the metric: the best first, of equal ones the newest."""
    sign = 1.0 if lower_is_better(metric) else -1.0
    scored = [(sign * number(v.metrics[metric]), v) for v in versions if metric in v.metrics]
    finite = [(score, version) for score, version in scored if math.isfinite(score)]
    return [v for _, v in sorted(finite, key=lambda entry: (entry[0], -entry[1].header.sequence))]


def main_metric(version: Version) -> str | None:
    """Name the metric that says most of a version: a gated one, else the usual ones."""
    return headline(version.metrics, tuple(gate.metric for gate in version.header.gates))


def best(versions: Iterable[Version]) -> Version | None:
    """Give the best good one of these, by the main metric of the newest; None where nothing can be compared."""
    good = newest_first(version for version in versions if version.good)
    metric = main_metric(good[0]) if good else None
    return next(iter(ranked(good, metric)), None) if metric is not None else None


def metrics_of(versions: Iterable[Version]) -> list[str]:
    """Name every metric that a version has, in order."""
    return sorted({name for version in versions for name in version.metrics})


def of_branch(versions: Iterable[Version], branch: str) -> list[Version]:
    """Give the versions that were trained on a branch, as each of them says, also when it is gone by now."""
    names = {branch, f"refs/heads/{branch}", f"refs/{branch}"}
    return [version for version in versions if version.header.ref in names]


def by_ref(versions: Iterable[Version]) -> dict[str, list[Version]]:
    """Give the versions of each branch or other ref, in the given order; that of the first one comes first."""
    found: dict[str, list[Version]] = {}
    for version in versions:
        found.setdefault(version.header.ref, []).append(version)
    return found


def since(versions: Iterable[Version], moment: str) -> list[Version]:
    """Give the versions that were made at a moment or later; both are UTC, ISO 8601."""
    return [version for version in versions if version.header.created[:19] >= moment[:19]]


def on_data(versions: Iterable[Version], snapshot: str) -> list[Version]:
    """Give the versions that were trained on a snapshot of data: by its name, the start of one, or native id."""
    return [version for version in versions if any(_is_pin(pin, snapshot) for pin in version.header.pins)]


def data_snapshots(versions: Sequence[Version]) -> list[str]:
    """Name the snapshots of data that versions were trained on, those of the newest versions first."""
    names = (pin.name for version in newest_first(versions) for pin in version.header.pins)
    return list(dict.fromkeys(name for name in names if name))


def _is_pin(pin: Pin, snapshot: str) -> bool:
    if not snapshot or not pin.name:
        return False
    parsed = SnapshotName.parse_or_none(pin.name) if pin.kind == "snapshot" else None
    names = {pin.name, pin.native_id, parsed.short if parsed else ""}
    return snapshot in names or (
        parsed is not None and len(snapshot) >= SHORTEST and pin.name.startswith(snapshot)
    )
