"""A disk in memory for a whole run of the suite.

A real disk takes milliseconds for each `fsync`, and a run of `mlsnap` makes dozens: tests that ask nothing of it
would wait for it most of their time. It is a file system as on disks, since those of memory lack what the product
needs. It is mounted in a namespace of this run, so that nothing is left of it whatever ends the run.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

_MEMORY = Path("/dev/shm")
_ROOM = 4 << 30
"""What must be free; the suite needs less than a quarter of it."""
_SIZE = 16 << 30
"""The disk's size, of which only what is written takes memory."""
_NEW_MOUNT_NAMESPACE = 0x20000


def move_to_quick_disk() -> str:
    """Have temporary files of this process and its children on a disk in memory; give its folder.

    Gives nothing, and changes nothing, where that cannot be or somebody chose a place (`TMPDIR`).
    """
    if os.geteuid() != 0 or "TMPDIR" in os.environ or not _has_room():
        return ""
    folder = tempfile.mkdtemp(prefix="t-")
    try:
        _mount(folder)
    except (OSError, subprocess.SubprocessError):
        os.rmdir(folder)
        return ""
    os.chmod(folder, 0o1777)
    os.environ["TMPDIR"] = folder
    tempfile.tempdir = None  # what was found before
    return folder


def leave_quick_disk(folder: str) -> None:
    """Unmount the disk, which is then gone."""
    del os.environ["TMPDIR"]
    tempfile.tempdir = None
    _quietly("umount", "--lazy", folder)
    os.rmdir(folder)


def _has_room() -> bool:
    return _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM


def _mount(folder: str) -> None:
    """Raises `OSError` or `SubprocessError` where this process may not, or a tool is missing."""
    if ctypes.CDLL(None, use_errno=True).unshare(_NEW_MOUNT_NAMESPACE) != 0:
        raise OSError(ctypes.get_errno(), "no mount namespace")
    _quietly("mount", "--make-rprivate", "/")
    handle, image = tempfile.mkstemp(dir=_MEMORY)
    try:
        os.truncate(handle, _SIZE)
        _quietly("mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", "-E", "nodiscard", image)
        _quietly("mount", "-t", "ext4", "-o", "loop,noinit_itable", image, folder)
    finally:
        os.close(handle)
        os.unlink(image)  # the disk lives as long as it is mounted


def _quietly(*command: str) -> None:
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    subprocess.run(command, env={**os.environ, "PATH": path}, capture_output=True, check=True)
