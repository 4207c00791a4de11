"""Where the volumes' files really are: folders in the namespaces of the SVMs, and copies below `.snapshot`.

A volume's folder stands at its junction, as below an NFS mount of the SVM's root, and elsewhere while it has
none. Three things are not as over NFS: `.snapshot` is in the volume's root alone and not in each folder, it is
listed there as by NFSv3, and files below it can be written to by whoever owns them.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.ontap.emulator.values import Snapshot, Volume, new_uuid

SNAPSHOTS = ".snapshot"
_GONE = "No such file or directory"
_PLAIN = {**os.environ, "LC_ALL": "C"}
_AT_ONCE = 500


class Places:
    """The folders of all volumes below one root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._mounted: set[Path] = set()
        self._late: dict[str, Path] = {}
        self._built: dict[str, int] = {}
        for name in ("svm", "unmounted", "hidden", "building"):
            (root / name).mkdir(parents=True, exist_ok=True)

    def volume(self, volume: Volume) -> Path:
        """Give the folder of a volume's live tree: where it is mounted, if it is."""
        if volume.junction:
            return self.junction(volume.svm, volume.junction)
        return self.root / "unmounted" / volume.uuid

    def junction(self, svm: str, path: str) -> Path:
        """Give the folder that a path of an SVM's namespace is."""
        return self.root / "svm" / svm / path.lstrip("/")

    def snapshot(self, volume: Volume, snapshot: Snapshot) -> Path:
        """Give a snapshot's folder, whether readers can see it or not."""
        return self._late.get(snapshot.uuid) or self._snapshots(volume) / snapshot.name

    def make(self, volume: Volume) -> None:
        """Make the folder of a new volume; one that stands there is taken as the volume's content."""
        folder = self.volume(volume)
        folder.mkdir(parents=True, exist_ok=True)
        self._snapshots(volume).mkdir(parents=True, exist_ok=True)
        self._mounted.add(folder)

    def fill(self, volume: Volume, source: Path) -> None:
        """Give a new volume the content of another one's snapshot."""
        _copy(source, self.volume(volume))

    def move(self, volume: Volume, junction: str) -> None:
        """Mount a volume elsewhere, or nowhere."""
        before = self.volume(volume)
        volume.junction = junction
        after = self.volume(volume)
        after.parent.mkdir(parents=True, exist_ok=True)
        if after != before:
            if after.is_dir():
                after.rmdir()  # what a junction covers must be empty, as a mount point usually is
            before.rename(after)
            self._mounted = (self._mounted - {before}) | {after}

    def show(self, volume: Volume, *, shown: bool) -> None:
        """Let readers reach `.snapshot`, or not."""
        before = self._snapshots(volume)
        volume.snapshots_shown = shown
        if (after := self._snapshots(volume)) != before:
            before.rename(after)

    def take(self, volume: Volume, snapshot: Snapshot, source: Path | None = None) -> None:
        """Make a snapshot's folder, of the live tree or of `source`; readers see it once it has appeared."""
        built = self.root / "building" / new_uuid()
        _copy(source or self.volume(volume), built, only=volume.only)
        for inner in self._inside(volume):  # in a snapshot another volume's junction is an empty folder
            _remove(built / inner)
            (built / inner).mkdir()
        self._built[snapshot.uuid] = built.stat().st_ctime_ns
        self._late[snapshot.uuid] = built

    def appear(self, volume: Volume, snapshot: Snapshot) -> None:
        """Let readers see a snapshot, whole; it has been dropped meanwhile is fine."""
        if built := self._late.pop(snapshot.uuid, None):
            built.rename(self.snapshot(volume, snapshot))

    def altered(self, volume: Volume) -> list[Path]:
        """Find what was written to below `.snapshot`, where a real cluster would have refused it.

        A copy is older than the folder that it is in, whose facts are set last; any later change makes it newer.
        """
        found: list[Path] = []
        for snapshot in volume.snapshots.values():
            built = self._built[snapshot.uuid]
            for place, folders, files in os.walk(self.snapshot(volume, snapshot)):
                inside = (Path(place, name) for name in (*folders, *files))
                found += [path for path in inside if path.lstat().st_ctime_ns > built]
        return found

    def rename(self, volume: Volume, snapshot: Snapshot, name: str) -> None:
        """Give a snapshot's folder another name."""
        if snapshot.uuid not in self._late:
            folder = self.snapshot(volume, snapshot)
            folder.rename(folder.with_name(name))

    def renumber(self, snapshot: Snapshot, uuid: str) -> None:
        """Give a snapshot another identifier."""
        self._built[uuid] = self._built.pop(snapshot.uuid)
        snapshot.uuid = uuid

    def drop(self, volume: Volume, snapshot: Snapshot) -> None:
        """Let a snapshot's folder vanish at once, then remove it."""
        gone = self.root / "building" / new_uuid()
        self.snapshot(volume, snapshot).rename(gone)
        self._late.pop(snapshot.uuid, None)
        _remove(gone)

    def revert(self, volume: Volume, snapshot: Snapshot) -> None:
        """Make the live tree what the snapshot is; the folder itself stays, as a mount does."""
        folder = self.volume(volume)
        if volume.only or list(self._inside(volume)):
            raise NotImplementedError(
                "the emulator restores no volume that it copies in part or that holds another"
            )
        for name in _content(folder):
            _remove(folder / name)
        _copy(self.snapshot(volume, snapshot), folder)

    def clear(self, volume: Volume) -> None:
        """Remove a volume's files and snapshots."""
        self._mounted.discard(self.volume(volume))
        for folder in {self.volume(volume), self._snapshots(volume)}:
            _remove(folder)

    def used(self, volume: Volume) -> int:
        """Sum the bytes of the live tree."""
        total = 0
        for place, folders, files in os.walk(self.volume(volume)):
            if place == os.fspath(self.volume(volume)) and SNAPSHOTS in folders:
                folders.remove(SNAPSHOTS)
            total += sum(os.lstat(os.path.join(place, name)).st_blocks * 512 for name in files)
        return total

    def _inside(self, volume: Volume) -> Iterator[Path]:
        """Give the places within a volume where others are mounted."""
        folder = self.volume(volume)
        yield from (inner.relative_to(folder) for inner in self._mounted if folder in inner.parents)

    def _snapshots(self, volume: Volume) -> Path:
        return self.volume(volume) / SNAPSHOTS if volume.snapshots_shown else self.root / "hidden" / volume.uuid


