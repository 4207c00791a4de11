"""The shapes that adapters fill: storage driver, forge, build, repository, progress.

Adapters translate and decide nothing; their library's types and exceptions stop at their edge.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import msgspec

from ci_mlsnap.domain.code import LineChange
from ci_mlsnap.domain.event import Event
from ci_mlsnap.domain.manifest import Inventory, Manifest, ManifestHeader
from ci_mlsnap.domain.names import Marker, SnapshotName
from ci_mlsnap.domain.notices import Notice
from ci_mlsnap.domain.status import CommitStatus

# -- storage -----------------------------------------------------------------------------------------


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a driver can do, as a value. `way` names how it snapshots; `instant` is true when the time does
    not grow with the volume's size; `enforced_read_only` when even the owner cannot write to a snapshot; `shares`
    when what is frozen or cloned needs no space of its own until it is written to.

    `apart`: what is frozen no longer follows its tree. Else `seal` raises `LateWriter` when the tree is another by
    then, and leaves its manifest in the tree's `.mlsnap`. `freezes_clones`: workspaces can be frozen too.
    `makes_volume`: a volume that is missing is made; else it is a mount, and somebody else's to make.
    `reads_back`: `Driver.read_back` opens a snapshot as a reader would; else only its existence and its manifest
    are known.
    """

    way: str
    instant: bool
    enforced_read_only: bool
    swap: bool
    in_place: bool = False
    shares: bool = False
    apart: bool = True
    freezes_clones: bool = True
    makes_volume: bool = True
    reads_back: bool = True


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """What a driver found about its volume, for preflight and `doctor`. Sizes in bytes.

    `faster` is what a person can do for a way that takes less time; empty when there is nothing to do.
    `most_snapshots` is how many a volume can have, 0 where only space limits it. `notes` are what stops nothing
    and is worth knowing: what it is, and what a person can do.
    """

    volume_id: str
    way: str
    why: str
    file_system: str
    free_bytes: int
    total_bytes: int
    free_inodes: int
    snapshots: int
    foreign: int
    faster: str = ""
    most_snapshots: int = 0
    notes: tuple[tuple[str, str], ...] = ()


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `doctor`'s screen; `bad` would stop a run, a `note` is worth knowing."""

    topic: str
    state: Literal["ok", "note", "bad"]
    text: str
    hint: str = ""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot as the storage knows it. `marker` is None for a foreign one, of which nothing else is said.

    `adopted`: the marker was made from the manifest by a rebuild, so nothing else vouches for either.
    """

    name: str
    marker: Marker | None
    native_id: str = ""
    holds: tuple[str, ...] = ()
    adopted: bool = False


class Rebuilt(msgspec.Struct, frozen=True, kw_only=True):
    """What a driver knows again of its snapshots. `adopted` are names that became ours by their manifests alone,
    `refused` others with the reason. `lost` says in words what cannot be brought back; `sequence` is the highest
    number of a version, pruned ones included; `changed` whether anything was, or would be, written. `ours`
    counts what stands, and `held` is what of it is held, with its place."""

    ours: int = 0
    held: tuple[tuple[Snapshot, Path], ...] = ()
    adopted: tuple[str, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    lost: tuple[str, ...] = ()
    sequence: int = 0
    changed: bool = False


class Frozen(msgspec.Struct, frozen=True, kw_only=True):
    """An unnamed, private, unchanging copy of a live tree with its inventory; visible to nobody until sealed.

    `token` finds it again after a crash. `copied_bytes` were written anew. `state` is the source's at that
    instant, as `Driver.state_of` gives it.
    """

    token: str
    path: Path
    inventory: Inventory
    copied_bytes: int
    state: str = ""


class DataSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What a data volume holds at a moment, told without a walk.

    `path` is where that is read: the live tree, or its owner's snapshot `name`. `token` stays the same as long as
    the data does; `exact` says that no change of the data escapes it, and that it is the live tree's state
    (`Driver.state_of`). `steady` is such a token for data that is read where it is: that alone never changes it,
    even if it then sees less. `facts` are for people.
    """

    path: Path
    token: str
    steady: str
    exact: bool
    name: str = ""
    native_id: str = ""
    facts: Mapping[str, str] = msgspec.field(default_factory=dict)


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What a restore did: by `swap` the displaced tree stands at `displaced`, by `sync` files were replaced.

    `state` is the live tree's just before it was put in place, as `Driver.state_of` gives it."""

    way: Literal["swap", "sync", "none"]
    displaced: Path | None = None
    changed: int = 0
    state: str = ""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One of the volumes of a version besides the first: its name, its live tree, and its own driver."""

    name: str
    path: Path
    driver: Driver


@runtime_checkable
class SealsTogether(Protocol):
    """A driver whose storage can make the snapshots of several volumes at one instant."""

    def snapshot_together(
        self, others: Sequence[Driver], manifests: Sequence[Manifest], markers: Sequence[Marker]
    ) -> bool:
        """Have that done for this volume and the others, where it can be; tell whether it was.

        All are frozen. Each is sealed as always then, which finds its snapshot or makes one. Raises as
        `Driver.seal` does.
        """


@runtime_checkable
class StorageClones(Protocol):
    """A driver some of whose clones are the storage's own things, which people see there and remove there."""

    def clone_on_storage(self, destination: Path) -> str:
        """Give the name that the storage has for the clone at a place; empty for a copy."""


