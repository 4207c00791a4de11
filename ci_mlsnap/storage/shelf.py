"""The snapshots of a store: which are ours, what their manifests say, and publishing and holding them.

Ours are those that the ledger says we published under that very name, and whose manifest has the digest that
the ledger's marker names. Everything else under `snapshots/` is foreign: listed, never touched.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import msgspec

from ci_mlsnap.domain.manifest import MANIFEST_PATH, Manifest, ManifestHeader, decode, decode_header, encode
from ci_mlsnap.domain.names import Marker, SnapshotName
from ci_mlsnap.durable.atomic import fsync_folder, write_atomically
from ci_mlsnap.durable.faults import storage_errors
from ci_mlsnap.errors import (
    IntegrityDamage,
    MlsnapError,
    NoSuchVersion,
    SnapshotConflict,
    SnapshotForeign,
    StorageUnknown,
)
from ci_mlsnap.ports import Snapshot
from ci_mlsnap.storage.layout import OWN, PRUNED, Store, write_id
from ci_mlsnap.storage.ledger import Book, Ledger, Publication
from ci_mlsnap.trees import subvolume
from ci_mlsnap.trees.exchange import rename_without_replacing
from ci_mlsnap.trees.remove import remove_tree

UNFINISHED = (".partial-", ".trash-", PRUNED)
"""How names begin of what is no snapshot, or no more: not listed."""


_uuids: dict[tuple[Path, int, int], str] = {}
"""What the kernel said of subvolumes, by place, device and time of change: a command lists them several times."""


class Shelf(msgspec.Struct, frozen=True, kw_only=True):
    """The snapshots of one store. Whoever writes holds the store lock."""

    store: Store

    @property
    def ledger(self) -> Ledger:
        """The store's ledger."""
        return Ledger(path=self.store.state / "ledger", twin=self.store.ledger_twin)

    # -- reading -----------------------------------------------------------------------------------

    def get(self, name: SnapshotName) -> Snapshot | None:
        """See `Driver.get`. Raises `IntegrityDamage` when it is ours and its manifest is not what was sealed."""
        book = self.ledger.read()
        snapshot = self._look(str(name), book)
        if snapshot is not None and snapshot.marker is not None:
            self.require_whole(book.present[str(name)])
        return snapshot

    def list(self) -> Sequence[Snapshot]:
        """See `Driver.list`. A damaged one of ours is still ours; reading its manifest says so."""
        return self.listed(self.ledger.read())

    def listed(self, book: Book) -> Sequence[Snapshot]:
        """Give what is there, as a book knows it."""
        found = (self._look(name, book) for name in self.names() if not name.startswith(UNFINISHED))
        return [snapshot for snapshot in found if snapshot is not None]

    def names(self) -> Sequence[str]:
        """Name all that stands where snapshots stand, in order. Raises `StorageFailed`."""
        with storage_errors("the snapshots cannot be listed"):
            try:
                return sorted(os.listdir(self.store.snapshots))
            except FileNotFoundError:
                return []

    def used_names(self) -> Sequence[SnapshotName]:
        """See `Driver.used_names`."""
        return [SnapshotName.parse(name) for name in self.ledger.read().used]

    def missing(self) -> Sequence[SnapshotName]:
        """See `Driver.missing`."""
        book = self.ledger.read()
        with storage_errors("the snapshots cannot be listed"):
            return [SnapshotName.parse(name) for name in self.gone(book)]

    def gone(self, book: Book) -> Sequence[str]:
        """Name what a book says was seen and not deleted, and stands nowhere."""
        return [name for name in sorted(book.seen & book.present.keys()) if self._is_gone(name)]

    def _is_gone(self, name: str) -> bool:
        """Tell whether it stands nowhere; a prune that was cut short left it in the trash."""
        return not any(map(os.path.lexists, (self.store.snapshots / name, self.store.pruned(name))))

    def _look(self, name: str, book: Book) -> Snapshot | None:
        with storage_errors("the snapshot cannot be looked at"):
            try:
                found = (self.store.snapshots / name).lstat()
            except FileNotFoundError:
                return None
        publication = book.present.get(name)
        if publication is None or not stat.S_ISDIR(found.st_mode):
            return Snapshot(name=name, marker=None, native_id=str(found.st_ino))
        holds = tuple(book.holds.get(name, ()))
        return Snapshot(
            name=name,
            marker=publication.marker,
            native_id=self._native(name, found),
            holds=holds,
            adopted=name in book.adopted,
        )

    def _native(self, name: str, found: os.stat_result) -> str:
        """Say what the file system calls a snapshot: a subvolume's UUID, else the inode of its root."""
        if not subvolume.is_subvolume_root(found):
            return str(found.st_ino)
        place = self.store.snapshots / name
        known = (place, found.st_dev, found.st_ctime_ns)
        if known not in _uuids:
            with storage_errors("the snapshot cannot be looked at"):
                tree = subvolume.look(place)
            _uuids[known] = tree.uuid if tree else str(found.st_ino)
        return _uuids[known]

    def place(self, name: SnapshotName) -> Path:
        """Give the folder of one of ours. Raises `NoSuchVersion`."""
        self._publication(name)
        return self.store.snapshots / str(name)

    def _publication(self, name: SnapshotName) -> Publication:
        book = self.ledger.read()
        snapshot = self._look(str(name), book)
        if snapshot is None or snapshot.marker is None:
            why = "" if snapshot is None else "what stands under that name is not ours"
            raise NoSuchVersion(f"there is no version {name}", why=why, hint="`mlsnap log` names those there are")
        return book.present[str(name)]

    # -- manifests ---------------------------------------------------------------------------------

    def header(self, name: SnapshotName) -> ManifestHeader:
        """See `Driver.manifest_header`."""
        publication = self._publication(name)
        self.require_whole(publication)
        with self._open(publication.marker) as file, os.fdopen(os.dup(file), "rb") as stream:
            return decode_header(stream.readline())

    def manifest(self, name: SnapshotName) -> Manifest:
        """See `Driver.manifest`."""
        marker = self._publication(name).marker
        digest = hashlib.sha256()

        def hashed(lines: Iterable[bytes]) -> Iterator[bytes]:
            for line in lines:
                digest.update(line)
                yield line

        with self._open(marker) as file, os.fdopen(os.dup(file), "rb") as stream:
            manifest = decode(hashed(stream))
        if digest.hexdigest() != marker.digest:
            raise _damaged(marker, "its digest is not the one that was published")
        return manifest

    def require_whole(self, publication: Publication, place: Path | None = None) -> None:
        """Hold a manifest against its marker; it is read only when its facts are not those of the sealing.

        The snapshot stands under its name, or at `place`. Raises `IntegrityDamage`.
        """
        name = str(publication.marker.name)
        with _open_manifest(place or self.manifest_place(name), publication.marker) as file:
            if facts_of(os.fstat(file)) == publication.manifest_facts:
                return
            digest = hashlib.sha256()
            while part := os.read(file, 1 << 20):
                digest.update(part)
        if digest.hexdigest() != publication.marker.digest:
            raise _damaged(publication.marker, "its digest is not the one that was published")

    def _open(self, marker: Marker) -> AbstractContextManager[int]:
        return _open_manifest(self.manifest_place(str(marker.name)), marker)

    def manifest_place(self, name: str) -> Path:
        """Give the folder that has a snapshot's manifest: the snapshot's own."""
        return self.store.snapshots / name

    # -- publishing --------------------------------------------------------------------------------

    def existing(self, marker: Marker) -> Snapshot | None:
        """Give the snapshot that already has this marker; None when the name is free.

        Raises `SnapshotForeign`, `SnapshotConflict`, `IntegrityDamage`.
        """
        if self._is_spent(marker.name, self.ledger.read()):
            raise SnapshotConflict(
                f"{marker.name} was a snapshot and was pruned or deleted, and names are not used again",
                safe="nothing was published",
                hint="run again: the next attempt gets a number of its own",
            )
        return self.standing(marker)

    def _is_spent(self, name: SnapshotName, book: Book) -> bool:
        """Tell whether a name was taken and is so no more."""
        return str(name) in book.deleted or os.path.lexists(self.store.pruned(name))

    def standing(self, marker: Marker) -> Snapshot | None:
        """Give what stands under the marker's name, if it has this marker. Raises as `existing`."""
        found = self.get(marker.name)
        if found is None:
            return None
        if found.marker is None:
            raise foreign_at(self.store.snapshots / found.name)
        if str(found.marker) != str(marker):
            raise SnapshotConflict(
                f"the snapshot {marker.name} exists with another content",
                why="it was published by another run",
                safe="both are unchanged; nothing was published",
                hint="`mlsnap show` says what it holds; run again for the next attempt",
            )
        return found

    def prepare(self, partial: Path, manifest: Manifest) -> None:
        """Write the seal into a frozen tree, before the store lock is taken; `Way.finish` makes it durable."""
        with storage_errors("the snapshot cannot be sealed"):
            os.chmod(partial, stat.S_IMODE(os.lstat(partial).st_mode) | stat.S_IRWXU)
            remove_tree(partial / OWN)  # what an earlier try left
            write_id(partial, manifest.header.volume_id, fsync=False)
            write_atomically(partial / MANIFEST_PATH, encode(manifest), fsync=False)
            for place in (partial / MANIFEST_PATH, partial / OWN / "volume.json", partial / OWN, partial):
                os.chmod(place, stat.S_IMODE(os.lstat(place).st_mode) & ~0o222)

    def publish(self, partial: Path, marker: Marker, sequence: int) -> Snapshot:
        """Make a sealed tree visible under its name. Raises `SnapshotForeign`, `StorageUnknown`."""
        final = self.store.snapshots / str(marker.name)
        with storage_errors("the snapshot cannot be published"):
            facts = facts_of(os.lstat(partial / MANIFEST_PATH))
            self.ledger.published(marker, facts, sequence)
            try:
                rename_without_replacing(partial, final)
            except FileExistsError:
                raise foreign_at(final) from None
            except OSError:
                if os.path.lexists(partial):
                    raise
        try:
            fsync_folder(self.store.snapshots)
            found = self.get(marker.name)
        except Exception as error:
            raise _unknown(marker) from error
        if found is None or str(found.marker) != str(marker):
            raise _unknown(marker)
        with suppress(MlsnapError):
            self.ledger.seen(marker.name)
        return found

    # -- holding -------------------------------------------------------------------------------

    def hold(self, name: SnapshotName, owner: str) -> None:
        """See `Driver.hold`."""
        self._publication(name)
        if owner not in self.ledger.read().holds.get(str(name), {}):
            self.ledger.held(name, owner)

    def release(self, name: SnapshotName, owner: str) -> None:
        """See `Driver.release_hold`."""
        if owner in self.ledger.read().holds.get(str(name), {}):
            self.ledger.released(name, owner)