def clone_file(source: Path, destination: Path) -> None:
    """Copy one file by sharing its blocks where that can be; the copy is as new as it is."""
    subprocess.run(
        ("cp", "--reflink=auto", "--preserve=mode,ownership", "--", source, destination),
        check=True,
        capture_output=True,
    )


def _content(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name != SNAPSHOTS]


def _copy(source: Path, destination: Path, *, only: str = "") -> None:
    """Copy what is in a folder, or `only` that of it, with the folder's own facts last.

    What a writer takes away meanwhile is not in the copy, as if it had been taken away before.
    Raises `subprocess.CalledProcessError`.
    """
    destination.mkdir(exist_ok=True)
    names = [name for name in _content(source) if only in {"", name}]
    for start in range(0, len(names), _AT_ONCE):
        some = [source / name for name in names[start : start + _AT_ONCE]]
        command: list[str | Path] = ["cp", "--archive", "--reflink=auto", "--target-directory", destination, "--"]
        done = subprocess.run([*command, *some], env=_PLAIN, capture_output=True, text=True, check=False)
        told = done.stderr.splitlines()
        if done.returncode and not (told and all(line.endswith(_GONE) for line in told)):
            raise subprocess.CalledProcessError(done.returncode, "cp", stderr=done.stderr)
    facts = source.stat()
    if os.geteuid() == 0:
        os.chown(destination, facts.st_uid, facts.st_gid)
    shutil.copystat(source, destination)


def _remove(tree: Path) -> None:
    """Remove a tree whatever the modes of its folders are; gone is fine."""
    if not tree.is_dir() or tree.is_symlink():
        tree.unlink(missing_ok=True)
        return
    tree.chmod(0o700)
    for place, folders, _ in os.walk(tree):
        for name in folders:
            if stat.S_ISDIR(os.lstat(os.path.join(place, name)).st_mode):
                os.chmod(os.path.join(place, name), 0o700)
    shutil.rmtree(tree)
