"""What can be wrong with a cluster: each is refused by its slug with a way out, and no trained model is lost."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conftest import IN_CI
from tests.ontap.emulator.access import PRUNING, SNAPSHOTS_ONLY, Account, Role
from tests.ontap.emulator.faults import (
    LOGIN_PAGE,
    LOST_ANSWER,
    LOST_REQUEST,
    TRUNCATED,
    UNAVAILABLE,
    Fault,
    JobFault,
)
from tests.ontap.emulator.others import recreate
from tests.ontap.emulator.server import Emulator
from tests.ontap.emulator.values import Volume
from tests.ontap.staging import staged
from tests.promise.checking import content_of
from tests.promise.conftest import Done, Stage, sample
from tests.promise.launching import Launcher

HASTY = {"TEST_ONTAP_PATIENCE": "0.3"}
"""No time for what does not go well."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """Something that is wrong: done to the cluster by `spoil`, or said by the environment.

    `trained`: it is found only after training, whose files then stay in the live tree.
    """

    slug: str
    spoil: Callable[[Emulator, Volume], object] = lambda _emulator, _volume: None
    environment: Mapping[str, str] = field(default_factory=dict)
    hint: str = ""
    code: int = 20
    trained: bool = False


def nobody_listens() -> str:
    with socket.create_server(("127.0.0.1", 0)) as other:
        return str(other.getsockname()[1])


def let_in(role: Role) -> Callable[[Emulator, Volume], None]:
    """Let the user in with this role alone."""

    def change(emulator: Emulator, _volume: Volume) -> None:
        emulator.cluster.accounts.add(Account(name="admin", role=role, password="cluster-password"))

    return change


def put(**facts: object) -> Callable[[Emulator, Volume], None]:
    """Make the volume another one in this."""

    def change(_emulator: Emulator, volume: Volume) -> None:
        for name, value in facts.items():
            setattr(volume, name, value)

    return change


def fill_up(emulator: Emulator, volume: Volume) -> None:
    taken = next(iter(volume.snapshots.values()))
    volume.snapshots.update({f"hourly.{number}": taken for number in range(1022)})


def job(fault: JobFault) -> Callable[[Emulator, Volume], None]:
    return lambda emulator, _volume: emulator.faults.next_job(fault, on="POST *snapshots")


def answered(fault: Fault) -> Callable[[Emulator, Volume], None]:
    """Let requests for a snapshot meet this, besides the one that only finds out a right."""

    def change(emulator: Emulator, _volume: Volume) -> None:
        emulator.faults.next(Fault(kind="delay"), *[fault] * 50, on="POST *")

    return change


READ_ONLY: Role = {**SNAPSHOTS_ONLY, "/api/storage/volumes/*/snapshots": "readonly"}

CASES = {
    "a host that is not there": Case(
        slug="storage-unreachable", environment={"MLSNAP__ONTAP__HOST": "nowhere.invalid"}, hint="ontap.host"
    ),
    "a port where nobody listens": Case(
        slug="storage-unreachable", environment={"MLSNAP__ONTAP__PORT": nobody_listens()}, hint="ontap.port"
    ),
    "another certificate": Case(
        slug="storage-certificate",
        spoil=lambda emulator, _: emulator.renew_certificate(),
        hint="ontap.fingerprint",
    ),
    "a wrong password": Case(
        slug="storage-auth", environment={"MLSNAP_ONTAP_PASSWORD": "not-the-password"}, hint="password"
    ),
    "a user that is gone": Case(
        slug="storage-auth", spoil=lambda emulator, _: emulator.cluster.accounts.remove("admin"), hint="user"
    ),
    "another SVM": Case(slug="volume-missing", environment={"MLSNAP__ONTAP__SVM": "svm9"}, hint="ontap.svm"),
    "a volume of another name": Case(slug="volume-missing", spoil=put(name="renamed"), hint="`volume`"),
    "no right to make snapshots": Case(
        slug="storage-forbidden", spoil=let_in(READ_ONLY), hint="doctor --role run"
    ),
    "no right to see volumes": Case(
        slug="storage-forbidden", spoil=let_in({"/api/cluster": "readonly"}), hint="doctor --role run"
    ),
    "an offline volume": Case(slug="volume-missing", spoil=put(state="offline"), hint="volume online"),
    "a restricted volume": Case(slug="volume-missing", spoil=put(state="restricted"), hint="volume online"),
    "a mirror": Case(slug="storage-read-only", spoil=put(type="dp"), hint="mirror"),
    "a volume without its junction": Case(
        slug="volume-missing", spoil=lambda emulator, it: emulator.cluster.places.move(it, ""), hint="mount"
    ),
    "a volume that is mounted elsewhere": Case(
        slug="volume-missing", spoil=lambda emulator, it: emulator.cluster.places.move(it, "/other"), hint="path"
    ),
    "hidden snapshots": Case(
        slug="storage-failed",
        spoil=lambda emulator, it: emulator.cluster.places.show(it, shown=False),
        hint="snapdir-access",
    ),
    "as many snapshots as can be": Case(slug="storage-full", spoil=fill_up, hint="prune"),
    "as many snapshots as can be, found late": Case(
        slug="storage-full", spoil=put(limit=1), hint="prune", trained=True
    ),
    "no space": Case(slug="storage-full", spoil=put(ballast=2**41), hint="space", trained=True),
    "a volume that is being restored": Case(slug="busy", code=50, spoil=put(reverting=True), trained=True),
    "another volume by the old name": Case(
        slug="volume-foreign",
        code=40,
        spoil=lambda emulator, it: recreate(emulator.cluster, it),
        hint="--accept-moved-volume",
    ),
    "a job that fails": Case(
        slug="storage-full", spoil=job(JobFault(kind="fail", code=524479)), hint="space", trained=True
    ),
    "a job that is cancelled": Case(
        slug="storage-unknown", code=21, spoil=job(JobFault(kind="cancel")), trained=True
    ),
    "a job that hangs": Case(slug="storage-unknown", code=21, spoil=job(JobFault(kind="hang")), trained=True),
    "a job that vanishes": Case(slug="storage-unknown", code=21, spoil=job(JobFault(kind="lost")), trained=True),
    "a request that is lost": Case(slug="storage-unknown", code=21, spoil=answered(LOST_REQUEST), trained=True),
    "a login page for an answer": Case(slug="storage-unknown", code=21, spoil=answered(LOGIN_PAGE), trained=True),
    "a cluster that is not there for a while": Case(
        slug="storage-unknown", code=21, spoil=answered(UNAVAILABLE), trained=True
    ),
}


@pytest.fixture
def stage(emulator: Emulator, models: Volume, launcher: Launcher, tmp_path: Path) -> Iterator[Stage]:
    """Give a stage whose first commit has its version."""
    emulator.cluster.accounts.add(Account(name="admin", role=PRUNING, password="cluster-password"))
    with staged(emulator, models, tmp_path, launcher) as made:
        first = made.mlsnap("run")
        assert first.code == 0, first.text
        yield made


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_by_its_slug_and_says_the_way_out(
    stage: Stage, emulator: Emulator, models: Volume, name: str
) -> None:
    case = CASES[name]
    (first,) = models.snapshots
    before, sha = content_of(emulator.cluster.path(models)), stage.another_commit("two")
    case.spoil(emulator, models)
    said = stage.mlsnap("run", environment={**HASTY, **case.environment})
    require_error(said, case)
    assert "cluster-password" not in said.text and "not-the-password" not in said.text
    live = content_of(emulator.cluster.places.volume(models))
    assert live["model.bin"] == (b"two\n" if case.trained else before["model.bin"])
    assert first in models.snapshots and sha not in models.snapshots
    assert "success" not in stage.states(sha)
    if case.trained:
        mend(emulator, models)
        concluded = stage.mlsnap("conclude")
        assert concluded.code == 0, concluded.text
        assert stage.states(sha)[-1] == "success"
        assert (models.snapshots.keys() & {sha}) == {sha}


def mend(emulator: Emulator, volume: Volume) -> None:
    """Make all well again that was found only after training."""
    emulator.faults.clear()
    volume.limit, volume.ballast, volume.reverting = 1023, 0, False


def require_error(said: Done, case: Case) -> None:
    """Hold an error against the form that each has, and the code and way out that this one has."""
    assert said.code == case.code, said.text
    lines = said.stderr.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("mlsnap: error["))
    error = lines[start:]
    assert error[0].startswith(f"mlsnap: error[{case.slug}]: "), said.text
    assert len(error) <= 6, said.text
    way_out = next((line for line in error if re.match(r"  next +\S", line)), "")
    assert case.hint in way_out, said.text
    assert way_out, said.text
    assert "Traceback" not in said.text


@pytest.mark.parametrize(
    "fault", [LOST_REQUEST, LOST_ANSWER, TRUNCATED], ids=["lost", "no answer", "half an answer"]
)
def test_a_connection_that_is_lost_at_any_request_costs_no_model(
    stage: Stage, emulator: Emulator, models: Volume, fault: Fault
) -> None:
    before = len(emulator.exchanges)
    stage.another_commit("rehearsal")
    assert stage.mlsnap("run").code == 0
    requests = len(emulator.exchanges) - before
    assert requests > 2
    most = requests if IN_CI and fault is LOST_ANSWER else 3
    for number in sample(["a request"] * requests, most, of=f"lost {fault.kind} {fault.worked}"):
        sha = stage.another_commit(f"lost at {number}")
        emulator.faults.next(*[Fault(kind="delay")] * (number - 1), fault)
        said = stage.mlsnap("run")
        assert said.code in (0, 21), said.text
        if said.code:
            stage.require_truth()
            assert "`mlsnap conclude`" in said.stderr
            said = stage.mlsnap("conclude")
        assert said.code == 0, said.text
        emulator.faults.clear()
        assert sha in models.snapshots
        assert stage.states(sha)[-1] == "success"
    stage.require_truth()
    stage.require_rest()
