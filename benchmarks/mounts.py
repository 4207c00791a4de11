"""File systems that a benchmark makes for itself: an image each, mounted by loop, unmounted whatever happens."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

FileSystem = Literal["btrfs", "xfs"]

# A kernel that gives freed blocks back to the image in the background would do so in somebody's measurement.
_OPTIONS = {"btrfs": "loop,nodiscard", "xfs": "loop"}
_SYSTEM_FOLDERS = "/usr/sbin:/sbin"


class NotMeasured(Exception):
    """Why something cannot be measured here; the table says it in its row."""


@dataclass(frozen=True, kw_only=True)
class Images:
    """Where images lie: in memory, where an `fsync` waits for no disk, or in a folder on one."""

    folder: Path
    in_memory: bool

    @property
    def told(self) -> str:
        """The place as the table says it."""
        return "images of loop mounts in memory (tmpfs)" if self.in_memory else "images of loop mounts on the disk"


@contextmanager
def images_below(scratch: Path, *, gib: int, on_disk: bool) -> Iterator[Images]:
    """Give a place for images: in memory where `gib` are free and we may, unless the disk is asked for."""
    folder = scratch / "images"
    folder.mkdir()
    in_memory = not on_disk and _free_memory() >= gib << 30 and _mounted_in_memory(folder, gib)
    try:
        yield Images(folder=folder, in_memory=in_memory)
    finally:
        if in_memory:
            unmount(folder)


@contextmanager
def file_system(images: Images, kind: FileSystem, *, gib: int) -> Iterator[Path]:
    """Make a file system of this size, and give its root. Raises `NotMeasured` where that cannot be done."""
    image, root = images.folder / f"{kind}.img", images.folder / kind
    maker = shutil.which(f"mkfs.{kind}", path=f"{os.environ.get('PATH', '')}:{_SYSTEM_FOLDERS}")
    if os.geteuid() != 0:
        raise NotMeasured("needs root")
    if maker is None:
        raise NotMeasured(f"mkfs.{kind} is not installed")
    try:
        with image.open("wb") as file:
            file.truncate(gib << 30)
        root.mkdir()
        _require(maker, "-q", image)
        _require("mount", "-t", kind, "-o", _OPTIONS[kind], image, root)
        try:
            yield root
        finally:
            unmount(root)
    finally:
        if root.is_dir() and not os.path.ismount(root):
            root.rmdir()
        image.unlink(missing_ok=True)


def unmount(root: Path) -> None:
    """Unmount, also what somebody still uses: it then goes with its last user."""
    if _tried(("umount", root)).returncode != 0 and os.path.ismount(root):
        _tried(("umount", "--lazy", root))


def _mounted_in_memory(folder: Path, gib: int) -> bool:
    # The limit only guards the machine: what is not written takes no memory.
    return _tried(("mount", "-t", "tmpfs", "-o", f"size={gib}g,mode=700", "tmpfs", folder)).returncode == 0


def _free_memory() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) << 10
    return 0


def _require(*command: str | Path) -> None:
    done = _tried(command)
    if done.returncode != 0:
        raise NotMeasured(f"{Path(command[0]).name} fails: {done.stderr.strip()[:200]}")


def _tried(command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    words = [os.fspath(part) for part in command]
    try:
        return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        return subprocess.CompletedProcess(words, 127, "", str(error))