@runtime_checkable
class Reverting(Protocol):
    """A driver whose storage can make the live tree a version at once, at the cost of all that is newer."""

    def newer_than(self, name: SnapshotName) -> Sequence[Snapshot]:
        """Name what may be newer than a version, under the names that the storage has for it.

        Foreign ones are among it, and ours in the trash. Raises `NoSuchVersion`, `StorageFailed`.
        """

    def revert(self, name: SnapshotName, *, losing: Collection[str]) -> None:
        """Make the live tree the version, and wait until it is seen to be; what was newer is gone then.

        Raises `Refused` when that would end anything besides `losing`, or state would go back too; other errors
        when nothing was changed, and `StorageUnknown` when that cannot be told.
        """


class Driver(Protocol):
    """One volume on one storage. Every method raises only errors of `ci_mlsnap.errors`.

    Where several volumes make a version, it is the driver of the first one: what is asked by a snapshot's name is
    true of, or done to, the whole version; what is asked by a tree concerns the first, and `others` give the rest.
    Names are checked going in and coming out; nothing without our marker is ever changed or deleted.
    Reading methods write nothing.
    """

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def volume_id(self) -> str:
        """The id recorded for this volume; empty while there is none."""

    def others(self) -> Sequence[Member]:
        """Give the other volumes of each version in their fixed order; none where a version has one volume."""

    def bound(self) -> tuple[str, str] | None:
        """Give the project and the model that the volume belongs to; None before first use."""

    def probe(self) -> Probe:
        """Look at the volume without changing it. Raises `VolumeMissing`, `VolumeRefused`, `StorageFailed`."""

    def initialise(self, *, project: str, model: str) -> str:
        """Make the volume and its store where missing, bind them to project and model, give the volume's id.

        Doing it again changes nothing. A driver that was opened for data makes the store alone, for all models of
        all projects, and never writes to the volume. Raises `VolumeForeign` for a volume of another id or model,
        `VolumeRefused`, `StoreRefused`, `StorageFailed`.
        """

    def see_data(self, existing: str = "") -> DataSeen:
        """Say what a data volume holds now, without a walk and without changing anything.

        With `existing`, a glob, the newest of its owner's snapshots whose name fits. Raises `VolumeMissing`,
        `NoSuchVersion` when no snapshot fits, `StorageFailed`.
        """

    def state_folder(self) -> Path:
        """Where state lives: never inside what is snapshotted or restored."""

    def freeze(self, source: Path, *, parent: SnapshotName | None, full: bool, inventory: bool) -> Frozen:
        """Make an unchanging copy of `source` (live tree or workspace).

        `parent` is the version whose unchanged files may be shared; `full` reads every file again;
        `inventory=False` walks nothing (entries are then empty) where the storage can freeze without a walk; a
        driver that was opened for data freezes only in that manner, and says the `state`.
        Raises `TreeUnsupported`, `LinkEscapes`, `StorageFull`, `StorageFailed`; nothing is left behind then.
        """

    def state_of(self, tree: Path) -> str:
        """Give a text that is another one after any write to a tree of this storage, without a walk.

        Empty where only a walk can tell. That nothing was written changes nothing; reading may.
        """

    def discard(self, token: str) -> None:
        """Remove what `freeze` made, if it is still there."""

    def seal(self, frozen: Frozen, manifest: Manifest, marker: Marker) -> Snapshot:
        """Publish the frozen tree under `marker.name`, durably and without replacing anything.

        Create-if-absent: the same marker again returns the existing snapshot, and the frozen tree is discarded.
        Raises `SnapshotConflict` for ours with another marker, `SnapshotForeign` for what is not ours,
        `LateWriter` where what is frozen is not `apart` and its tree changed, `StorageUnknown` when the outcome
        cannot be told even by looking up the name.
        """

    def get(self, name: SnapshotName) -> Snapshot | None:
        """Look one up by name; None when there is nothing under it."""

    def list(self) -> Sequence[Snapshot]:
        """All snapshots, foreign ones included, in the order of their names."""

    def used_names(self) -> Iterable[SnapshotName]:
        """Every name that was ever published here, pruned ones included."""

    def rebuild(self, *, project: str, model: str, dry_run: bool) -> Rebuilt:
        """Know again, from the snapshots alone, which are ours; what is known already stays, and twice is once.

        Only snapshots whose manifest says this project, model, name and volume are adopted. With `dry_run` nothing
        is written. Raises `VolumeForeign`, `IntegrityDamage` where nothing tells which volume this is.
        """

    def missing(self) -> Sequence[SnapshotName]:
        """Names that a version was seen under, that nobody deleted, and under which nothing stands; in order."""

    def manifest_header(self, name: SnapshotName) -> ManifestHeader:
        """Read the header inside the snapshot. Raises `NoSuchVersion`, `IntegrityDamage`."""

    def manifest(self, name: SnapshotName) -> Manifest:
        """Read the manifest inside the snapshot and hold it against the marker.

        Raises `NoSuchVersion`, `IntegrityDamage`."""

    def view(self, name: SnapshotName) -> Path:
        """The read-only path of a snapshot. Raises `NoSuchVersion`."""

    def read_back(self, name: SnapshotName) -> None:
        """Open the snapshot as a reader would and hold every entry's facts against the manifest.

        Raises `IntegrityDamage` naming the first difference, `NoSuchVersion`."""

    def restore(
        self,
        name: SnapshotName,
        live: Path,
        *,
        way: Literal["swap", "sync"] | None = None,
        paths: Sequence[bytes] = (),
        full: bool = False,
    ) -> Restored:
        """Make the live tree equal to the snapshot, bit for bit; None picks the best way.

        By swap a reader sees the old or the new tree, whole. With `paths`, as the manifest has them, only these
        files and folders are brought back, by sync, and all else stays as it is. A live file that has the facts
        with which it was read before is not read again, unless `full`. Interrupted, it can be run again. A driver
        that was opened for data refuses.
        Raises `IntegrityDamage`, `NoSuchVersion` also for a path that the version has not, and `LiveTreeChanged`
        for one that leads through a link, all before anything changed; `VolumeForeign`, `StorageFull`.
        """

    def clone(self, name: SnapshotName | None, destination: Path, *, paths: Sequence[bytes] = ()) -> Path:
        """Make a writable private copy at `destination`, which must not exist; None gives an empty tree.

        With `paths` it holds only these. Raises `IntegrityDamage`, `NoSuchVersion`, `StorageFull`.
        """

    def remove_clone(self, destination: Path) -> None:
        """Remove a clone made here; does nothing when it is gone."""

    def hold(self, name: SnapshotName, owner: str) -> None:
        """Keep the snapshot from being deleted until `owner` releases it. Raises `NoSuchVersion`."""

    def release_hold(self, name: SnapshotName, owner: str) -> None:
        """Take one hold back; does nothing when there is none."""

    def prune(self, name: SnapshotName) -> None:
        """Take one of ours out of the list and into the trash, from where `undelete` brings it back; gone is fine.

        From then on it is nowhere but in `pruned` and `used_names`. Raises `SnapshotHeld`, `SnapshotForeign`.
        """

    def pruned(self) -> Sequence[Snapshot]:
        """What `undelete` can bring back, in the order of their names."""

    def undelete(self, name: SnapshotName) -> None:
        """Bring a pruned snapshot back, as it was; it is there already is fine.

        Raises `NoSuchVersion` when it is neither, `IntegrityDamage`, `SnapshotForeign` when its name is taken."""

    def delete(self, name: SnapshotName, *, even_held: bool = False) -> None:
        """Delete one of ours for good, also out of the trash; gone is fine.

        Raises `SnapshotHeld` unless it is to go `even_held`, `SnapshotForeign`.
        """

    def unfinished(self) -> Sequence[str]:
        """Tokens of frozen trees that are neither sealed nor discarded, whoever froze them."""

    def trash(self) -> Sequence[Path]:
        """The trees that restores displaced, oldest first."""

    def purge(self, tree: Path) -> None:
        """Remove a displaced tree for good; gone is fine. Raises `StorageFailed` for anything that is none."""

    def links(self, name: SnapshotName) -> Mapping[str, str]:
        """Places where a person can look at the snapshot, by label: `path`, and what else the storage has."""


