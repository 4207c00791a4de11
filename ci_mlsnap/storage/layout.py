"""The store of a local volume: its folders, the records that bind volume and store, and the way between them.

- `<store>/volume.json`: the volume's id, project, model, name and path
- `<store>/snapshots/<name>`: a snapshot; beside them `.partial-<token>`, `.trash-<token>` and `.pruned-<name>`
- `<store>/ledger`: a second name of `state/ledger`
- `<store>/work/`: workspaces of runs
- `<store>/state/`: leases, journals, ledger, caches
- `<volume>/.mlsnap/volume.json`: the same id
- `<volume>/.snapshot`: a relative link to `<store>/snapshots`
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import msgspec

from ci_mlsnap.durable.atomic import make_folder, write_atomically
from ci_mlsnap.durable.faults import storage_errors
from ci_mlsnap.durable.locks import lock
from ci_mlsnap.errors import IntegrityDamage, StorageFailed, VolumeRefused

FORMAT: Literal["mlsnap/volume/1"] = "mlsnap/volume/1"
LINK = ".snapshot"
OWN = ".mlsnap"
PRUNED = ".pruned-"

LONG_UNREAD_NS = 32_503_680_000_000_000_000
"""An access time in the year 3000, for our own things in a live tree: with `relatime` the kernel then never writes
one, which would look like a change of the tree."""

LOCK_WAIT = 30.0
"""Seconds to wait for the store lock, which others hold for milliseconds."""

_TOKEN = re.compile(r"[0-9a-f]{16}")
_ID_LIMIT = 4096
_NO_FILE = {errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO}


class StoreRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a store says of its volume: written once, at first use."""

    format: Literal["mlsnap/volume/1"]
    id: str
    project: str
    model: str
    name: str
    path: str


class VolumeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What the volume says of itself."""

    format: Literal["mlsnap/volume/1"]
    id: str


class CloneRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a clone says of itself: the id of the volume that it comes from."""

    format: Literal["mlsnap/clone/1"]
    volume: str


def new_token() -> str:
    """Give a name for something unfinished that nobody else will choose."""
    return secrets.token_hex(8)


class Store(msgspec.Struct, frozen=True, kw_only=True):
    """The folders of a store."""

    root: Path

    @property
    def snapshots(self) -> Path:
        """Where snapshots are, and what is on the way to become one."""
        return self.root / "snapshots"

    @property
    def work(self) -> Path:
        """Where runs have their workspaces."""
        return self.root / "work"

    @property
    def state(self) -> Path:
        """Where state is."""
        return self.root / "state"

    @property
    def ledger_twin(self) -> Path:
        """Where the ledger has its second name: beside the snapshots, since it says what holds them."""
        return self.root / "ledger"

    def partial(self, token: str) -> Path:
        """Give the place of what is being frozen. Raises `StorageFailed` for what is no token of ours."""
        return self.snapshots / f".partial-{_checked(token)}"

    def trash(self, token: str) -> Path:
        """Give the place of a tree that a restore displaces."""
        return self.snapshots / f".trash-{_checked(token)}"

    def pruned(self, name: object) -> Path:
        """Give the place of a pruned snapshot, in the same folder: a read-only subvolume goes to no other."""
        return self.snapshots / f"{PRUNED}{name}"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the store lock, for milliseconds. Raises `Busy`, `StorageFailed`."""
        with lock(self.state / "lock", wait=LOCK_WAIT):
            yield

    def make(self) -> None:
        """Make what is missing of the folders."""
        for folder in (self.snapshots, self.work, self.state):
            make_folder(folder)

    def record(self) -> StoreRecord | None:
        """Read the store's record; None before first use. Raises `IntegrityDamage`."""
        file = self.root / "volume.json"
        with storage_errors("the store cannot be read"):
            try:
                return msgspec.json.decode(file.read_bytes(), type=StoreRecord)
            except (FileNotFoundError, NotADirectoryError):
                return None
            except (msgspec.MsgspecError, UnicodeError) as error:
                raise _damaged(file, error) from None

    def make_record(self, path: Path, name: str, *, project: str, model: str, volume_id: str = "") -> StoreRecord:
        """Write the store's record, at first use with a new id."""
        record = StoreRecord(
            format=FORMAT,
            id=volume_id or secrets.token_hex(16),
            project=project,
            model=model,
            name=name,
            path=os.path.realpath(path),
        )
        write_atomically(self.root / "volume.json", msgspec.json.encode(record) + b"\n")
        return record


def will_be_frozen_again(source: Path, store: Store) -> bool:
    """Tell whether it helps to remember a tree's files: a workspace ends with its run."""
    return not Path(os.path.realpath(source)).is_relative_to(os.path.realpath(store.work))


def _checked(token: str) -> str:
    if _TOKEN.fullmatch(token) is None:
        raise StorageFailed(f"{token[:40]!r} names nothing that was frozen here")
    return token


