"""Files that training wrote, opened beneath a trusted folder: no link followed, nothing but regular files."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

import msgspec

from ci_mlsnap.durable.faults import shown, storage_error
from ci_mlsnap.errors import MetricsInvalid, MlsnapError

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_FILES_AT_MOST = 1000
_DEEP_AT_MOST = 10
_PART = 1 << 20


class Beneath(msgspec.Struct, frozen=True, kw_only=True):
    """Looks for files below `roots`, and gives their bytes, never more than `max_bytes` of one.

    A link is followed in one case: when it names exactly another of the roots, as a view in a checkout does.
    What last changed before `since_ns` was not written by this training and counts as absent; that is the
    kernel's change time (`st_ctime_ns`), which no program can set back.
    """

    roots: Sequence[Path]
    max_bytes: int
    since_ns: int | None = None

    def read(self, root: Path, path: PurePosixPath) -> bytes | None:
        """Give the file's content; None when there is no such file of this training.

        Raises `MetricsInvalid` for a link, a FIFO, a device, an unreadable or too large file, `StorageFailed`.
        """
        folder = self._folder(root, path.parent)
        if folder is None:
            return None
        try:
            return self._content(folder, path)
        finally:
            os.close(folder)

    def listed(self, root: Path, path: PurePosixPath, wanted: Callable[[str], bool]) -> Iterator[PurePosixPath]:
        """Give the files below the folder `path` whose names are wanted, by name. Raises `MetricsInvalid`."""
        waiting, seen = [path], 0
        while waiting:
            inner = waiting.pop()
            names = self._names(root, inner, lambda entry: _is_folder(entry) or wanted(entry.name))
            seen += len(names)
            if seen > _FILES_AT_MOST or len(inner.parts) - len(path.parts) > _DEEP_AT_MOST:
                raise _too_many(path)
            waiting.extend(inner / name for name, is_folder in reversed(names) if is_folder)
            yield from (inner / name for name, is_folder in names if not is_folder)

    def matching(self, root: Path, path: PurePosixPath, pattern: str) -> Iterator[PurePosixPath]:
        """Give what is below `path` and fits the pattern, a `*` in a name standing for anything.

        The highest number first, as the newest has it: `version_10` before `version_9`. Raises `MetricsInvalid`.
        """
        name, _, rest = pattern.partition("/")
        names = [name]
        if "*" in name:
            start, inner = name.partition("*")[0], bool(rest)

            def fits(entry: os.DirEntry[str]) -> bool:
                # A model may have very many files: most are told by the start of their name.
                it = entry.name
                return it.startswith(start) and fnmatchcase(it, name) and _is_folder(entry) == inner

            found = self._names(root, path, fits)
            if len(found) > _FILES_AT_MOST:
                raise _too_many(path)
            names = sorted((it for it, _ in found), key=_natural, reverse=True)
        for it in names:
            if rest:
                yield from self.matching(root, path / it, rest)
            else:
                yield path / it

    def is_folder(self, root: Path, path: PurePosixPath) -> bool:
        """Tell whether a folder is there. Raises `MetricsInvalid` for a link, `StorageFailed`."""
        folder = self._folder(root, path)
        if folder is not None:
            os.close(folder)
        return folder is not None

    def _names(
        self, root: Path, path: PurePosixPath, wanted: Callable[[os.DirEntry[str]], bool]
    ) -> list[tuple[str, bool]]:
        """Give the wanted names in a folder, and whether each is a folder's; one more than are allowed at most."""
        folder = self._folder(root, path)
        if folder is None:
            return []
        found = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if wanted(entry):
                        found.append((entry.name, _is_folder(entry)))
                    if len(found) > _FILES_AT_MOST:
                        break
        except OSError as error:
            raise _unreadable(path, error) from error
        finally:
            os.close(folder)
        return sorted(found)

    def _folder(self, root: Path, path: PurePosixPath) -> int | None:
        """Open a folder below a root; None when it is not there. Raises `MetricsInvalid`, `StorageFailed`."""
        try:
            folder = os.open(root, _FOLDER)
        except OSError as error:
            _require_absent(PurePosixPath(root), error, is_link=root.is_symlink())
            return None
        for name in path.parts:
            try:
                inner = self._inner(folder, name, path)
            finally:
                os.close(folder)
            if inner is None:
                return None
            folder = inner
        return folder

    def _inner(self, folder: int, name: str, path: PurePosixPath) -> int | None:
        try:
            return os.open(name, _FOLDER, dir_fd=folder)
        except OSError as error:
            target = _link(folder, name)
            root = next((root for root in self.roots if str(root) == target), None)
            if root is not None:
                return self._folder(root, PurePosixPath())
            _require_absent(path, error, is_link=target is not None)
            return None

    def _content(self, folder: int, path: PurePosixPath) -> bytes | None:
        try:
            # Before opening: merely to open a device can do something.
            self._require_regular(path, os.stat(path.name, dir_fd=folder, follow_symlinks=False))
            file = os.open(path.name, _FILE, dir_fd=folder)
        except OSError as error:
            _require_absent(path, error, is_link=_link(folder, path.name) is not None)
            return None
        try:
            facts = os.fstat(file)
            self._require_regular(path, facts)
            if self.since_ns is not None and facts.st_ctime_ns < self.since_ns:
                return None
            return self._all(file, path)
        except OSError as error:
            raise _unreadable(path, error) from error
        finally:
            os.close(file)

    def _require_regular(self, path: PurePosixPath, facts: os.stat_result) -> None:
        if stat.S_ISLNK(facts.st_mode):
            raise refused(path, "it is a symbolic link, which is not followed", "write the file itself")
        if not stat.S_ISREG(facts.st_mode):
            raise refused(path, "it is no regular file", "write the metrics to a regular file")
        if facts.st_size > self.max_bytes:
            raise self._too_large(path)

    def _all(self, file: int, path: PurePosixPath) -> bytes:
        parts, size = [], 0
        # It may grow while it is read.
        while part := os.read(file, _PART):
            parts.append(part)
            size += len(part)
            if size > self.max_bytes:
                raise self._too_large(path)
        return b"".join(parts)

    def _too_large(self, path: PurePosixPath) -> MetricsInvalid:
        why = f"it is larger than {self.max_bytes >> 20} MiB"
        return refused(path, why, "write final values and curves only, and no predictions")


