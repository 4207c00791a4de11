"""Know a store's snapshots again when its state was lost or damaged: by the ledger's twin, else by manifests.

A manifest alone says who made a snapshot, and anybody who can write to the store could have written it. So what is
adopted is marked as such in the ledger, for good, and only `verify` can say that more vouches for it.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from ci_mlsnap.domain.manifest import MANIFEST_PATH, ManifestHeader, decode
from ci_mlsnap.domain.names import Marker, SnapshotName
from ci_mlsnap.durable import lines
from ci_mlsnap.durable.atomic import make_folder, write_atomically
from ci_mlsnap.durable.faults import storage_errors
from ci_mlsnap.errors import IntegrityDamage, MlsnapError, VolumeForeign
from ci_mlsnap.ports import Rebuilt
from ci_mlsnap.storage.layout import PRUNED, Store, StoreRecord, read_id
from ci_mlsnap.storage.ledger import UNKNOWN, Book, add_up, publication
from ci_mlsnap.storage.shelf import Shelf, facts_of

Line = dict[str, Any]

UNTOLD = "which snapshots were held, and the names of those that were deleted"
"""What manifests alone do not say."""


class _Known(msgspec.Struct, frozen=True, kw_only=True):
    """What a ledger says: its lines that can be read, how many cannot, and whether it is whole."""

    payloads: list[Line]
    unreadable: int = 0
    whole: bool = True


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot that no line tells of, and is ours by its manifest; `pruned` when it lies in the trash."""

    marker: Marker
    facts: tuple[int, ...]
    sequence: int
    pruned: bool

    def lines(self) -> Iterator[Line]:
        yield publication(self.marker, self.facts, self.sequence, adopted=True)
        yield {"op": "prune" if self.pruned else "seen", "name": str(self.marker.name)}


