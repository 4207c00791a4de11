"""The live tree: which version it is, whether it holds unsaved work, and keeping that work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from ci_mlsnap.domain.gates import Verdict
from ci_mlsnap.domain.manifest import Entry, Manifest, ManifestHeader, digest_of, encode
from ci_mlsnap.domain.names import Marker, SnapshotName
from ci_mlsnap.errors import LinkEscapes, LiveTreeChanged, NoSuchVersion, TreeUnsupported
from ci_mlsnap.flows.context import TOOL
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
    """Compare a live tree with the version that is recorded for it.

    A tree without a version (nothing was ever snapshotted or restored there) differs by all it holds.
    Without `read`, files whose size and times are unchanged count as unchanged.
    """
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


def require_known(driver: Driver, path: Path) -> None:
    """Refuse to train in a live tree that equals no version. Raises `LiveTreeChanged`.

    Before the first version there is nothing to compare with, and nothing that could be lost by going back.
    """
    tree = look(driver, path)
    if not tree.version and not any(snapshot.marker for snapshot in driver.list()):
        return
    if not tree.equal:
        raise LiveTreeChanged(
            f"the live tree {path} equals no version",
            why=_why(tree),
            safe="nothing was changed",
            hint="`mlsnap recover` brings the version back and keeps what differs; then run again",
        )


def keep(driver: Driver, source: Path, identity: Identity, *, commit: str, now: str) -> str:
    """Snapshot a tree as `<commit>-keep-<n>`, so that nothing in it is lost, and give that name."""
    taken = [name.keep for name in driver.used_names() if name.sha == commit]
    name = SnapshotName(sha=commit, keep=max(taken, default=0) + 1)
    frozen = driver.freeze(source, parent=None, full=True, inventory=True)
    header = ManifestHeader(
        format="mlsnap/manifest/1",
        name=str(name),
        volume=identity.volume,
        volume_id=driver.volume_id,
        members=(identity.volume,),
        project=identity.project,
        model=identity.model,
        commit=commit,
        tree="",
        sequence=next_sequence(driver.state_folder(), driver),
        created=now,
        event="keep",
        verdict=Verdict(good=False),
        files_mode="full",
        files=frozen.inventory.files,
        bytes=frozen.inventory.bytes,
        content_digest=frozen.inventory.content_digest,
        tool=TOOL,
    )
    manifest = Manifest(header=header, entries=frozen.inventory.entries)
    marker = Marker(project=identity.project, model=identity.model, name=name, digest=digest_of(encode(manifest)))
    driver.seal(frozen, manifest, marker)
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
