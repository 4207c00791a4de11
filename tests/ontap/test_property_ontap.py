"""Any history of an ONTAP volume, held against the model that those of local volumes are held against.

Processes end before any effect and before and after any request; administrators take snapshots; bits rot.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from ci_mlsnap import errors
from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.storage.ontap_connection import Connection, Reply
from ci_mlsnap.testing import DriverUnderTest
from ci_mlsnap.testing.ground import manifest_of, marker_of
from tests.ontap.emulator.server import Emulator
from tests.ontap.mounted import damage, driver_of, plant
from tests.property.histories import IN_MEMORY, looked_for
from tests.property.test_property_driver import CONTENTS, NAMES, Ground, Tree, Volume, crashes, files, numbers

HISTORIES = 12


class OntapVolume(Volume):
    """One volume on an emulated cluster of its own."""

    place = IN_MEMORY

    def __init__(self) -> None:
        self.ground = Ground(on=self._on)
        super().__init__()

    def _on(self, folder: Path) -> DriverUnderTest:
        self.emulator = Emulator(folder / "cluster").__enter__()
        self.models = self.emulator.cluster.add_volume("models", junction="/models")
        live, scratch = self.emulator.cluster.path(self.models), folder / "scratch"
        scratch.mkdir()
        reopen = partial(driver_of, self.emulator, self.models, folder / "ml/.mlsnap/digits")
        return DriverUnderTest(
            driver=reopen(),
            live=live,
            scratch=scratch,
            ground=folder,
            reopen=reopen,
            plant=partial(plant, self.emulator, self.models),
            damage=lambda name, path: damage(live / ".snapshot" / str(name) / path),
        )

    def teardown(self) -> None:
        self.emulator.__exit__(None, None, None)
        super().teardown()
        assert self.emulator.mistakes == []

    # -- where it is otherwise -------------------------------------------------------------------------

    def snapshot(self, name: str) -> Path:
        return self.under_test.live / ".snapshot" / name

    def place_of(self, name: str) -> Path:
        return self.snapshot(name if name in self.sealed else f"mlsnap-pruned-{name}")

    def _require_old_or_new(self, now: Tree, new: Tree, *, whole: bool) -> None:
        super()._require_old_or_new(now, new, whole=False)

    @rule(file=files, content=st.sampled_from(CONTENTS), same_time=st.booleans())
    def write(self, file: str, content: bytes, same_time: bool) -> None:
        """What is frozen follows its tree, so nothing stays frozen over a change."""
        self.tidy()
        super().write(file, content, same_time)

    @rule(file=files)
    def remove(self, file: str) -> None:
        self.tidy()
        super().remove(file)

    @precondition(lambda self: self.sealed)
    @rule(number=numbers, way=st.sampled_from([None, "sync"]), crash=crashes)
    def restore(self, number: int, way: Literal["swap", "sync"] | None, crash: int) -> None:
        self.tidy()
        super().restore(number, way, crash)

    @rule(name=st.sampled_from(NAMES), file=files)
    def somebody_writes_late(self, name: SnapshotName, file: str) -> None:
        """Between a freeze and its seal: there is no version, and the name is spent if it was free."""
        self.tidy()
        frozen = self.driver.freeze(self.under_test.live, parent=None, full=False, inventory=True)
        super().write(file, b"late", same_time=False)
        manifest = manifest_of(self.driver, name, frozen)
        marker = marker_of(name, manifest)
        expected = self._sealing(str(name), str(marker))
        if expected == "done" and str(name) in self.sealed:
            self.driver.seal(frozen, manifest, marker)  # the very version that is there already
        else:
            with pytest.raises(errors.LateWriter if expected == "done" else errors.MlsnapError):
                self.driver.seal(frozen, manifest, marker)
            self.gone |= {str(name)} if expected == "done" else set()
        self.tidy()


_send = Connection.send


def told_send(*arguments: Any, **wishes: Any) -> Reply:
    """Send as ever; a process may end before and after."""
    sys.audit("tests.request")
    reply = _send(*arguments, **wishes)
    sys.audit("tests.request")
    return reply


def test_any_history_of_an_ontap_volume_is_the_models() -> None:
    with mock.patch.object(Connection, "send", told_send):
        run_state_machine_as_test(OntapVolume, settings=looked_for(HISTORIES))
