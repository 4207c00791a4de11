"""The driver of a volume that the emulated cluster has, and what tests do with it."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from ci_mlsnap.domain.manifest import Manifest
from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.ports import Frozen, Snapshot
from ci_mlsnap.storage.ontap import OntapDriver
from ci_mlsnap.storage.ontap_endpoint import NO_WISHES, Endpoint, Wishes
from ci_mlsnap.storage.ontap_file_clones import LARGE
from ci_mlsnap.storage.ontap_requests import Patience
from ci_mlsnap.testing.ground import FIRST, MODEL, PROJECT, manifest_of, marker_of, write
from tests.ontap.emulator.server import Emulator
from tests.ontap.emulator.values import Volume

QUICK = Patience(
    looking=30.0,
    job=30.0,
    between=0.01,
    first_poll=0.01,
    longest_poll=0.05,
    answer_within=0,
    fresh=0.0,
    timeouts=(20.0, 20.0),
)
"""Short pauses, for what goes well in the end."""
HASTY = replace(QUICK, looking=0.1, job=0.1, shown=0.1, timeouts=(5.0, 5.0))
"""And no time, for what does not."""
PASSWORD = "cluster-password"


def endpoint_of(emulator: Emulator, **changes: Any) -> Endpoint:
    """Give the cluster's endpoint with the administrator's login, known by its certificate."""
    given: dict[str, Any] = {
        "host": emulator.host,
        "port": emulator.port,
        "svm": "svm1",
        "user": "admin",
        "password": PASSWORD,
        "fingerprint": emulator.own.fingerprint,
    }
    return Endpoint(**(given | changes))


def driver_of(
    emulator: Emulator,
    volume: Volume,
    state: Path,
    *,
    endpoint: Endpoint | None = None,
    patience: Patience = QUICK,
    named: str = "models",
    large: int = LARGE,
    wishes: Wishes = NO_WISHES,
) -> OntapDriver:
    """Open the driver of a volume where it is mounted."""
    return OntapDriver(
        emulator.cluster.path(volume),
        state,
        "models",
        endpoint=endpoint or endpoint_of(emulator),
        volume=named,
        patience=patience,
        large=large,
        wishes=wishes,
    )


def filled(driver: OntapDriver, live: Path) -> Frozen:
    """Make the volume ours, fill it, and freeze it."""
    driver.initialise(project=PROJECT, model=MODEL)
    write(live, {"weights.bin": b"weights", "epoch/1/log.txt": b"loss 0.5\n"})
    return driver.freeze(live, parent=None, full=False, inventory=True)


def sealed(driver: OntapDriver, frozen: Frozen, name: SnapshotName = FIRST) -> Snapshot:
    """Seal what was frozen, under a name."""
    manifest = manifest_of(driver, name, frozen)
    return driver.seal(frozen, manifest, marker_of(name, manifest))


def sealed_without_a_walk(driver: OntapDriver, live: Path, name: SnapshotName = FIRST) -> Snapshot:
    """Freeze and seal with `files = "none"`."""
    frozen = driver.freeze(live, parent=None, full=False, inventory=False)
    header = msgspec.structs.replace(
        manifest_of(driver, name, frozen).header, files_mode="none", content_digest=""
    )
    manifest = Manifest(header=header)
    return driver.seal(frozen, manifest, marker_of(name, manifest))


def plant(emulator: Emulator, volume: Volume, name: str, tree: Path) -> None:
    """Have an administrator take a snapshot that holds a tree."""
    emulator.cluster.snapshot(volume, name)
    place = emulator.cluster.path(volume) / ".snapshot" / name
    if tree not in (emulator.cluster.path(volume), place):
        shutil.rmtree(place)
        shutil.copytree(tree, place, symlinks=True, ignore=shutil.ignore_patterns(".snapshot"))


def damage(file: Path) -> None:
    """Change a file's bytes, as nothing but a broken disk could: size and modification time stay."""
    facts = file.stat()
    with file.open("r+b") as opened:
        first = opened.read(1)
        opened.seek(0)
        opened.write(bytes([first[0] ^ 1]))
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))
