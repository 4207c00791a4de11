"""restore --in-place: have the storage make the live tree a version at once, at the cost of all that is newer.

What would be lost is named first, and goes only when a person says so. What is held, promoted, foreign or unsaved
is in the way. Written down, restored, written down: whatever is cut off, no version is lost without a record.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from ci_mlsnap.domain.advancing import Advance
from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.domain.removed import Pruned
from ci_mlsnap.domain.status import one_line
from ci_mlsnap.errors import LiveTreeChanged, MlsnapError, Refused, SnapshotForeign, SnapshotHeld, StorageUnknown
from ci_mlsnap.flows import holding, leases, staying
from ci_mlsnap.flows.announce import send_waiting
from ci_mlsnap.flows.context import Project
from ci_mlsnap.flows.live import LiveTree, compared, look_if_possible
from ci_mlsnap.flows.moving import Moved
from ci_mlsnap.flows.removing import alone, finish_lost
from ci_mlsnap.flows.restore import Back, identity, require_volume
from ci_mlsnap.flows.tidying import tidy
from ci_mlsnap.flows.versions import find_version, known_ancestors
from ci_mlsnap.ports import Reverting, Snapshot
from ci_mlsnap.state import advances, catalogue, live, pruned, reverting, rolled_back
from ci_mlsnap.state.outbox import Outbox


def restore_in_place(project: Project, revision: str, *, lose_newer: bool = False, nearest: bool = False) -> Back:
    """Make the live tree the version of `revision` by a restore of the whole volume.

    Raises `Refused` naming what is newer and would be lost, unless `lose_newer`; `SnapshotHeld`, `SnapshotForeign`
    and `LiveTreeChanged` for what must not be; where the storage has no such restore, or state would go back too,
    `Refused`. `NoSuchVersion`, `Busy`, `IntegrityDamage`, `StorageUnknown`.
    """
    driver = _reverting(project)
    tidy(project.hands, project.driver, identity(project))
    found = find_version(project, revision, nearest=nearest)
    require_volume(project)
    project.driver.read_back(found.version.name)
    before = known_ancestors(project, found.version.header.commit)
    with alone(project), leases.volume_held(project.hands, project.driver):
        finish_lost(project)
        choice = Advance(token=leases.volume_token(project.driver), ancestors=tuple(before))
        moved, lost = _restored(project, driver, found.version.name, choice, lose_newer=lose_newer)
    noted = rolled_back.find(project.state, project.volume_path)
    if noted is not None:
        staying.let_move(project.driver, project.volume_path, noted)
    catalogue.read(project.driver, remember=True)
    send_waiting(project.driver, project.hands.announcer)
    return Back(answer=found, place=project.volume_path, moved=moved, lost=lost)


def _reverting(project: Project) -> Reverting:
    if isinstance(project.driver, Reverting) and not project.private:
        return project.driver
    why = "the model has several volumes" if project.others else "only a volume on ONTAP is restored as a whole"
    raise Refused(
        "the storage cannot restore this volume in place",
        why=why,
        safe="nothing was changed",
        hint="restore without --in-place",
    )


def _restored(
    project: Project, driver: Reverting, name: SnapshotName, choice: Advance, *, lose_newer: bool
) -> tuple[Moved, tuple[str, ...]]:
    if _is_there(project, name):
        return Moved(way="none"), ()
    tree = _saved(project)
    newer = driver.newer_than(name)
    _require_loose(project, newer)
    names = tuple(snapshot.name for snapshot in newer)
    if names and not lose_newer:
        raise Refused(
            f"{len(names)} newer snapshot{'s' if len(names) > 1 else ''} would be lost: {', '.join(names)}",
            why="a restore in place ends all that is newer than what it restores",
            safe="nothing was changed",
            hint="--lose-newer says that they may go; without --in-place nothing is lost",
        )
    reverting.write(project.state, reverting.Reverting(target=str(name), lost=_records(project, name, newer)))
    advances.write(project.state, project.volume_path, choice)
    _revert(project, driver, name, tree, names)
    return Moved(way="in-place"), names


def _revert(
    project: Project, driver: Reverting, name: SnapshotName, before: LiveTree, names: Sequence[str]
) -> None:
    """Have it done, with the tree marked in change meanwhile; as it was before where the storage refuses."""
    hands, state, path = project.hands, project.state, project.volume_path
    recorded = live.read(state, path)
    version = before.version
    live.write(
        state, path, version=version, condition="in-change", target=str(name), run=hands.owner(), now=hands.clock
    )
    try:
        driver.revert(name, losing=names)
    except StorageUnknown:
        raise
    except MlsnapError:
        if recorded is not None:
            live.write(
                state, path, version=version, condition=recorded.condition, run=recorded.run, now=hands.clock
            )
        else:
            live.forget(state, path)
        finish_lost(project)
        raise
    live.write(state, path, version=str(name), condition="equal", run=hands.owner(), now=hands.clock)
    finish_lost(project)


def _is_there(project: Project, name: SnapshotName) -> bool:
    """Tell whether the live tree is the version; also when a restore was cut off after its last step."""
    state, path = project.state, project.volume_path
    recorded = live.read(state, path)
    if recorded is None or str(name) not in (recorded.version, recorded.target):
        return False
    tree = look_if_possible(project.driver, path)
    if tree is None or compared(project.driver, path, str(name), read=False):
        return False
    if not tree.equal:
        hands = project.hands
        live.write(state, path, version=str(name), condition="equal", run=hands.owner(), now=hands.clock)
    return True


def _saved(project: Project) -> LiveTree:
    """Look at the live tree. Raises `LiveTreeChanged` where it has what no version has: that would be lost too."""
    tree = look_if_possible(project.driver, project.volume_path)
    if tree is not None and not tree.unsaved:
        return tree
    raise LiveTreeChanged(
        f"the live tree {project.volume_path} holds what no version has",
        why="a restore in place would lose it, and a snapshot that keeps it too",
        safe="nothing was changed",
        hint="copy it elsewhere and `mlsnap recover`; without --in-place it is kept as a snapshot",
    )


def _require_loose(project: Project, newer: Sequence[Snapshot]) -> None:
    """Refuse to lose what is not ours, or somebody holds; all of it is named."""
    foreign = [ascii(snapshot.name) for snapshot in newer if snapshot.marker is None]
    if foreign:
        raise SnapshotForeign(
            f"newer snapshots are not ours, and would be lost: {', '.join(foreign)}",
            safe="nothing was changed",
            hint="whoever made them may delete them; without --in-place nothing is lost",
        )
    held = [
        f"{snapshot.name} by {', '.join(map(one_line, holds))}"
        for snapshot in newer
        if (holds := [hold for hold in snapshot.holds if not holding.is_over(project.state, hold)])
    ]
    if held:
        raise SnapshotHeld(
            f"newer snapshots are held, and would be lost: {'; '.join(held)}",
            safe="nothing was changed",
            hint="`mlsnap hold --release` and `mlsnap promote` let them go; without --in-place nothing is lost",
        )


def _records(project: Project, name: SnapshotName, newer: Sequence[Snapshot]) -> tuple[Pruned, ...]:
    """Write down of each version that would be lost what stays known of it."""
    hands, reason = project.hands, f"the volume was restored in place to {name.short}"
    found = []
    for snapshot in newer:
        assert snapshot.marker is not None
        lying = pruned.find(project.state, str(snapshot.marker.name))
        if lying is not None:
            found.append(replace(lying, condition="gone", reason=reason, by=hands.person(), at=hands.now()))
        elif snapshot.name == str(snapshot.marker.name):
            header = project.driver.manifest_header(snapshot.marker.name)
            found.append(
                Pruned(
                    header=header,
                    digest=snapshot.marker.digest,
                    condition="gone",
                    reason=reason,
                    by=hands.person(),
                    at=hands.now(),
                    since=hands.clock(),
                    told=tuple(Outbox(project.state).told_of(header.name)),
                )
            )
    return tuple(found)