class _Sorted(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the store and no line tells of."""

    ours: list[_Found] = msgspec.field(default_factory=list)
    refused: list[tuple[str, str]] = msgspec.field(default_factory=list)


class Rebuilding(msgspec.Struct, frozen=True, kw_only=True):
    """The rebuilding of one store, of the volume at `path`."""

    shelf: Shelf
    path: Path
    name: str

    @property
    def _store(self) -> Store:
        return self.shelf.store

    def rebuild(self, *, project: str, model: str, dry_run: bool) -> Rebuilt:
        """See `Driver.rebuild`. The ledger is replaced at once, so what is cut off is done by the next one."""
        with ExitStack() as held:
            if not dry_run and self._store.root.is_dir():
                make_folder(self._store.state)
                held.enter_context(self._store.locked())
            record = self._record_there()
            owner = record or self._missing_record(project, model)
            if owner is None:
                return Rebuilt()
            known = self._known()
            found = self._sorted(_added_up(known.payloads)[0], owner)
            now = [*known.payloads, *(line for each in found.ours for line in each.lines())]
            changed = record is None or not known.whole or bool(found.ours)
            if changed and not dry_run:
                self._write(owner, record, now)
            if not dry_run:
                self.shelf.ledger.link_twin()
            return self._told(_added_up(now)[0], known, found, changed=changed)

    def _record_there(self) -> StoreRecord | None:
        try:
            return self._store.record()
        except IntegrityDamage:
            return None

    # -- what is known -----------------------------------------------------------------------------

    def _known(self) -> _Known:
        """Take the ledger where it is whole and knows all, else its twin, else what can be read of one of them."""
        own, twin = _read(self.shelf.ledger.path), _read(self._store.ledger_twin)
        if own.whole and (own.payloads[: len(twin.payloads)] == twin.payloads or not twin.whole):
            return own
        best = max(own, twin, key=lambda it: (it.whole, len(it.payloads)))
        return _Known(payloads=best.payloads, unreadable=best.unreadable, whole=False)

    def _missing_record(self, project: str, model: str) -> StoreRecord | None:
        """Say again whose the store is, by the volume's own id or the one that all its snapshots have."""
        ids = {read_id(self.path)} if self.path.is_dir() else set()
        ids -= {""}
        if not ids:
            headers = (self._header(self._store.snapshots / name) for name in self.shelf.names())
            ids = {it.volume_id for it in headers if it and (it.project, it.model) == (project, model)}
        if len(ids) > 1:
            raise IntegrityDamage(
                f"nothing tells which volume the store {self._store.root} belongs to",
                why=f"its record is gone, and its snapshots are of {len(ids)} volumes",
                safe="nothing was changed",
                hint=f"bring {self._store.root / 'volume.json'} back from a copy of the store",
            )
        return next((self._record(each, project, model) for each in ids), None)

    def _record(self, volume_id: str, project: str, model: str) -> StoreRecord:
        place = os.path.realpath(self.path)
        return StoreRecord(
            format="mlsnap/volume/1", id=volume_id, project=project, model=model, name=self.name, path=place
        )

    def _header(self, place: Path) -> ManifestHeader | None:
        try:
            return _manifest_at(place)[0]
        except MlsnapError:
            return None

    # -- what stands there -------------------------------------------------------------------------

    def _sorted(self, book: Book, owner: StoreRecord) -> _Sorted:
        found = _Sorted()
        for entry in self.shelf.names():
            name = SnapshotName.parse_or_none(entry.removeprefix(PRUNED))
            if name is None or str(name) in {*book.present, *book.pruned}:
                continue
            try:
                if str(name) in book.deleted:
                    raise VolumeForeign("a snapshot of this name was deleted, and names are not used again")
                found.ours.append(self._found(self._store.snapshots / entry, name, owner))
            except MlsnapError as error:
                found.refused.append((entry, error.why or error.what))
        return found

    def _found(self, place: Path, name: SnapshotName, owner: StoreRecord) -> _Found:
        """Give what makes a snapshot ours. Raises `IntegrityDamage`, `VolumeForeign`, which say why it is not."""
        header, digest, facts = _manifest_at(place)
        if header.name != str(name):
            raise VolumeForeign("its manifest is that of another snapshot")
        if {header.volume_id, read_id(place)} != {owner.id}:
            raise VolumeForeign("it is a snapshot of another volume")
        if header.model != owner.model or (owner.model and header.project != owner.project):
            raise VolumeForeign("it is a version of another model")
        marker = Marker(project=header.project, model=header.model, name=name, digest=digest)
        pruned = place.name.startswith(PRUNED)
        return _Found(marker=marker, facts=facts, sequence=header.sequence, pruned=pruned)

    # -- writing and telling -----------------------------------------------------------------------

    def _write(self, owner: StoreRecord, record: StoreRecord | None, payloads: list[Line]) -> None:
        """Put the ledger in place, with a damaged one kept beside it; the record comes last."""
        ledger = self.shelf.ledger.path
        damaged = ledger.read_bytes() if ledger.exists() else b""
        content = b"".join(lines.chained(payloads))
        if damaged and not content.startswith(damaged):
            beside = ledger.with_name(f"ledger.damaged-{hashlib.sha256(damaged).hexdigest()[:16]}")
            write_atomically(beside, damaged)
        write_atomically(ledger, content)
        if record is None:
            self._store.make_record(
                self.path, self.name, project=owner.project, model=owner.model, volume_id=owner.id
            )

    def _told(self, book: Book, known: _Known, found: _Sorted, *, changed: bool) -> Rebuilt:
        lost = [f"the version {name}: nothing stands under its name" for name in self.shelf.gone(book)]
        if known.unreadable:
            lost.append(f"what {known.unreadable} lines of the ledger said, which cannot be read any more")
        if found.ours and not known.payloads:
            lost.append(UNTOLD)
        ours = [snapshot for snapshot in self.shelf.listed(book) if snapshot.marker is not None]
        return Rebuilt(
            ours=len(ours),
            held=tuple((it, self._store.snapshots / it.name) for it in ours if it.holds),
            adopted=tuple(str(each.marker.name) for each in found.ours),
            refused=tuple(found.refused),
            lost=tuple(lost),
            sequence=max([book.sequence, *(each.sequence for each in found.ours)]),
            changed=changed,
        )


def _read(path: Path) -> _Known:
    """Read a ledger, or of a damaged one the lines that still say something."""
    try:
        payloads, _torn = lines.read(path)
    except IntegrityDamage:
        payloads, unreadable = lines.salvage(path)
        return _Known(payloads=_added_up(payloads)[1], unreadable=unreadable, whole=False)
    understood = _added_up(payloads)[1]
    lost = len(payloads) - len(understood)
    return _Known(payloads=understood, unreadable=lost, whole=not lost)


def _added_up(payloads: Iterable[Line]) -> tuple[Book, list[Line]]:
    """Add up what can be, and give it; a line that follows from one that is lost says nothing any more."""
    book, understood = Book(), []
    for payload in payloads:
        try:
            add_up(book, payload)
        except UNKNOWN:
            continue
        understood.append(payload)
    return book, understood


def _manifest_at(place: Path) -> tuple[ManifestHeader, str, tuple[int, ...]]:
    """Read a snapshot's manifest: its header, digest and facts. Raises `IntegrityDamage`, `StorageFailed`."""
    if not stat.S_ISDIR(_lstat(place)):
        raise IntegrityDamage(f"{place} is no folder")
    digest = hashlib.sha256()

    def hashed(stream: Iterable[bytes]) -> Iterator[bytes]:
        for line in stream:
            digest.update(line)
            yield line

    with storage_errors("a manifest cannot be read"):
        file = os.open(place / MANIFEST_PATH, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(file, "rb") as stream:
            facts = os.fstat(file)
            if not stat.S_ISREG(facts.st_mode):
                raise IntegrityDamage("its manifest is no regular file")
            header = decode(hashed(stream)).header
    return header, digest.hexdigest(), facts_of(facts)


def _lstat(place: Path) -> int:
    with storage_errors("a snapshot cannot be looked at"):
        return place.lstat().st_mode
