"""verify: hold versions against their manifests, the ledger and what the commit says. Writes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from ci_mlsnap.domain.announcing import digest_said
from ci_mlsnap.domain.manifest import Manifest
from ci_mlsnap.domain.names import Marker, SnapshotName
from ci_mlsnap.domain.status import CommitStatus, context_for
from ci_mlsnap.errors import AnnouncingQueued, IntegrityDamage, MlsnapError, NoCommit, NoSuchVersion
from ci_mlsnap.flows.context import Project
from ci_mlsnap.flows.members import besides_first
from ci_mlsnap.flows.versions import find_version
from ci_mlsnap.ports import Driver, Member, Snapshot
from ci_mlsnap.state import catalogue
from ci_mlsnap.trees.differing import sealed_differences

Level = Literal["damaged", "self-consistent", "matches ledger", "matches the digest in the commit status"]


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one version. `damage` names what is not as it was, in full; `next_level` says why `level` is
    not a higher one. `inventoried` is false where the version holds no list of its files to look at."""

    name: str
    level: Level
    next_level: str = ""
    damage: tuple[str, ...] = ()
    files: int = 0
    inventoried: bool = True


class _Statuses:
    """What commits say of this model. The forge is asked once a commit, and no more after it failed once."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._heard: dict[str, Sequence[CommitStatus]] = {}
        self.silence = self._first_silence()

    def _first_silence(self) -> str:
        announcer = self._project.hands.announcer
        if announcer.forge is None:
            return f"the commit status was not asked for: {announcer.silence}"
        return "" if self._project.repository_name else "the repository has no origin on a forge"

    def of(self, sha: str) -> Sequence[CommitStatus]:
        forge = self._project.hands.announcer.forge
        if self.silence or forge is None:
            return ()
        if sha not in self._heard:
            try:
                self._heard[sha] = forge.statuses_of(self._project.repository_name, sha)
            except AnnouncingQueued as error:
                self.silence = f"the commit status could not be read: {error.what}"
                return ()
        context = context_for(self._project.settings.model)
        return [status for status in self._heard[sha] if status.context == context and status.state == "success"]


def verify(
    project: Project, revisions: Sequence[str], *, everything: bool = False, read: bool = False
) -> Iterator[Verified]:
    """Look at the versions that `revisions` mean, or at all; `read` reads every byte of them.

    What is damaged keeps nothing else from being looked at. Raises `NoSuchVersion`, `NoCommit`, `StorageFailed`,
    and `IntegrityDamage` when the ledger itself is damaged.
    """
    driver, statuses = project.driver, _Statuses(project)
    snapshots = {snapshot.name: snapshot for snapshot in driver.list() if snapshot.marker is not None}
    missing = {str(name) for name in driver.missing()}
    names = sorted({*snapshots, *missing}) if everything else _meant(project, revisions, missing)
    for name in dict.fromkeys(names):
        if name in missing:
            yield Verified(name=name, level="damaged", damage=("the snapshot is not there, and nobody pruned it",))
        elif name in snapshots:
            yield _look(project, snapshots[name], statuses, read=read)


def resembling(driver: Driver) -> list[str]:
    """Name the snapshots that look like ours and are in no ledger: copied here, or the ledger was lost."""
    foreign = (snapshot.name for snapshot in driver.list() if snapshot.marker is None)
    return [name for name in foreign if SnapshotName.parse_or_none(name) is not None]


def require_whole(found: Sequence[Verified]) -> None:
    """Raise `IntegrityDamage` naming the first damage, when there is any."""
    damaged = [each for each in found if each.damage]
    if not damaged:
        return
    more = sum(len(each.damage) for each in damaged) - 1
    raise IntegrityDamage(
        f"{damaged[0].name} is damaged: {damaged[0].damage[0]}",
        why=f"{len(damaged)} of {len(found)} versions, {more + 1} differences" if more else "",
        safe="nothing was changed",
        hint="bring its files back from a copy of the store, or use another version: `mlsnap log` names them",
    )


def _meant(project: Project, revisions: Sequence[str], missing: set[str]) -> list[str]:
    """Name what the revisions mean; with a version also what is damaged or missing of the same commit."""
    lost = {*catalogue.read(project.driver).damaged, *missing}
    names: list[str] = []
    for revision in revisions or ("HEAD",):
        hurt = [name for name in sorted(lost) if name.startswith(_beginning(project, revision))]
        try:
            names.append(find_version(project, revision).version.header.name)
        except NoSuchVersion:
            if not hurt:
                raise
        names += hurt
    return names


def _beginning(project: Project, revision: str) -> str:
    """Give what the names of a commit's versions begin with, also where git does not know the commit."""
    named = SnapshotName.parse_or_none(revision)
    if named is not None:
        return named.sha
    try:
        return project.repository.resolve(re.sub(r"\.[0-9]+\Z", "", revision))
    except NoCommit:
        return revision if re.fullmatch(r"[0-9a-f]{7,64}", revision) else "none"


