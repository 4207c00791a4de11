"""What the contract's tests do to volumes and trees."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest

from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.errors import StorageFailed
from ci_mlsnap.ports import Frozen, Snapshot
from ci_mlsnap.testing.ground import (
    FIRST,
    MODEL,
    PROJECT,
    DriverUnderTest,
    Facts,
    every_stat,
    publish,
    write,
    write_sample,
)

NOTHING = SnapshotName(sha="9" * 40)


def ready(driver: DriverUnderTest) -> str:
    """Make the volume, fill it with the sample, and give its id."""
    made = driver.driver.initialise(project=PROJECT, model=MODEL)
    write_sample(driver.live)
    return made


def published(driver: DriverUnderTest) -> tuple[Snapshot, Frozen]:
    """Publish the sample as the first version."""
    ready(driver)
    return publish(driver.driver, driver.live, FIRST)


def names_in(folder: int) -> list[str]:
    """Give the names in an open folder."""
    with os.scandir(folder) as found:
        return sorted(entry.name for entry in found)


def refuses(driver: DriverUnderTest, way: Literal["swap", "sync"] | None) -> bool:
    """Tell whether the driver can't restore this way, and hold that it says so and changes nothing."""
    if way != "swap" or driver.driver.capabilities.swap:
        return False
    before = every_stat(driver.live)
    with pytest.raises(StorageFailed):
        driver.driver.restore(FIRST, driver.live, way=way)
    assert every_stat(driver.live) == before
    return True


def stat_of_live(driver: DriverUnderTest) -> dict[str, Facts]:
    """Give the trace of any write to the live tree, but for our own folder where manifests go through it."""
    own = () if driver.driver.capabilities.apart else (".mlsnap", ".snapshot")
    return {name: facts for name, facts in every_stat(driver.live).items() if name.split("/")[0] not in own}


def folder_of(driver: DriverUnderTest, files: dict[str, bytes]) -> Path:
    """Make a folder of somebody's with these files."""
    folder = driver.scratch / "a-folder"
    write(folder, files)
    return folder


def rewrite_unseen(file: Path) -> None:
    """Change a file's content so that neither size nor modification time tell."""
    found = file.stat()
    with file.open("r+b") as opened:
        opened.write(b"UNSEEN")
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))


def part(file: Path) -> None:
    """Make one name of a file a file of its own, with the same facts."""
    beside = file.with_name("beside")
    shutil.copy2(file, beside)
    os.utime(beside, ns=(1, file.stat().st_mtime_ns))
    folder = file.parent.stat()
    beside.replace(file)
    os.utime(file.parent, ns=(1, folder.st_mtime_ns))


def upset(tree: Path) -> None:
    """Change, remove, add, and make one kind of thing another."""
    write(tree, {"weights.bin": b"changed", "extra/deep/file": b"x"})
    (tree / "script.sh").chmod(0o700)
    (tree / "empty").rmdir()
    (tree / "empty").write_bytes(b"a file now")
    (tree / "private").unlink()
    (tree / "private").mkdir()
    (tree / "latest").unlink()
    (tree / "latest").symlink_to("weights.bin")
    (tree / "epoch/weights-again.bin").unlink()
    (tree / "-rf").unlink()
    os.utime(tree / "epoch", ns=(7, 7))


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


@contextmanager
def hostile(tree: Path, thing: str) -> Iterator[None]:
    """Have something in the tree that no snapshot can carry."""
    bad = tree / "bad"
    match thing:
        case "fifo":
            os.mkfifo(bad)
        case "socket":
            _leave_socket(bad)
        case "absolute link":
            bad.symlink_to("/etc/passwd")
        case "link out":
            bad.symlink_to("epoch/../../outside")
        case _:
            (tree / "inner").symlink_to("epoch")
            bad.symlink_to("inner/../../outside")
    try:
        yield
    finally:
        bad.unlink()
        (tree / "inner").unlink(missing_ok=True)


def _leave_socket(path: Path) -> None:
    # A socket's path may have 107 bytes, which a test's folder may need already: it is bound by a short name.
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)
