"""The driver of ONTAP volumes keeps the contract, on a cluster that obeys ONTAP's rules."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.storage.ontap import OntapDriver
from ci_mlsnap.storage.ontap_api import Patience
from ci_mlsnap.storage.ontap_endpoint import Endpoint
from ci_mlsnap.testing import DriverContract, DriverUnderTest
from tests.ontap.emulator.server import Emulator
from tests.ontap.emulator.values import Volume

QUICK = Patience(looking=1.0, job=5.0, between=0.01, first_poll=0.01, longest_poll=0.05, timeouts=(2.0, 5.0))


def plant(emulator: Emulator, volume: Volume, name: str, tree: Path) -> None:
    """Have an administrator take a snapshot that holds a tree."""
    emulator.cluster.snapshot(volume, name)
    place = emulator.cluster.path(volume) / ".snapshot" / name
    tree = tree if tree != emulator.cluster.path(volume) else place
    if tree == place:
        return
    shutil.rmtree(place)
    shutil.copytree(tree, place, symlinks=True, ignore=shutil.ignore_patterns(".snapshot"))


def damage(file: Path) -> None:
    """Change a file's bytes, as nothing but a broken disk could."""
    facts = file.stat()
    with file.open("r+b") as opened:
        first = opened.read(1)
        opened.seek(0)
        opened.write(bytes([first[0] ^ 0xFF]))
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))


class TestOntap(DriverContract):
    @pytest.fixture
    def driver(self, emulator: Emulator, models: Volume, tmp_path: Path) -> DriverUnderTest:
        live, scratch = emulator.cluster.path(models), tmp_path / "scratch"
        scratch.mkdir()
        endpoint = Endpoint(
            host=emulator.host,
            port=emulator.port,
            svm="svm1",
            user="admin",
            password="cluster-password",
            fingerprint=emulator.own.fingerprint,
        )

        def reopen() -> OntapDriver:
            return OntapDriver(
                live, tmp_path / "state", "models", endpoint=endpoint, volume="models", patience=QUICK
            )

        def damaged(name: SnapshotName, path: str) -> None:
            damage(live / ".snapshot" / str(name) / path)

        return DriverUnderTest(
            driver=reopen(),
            live=live,
            scratch=scratch,
            ground=tmp_path,
            reopen=reopen,
            plant=lambda name, tree: plant(emulator, models, name, tree),
            damage=damaged,
        )