def refused(path: PurePosixPath, why: str, hint: str) -> MetricsInvalid:
    """Give the error for a file of metrics that is not taken; of the file only the escaped name is told."""
    return MetricsInvalid(
        f"the metrics in {shown(os.fsencode(path))} cannot be used",
        why=why,
        safe="nothing was snapshotted; the trained files are where they were",
        hint=hint,
    )


def _too_many(path: PurePosixPath) -> MetricsInvalid:
    return refused(path, "it holds too many files or too deep folders", f"keep {_FILES_AT_MOST} at most")


def _require_absent(path: PurePosixPath, error: OSError, *, is_link: bool) -> None:
    """Return when the error says that nothing is there; raise for anything else."""
    if is_link:
        raise refused(path, "a symbolic link is in its path, and is not followed", "write to a folder itself")
    if error.errno not in (errno.ENOENT, errno.ENOTDIR):
        raise _unreadable(path, error) from error


def _unreadable(path: PurePosixPath, error: OSError) -> MlsnapError:
    if error.errno in (errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG, errno.EISDIR):
        return refused(
            path, error.strerror or "it cannot be read", "let training write a file that this user can read"
        )
    return storage_error("the metrics cannot be read", error)


def _link(folder: int, name: str) -> str | None:
    with suppress(OSError):
        return os.readlink(name, dir_fd=folder)
    return None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def _natural(name: str) -> list[tuple[int, str]]:
    """Order names with numbers in them by these."""
    parts = re.split(r"([0-9]{1,18})", name)
    return [(int(part), "") if place % 2 else (0, part) for place, part in enumerate(parts)]