@contextmanager
def _open_manifest(place: Path, marker: Marker) -> Iterator[int]:
    try:
        file = os.open(place / MANIFEST_PATH, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _damaged(marker, error.strerror or "it cannot be opened") from error
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise _damaged(marker, "it is no regular file")
        with storage_errors("a manifest cannot be read"):
            yield file
    finally:
        os.close(file)


def facts_of(found: os.stat_result) -> tuple[int, ...]:
    """Give what tells that a manifest file was not touched since."""
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def _damaged(marker: Marker, why: str) -> IntegrityDamage:
    return IntegrityDamage(
        f"the manifest of {marker.name} is damaged",
        why=why,
        safe="nothing was changed",
        hint="other versions are not affected (`mlsnap log`); the files are still under `.snapshot`",
    )


def foreign_at(place: Path) -> SnapshotForeign:
    """Give the error for what stands under a snapshot's name and is not ours."""
    return SnapshotForeign(
        f"{place} is not a snapshot of ours",
        why="the ledger does not say that we published it",
        safe="it was not touched; nothing was published or deleted",
        hint="move it away if nobody needs it there, then run again",
    )


def _unknown(marker: Marker) -> StorageUnknown:
    return StorageUnknown(
        f"it is not known whether {marker.name} is durable",
        safe="nothing else was changed",
        hint="run again: what was published is found by its name",
    )
