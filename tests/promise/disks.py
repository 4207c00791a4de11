"""Disks whose power can be cut: file systems in image files, kept as they were and brought back after the cut."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from ci_mlsnap.errors import MlsnapError
from ci_mlsnap.trees.syncfs import sync_file_system
from tests.conftest import FileSystem, LoopMount, _quiet, _tried, need
from tests.promise.faults import Cut, Fault, copy_sparse

_SIZE_MB = {"ext4": 16, "xfs": 300, "btrfs": 120}
_OPTIONS = {"ext4": "defaults", "xfs": "nouuid", "btrfs": "defaults"}
_FORGET_WHAT_IS_CACHED = 0x1261
CUTS: dict[FileSystem, tuple[Cut, ...]] = {
    "ext4": ("nothing", "names"),
    "xfs": ("nothing", "names"),
    "btrfs": ("image",),
}
"""How the power can be cut; btrfs has no call for that, but its image always holds what was made durable."""

PATIENCE = 2.0
"""Seconds to wait for a device to be free."""

__all__ = ["CUTS", "Disk", "LoopMount"]


@dataclass(kw_only=True)
class Disk:
    """A file system in a file; `root` is where it is mounted."""

    fs: FileSystem
    folder: Path
    _number: int = 0
    _device: str = ""
    _mounted: bool = False

    @property
    def root(self) -> Path:
        return self.folder / "disk"

    @property
    def image(self) -> Path:
        return self.folder / f"image-{self._number}"

    def __enter__(self) -> Self:
        maker = shutil.which(f"mkfs.{self.fs}", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        need(os.geteuid() == 0 and maker, f"needs root and mkfs.{self.fs}")
        self.root.mkdir()
        self.image.touch()
        os.truncate(self.image, _SIZE_MB[self.fs] << 20)
        _quiet(str(maker), "-q", str(self.image))
        self._attach()
        self.mount()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unmount()
        self._detach()

    def _attach(self) -> None:
        """Take a device of our own: one that `mount` makes may outlive the mount and be in the way of the next."""
        done = _tried("losetup", "--find", "--show", str(self.image))
        need(done.returncode == 0, f"needs loop devices: {done.stderr.strip()}")
        self._device = done.stdout.strip()

    def _detach(self) -> None:
        if self._device:
            _tried("losetup", "--detach", self._device)
        self._device = ""

    def mount(self) -> None:
        """Mount it; a log is replayed."""
        self._is_free()
        _quiet("mount", "-t", self.fs, "-o", _OPTIONS[self.fs], self._device, str(self.root))
        self._mounted = True

    def unmount(self) -> None:
        """Unmount it, if it is mounted; whether it is cannot be asked of a file system without power."""
        if not self._mounted:
            return
        with suppress(
            MlsnapError
        ):  # the power may be gone; and while another still has it mounted, nobody else would
            sync_file_system(self.root)
        _quiet("umount", str(self.root))
        self._mounted = False
        if not self._is_free():
            # Somebody's mount namespace, made meanwhile, still has it mounted: mounted again, it would be what the
            # kernel remembers and not what is on the disk.
            self._detach()
            before, self._number = self.image, self._number + 1
            copy_sparse(before, self.image)
            self._attach()

    def _is_free(self) -> bool:
        """Wait until the device is mounted nowhere and nothing of it is remembered; tell whether that came."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with suppress(OSError):
                device = os.open(self._device, os.O_RDONLY | os.O_EXCL)
                try:
                    fcntl.ioctl(device, _FORGET_WHAT_IS_CACHED)
                finally:
                    os.close(device)
                return True
            time.sleep(0.005)
        return False

    def keep(self) -> None:
        """Remember what is on it."""
        self.unmount()
        copy_sparse(self.image, self.folder / "kept")

    def bring_back(self) -> None:
        """Make it what was remembered."""
        self.unmount()
        copy_sparse(self.folder / "kept", self.image)
        self.mount()

    def cut(self, at: int, cut: Cut, forgotten: str = "") -> Fault:
        """Give the fault that cuts its power."""
        disk = (str(self.root), str(self.image), str(self.folder / "cut"))
        return Fault(at=at, kind="cut", cut=cut, disk=disk, forgotten=forgotten)

    def power_on(self, cut: Cut) -> None:
        """Mount what is on it after a cut."""
        self.unmount()
        if cut == "image":
            copy_sparse(self.folder / "cut", self.image)
        self.mount()


def memory_folder(otherwise: Path) -> Path:
    """Make a folder in memory, where there is room for it: a disk of memory answers at once."""
    shm = Path("/dev/shm")
    there = shm.is_dir() and os.access(shm, os.W_OK) and shutil.disk_usage(shm).free > 1 << 30
    return Path(tempfile.mkdtemp(prefix="mlsnap-disk-", dir=shm if there else otherwise))
