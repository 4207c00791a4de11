"""Copy a tree whole, with everything a snapshot carries, and take its inventory in the same pass."""

from __future__ import annotations

import errno
import os
from array import array
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ci_mlsnap.domain.manifest import Inventory
from ci_mlsnap.durable.faults import shown, storage_error
from ci_mlsnap.errors import StorageFailed, TreeUnsupported
from ci_mlsnap.trees.crew import HANDS, Crew
from ci_mlsnap.trees.files import Attributes, attributes, copy_content, digest, open_found, require_unchanged
from ci_mlsnap.trees.folders import Folders
from ci_mlsnap.trees.glance import glance
from ci_mlsnap.trees.listing import KnownFile, Listing
from ci_mlsnap.trees.reflink import CANNOT, share_blocks
from ci_mlsnap.trees.remove import remove_tree
from ci_mlsnap.trees.walk import Found, walk

if TYPE_CHECKING:
    from concurrent.futures import Executor

_NO_LINK = {errno.EMLINK, errno.EXDEV, errno.ENAMETOOLONG, errno.EPERM, errno.ENOENT, errno.EOPNOTSUPP}
"""Why a file that could be shared is copied instead: too many links, another's file, gone."""


class Reuse(msgspec.Struct, frozen=True, kw_only=True):
    """A file that may be linked instead of copied, while the source still has the facts of `known`."""

    path: Path
    known: KnownFile

    @property
    def sha256(self) -> str:
        """The digest of the content."""
        return self.known.sha256


class Copied(msgspec.Struct, frozen=True, kw_only=True):
    """What a copy made: its inventory, the bytes written, and the source's facts for the next time.

    `linked` are the paths that share their file with what was reused.
    """

    inventory: Inventory
    copied_bytes: int
    known: Mapping[bytes, KnownFile]
    linked: frozenset[bytes]


class Sharing(msgspec.Struct, frozen=True, kw_only=True):
    """How blocks are shared: `known` gives a file's SHA-256 without reading it, or nothing; files get no more
    than the permissions in `mode`; `seen` gets a `glance` at each thing of the source, in the walk's order."""

    known: Callable[[Found], str]
    mode: int = 0o777
    seen: array[int] = msgspec.field(default_factory=lambda: array("q"))


_NO_REUSE: Mapping[bytes, Reuse] = {}


def copy_tree(
    source: Path,
    destination: Path,
    *,
    reuse: Mapping[bytes, Reuse] = _NO_REUSE,
    digests: bool = True,
    put_away: bool = False,
    sharing: Sharing | None = None,
) -> Copied:
    """Copy `source` to `destination`, which must not exist; on any failure nothing is left of it.

    Without `digests` the entries of copied files have none. `put_away` says that nobody reads the copy soon:
    large files then leave the memory early. With `sharing`, files share their blocks with the source where the
    file system can do that. The copy is not yet durable: `sync_file_system`.
    Raises `TreeUnsupported`, `LinkEscapes`, `LateWriter` for a file that changed while it was copied,
    `VolumeMissing`, `StorageFull`, `StorageReadOnly`, `StorageFailed`.
    """
    from concurrent.futures import ThreadPoolExecutor  # slow to load, and not needed where nothing is copied

    try:
        os.mkdir(destination, 0o700)
    except OSError as error:
        raise storage_error("a copy cannot be made", error) from error
    try:
        with Folders(destination) as target, Folders(destination) as firsts:
            with ThreadPoolExecutor(HANDS) as hashers, Crew() as crew:
                copy = _Copy(target, firsts, crew, reuse, hashers, sharing, digests=digests, put_away=put_away)
                for found in walk(source):
                    copy.take(found)
            return copy.finish(source)
    except OSError as error:
        remove_tree(destination)
        raise _writing_error(b"", error) from error
    except BaseException:
        remove_tree(destination)
        raise


