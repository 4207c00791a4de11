"""The bare snapshot: a Python process that makes the kernel's call and nothing else; it imports nothing of ours.

Called as `python bare_snapshot.py SUBVOLUME NEW_PLACE`.
"""

import fcntl
import os
import struct
import sys
from pathlib import Path

SNAP_CREATE_V2 = 0x50009417
"""`include/uapi/linux/btrfs.h`: `_IOW(0x94, 23, struct btrfs_ioctl_vol_args_v2)`."""


def snapshot(source: Path, place: Path) -> None:
    """Make a writable snapshot: the name is in a folder, the subvolume is a descriptor."""
    above = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY)
    subvolume = os.open(source, os.O_RDONLY | os.O_DIRECTORY)
    arguments = bytearray(4096)
    struct.pack_into("=q48x4040s", arguments, 0, subvolume, os.fsencode(place.name))
    fcntl.ioctl(above, SNAP_CREATE_V2, arguments)
    os.close(subvolume)
    os.close(above)


if __name__ == "__main__":
    snapshot(Path(sys.argv[1]), Path(sys.argv[2]))
