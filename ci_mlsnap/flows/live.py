"""The live tree: which version it is, whether it holds unsaved work, and keeping that work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from ci_mlsnap.domain.gates import Verdict
from ci_mlsnap.domain.manifest import Entry, ManifestHeader
from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.errors import LinkEscapes, LiveTreeChanged, NoSuchVersion, TreeUnsupported
from ci_mlsnap.flows import sealing
from ci_mlsnap.flows.context import TOOL
from ci_mlsnap.flows.sealing import Taken
from ci_mlsnap.ports import Driver
from ci_mlsnap.state import live
from ci_mlsnap.state.sequences import next_sequence
from ci_mlsnap.trees.compare import Differences, differences
from ci_mlsnap.trees.inventory import glimpse


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Whose a volume is: what every manifest and marker of it says."""

    project: str
    model: str
    volume: str


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A tree of one volume that is to be kept."""

    volume: str
    driver: Driver
    path: Path


class LiveTree(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a live tree: `version` is empty before the first one, `condition` as recorded.

    `state` is what proved without a walk that nothing differs; empty when the files were looked at.
    """

    version: str
    condition: str
    differences: Differences
    state: str = ""

    @property
    def equal(self) -> bool:
        """Tell whether the files are those of the version, whole and unchanged."""
        return (
            bool(self.version)
            and self.condition not in ("in-change", "mixed")
            and not any((self.differences.added, self.differences.changed, self.differences.removed))
        )

    @property
    def unsaved(self) -> bool:
        """Tell whether files are there that no version has."""
        return bool(self.differences.added or self.differences.changed)


def look(driver: Driver, path: Path, *, read: bool = False) -> LiveTree:
    """Compare the live trees of all volumes with the version that is recorded for them; `path` is the first one's.

    A tree without a version (nothing was ever snapshotted or restored there) differs by all it holds.
    Without `read`, files whose size and times are unchanged count as unchanged.
    """
    first = look_at(driver, path, read=read)
    others = [member for member in driver.others() if member.name in _members(driver, first.version, member.name)]
    return _together([first, *(look_at(member.driver, member.path, read=read) for member in others)])


def _members(driver: Driver, version: str, otherwise: str) -> Sequence[str]:
    """Give the volumes that a version has; of none, or one that is gone, each volume may be one."""
    try:
        return driver.manifest_header(SnapshotName.parse(version)).members if version else (otherwise,)
    except NoSuchVersion:
        return (otherwise,)


def _together(trees: Sequence[LiveTree]) -> LiveTree:
    """Say of several live trees what they are together; those of different versions are in change."""
    first = trees[0]
    one_version = all(tree.version == first.version for tree in trees)
    found = next((tree.condition for tree in trees if tree.condition != first.condition), first.condition)
    return LiveTree(
        version=first.version,
        condition=found if one_version else "in-change",
        differences=Differences(
            added=tuple(it for tree in trees for it in tree.differences.added),
            changed=tuple(it for tree in trees for it in tree.differences.changed),
            removed=tuple(it for tree in trees for it in tree.differences.removed),
        ),
        state=first.state if all(tree.state for tree in trees) else "",
    )


def look_at(driver: Driver, path: Path, *, read: bool = False) -> LiveTree:
    """Compare one live tree with the version that is recorded for it, as `look` does for all."""
    recorded = live.read(driver.state_folder(), path)
    if recorded and _is_untouched(driver, path, recorded):
        return LiveTree(
            version=recorded.version, condition=recorded.condition, differences=Differences(), state=recorded.state
        )
    found = compared(driver, path, recorded.version if recorded else "", read=read)
    return LiveTree(
        version=recorded.version if recorded else "",
        condition=recorded.condition if recorded else "unknown",
        differences=found,
    )


def compared(driver: Driver, path: Path, version: str, *, read: bool) -> Differences:
    """Compare a tree with a version; with nothing, where there is none (any more). Raises as `differences` does.

    A version whose contents were not inventoried is looked at itself, without reading its files.
    """
    entries, read = _entries(driver, version, read=read)
    if not path.is_dir():
        return Differences(removed=tuple(entry.path for entry in entries))
    return differences(path, entries, read=read)


def _entries(driver: Driver, version: str, *, read: bool) -> tuple[Sequence[Entry], bool]:
    if not version:
        return (), read
    name = SnapshotName.parse(version)
    try:
        if driver.manifest_header(name).files_mode == "none":
            return glimpse(driver.view(name)), False
        return driver.manifest(name).entries, read
    except NoSuchVersion:
        return (), read


