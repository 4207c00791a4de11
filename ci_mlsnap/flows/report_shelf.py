"""What a report is made of: all versions, with what is said beside each. Nothing here writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from ci_mlsnap.domain.channels import Move, last_moves
from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.domain.removed import Pruned
from ci_mlsnap.domain.selecting import attempts, best, newest_first
from ci_mlsnap.domain.texts import counted
from ci_mlsnap.domain.versions import Version
from ci_mlsnap.errors import IntegrityDamage, MlsnapError
from ci_mlsnap.flows.contents import Part, parts_of
from ci_mlsnap.ports import Driver
from ci_mlsnap.state import catalogue, channels, pruned
from ci_mlsnap.state.records import Records

_MOST_FILES = 20_000
"""A version with more files has no list of them on its page."""
_MOST_KEPT = 8
_PERSON = "person "


class Contents:
    """The manifests of versions; those of the last few are kept, since one page compares with another."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._kept: dict[str, Sequence[Part]] = {}

    def of(self, version: Version) -> tuple[Sequence[Part] | None, tuple[str, ...]]:
        """Give the volumes of a version; None, with the reason, where they cannot be shown."""
        count, name = version.header.files, version.header.name
        if count > _MOST_FILES:
            return None, (f"{counted(count, 'file')} are too many to list here: `mlsnap show --json` has all.",)
        if name not in self._kept:
            try:
                self._kept[name] = parts_of(self._driver, version)
            except MlsnapError as error:
                return None, (f"The files cannot be listed: {error.what}.",)
            if len(self._kept) > _MOST_KEPT:
                self._kept.pop(next(iter(self._kept)))
        return self._kept[name], ()


class Shelf(msgspec.Struct, frozen=True, kw_only=True):
    """All versions, newest first, with what is said beside each by name; and what could not be read."""

    contents: Contents
    records: Records
    versions: Sequence[Version]
    by_name: Mapping[str, Version]
    best: Version | None
    leads: Mapping[str, str]
    moves: Mapping[str, Move]
    holds: Mapping[str, tuple[str, ...]]
    pruned: Sequence[Pruned]
    notes: tuple[str, ...]
    _subjects: dict[str, str] = msgspec.field(default_factory=dict)

    def subject_of(self, version: Version) -> str:
        """Give the subject of a version's commit, as its record says; each is read once."""
        name = version.header.name
        if name not in self._subjects:
            record = self.records.of(version)
            self._subjects[name] = record.subject if record is not None else ""
        return self._subjects[name]

    def channels_of(self, version: Version) -> tuple[str, ...]:
        """Name the channels that lead to a version."""
        return tuple(name for name, to in self.leads.items() if to == version.header.name)

    def base_of(self, version: Version) -> Version | None:
        """Give what a version's gates compared with, while it is there."""
        return self.by_name.get(version.header.baseline)


def shelf_of(driver: Driver) -> Shelf:
    """Gather what there is. Writes nothing, and what is damaged hides nothing else."""
    listed, state = driver.list(), driver.state_folder()
    found = catalogue.read(driver, listed=listed)
    real = newest_first(attempts(found.versions))
    notes = [f"The manifest of {name} cannot be trusted: `mlsnap verify` says more." for name in found.damaged]
    by_name = {version.header.name: version for version in real}
    leads: Mapping[str, str] = {}
    moves: Mapping[str, Move] = {}
    try:
        leads, moves = channels.live(state), last_moves(channels.moves(state))
    except IntegrityDamage as error:
        notes.append(f"Channels are left out: {error.what}.")
    gone: Sequence[Pruned] = ()
    try:
        gone = [it for it in pruned.all_of(state) if SnapshotName.parse(it.name).is_version]
    except IntegrityDamage as error:
        notes.append(f"What is known of pruned versions is left out: {error.what}.")
    holds = {it.name: _persons(it.holds) for it in listed if it.marker is not None and it.holds}
    return Shelf(
        contents=Contents(driver),
        records=Records(state),
        versions=real,
        by_name=by_name,
        best=best(real),
        leads=leads,
        moves=moves,
        holds=holds,
        pruned=[it for it in gone if it.name not in by_name],
        notes=tuple(notes),
    )


def _persons(holds: Sequence[str]) -> tuple[str, ...]:
    """Leave out the holds of channels, which have a place of their own, and of runs, which pass."""
    return tuple(hold.removeprefix(_PERSON) for hold in holds if hold.startswith(_PERSON))