@runtime_checkable
class Permitting(Protocol):
    """A driver whose storage lets not everybody make snapshots who may write to the volume."""

    def require_rights(self) -> None:
        """Make sure, before training, that this user may make snapshots. Raises `StorageForbidden`."""
        ...


@runtime_checkable
class Examinable(Protocol):
    """A driver that can say more of its storage than `Driver.probe` does, for `doctor`."""

    def examine(self) -> Iterator[Finding]:
        """Look at the storage, and change nothing; a fault is a finding."""
        ...


# -- forge -------------------------------------------------------------------------------------------


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What the forge answered: the address of what is there now."""

    url: str = ""


class Forge(Protocol):
    """Where commits are looked at. Raises only `ForgeUnavailable`, `ForgeForbidden`, `ForgeRejected`."""

    def post_status(self, repository: str, status: CommitStatus) -> Sent:
        """Send one status; sending it twice is harmless."""

    def may_post(self, repository: str) -> str:
        """Say what would stop a status: empty when nothing is known to."""

    def statuses_of(self, repository: str, sha: str) -> Sequence[CommitStatus]:
        """Give a commit's newest statuses, newest first, at most a hundred; whoever may push can forge them."""

    def newest_statuses(self, repository: str, sha: str) -> Sequence[CommitStatus]:
        """Give the newest status of each context of a commit; whoever may push can forge them."""

    def tell(self, repository: str, notice: Notice) -> Sent:
        """Make what the notice says be there; doing it twice is doing it once, also after a lost answer."""