def _is_untouched(driver: Driver, path: Path, recorded: live.Live) -> bool:
    """Tell without a walk that the tree still equals its version; where the driver can't, this is false."""
    known = recorded.state and recorded.condition == "equal" and path.is_dir()
    return bool(known) and driver.state_of(path) == recorded.state


def look_if_possible(driver: Driver, path: Path, *, read: bool = False) -> LiveTree | None:
    """Compare as `look` does; None for a tree that no version could ever equal: a FIFO, a link that leads out."""
    try:
        return look(driver, path, read=read)
    except (TreeUnsupported, LinkEscapes):
        return None


def way_back(*, shared: bool) -> str:
    """Give the command that makes a live tree its version again: nobody moves a shared one by the way."""
    return "mlsnap recover --shared" if shared else "mlsnap recover"


def require_known(driver: Driver, path: Path, *, shared: bool, walk: bool = True) -> None:
    """Refuse to train in a live tree that equals no version. Raises `LiveTreeChanged`.

    Before the first version there is nothing to compare with, and nothing that could be lost by going back.
    Without a `walk` what mlsnap itself left as a version is taken for that version still, whatever others did.
    """
    if not walk and _is_left_alone(driver, path):
        return
    tree = look(driver, path)
    if not tree.version and not any(snapshot.marker for snapshot in driver.list()):
        return
    if not tree.equal:
        raise LiveTreeChanged(
            f"the live tree {path} equals no version",
            why=_why(tree),
            safe="nothing was changed",
            hint=f"`{way_back(shared=shared)}` brings the version back and keeps what differs; then run again",
        )


def _is_left_alone(driver: Driver, path: Path) -> bool:
    """Tell whether by mlsnap's own word each live tree is a version, or there never was one."""
    trees = [(driver, path), *((member.driver, member.path) for member in driver.others())]
    known = [live.read(it.state_folder(), place) for it, place in trees]
    if not any(known):
        return not any(snapshot.marker for snapshot in driver.list())
    versions = {it.version if it is not None and it.condition == "equal" else "" for it in known}
    return len(versions) == 1 and "" not in versions


def keep(driver: Driver, source: Path, identity: Identity, *, commit: str, now: str) -> str:
    """Snapshot one tree as `<commit>-keep-<n>`, so that nothing in it is lost, and give that name."""
    return keep_all([Source(volume=identity.volume, driver=driver, path=source)], identity, commit=commit, now=now)


def keep_all(sources: Sequence[Source], identity: Identity, *, commit: str, now: str) -> str:
    """Snapshot trees of several volumes, the first one first, as one `<commit>-keep-<n>`, and give that name."""
    driver = sources[0].driver
    numbers = [name.keep for name in driver.used_names() if name.sha == commit]
    name = SnapshotName(sha=commit, keep=max(numbers, default=0) + 1)
    taken = [
        Taken(
            volume=it.volume,
            driver=it.driver,
            tree=it.path,
            frozen=it.driver.freeze(it.path, parent=None, full=True, inventory=True),
        )
        for it in sources
    ]
    header = ManifestHeader(
        format="mlsnap/manifest/1",
        name=str(name),
        volume=identity.volume,
        volume_id=driver.volume_id,
        members=tuple(it.volume for it in taken),
        project=identity.project,
        model=identity.model,
        commit=commit,
        tree="",
        sequence=next_sequence(driver.state_folder(), driver),
        created=now,
        event="keep",
        verdict=Verdict(good=False),
        files_mode="full",
        tool=TOOL,
    )
    made = sealing.manifests(taken, header)
    sealing.seal(taken, made, sealing.marker_of(made[0]))
    driver.read_back(name)
    return str(name)


def _why(tree: LiveTree) -> str:
    found = tree.differences
    counts = f"{len(found.added)} added, {len(found.changed)} changed, {len(found.removed)} removed"
    since = f"against {tree.version[:12]}" if tree.version else "and no version is recorded for it"
    state = {
        "changed-by-failed-run": "a failed run trained there: ",
        "in-change": "a change was interrupted: ",
        "mixed": "files of another version were brought into it: ",
    }
    return f"{state.get(tree.condition, '')}{counts} {since}"
