"""Receipts on the storage: a folder for each run, a file for each host.

Whoever trains can write there, so what is read is taken for a stranger's: regular files without links, of bounded
size and number, each read strictly.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path

import msgspec

from ci_mlsnap.domain.receipts import Receipt
from ci_mlsnap.durable.atomic import make_folder, storage_errors, write_atomically
from ci_mlsnap.durable.faults import shown
from ci_mlsnap.errors import VolumeMissing

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_SIZE_AT_MOST = 16 << 10
_FILES_AT_MOST = 4096
_SUFFIX = ".json"


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """What lies in a run's folder: the receipts that can be read, and of the rest, why not."""

    receipts: tuple[Receipt, ...]
    unread: tuple[str, ...] = ()


def folder_of(out: Path, run_id: str) -> Path:
    """Give where a run's receipts go, below the folder that training may write to beside the model."""
    return out / "receipts" / run_id


def leave(folder: Path, receipt: Receipt) -> Path:
    """Put a host's receipt there, durably, in place of an earlier one; give its path.

    Raises `VolumeMissing` where the run's own folder is not seen, so that nothing is made in a place that looks
    like it on another disk; `StorageFailed`.
    """
    if not folder.parent.parent.is_dir():
        raise VolumeMissing(
            f"the folder for receipts is not seen here: {shown(os.fsencode(folder))}",
            why="the run's folder was not found on this host",
            safe="all files were written to the storage; only the receipt is missing",
            hint="mount the store on this host at the same path, as the volume is",
        )
    make_folder(folder)
    name = hashlib.sha256(receipt.boot.encode()).hexdigest()[:32]
    path = folder / f"{name}{_SUFFIX}"
    write_atomically(path, msgspec.json.encode(receipt) + b"\n")
    return path


def read(out: Path, run_id: str) -> Left:
    """Give what other hosts left for a run; nothing there is no receipt. Never follows a link, never hangs.

    Raises `StorageFailed`.
    """
    with storage_errors("the receipts cannot be read"):
        folder = _open_below(out, folder_of(out, run_id))
        if folder is None:
            return Left(receipts=())
        try:
            names = sorted(name for name in os.listdir(folder) if name.endswith(_SUFFIX))
            found = [(name, _read(folder, name)) for name in names[:_FILES_AT_MOST]]
        finally:
            os.close(folder)
    receipts = tuple(it for _, it in found if isinstance(it, Receipt))
    unread = tuple(f"{shown(os.fsencode(name))} {why}" for name, why in found if isinstance(why, str))
    return Left(receipts=receipts, unread=unread)


def _open_below(top: Path, folder: Path) -> int | None:
    """Open a folder, each part relative to the one above, so that no link is followed; None when there is none."""
    try:
        descriptor = os.open(top, _FOLDER)
        for name in folder.relative_to(top).parts:
            try:
                inner = os.open(name, _FOLDER, dir_fd=descriptor)
            finally:
                os.close(descriptor)
            descriptor = inner
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return None
    return descriptor


def _read(folder: int, name: str) -> Receipt | str:
    try:
        if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            return "is no regular file"
        with open(os.open(name, _FILE, dir_fd=folder), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return "is no regular file"
            data = file.read(_SIZE_AT_MOST + 1)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if len(data) > _SIZE_AT_MOST:
        return "is too large for a receipt"
    try:
        return msgspec.json.decode(data, type=Receipt)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return "is no receipt"
