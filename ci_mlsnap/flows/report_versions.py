"""The pages of versions: what each says, and what it is compared with."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import msgspec

from ci_mlsnap.domain.comparing import Differences, Side, compare
from ci_mlsnap.domain.metrics import Scalar, lower_is_better, number
from ci_mlsnap.domain.parameters import Parameters
from ci_mlsnap.domain.record import Record
from ci_mlsnap.domain.selecting import main_metric
from ci_mlsnap.domain.versions import Version, preferred
from ci_mlsnap.flows.contents import entries_of
from ci_mlsnap.flows.report_shelf import Shelf
from ci_mlsnap.report.pages import Look
from ci_mlsnap.report.pages_version import Best, Told, version_pages


def told_of(shelf: Shelf) -> Iterator[tuple[Told, Version | None]]:
    """Say of each version, oldest first, what is known without opening anything, and what it is compared with."""
    scores: dict[str, Best] = {}
    earlier = _Earlier()
    ordered = list(reversed(shelf.versions))
    for place, version in enumerate(ordered):
        main, base = main_metric(version), shelf.base_of(version)
        told = Told(
            version=version,
            base=base,
            channels=shelf.channels_of(version),
            holds=shelf.holds.get(version.header.name, ()),
            best_before={name: scores[name] for name in version.metrics if name in scores},
            best_so_far=version.good
            and main is not None
            and _beats(main, version.metrics[main], scores.get(main)),
            older=ordered[place - 1].header.name if place else "",
            newer=ordered[place + 1].header.name if place + 1 < len(ordered) else "",
        )
        yield told, base or earlier.nearest(version)
        earlier.add(version)
        if version.good:
            for name, value in version.metrics.items():
                if _beats(name, value, scores.get(name)):
                    scores[name] = Best(version=version.header.name, value=value)


class _Earlier:
    """The versions before one: by commit, and the last of each branch."""

    def __init__(self) -> None:
        self._by_commit: dict[str, Version] = {}
        self._by_ref: dict[str, Version] = {}

    def add(self, version: Version) -> None:
        known = self._by_commit.get(version.header.commit)
        self._by_commit[version.header.commit] = preferred([*([known] if known else []), version]) or version
        self._by_ref[version.header.ref] = version

    def nearest(self, version: Version) -> Version | None:
        """Give that of a parent, else the one before it on its branch."""
        parents = (self._by_commit.get(parent) for parent in version.header.parents)
        return next((it for it in parents if it is not None), self._by_ref.get(version.header.ref))


def _beats(metric: str, value: Scalar, best_before: Best | None) -> bool:
    """Tell whether a value is at least as good as the best one before."""
    new = number(value)
    if not math.isfinite(new) or best_before is None:
        return math.isfinite(new)
    old = number(best_before.value)
    return new <= old if lower_is_better(metric) else new >= old


def facts_of(shelf: Shelf, told: Told, before: Version | None) -> list[object]:
    """Give all that decides what a version's pages say."""
    others = [it for it in (told.version, told.base, before) if it is not None]
    return [
        [(it.digest, shelf.records.state_of(it)) for it in others],
        [told.channels, told.holds, told.best_before, told.best_so_far, told.older, told.newer],
    ]


def render_version(
    shelf: Shelf, look: Look, site: Mapping[str, str], told: Told, before: Version | None
) -> dict[str, bytes]:
    """Render the pages of a version and of its comparison, after reading manifests and records."""
    version, records = told.version, shelf.records
    record = records.of(version)
    shelf.subject_of(version)  # known now, it need not be read again for the lists
    parts, notes = shelf.contents.of(version)
    whole = msgspec.structs.replace(
        told,
        record=record,
        base_record=records.of(told.base) if told.base is not None else None,
        before_record=records.of(before) if before is not None else None,
        manifests=[part.manifest for part in parts] if parts is not None else None,
        found=_differences(shelf, before, version) if before is not None else None,
        notes=notes,
    )
    return version_pages(look, site, whole)


def _differences(shelf: Shelf, before: Version, after: Version) -> Differences:
    parts = [shelf.contents.of(it)[0] for it in (before, after)]
    several = any(len(side) > 1 for side in parts if side is not None)
    records = [shelf.records.of(it) for it in (before, after)]
    known = all(record is not None and record.parameters for record in records)
    sides = [
        Side(
            version=it,
            entries=entries_of(side, several=several) if side is not None else None,
            record=record,
            parameters=_parameters(record) if known else {},
            models=record.models if record is not None else (),
        )
        for it, side, record in zip((before, after), parts, records, strict=True)
    ]
    return compare(*sides, code=None)


def _parameters(record: Record | None) -> dict[str, Parameters]:
    given = record.parameters if record is not None else {}
    return {file: Parameters(values=values) for file, values in given.items()}
