"""The driver of ONTAP volumes keeps the contract, on a cluster that obeys ONTAP's rules."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from ci_mlsnap.testing import DriverContract, DriverUnderTest
from tests.ontap.emulator.server import Emulator
from tests.ontap.emulator.values import Volume
from tests.ontap.mounted import damage, driver_of, plant


class TestOntap(DriverContract):
    @pytest.fixture
    def driver(self, emulator: Emulator, models: Volume, tmp_path: Path) -> DriverUnderTest:
        live, scratch = emulator.cluster.path(models), tmp_path / "scratch"
        scratch.mkdir()
        reopen = partial(driver_of, emulator, models, tmp_path / "state")
        return DriverUnderTest(
            driver=reopen(),
            live=live,
            scratch=scratch,
            ground=tmp_path,
            reopen=reopen,
            plant=partial(plant, emulator, models),
            damage=lambda name, path: damage(live / ".snapshot" / str(name) / path),
        )