def _damaged(path: Path, error: Exception) -> IntegrityDamage:
    return IntegrityDamage(f"{path} is damaged", why=str(error)[:200], hint="bring it back from a backup")


# -- the volume's side ---------------------------------------------------------------------------------


def read_id(tree: Path) -> str:
    """Read the id that a tree carries; empty when it has none.

    Raises `VolumeRefused` when something else is in the record's place, `IntegrityDamage` when it is damaged.
    """
    text = _read_own(tree, "volume.json")
    try:
        return msgspec.json.decode(text, type=VolumeRecord).id if text is not None else ""
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise _damaged(tree / OWN / "volume.json", error) from None


def write_id(tree: Path, volume_id: str, *, fsync: bool = True) -> None:
    """Make a tree carry the id, durably unless the caller does that; no link in it is followed."""
    _write_own(tree, "volume.json", VolumeRecord(format=FORMAT, id=volume_id), fsync=fsync)


def mark_clone(tree: Path, volume_id: str) -> None:
    """Make a tree say that it is a clone, which may be removed."""
    _write_own(tree, "clone.json", CloneRecord(format="mlsnap/clone/1", volume=volume_id), fsync=False)


def is_clone(tree: Path, volume_id: str) -> bool:
    """Tell whether a tree is a clone of this volume."""
    try:
        text = _read_own(tree, "clone.json")
        return text is not None and msgspec.json.decode(text, type=CloneRecord).volume == volume_id
    except (VolumeRefused, msgspec.MsgspecError, UnicodeError):
        return False


def _read_own(tree: Path, name: str) -> bytes | None:
    """Read a record in a tree's own folder. Training may have written anything there: links are not followed,
    and only a small regular file is read."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with storage_errors("the volume's record cannot be read"):
        try:
            with _own_folder(tree) as folder:
                file = os.open(name, flags, dir_fd=folder)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in _NO_FILE:
                raise _no_record(tree, error.strerror or "") from None
            raise
        with os.fdopen(file, "rb") as stream:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise _no_record(tree, "it is no regular file")
            return stream.read(_ID_LIMIT)


def _write_own(tree: Path, name: str, record: msgspec.Struct, *, fsync: bool) -> None:
    beside = f".{name}.{new_token()}"
    with storage_errors("the volume's record cannot be written"):
        with suppress(FileExistsError):
            (tree / OWN).mkdir()
        with _own_folder(tree) as folder:
            try:
                file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=folder)
                with os.fdopen(file, "wb") as stream:
                    stream.write(msgspec.json.encode(record) + b"\n")
                    stream.flush()
                    os.utime(file, ns=(LONG_UNREAD_NS, os.fstat(file).st_mtime_ns))
                    if fsync:
                        os.fsync(file)
                os.replace(beside, name, src_dir_fd=folder, dst_dir_fd=folder)
                if fsync:
                    os.fsync(folder)
            except BaseException:
                with suppress(OSError):
                    os.unlink(beside, dir_fd=folder)
                raise


@contextmanager
def _own_folder(tree: Path) -> Iterator[int]:
    try:
        folder = os.open(tree / OWN, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _NO_FILE:
            raise _no_record(tree, error.strerror or "") from None
        raise
    try:
        yield folder
    finally:
        os.close(folder)


def _no_record(tree: Path, why: str) -> VolumeRefused:
    return VolumeRefused(
        f"{tree / OWN} is not what mlsnap made there",
        why=why,
        safe="nothing was changed",
        hint=f"look what it is and move it away; `{OWN}` at a volume's root belongs to mlsnap",
    )


def link_snapshots(tree: Path, store: Store, *, final: Path | None = None) -> None:
    """Make `<tree>/.snapshot` lead to the snapshots, relative to `final`, where the tree is or will stand.

    The tree has its id already. Raises `VolumeRefused` when something that is no link stands there.
    """
    target = os.path.relpath(os.path.realpath(store.snapshots), os.path.realpath(final or tree))
    link = tree / LINK
    if link.is_symlink() and os.readlink(link) == target:
        return
    refuse_taken_link(tree)
    # Made in our own folder: a crash must not leave a link that leads out of the tree among its content.
    with storage_errors("the link to the snapshots cannot be made"), _own_folder(tree) as folder:
        beside = f"{LINK}.{new_token()}"
        os.symlink(target, beside, dir_fd=folder)
        os.utime(beside, ns=(LONG_UNREAD_NS, time.time_ns()), dir_fd=folder, follow_symlinks=False)
        os.replace(beside, link, src_dir_fd=folder)


def refuse_taken_link(tree: Path) -> None:
    """Raise `VolumeRefused` when something of somebody's has the name of our link."""
    link = tree / LINK
    if os.path.lexists(link) and not link.is_symlink():
        raise VolumeRefused(
            f"{link} stands where the snapshots are shown",
            safe="nothing was changed",
            hint="move it away, or set `path` to another folder",
        )
