"""What the contract's tests stand on: sample trees, an eye that is independent of the drivers, and publishing."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from ci_mlsnap.domain.gates import Verdict
from ci_mlsnap.domain.manifest import Manifest, ManifestHeader, digest_of, encode
from ci_mlsnap.domain.names import Marker, SnapshotName
from ci_mlsnap.ports import Driver, Frozen, Snapshot

PROJECT = "example/digits"
MODEL = "digits"
FIRST, SECOND, THIRD = (SnapshotName(sha=digit * 40) for digit in "1ab")

Facts = tuple[object, ...]


@dataclass(frozen=True, kw_only=True)
class DriverUnderTest:
    """A driver on fresh storage, not yet initialised, and what only the driver's own tests can do to it.

    `live` is the volume's path, `scratch` a folder on the same storage, `ground` holds all files of the storage,
    `reopen` gives a second object on it, as another process would have. `plant` puts a copy of a folder under a
    native snapshot name behind the driver's back; `damage` changes the bytes of a file in a snapshot, but
    neither its size nor its modification time; a path in `.mlsnap` reaches the manifest.
    """

    driver: Driver
    live: Path
    scratch: Path
    ground: Path
    reopen: Callable[[], Driver]
    plant: Callable[[str, Path], None]
    damage: Callable[[SnapshotName, str], None]


@dataclass(frozen=True, kw_only=True)
class DataUnderTest:
    """A driver that was opened for data: the volume at `live` is there already, and is its owner's.

    `ground` holds all files of the storage, `reopen` gives a second object on it. `plant` makes a copy of a folder
    a snapshot of the owner's; of two, the second is the newer one, and its name says so too.
    """

    driver: Driver
    live: Path
    ground: Path
    reopen: Callable[[], Driver]
    plant: Callable[[str, Path], None]


# -- publishing ----------------------------------------------------------------------------------------


def manifest_of(driver: Driver, name: SnapshotName, frozen: Frozen, *, sequence: int = 1) -> Manifest:
    """Give the manifest that a run would make of a frozen tree."""
    header = ManifestHeader(
        format="mlsnap/manifest/1",
        name=str(name),
        volume="models",
        volume_id=driver.volume_id,
        members=("models",),
        project=PROJECT,
        model=MODEL,
        commit=name.sha,
        tree="4" * 40,
        sequence=sequence,
        created="2026-01-02T03:04:05+00:00",
        verdict=Verdict(good=True),
        files_mode="changed",
        files=frozen.inventory.files,
        bytes=frozen.inventory.bytes,
        content_digest=frozen.inventory.content_digest,
        tool="mlsnap 0",
    )
    return Manifest(header=header, entries=frozen.inventory.entries)


def marker_of(name: SnapshotName, manifest: Manifest) -> Marker:
    """Give the marker that belongs to a manifest."""
    return Marker(project=PROJECT, model=MODEL, name=name, digest=digest_of(encode(manifest)))


def publish(
    driver: Driver,
    source: Path,
    name: SnapshotName,
    *,
    parent: SnapshotName | None = None,
    full: bool = False,
    sequence: int = 1,
) -> tuple[Snapshot, Frozen]:
    """Freeze a tree and seal it under the name."""
    frozen = driver.freeze(source, parent=parent, full=full, inventory=True)
    manifest = manifest_of(driver, name, frozen, sequence=sequence)
    return driver.seal(frozen, manifest, marker_of(name, manifest)), frozen


def pin(driver: Driver, live: Path, name: SnapshotName, *, sequence: int = 1) -> Snapshot:
    """Freeze a data volume and seal it under the name, as a run does before it trains."""
    frozen = driver.freeze(live, parent=None, full=False, inventory=False)
    header = replace(
        manifest_of(driver, name, frozen, sequence=sequence).header,
        volume="images",
        members=("images",),
        model="",
        files_mode="none",
        content_digest="",
        data_state=frozen.state,
    )
    manifest = Manifest(header=header)
    marker = Marker(project=PROJECT, model="", name=name, digest=digest_of(encode(manifest)))
    return driver.seal(frozen, manifest, marker)


# -- sample trees --------------------------------------------------------------------------------------


def write(root: Path, files: dict[str, bytes]) -> None:
    """Write files below a folder, with the folders they need."""
    for name, content in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def write_sample(root: Path) -> None:
    """Fill a folder with one of everything that a snapshot must carry."""
    write(
        root,
        {"weights.bin": bytes(range(256)) * 300, "epoch/1/log.txt": b"loss 0.5\n", "-rf": b"dash", "a\nb": b""},
    )
    (root / os.fsdecode(b"caf\xe9")).write_bytes(b"latin-1")
    (root / "empty").mkdir()
    (root / "latest").symlink_to("epoch/1/log.txt")
    (root / "epoch/back").symlink_to("../weights.bin")
    os.link(root / "weights.bin", root / "epoch/weights-again.bin")
    (root / "script.sh").write_bytes(b"#!/bin/sh\n")
    (root / "script.sh").chmod(0o750)
    (root / "private").write_bytes(b"for the owner")
    (root / "private").chmod(0o600)
    with (root / "sparse").open("wb") as file:
        file.truncate(4 << 20)
        file.seek(2 << 20)
        file.write(b"an island")
    _give_attribute(root / "weights.bin")
    for number, path in enumerate(sorted(root.rglob("*"), reverse=True)):
        os.utime(path, ns=(1, 1_700_000_000_123_456_789 + number), follow_symlinks=False)


def _give_attribute(path: Path) -> None:
    try:
        os.setxattr(path, "user.origin", b"sample\0\xff")
    except OSError as error:
        if error.errno != errno.ENOTSUP:  # a file system without them has none to lose
            raise


# -- the independent eye -------------------------------------------------------------------------------


def look(root: Path, *, write_bits: bool = True) -> dict[str, Facts]:
    """Give all that a version must bring back, by path; without `write_bits` modes are compared without them."""
    first: dict[int, str] = {}
    mask = 0o777 if write_bits else 0o555
    return {name: _facts(root / name, name, first, mask) for name in sorted(_names(root, ""))}


def _names(root: Path, below: str) -> Iterator[str]:
    with os.scandir(root / below) as found:
        for entry in found:
            if not below and entry.name in (".mlsnap", ".snapshot"):
                continue
            name = f"{below}/{entry.name}" if below else entry.name
            yield name
            if entry.is_dir(follow_symlinks=False):
                yield from _names(root, name)


def _facts(path: Path, name: str, first: dict[int, str], mask: int) -> Facts:
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        return "link", found.st_mtime_ns, str(path.readlink())
    if stat.S_ISDIR(found.st_mode):
        return "dir", found.st_mode & mask, found.st_mtime_ns
    content = path.read_bytes()
    same_as = first.setdefault(found.st_ino, name) if found.st_nlink > 1 else name
    attributes = tuple((key, os.getxattr(path, key)) for key in _attributes(path))
    sparse = found.st_blocks * 512 < found.st_size // 2
    facts = (found.st_mode & mask, found.st_mtime_ns, len(content), hashlib.sha256(content).hexdigest())
    return "file", *facts, same_as, attributes, sparse


def _attributes(path: Path) -> list[str]:
    with suppress(OSError):
        return sorted(name for name in os.listxattr(path) if name.startswith("user."))
    return []


def every_stat(root: Path) -> dict[str, Facts]:
    """Give each file's and folder's inode, mode, size and times, links not followed: the trace of any write."""
    return {
        str(path.relative_to(root)): (
            (found := path.lstat()).st_ino,
            found.st_mode,
            found.st_size,
            found.st_mtime_ns,
            found.st_ctime_ns,
        )
        for path in (root, *root.rglob("*"))
    }