class _Copy:
    """One copy under way."""

    def __init__(
        self,
        target: Folders,
        firsts: Folders,
        crew: Crew,
        reuse: Mapping[bytes, Reuse],
        hashers: Executor,
        sharing: Sharing | None,
        *,
        digests: bool,
        put_away: bool,
    ) -> None:
        self._target = target
        self._firsts = firsts
        self._crew = crew
        self._reuse = reuse
        self._hashers = hashers
        self._sharing = sharing
        self._mode = sharing.mode if sharing else 0o777
        self._digests = digests
        self._put_away = put_away
        self._listing = Listing()
        self._written: list[int] = []
        self._linked: set[bytes] = set()
        self._folders: list[tuple[bytes, os.stat_result, Attributes]] = []
        self._itself = _identity(os.fstat(target.root))

    def take(self, found: Found) -> None:
        """Bring one thing over; large files are left to the crew."""
        folder = self._target.at(found.path.rpartition(b"/")[0])
        if self._sharing:
            self._sharing.seen.append(glance(found))
        try:
            if found.kind == "dir":
                self._folder(found, folder)
            elif found.kind == "link":
                os.symlink(found.target, found.name, dir_fd=folder)
                _set_times(found.name, found.stat, folder)
                self._listing.add_link(found)
            else:
                self._file(found, folder)
        except OSError as error:
            raise _writing_error(found.path, error) from error

    def finish(self, source: Path) -> Copied:
        """Give the folders their modes and times, the deepest first, since filling them changed these."""
        for path, facts, extended in reversed(self._folders):
            folder = self._target.at(path)
            _set_facts(folder, facts, extended, facts.st_mode & self._mode | os.fstat(folder).st_mode & 0o2000)
        mode = os.stat(source).st_mode & 0o777
        root = self._target.root
        os.fchmod(root, mode | os.fstat(root).st_mode & 0o2000)
        return Copied(
            inventory=self._listing.inventory(),
            copied_bytes=sum(self._written),
            known=self._listing.known,
            linked=frozenset(self._linked),
        )

    def _folder(self, found: Found, folder: int) -> None:
        if _identity(found.stat) == self._itself:
            raise TreeUnsupported(
                f"the copy would be inside of what is copied, at {shown(found.path)}",
                safe="nothing was kept of it",
                hint="put the store outside of the volume",
            )
        os.mkdir(found.name, 0o700, dir_fd=folder)
        extended = attributes(found.path, found.folder)
        self._folders.append((found.path, found.stat, extended))
        self._listing.add_folder(found.path, found.stat, extended)

    def _file(self, found: Found, folder: int) -> None:
        first = self._listing.first_of_group(found)
        if first:
            above, _, name = first.rpartition(b"/")
            os.link(name, found.name, src_dir_fd=self._firsts.at(above), dst_dir_fd=folder, follow_symlinks=False)
            return
        reuse = self._reuse.get(found.path)
        if reuse is not None and reuse.known.covers(found.stat) and self._link(found, folder, reuse):
            return
        source = open_found(found)
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            made = os.open(found.name, flags, 0o600, dir_fd=folder)
        except BaseException:
            os.close(source)
            raise
        known = self._sharing.known(found) if self._sharing and self._digests else ""
        self._crew.do(partial(self._fill, found, source, made, known), 0 if known else found.stat.st_size)

    def _link(self, found: Found, folder: int, reuse: Reuse) -> bool:
        """Share the file, if the storage lets us."""
        source = open_found(found)
        try:
            extended = attributes(found.path, source)
        finally:
            os.close(source)
        try:
            os.link(reuse.path, found.name, dst_dir_fd=folder, follow_symlinks=False)
        except OSError as error:
            if error.errno in _NO_LINK:
                return False
            raise
        self._linked.add(found.path)
        self._listing.add_file(found.path, found.stat, reuse.sha256, extended)
        return True

    def _fill(self, found: Found, source: int, made: int, known: str) -> None:
        try:
            extended = attributes(found.path, source)
            if self._sharing is not None and _shared(source, made, found):
                sha256, written = self._digest_of(found, made, known), 0
            else:
                sha256, written = copy_content(
                    source,
                    made,
                    found.stat,
                    self._crew.go_on,
                    hashed=self._digests,
                    beside=self._hashers,
                    put_away=self._put_away,
                )
            require_unchanged(found.path, found.stat, source)
            _set_facts(made, found.stat, extended, found.stat.st_mode & self._mode)
        except OSError as error:
            raise _writing_error(found.path, error) from error
        finally:
            os.close(source)
            os.close(made)
        self._written.append(written)
        self._listing.add_file(found.path, found.stat, sha256, extended)

    def _digest_of(self, found: Found, made: int, known: str) -> str:
        if known or not self._digests:
            return known
        return digest(made, found.stat.st_size, self._crew.go_on)


def _shared(source: int, made: int, found: Found) -> bool:
    """Share the file's blocks, if the two file systems let us."""
    if not found.stat.st_size:
        return False
    try:
        share_blocks(source, made)
    except OSError as error:
        if error.errno in CANNOT:
            return False
        raise
    return True


def _set_facts(made: int, facts: os.stat_result, extended: Attributes, mode: int) -> None:
    """Give attributes, mode and times; what runs as somebody else (setuid and the like) is never carried over,
    but for the set-group-ID bit that a shared place gives its folders."""
    for name, value in extended:
        os.setxattr(made, name, value)
    os.fchmod(made, mode)
    os.utime(made, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def _set_times(name: bytes, facts: os.stat_result, folder: int) -> None:
    os.utime(name, ns=(facts.st_atime_ns, facts.st_mtime_ns), dir_fd=folder, follow_symlinks=False)


def _identity(facts: os.stat_result) -> tuple[int, int]:
    return facts.st_dev, facts.st_ino


def _writing_error(path: bytes, error: OSError) -> StorageFailed:
    where = f"{shown(path)} cannot be copied" if path else "a copy cannot be finished"
    return storage_error(where, OSError(error.errno, error.strerror))