# -- build (the CI) ----------------------------------------------------------------------------------


class Build(Protocol):
    """The CI we run in, or none. Reading the environment and writing to the log are separate jobs."""

    name: str

    def event(self) -> Event:
        """Say what triggered the build. Raises `UsageError`, `Refused`."""

    def group(self, title: str) -> None:
        """Open a section of the log and close the one before; an empty title only closes."""

    def error(self, text: str, *, title: str = "", file: str = "", line: int = 0) -> None:
        """Show an error where the CI shows errors, besides the terminal."""

    def fence(self) -> None:
        """Keep what follows in the log from being read as the CI's commands, until `unfence`."""

    def unfence(self) -> None:
        """End the fence."""

    def output(self, values: Mapping[str, str]) -> None:
        """Hand values to later steps, where the CI has a way to."""

    def summary(self, markdown: str) -> None:
        """Add to the build's summary page, where the CI has one."""


# -- repository --------------------------------------------------------------------------------------


class CommitFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What git says of a commit. `subject` is a stranger's text; `time` is the committer's, ISO 8601."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    subject: str
    author: str = ""
    time: str = ""


class GraphLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the graph that git draws. Between commits `commit` is None, and `room` tells one that was left."""

    drawn: str
    commit: CommitFacts | None
    room: bool


class Refs(msgspec.Struct, frozen=True, kw_only=True):
    """Branches and tags with the commits they mean, those of `origin` as `origin/<name>`.

    `missing` are those of `origin` whose commits are not in this clone. Unless origin was `asked`, its branches
    are those of the last fetch; where there is no origin there is nobody to ask.
    """

    branches: Mapping[str, str]
    tags: Mapping[str, str]
    missing: tuple[str, ...] = ()
    asked: bool


class Repository(Protocol):
    """The git work tree. Raises `NotARepository`, `NoCommit`, `GitFailed`."""

    top: Path
    common_folder: Path

    def head(self) -> str: ...

    def keeps_login(self) -> bool: ...

    def branch(self) -> str: ...

    def commit(self, revision: str) -> CommitFacts: ...

    def resolve(self, revision: str) -> str: ...

    def has(self, sha: str) -> bool: ...

    def fetch(self, sha: str) -> bool: ...

    def is_shallow(self) -> bool: ...

    def dirty_paths(self, *, below: Path) -> Sequence[str]: ...

    def ancestors(self, revision: str, *, limit: int) -> Sequence[str]: ...

    def log(self, revision: str, *, limit: int, since: int = 0) -> Sequence[CommitFacts]: ...

    def graph(self, revision: str, *, limit: int, since: int = 0, room: int = 0) -> Sequence[GraphLine]: ...

    def commits(self, shas: Sequence[str]) -> Mapping[str, CommitFacts]: ...

    def line_changes(self, before: str, after: str, *, below: str) -> Sequence[LineChange]: ...

    def moment(self, text: str) -> int: ...

    def first_parents(self, good: str, bad: str) -> Sequence[CommitFacts] | None: ...

    def refs(self) -> Refs: ...

    def commits_and_trees(self, shas: Collection[str], *, ancestors: bool) -> set[str]: ...

    def worktrees(self) -> Sequence[Path]: ...

    def root_commit(self) -> str: ...

    def origin(self) -> str: ...

    def default_branch(self) -> str: ...

    def inputs_digest(self, sha: str, patterns: Sequence[str], *, below: str) -> str: ...

    def file_at(self, sha: str, path: str) -> bytes | None: ...

    def is_tracked(self, path: Path) -> bool: ...

    def add_worktree(self, sha: str, destination: Path) -> None: ...

    def remove_worktree(self, destination: Path) -> None: ...

    def checkout(self, revision: str) -> None: ...


# -- progress ----------------------------------------------------------------------------------------


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One line of progress: a step's name, how it ended, what it found, how long it took in seconds."""

    name: str
    state: Literal["ok", "note", "missed", "failed", "waiting"]
    text: str
    seconds: float | None = None
    details: tuple[str, ...] = msgspec.field(default=())


class Progress(Protocol):
    """An observer of a run."""

    def step(self, step: Step) -> None: ...

    def group(self, title: str) -> None: ...
