"""Data volumes: looked at for the plan, pinned before training, and confirmed before the version is published."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from ci_mlsnap.domain.gates import Verdict
from ci_mlsnap.domain.manifest import Manifest, ManifestHeader, digest_of, encode
from ci_mlsnap.domain.names import Marker, SnapshotName
from ci_mlsnap.domain.pins import DataPlan, Pin, told
from ci_mlsnap.domain.plan import Plan
from ci_mlsnap.domain.versions import next_attempt
from ci_mlsnap.errors import IntegrityDamage, MlsnapError, NoSuchVersion, VolumeRefused
from ci_mlsnap.flows.context import TOOL, Hands
from ci_mlsnap.flows.holding import alone, owner, sweep
from ci_mlsnap.ports import DataSeen, Driver, Frozen, Step
from ci_mlsnap.state import catalogue
from ci_mlsnap.state.journal import Run
from ci_mlsnap.state.sequences import next_sequence

# -- looking -------------------------------------------------------------------------------------------


def see(hands: Hands, volumes: Sequence[DataPlan]) -> tuple[Pin, ...]:
    """Say what each data volume holds now, as its pin would. Changes nothing.

    Raises `VolumeMissing`, `NoSuchVersion` where the owner has no fitting snapshot, `StorageFailed`.
    """
    return tuple(_seen(volume, hands.open_data(volume).see_data(volume.existing)) for volume in volumes)


def _seen(volume: DataPlan, found: DataSeen) -> Pin:
    return Pin(
        volume=volume.name,
        kind=volume.kind,
        path=str(found.path),
        token=found.steady if volume.kind == "record" else found.token,
        name=found.name,
        native_id=found.native_id,
        facts=dict(found.facts) if volume.kind == "record" else {},
    )


def require_possible(hands: Hands, volumes: Sequence[DataPlan]) -> None:
    """Refuse a snapshot that would have to walk the data. Raises `VolumeRefused`, `StoreRefused`."""
    for volume in volumes:
        if volume.kind != "snapshot":
            continue
        data = hands.open_data(volume)
        why = data.probe().why
        if not data.capabilities.instant:
            raise _no_snapshot(volume, why)


def _no_snapshot(volume: DataPlan, why: str) -> VolumeRefused:
    return VolumeRefused(
        f"data volume {volume.name} cannot be snapshotted without a walk through all of it",
        why=f"{volume.path} is no btrfs subvolume of this user's with its store beside it: {why}",
        safe="nothing was trained",
        hint='set `pin = "existing:<glob>"` to use a snapshot that its owner made, `pin = "record"` to only write '
        "down what is there, or make it a subvolume: docs/data.md has the commands",
    )


def noted(run: Run) -> tuple[Pin, ...]:
    """Give what a run pinned, as its journal says."""
    facts = run.facts("pinned") or {}
    return msgspec.convert(facts.get("pins", []), tuple[Pin, ...])


# -- pinning -------------------------------------------------------------------------------------------


def take(hands: Hands, driver: Driver, run: Run) -> None:
    """Pin the data of a run that is to train, and note it. Unchanged data keeps the pin that it has.

    `driver` is the model volume's. Raises `VolumeMissing`, `NoSuchVersion`, `VolumeRefused`, `StorageFailed`,
    `Busy`.
    """
    pins = []
    for volume in run.plan.data:
        if volume.kind == "snapshot":
            pin, reused = _snapshot(hands, driver, run, volume)
        else:
            (pin,), reused = see(hands, [volume]), False
        pins.append(pin)
        hands.progress.step(_step(pin, reused=reused))
    if pins:
        run.note("pinned", pins=msgspec.to_builtins(pins))


def _snapshot(hands: Hands, driver: Driver, run: Run, volume: DataPlan) -> tuple[Pin, bool]:
    data = hands.open_data(volume)
    data.initialise(project=run.plan.project, model="")
    with alone(data):
        sweep(data, driver)
        found = _newest(data, run.plan, data.see_data().token)
        header = found or _publish(hands, data, run.plan, volume)
        name = SnapshotName.parse(header.name)
        data.hold(name, owner(driver, run.plan.name, run.run_id))
    snapshot = data.get(name)
    pin = Pin(
        volume=volume.name,
        kind="snapshot",
        path=str(data.view(name)),
        token=header.data_state,
        name=header.name,
        native_id=snapshot.native_id if snapshot else "",
        held=True,
    )
    return pin, found is not None


def _newest(data: Driver, plan: Plan, token: str) -> ManifestHeader | None:
    """Find a pin of this project's with the data as it is now."""
    headers = (version.header for version in catalogue.versions(data))
    same = [header for header in headers if token and (header.data_state, header.project) == (token, plan.project)]
    return max(same, key=lambda header: header.sequence, default=None)


