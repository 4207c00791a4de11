"""A running emulator with one mounted volume, and the real library's connection to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ontap.emulator.server import Emulator
from tests.ontap.emulator.values import Volume
from tests.ontap.library import connected
from tests.ontap.strictness import require_true_to_models
from tests.promise.launching import Launcher


@pytest.fixture(scope="session")
def launcher() -> Iterator[Launcher]:
    """Give the process that has all loaded and forks for each command."""
    with Launcher() as launcher:
        yield launcher


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Emulator]:
    """Give a running cluster without volumes; at the end its answers are held against the library's models."""
    with Emulator(tmp_path / "cluster") as running:
        yield running
    assert running.mistakes == []
    require_true_to_models(running.exchanges)


@pytest.fixture
def models(emulator: Emulator) -> Volume:
    """Give a volume that is mounted at `/models`."""
    return emulator.cluster.add_volume("models", junction="/models")


@pytest.fixture
def connection(emulator: Emulator) -> Iterator[Any]:
    """Give the library's connection of the cluster's administrator."""
    login = {"username": "admin", "password": "cluster-password"}
    with connected(emulator.host, emulator.port, emulator.own.certificate, **login) as made:
        yield made
        made.session.close()


@pytest.fixture
def untouched(emulator: Emulator) -> Iterator[None]:
    """Fail a test that wrote anything into a snapshot, which a real cluster would have refused."""
    yield
    for volume in emulator.cluster.volumes.values():
        assert emulator.cluster.places.altered(volume) == []