def _look(project: Project, snapshot: Snapshot, statuses: _Statuses, *, read: bool) -> Verified:
    assert snapshot.marker is not None
    marker, driver = snapshot.marker, project.driver
    try:
        manifest = driver.manifest(marker.name)
        wrong = [*_contradictions(driver, marker, manifest), *_damage(driver, marker.name, manifest, read=read)]
        wrong += [
            text
            for it in besides_first(driver, manifest.header)
            for text in _look_at_member(it, marker, read=read)
        ]
    except IntegrityDamage as error:
        return Verified(name=snapshot.name, level="damaged", damage=(_told(error),))
    texts = (status.description for status in statuses.of(manifest.header.commit))
    said = [digest for text in texts if (digest := digest_said(text, marker.name))]
    if said and not any(marker.digest.startswith(prefix) for prefix in said):
        wrong.append(f"the commit status names the manifest {said[0]}, and it is {marker.digest[: len(said[0])]}")
    level, next_level = _level(said, statuses, manifest, adopted=snapshot.adopted)
    return Verified(
        name=snapshot.name,
        level="damaged" if wrong else level,
        next_level="" if wrong else next_level,
        damage=tuple(wrong),
        files=manifest.header.files,
        inventoried=manifest.header.files_mode != "none",
    )


def _look_at_member(member: Member, first: Marker, *, read: bool) -> Iterator[str]:
    """Say what is wrong with another volume's part of a version."""
    driver, at = member.driver, f"volume {member.name}: "
    try:
        snapshot = driver.get(first.name)
        if snapshot is None or snapshot.marker is None:
            yield f"{at}its snapshot is not there"
            return
        manifest = driver.manifest(first.name)
        found = [*_contradictions(driver, snapshot.marker, manifest)]
        found += _damage(driver, first.name, manifest, read=read)
    except IntegrityDamage as error:
        found = [_told(error)]
    yield from (at + text for text in found)


def _level(said: Sequence[str], statuses: _Statuses, manifest: Manifest, *, adopted: bool) -> tuple[Level, str]:
    """Give the level that is reached, and why none above it is."""
    if said:
        return "matches the digest in the commit status", ""
    level: Level = "self-consistent" if adopted else "matches ledger"
    why = "its line was made from it by `mlsnap rebuild`, and " if adopted else ""
    if statuses.silence:
        return level, why + statuses.silence
    if not manifest.header.verdict.good:
        return level, why + "it missed a gate, and only a success names a digest"
    return level, why + "no commit status names its digest"


def _contradictions(driver: Driver, marker: Marker, manifest: Manifest) -> Iterator[str]:
    """Say in what marker, manifest and volume do not say the same."""
    header = manifest.header
    if header.name != str(marker.name):
        yield f"its manifest is that of {header.name[:80]}"
    if not marker.is_of(header.project, header.model):
        yield "its manifest names another project or model than the ledger"
    if header.volume_id != driver.volume_id:
        yield "its manifest is that of another volume"


def _damage(driver: Driver, name: SnapshotName, manifest: Manifest, *, read: bool) -> Iterator[str]:
    if manifest.header.files_mode == "none":
        return
    try:
        yield from map(str, sealed_differences(driver.view(name), manifest.entries, read=read))
    except MlsnapError as error:
        yield _told(error)


def _told(error: MlsnapError) -> str:
    return f"{error.what}: {error.why}" if error.why else error.what