def _publish(hands: Hands, data: Driver, plan: Plan, volume: DataPlan) -> ManifestHeader:
    frozen = data.freeze(Path(volume.path), parent=None, full=False, inventory=False)
    try:
        manifest = _manifest(hands, data, plan, volume, frozen)
        name = SnapshotName.parse(manifest.header.name)
        marker = Marker(project=plan.project, model="", name=name, digest=digest_of(encode(manifest)))
        data.seal(frozen, manifest, marker)
    except BaseException:
        with suppress(MlsnapError):  # the next one who pins this data removes it
            data.discard(frozen.token)
        raise
    data.read_back(name)
    return manifest.header


def _manifest(hands: Hands, data: Driver, plan: Plan, volume: DataPlan, frozen: Frozen) -> Manifest:
    # Numbers of its own: the data may have been pinned for this commit before, by another model or a failed run.
    used = data.used_names()
    name = SnapshotName.parse(plan.name) if plan.dirty else next_attempt(plan.commit, used)
    header = ManifestHeader(
        format="mlsnap/manifest/1",
        name=str(name),
        volume=volume.name,
        volume_id=data.volume_id,
        members=(volume.name,),
        project=plan.project,
        model="",
        commit=plan.commit,
        tree=plan.tree if not plan.dirty else "",
        attempt=name.attempt,
        sequence=next_sequence(data.state_folder(), data),
        created=hands.now(),
        ref=plan.event.ref,
        event=plan.event.kind,
        verdict=Verdict(good=True),
        files_mode="none",
        data_state=frozen.state,
        tool=TOOL,
    )
    return Manifest(header=header)


def _step(pin: Pin, *, reused: bool) -> Step:
    text = told(pin) + (" (unchanged since)" if reused else "")
    return Step(name="data", state="note" if pin.kind == "record" else "ok", text=text)


# -- before publishing ---------------------------------------------------------------------------------


def confirm(hands: Hands, driver: Driver, run: Run) -> tuple[Pin, ...]:
    """Make the version that is about to be published hold its pins; say of others whether they are as they were.

    Raises `IntegrityDamage` when a pin of ours is gone: nobody could tell any more what the model was trained on.
    """
    volumes = {volume.name: volume for volume in run.plan.data}
    return tuple(_confirmed(hands, driver, run.plan, volumes[pin.volume], pin) for pin in noted(run))


def _confirmed(hands: Hands, driver: Driver, plan: Plan, volume: DataPlan, pin: Pin) -> Pin:
    data = hands.open_data(volume)
    if pin.kind == "snapshot":
        try:
            data.hold(SnapshotName.parse(pin.name), owner(driver, plan.name))
        except NoSuchVersion:
            raise IntegrityDamage(
                f"the data of {pin.volume} that was pinned for this training is gone",
                why=f"somebody removed {pin.path}",
                safe="nothing was published",
                hint="run again: the data is pinned anew",
            ) from None
        return pin
    try:
        drifted = _seen(volume, data.see_data(glob.escape(pin.name))).token != pin.token
    except MlsnapError:
        drifted = True
    pin = msgspec.structs.replace(pin, drifted=drifted)
    if drifted:
        hands.progress.step(Step(name="data", state="note", text=told(pin)))
    return pin
