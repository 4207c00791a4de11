"""The root action on a volume of an emulated ONTAP cluster, whose login reaches only the steps that need it."""

from __future__ import annotations

from collections.abc import Callable

from tests.action.conftest import ONE_JOB, PASSWORD, TRAIN, Workplace
from tests.action.test_one_job import LOOKS_AROUND, require_outputs
from tests.ontap.emulator.access import VSADMIN, Account
from tests.ontap.emulator.server import Emulator

Make = Callable[..., Workplace]

CLUSTER = """\
driver: ontap
state: FOLDER/state
view: models
ontap-volume: ml_digits
ontap-host: 127.0.0.1
ontap-port: PORT
ontap-svm: svm1
ontap-user: vsadmin
ontap-password: ${{ secrets.PASSWORD }}
ontap-fingerprint: FINGERPRINT
"""


def test_a_volume_on_ontap_is_named_by_inputs_alone(workplace: Make) -> None:
    place = workplace()
    with Emulator(place.folder / "cluster") as emulator:
        emulator.cluster.accounts.add(Account(name="vsadmin", role=VSADMIN, password=PASSWORD, svm="svm1"))
        volume = emulator.cluster.add_volume("ml_digits", junction="/ml_digits")
        names = {
            "VOLUME": emulator.cluster.path(volume),
            "PORT": emulator.port,
            "FINGERPRINT": emulator.own.fingerprint,
        }
        place.workflow(ONE_JOB, more=CLUSTER, names=names)
        sha = place.train_with(TRAIN + LOOKS_AROUND)
        ran = place.act()
        assert ran.code == 0, ran.log
        require_outputs(ran, "good")
        assert [snapshot.name for snapshot in volume.snapshots.values()] == [sha]
        assert place.states(sha) == ["pending", "success"]
        assert PASSWORD not in (place.folder / "environment").read_text() + ran.log
    assert emulator.mistakes == []
