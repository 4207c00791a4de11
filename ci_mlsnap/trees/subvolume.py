"""Btrfs subvolumes through the kernel's own calls: made, frozen, looked at and destroyed in constant time.

The numbers and layouts are those of the kernel's `include/uapi/linux/btrfs.h`. No command is run, since starting
one takes longer than the snapshot; nothing here needs more rights than the owner of a subvolume has.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
from pathlib import Path

import msgspec

ROOT_INODE = 256
"""The inode of every subvolume's root."""

_MAGIC = 0x94
_WRITE, _READ = 1 << 30, 2 << 30
_ARGUMENTS = 4096
_LONGEST_NAME = 255


def _number(direction: int, number: int, size: int) -> int:
    return direction | size << 16 | _MAGIC << 8 | number


_SYNC = _number(0, 8, 0)
_DESTROY = _number(_WRITE, 15, _ARGUMENTS)
_SNAPSHOT = _number(_WRITE, 23, _ARGUMENTS)
_CREATE = _number(_WRITE, 24, _ARGUMENTS)
_GET_FLAGS = _number(_READ, 25, 8)
_SET_FLAGS = _number(_WRITE, 26, 8)
_INFO_SIZE = 504
_INFO = _number(_READ, 60, _INFO_SIZE)
_CHILDREN = _number(_READ | _WRITE, 61, _ARGUMENTS)

_READ_ONLY = 1 << 1
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_BTRFS = {errno.ENOTTY, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS}


class Subvolume(msgspec.Struct, frozen=True, kw_only=True):
    """What the kernel says of one. `created` is the transaction that made it, `changed` the last that changed
    anything in it.

    Neither a snapshot of it, nor a new name, nor its read-only flag counts as a change; a write that is not yet
    on the storage does not either (`sync`), while a new access time does.
    """

    uuid: str
    changed: int
    created: int
    read_only: bool


def look(path: Path) -> Subvolume | None:
    """Say what the subvolume at `path` is; None for anything else. Raises `OSError`."""
    try:
        folder = os.open(path, _FOLDER)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return None
        raise
    try:
        return _look(folder)
    finally:
        os.close(folder)


def _look(folder: int) -> Subvolume | None:
    if os.fstat(folder).st_ino != ROOT_INODE:
        return None
    facts, flags = bytearray(_INFO_SIZE), bytearray(8)
    try:
        fcntl.ioctl(folder, _INFO, facts)
        fcntl.ioctl(folder, _GET_FLAGS, flags)
    except OSError as error:
        if error.errno in _NO_BTRFS:
            return None
        raise
    # treeid u64, name[256], parent, dirid, generation, flags (u64 each), uuid, parent's, received (16 bytes
    # each), then the transactions of the last change and of the creation.
    return Subvolume(
        uuid=facts[296:312].hex(),
        changed=struct.unpack_from("=Q", facts, 344)[0],
        created=struct.unpack_from("=Q", facts, 352)[0],
        read_only=bool(struct.unpack("=Q", flags)[0] & _READ_ONLY),
    )


def create(path: Path) -> None:
    """Make an empty subvolume. Raises `OSError`, `FileExistsError`."""
    _at_name(path, _CREATE, _arguments(path, fd=0))


def snapshot(source: Path, path: Path) -> None:
    """Make a writable snapshot of a subvolume at `path`; what is in memory of the source is in it.

    Raises `OSError`: EPERM for somebody else's source, EXDEV across file systems, EINVAL for no subvolume,
    `FileExistsError`.
    """
    folder = os.open(source, _FOLDER)
    try:
        _at_name(path, _SNAPSHOT, _arguments(path, fd=folder))
    finally:
        os.close(folder)


def set_read_only(path: Path, *, read_only: bool) -> None:
    """Let nobody write to a subvolume, or let them again. Durable, unlike what was written to files before.

    Raises `OSError`.
    """
    folder = os.open(path, _FOLDER)
    try:
        flags = bytearray(struct.pack("=Q", _READ_ONLY if read_only else 0))
        fcntl.ioctl(folder, _SET_FLAGS, flags)
    finally:
        os.close(folder)


def destroy(path: Path) -> None:
    """Remove a subvolume with all that is in it, except other subvolumes; the space comes back a little later.

    A reader that has it open keeps what is open. Raises `OSError`: EPERM where the mount does not allow it
    (`user_subvol_rm_allowed`), ENOTEMPTY for one with a subvolume in it.
    """
    name = os.fsencode(path.name)
    arguments = bytearray(_ARGUMENTS)
    arguments[8 : 8 + len(name)] = name
    _at_name(path, _DESTROY, arguments)


def children(path: Path) -> int:
    """Count the subvolumes directly in this one, in constant time, up to 255. Raises `OSError`."""
    folder = os.open(path, _FOLDER)
    try:
        found = bytearray(_ARGUMENTS)
        try:
            fcntl.ioctl(folder, _CHILDREN, found)
        except OSError as error:
            if error.errno != errno.EOVERFLOW:  # more than one answer holds
                raise
        return found[8 + 255 * 16]
    finally:
        os.close(folder)


def free_space(path: Path) -> None:
    """Have the file system write everything out and start to give destroyed subvolumes' space back.

    Raises `OSError`.
    """
    folder = os.open(path, _FOLDER)
    try:
        fcntl.ioctl(folder, _SYNC)
    finally:
        os.close(folder)


def is_subvolume_root(facts: os.stat_result) -> bool:
    """Tell whether a folder's facts could be those of a subvolume's root."""
    return stat.S_ISDIR(facts.st_mode) and facts.st_ino == ROOT_INODE


def _arguments(path: Path, *, fd: int) -> bytearray:
    """Fill `btrfs_ioctl_vol_args_v2`: descriptor, transaction, flags (u64 each), 32 unused bytes, name."""
    name = os.fsencode(path.name)
    if len(name) > _LONGEST_NAME:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), os.fspath(path))
    arguments = bytearray(_ARGUMENTS)
    struct.pack_into("=qQQ", arguments, 0, fd, 0, 0)
    arguments[56 : 56 + len(name)] = name
    return arguments


def _at_name(path: Path, number: int, arguments: bytearray) -> None:
    """Do a call of the folder above that names the path. A `bytearray`, since Python refuses long `bytes`."""
    above = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(above, number, arguments)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None
    finally:
        os.close(above)
