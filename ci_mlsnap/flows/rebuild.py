"""rebuild: from the snapshots and git alone, know again what is known of versions, and say what cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from ci_mlsnap.domain.channels import Move
from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.durable.atomic import make_folder
from ci_mlsnap.errors import MlsnapError, NoSuchVersion
from ci_mlsnap.flows import holding
from ci_mlsnap.flows.context import Project
from ci_mlsnap.flows.following import channel_of
from ci_mlsnap.ports import Driver, Rebuilt, Snapshot
from ci_mlsnap.state import catalogue, channels, sequences

REBUILT = "rebuilt: the version was held for this channel"
"""Why a channel was moved, when nothing was left but the hold."""

_STATE = {
    "runs": "the journals of runs, and the records of those that made no version",
    "outbox": "statuses that waited to be sent",
    "live": "which version each live tree was; `mlsnap recover` compares it anew",
    "channels.jsonl": "when channels led where, and why",
}
"""What a state folder holds that nothing else does."""


class Rebuilding(msgspec.Struct, frozen=True, kw_only=True):
    """What was, or in a dry run would be, known again. `channels` are pairs of a name and the version it leads to;
    `pins` are holds on data, as pairs of a volume and a snapshot; `lost` is what nothing tells any more."""

    versions: int
    adopted: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]
    channels: tuple[tuple[str, str], ...]
    pins: tuple[tuple[str, str], ...]
    lost: tuple[str, ...]
    changed: bool


def rebuild(project: Project, *, dry_run: bool = False) -> Rebuilding:
    """Know versions, attempts, holds and channels again; what is known already stays, and twice is once.

    Cut short, it can be run again. Raises `VolumeForeign`, `IntegrityDamage`, `Busy`, `StorageFailed`.
    """
    driver, state = project.driver, project.state
    lost = [what for name, what in _STATE.items() if not (state / name).exists()]
    seen = _rebuilt(project, driver, dry_run=True)
    # Before the ledger is there again: what promotes then takes a hold without a channel for one that never was.
    led, unclear = _channels(project, seen, dry_run=dry_run)
    found = seen if dry_run else _rebuilt(project, driver, dry_run=False)
    pins: list[tuple[str, str]] = []
    gone: list[str] = []
    if not dry_run and found.ours:
        catalogue.read(driver, remember=True)
        sequences.never_below(state, found.sequence)
        pins, gone = _pins(project)
    return Rebuilding(
        versions=found.ours,
        adopted=found.adopted,
        refused=found.refused,
        channels=tuple(led),
        pins=tuple(pins),
        lost=(*found.lost, *unclear, *gone, *(lost if found.changed or led else ())),
        changed=found.changed or bool(led or pins),
    )


def _rebuilt(project: Project, driver: Driver, *, dry_run: bool) -> Rebuilt:
    return driver.rebuild(project=project.project_id, model=project.settings.model, dry_run=dry_run)


# -- channels ------------------------------------------------------------------------------------------


def _channels(project: Project, seen: Rebuilt, *, dry_run: bool) -> tuple[list[tuple[str, str]], list[str]]:
    """Let channels lead to what they hold, where their ledger says nothing; give them, and what is unclear."""
    state = project.state
    known = [*channels.moves(state), *filter(None, (channels.unfinished(state),))]
    if any(move.why != REBUILT for move in known):
        return [], []  # a hold without a move is then of one that never was
    if known and not dry_run:
        with channels.alone(state):
            channels.finish(state)
    there = {move.channel for move in known}
    held: dict[str, list[tuple[Snapshot, Path]]] = {}
    for snapshot, place in seen.held:
        for owner in snapshot.holds:
            if (channel := channel_of(owner)) and channel not in there:
                held.setdefault(channel, []).append((snapshot, place))
    clear = {channel: found[0] for channel, found in sorted(held.items()) if len(found) == 1}
    unclear = [
        f"where the channel {channel} led: it holds {' and '.join(it.name for it, _ in found)}"
        for channel, found in sorted(held.items())
        if len(found) > 1
    ]
    if clear and not dry_run:
        make_folder(state)
        with channels.alone(state):
            for channel, (snapshot, place) in clear.items():
                channels.begin(state, _move(project, channel, snapshot, place))
                channels.finish(state)
    return [(channel, snapshot.name) for channel, (snapshot, _) in clear.items()], unclear


def _move(project: Project, channel: str, snapshot: Snapshot, place: Path) -> Move:
    assert snapshot.marker is not None
    return Move(
        channel=channel,
        before="",
        version=snapshot.name,
        link=channels.text_for(project.state, place),
        manifest=snapshot.marker.digest,
        who=project.hands.person(),
        at=project.hands.now(),
        why=REBUILT,
    )


# -- pins ----------------------------------------------------------------------------------------------


def _pins(project: Project) -> tuple[list[tuple[str, str]], list[str]]:
    """Let versions hold the data that they were trained on again; give new holds, and pins that are gone."""
    made, gone = [], []
    for plan in project.data:
        if plan.kind != "snapshot":
            continue
        data = project.hands.open_data(plan)
        data.rebuild(project=project.project_id, model="", dry_run=False)
        if not data.volume_id:
            continue
        with holding.alone(data):
            for name, owner in _wanted(project.driver, plan.name):
                try:
                    if _hold(data, name, owner):
                        made.append((plan.name, str(name)))
                except MlsnapError as error:
                    gone.append(f"the data {plan.name} at {name}: {error.what}")
    return made, gone


def _wanted(driver: Driver, volume: str) -> Iterator[tuple[SnapshotName, str]]:
    for version in catalogue.versions(driver):
        for pin in version.header.pins:
            if pin.volume == volume and pin.held:
                yield SnapshotName.parse(pin.name), holding.owner(driver, version.header.name)


def _hold(data: Driver, name: SnapshotName, owner: str) -> bool:
    """Hold a pin; tell whether it was not held before."""
    snapshot = data.get(name)
    if snapshot is None or snapshot.marker is None:
        raise NoSuchVersion(f"there is no snapshot {name}")
    if owner in snapshot.holds:
        return False
    data.hold(name, owner)
    return True
