"""Copy a tree whole, with everything a snapshot carries, and take its inventory in the same pass."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ci_mlsnap.domain.manifest import Inventory
from ci_mlsnap.durable.faults import shown, storage_error
from ci_mlsnap.errors import StorageFailed, TreeUnsupported
from ci_mlsnap.trees.crew import HANDS, Crew
from ci_mlsnap.trees.files import Attributes, attributes, copy_content, open_found, require_unchanged
from ci_mlsnap.trees.folders import Folders
from ci_mlsnap.trees.listing import KnownFile, Listing
from ci_mlsnap.trees.remove import remove_tree
from ci_mlsnap.trees.walk import Found, walk

_NO_LINK = {errno.EMLINK, errno.EXDEV, errno.ENAMETOOLONG, errno.EPERM, errno.ENOENT, errno.EOPNOTSUPP}
"""Why a file that could be shared is copied instead: too many links, another's file, gone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reuse:
    """A file that may be linked instead of copied, while the source still has the facts of `known`."""

    path: Path
    known: KnownFile

    @property
    def sha256(self) -> str:
        """The digest of the content."""
        return self.known.sha256


@dataclass(frozen=True, kw_only=True)
class Copied:
    """What a copy made: its inventory, the bytes written, and the source's facts for the next time.

    `linked` are the paths that share their file with what was reused.
    """

    inventory: Inventory
    copied_bytes: int
    known: Mapping[bytes, KnownFile]
    linked: frozenset[bytes]


_NO_REUSE: Mapping[bytes, Reuse] = {}


def copy_tree(
    source: Path,
    destination: Path,
    *,
    reuse: Mapping[bytes, Reuse] = _NO_REUSE,
    digests: bool = True,
    put_away: bool = False,
) -> Copied:
    """Copy `source` to `destination`, which must not exist; on any failure nothing is left of it.

    Without `digests` the entries of copied files have none. `put_away` says that nobody reads the copy soon:
    large files then leave the memory early. The copy is not yet durable: `sync_file_system`.
    Raises `TreeUnsupported`, `LinkEscapes`, `LateWriter` for a file that changed while it was copied,
    `VolumeMissing`, `StorageFull`, `StorageReadOnly`, `StorageFailed`.
    """
    try:
        os.mkdir(destination, 0o700)
    except OSError as error:
        raise storage_error("a copy cannot be made", error) from error
    try:
        with Folders(destination) as target, Folders(destination) as firsts:
            with ThreadPoolExecutor(HANDS) as hashers, Crew() as crew:
                copy = _Copy(target, firsts, crew, reuse, hashers, digests=digests, put_away=put_away)
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
        *,
        digests: bool,
        put_away: bool,
    ) -> None:
        self._target = target
        self._firsts = firsts
        self._crew = crew
        self._reuse = reuse
        self._hashers = hashers
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
            _set_facts(folder, facts, extended, keep=os.fstat(folder).st_mode & 0o2000)
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
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            made = os.open(found.name, flags, 0o600, dir_fd=folder)
        except BaseException:
            os.close(source)
            raise
        self._crew.do(partial(self._fill, found, source, made), found.stat.st_size)

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

    def _fill(self, found: Found, source: int, made: int) -> None:
        try:
            extended = attributes(found.path, source)
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
            _set_facts(made, found.stat, extended)
        except OSError as error:
            raise _writing_error(found.path, error) from error
        finally:
            os.close(source)
            os.close(made)
        self._written.append(written)
        self._listing.add_file(found.path, found.stat, sha256, extended)


def _set_facts(made: int, facts: os.stat_result, extended: Attributes, *, keep: int = 0) -> None:
    """Give mode, attributes and times; what runs as somebody else (setuid and the like) is never carried over.

    `keep` is the set-group-ID bit that a shared place gives its folders.
    """
    for name, value in extended:
        os.setxattr(made, name, value)
    os.fchmod(made, facts.st_mode & 0o777 | keep)
    os.utime(made, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def _set_times(name: bytes, facts: os.stat_result, folder: int) -> None:
    os.utime(name, ns=(facts.st_atime_ns, facts.st_mtime_ns), dir_fd=folder, follow_symlinks=False)


def _identity(facts: os.stat_result) -> tuple[int, int]:
    return facts.st_dev, facts.st_ino


def _writing_error(path: bytes, error: OSError) -> StorageFailed:
    where = f"{shown(path)} cannot be copied" if path else "a copy cannot be finished"
    return storage_error(where, OSError(error.errno, error.strerror))
