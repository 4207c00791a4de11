"""Share a file's blocks with another file until one of them is written to (FICLONE)."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

_FICLONE = 0x40049409
"""`include/uapi/linux/fs.h`: `_IOW(0x94, 9, int)`."""

CANNOT = frozenset((errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM))
"""Why blocks are not shared: not on this file system, not between these two files."""


def share_blocks(source: int, destination: int) -> None:
    """Make the open file `destination` what `source` is, without copying. Raises `OSError`, see `CANNOT`."""
    fcntl.ioctl(destination, _FICLONE, source)


def can_share_blocks(folder: Path) -> bool:
    """Tell, by trying it with two files that have no name, whether files below the folder can share blocks."""
    try:
        source, destination = (os.open(folder, os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, 0o600) for _ in range(2))
    except OSError:
        return False
    try:
        os.write(source, b"tried")
        share_blocks(source, destination)
        return os.pread(destination, 5, 0) == b"tried"
    except OSError:
        return False
    finally:
        os.close(source)
        os.close(destination)
