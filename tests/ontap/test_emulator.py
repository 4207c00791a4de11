from __future__ import annotations

from typing import Any

import pytest
from netapp_ontap.error import NetAppRestError
from netapp_ontap.resources.snapshot import Snapshot
from netapp_ontap.resources.volume import Volume as RestVolume

from tests.ontap.emulator.server import Emulator
from tests.ontap.emulator.values import Volume

SHA = "0123456789abcdef0123456789abcdef01234567"


def test_a_snapshot_has_what_the_live_tree_had(emulator: Emulator, models: Volume, connection: Any) -> None:
    live = emulator.cluster.path(models)
    (live / "model.bin").write_bytes(b"first")
    made = Snapshot(models.uuid, name=SHA, comment="mlsnap/1")
    made.post(hydrate=True)
    (live / "model.bin").write_bytes(b"second")
    assert (live / ".snapshot" / SHA / "model.bin").read_bytes() == b"first"
    assert made.comment == "mlsnap/1"


def test_a_name_that_is_taken_is_refused(models: Volume, connection: Any) -> None:
    Snapshot(models.uuid, name=SHA).post()
    with pytest.raises(NetAppRestError, match="already exists"):
        Snapshot(models.uuid, name=SHA).post()


def test_a_volume_that_is_not_there_is_an_empty_list(models: Volume, connection: Any) -> None:
    assert list(RestVolume.get_collection(name="other")) == []
    assert [one.name for one in RestVolume.get_collection(name="models", svm="svm1")] == ["models"]
