"""Who gets in, what their role allows, and what the emulator does to requests and jobs when told to."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator
from datetime import timedelta
from email.utils import parsedate_to_datetime
from http.client import HTTPSConnection
from typing import Any

import pytest
from netapp_ontap.error import NetAppRestError
from netapp_ontap.host_connection import HostConnection

from tests.ontap.emulator.access import PRUNING, SNAPSHOTS_ONLY, VSADMIN, Account
from tests.ontap.emulator.faults import (
    BROKEN,
    LOGIN_PAGE,
    LOST_ANSWER,
    LOST_REQUEST,
    TOO_MANY,
    TRUNCATED,
    UNAVAILABLE,
    Fault,
    JobFault,
)
from tests.ontap.emulator.server import Emulator
from tests.ontap.emulator.values import Volume
from tests.ontap.library import RestCluster, RestJob, RestSnapshot, RestVolume, connected, refused

SHA = "0123456789abcdef0123456789abcdef01234567"
POSTED = "POST */snapshots"


@pytest.fixture
def connect(emulator: Emulator) -> Iterator[Any]:
    """Give a maker of the library's connections."""
    made: list[HostConnection] = []

    def connect(**given: Any) -> HostConnection:
        made.append(connected(emulator.host, emulator.port, emulator.own.certificate, **given))
        return made[-1]

    yield connect
    for one in made:
        one.session.close()


def asked(emulator: Emulator, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any, Any]:
    """Send one request by HTTPS alone, as the administrator; gives code, headers and body."""
    context = ssl.create_default_context(cafile=str(emulator.own.certificate))
    context.check_hostname = False
    client = HTTPSConnection(emulator.host, emulator.port, context=context, timeout=20)
    credential = {"Authorization": "Basic YWRtaW46Y2x1c3Rlci1wYXNzd29yZA=="}
    try:
        client.request(method, path, body=json.dumps(body) if body else None, headers={**credential, **headers})
        answer = client.getresponse()
        return answer.status, answer.headers, json.loads(answer.read() or b"{}")
    finally:
        client.close()


# -- who ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "password"), [("admin", "wrong"), ("nobody", "cluster-password"), ("admin", "")])
def test_a_wrong_name_or_password_is_refused(name: str, password: str, emulator: Emulator, connect: Any) -> None:
    with connect(username=name, password=password), pytest.raises(NetAppRestError) as raised:
        RestCluster().get()
    assert refused(raised.value) == (401, "6691623")


def test_a_certificate_lets_its_account_in(emulator: Emulator, models: Volume, connect: Any) -> None:
    emulator.cluster.accounts.add(Account(name="runner", role=SNAPSHOTS_ONLY))
    shown = emulator.client_certificate("runner")
    with connect(cert=str(shown.certificate), key=str(shown.key)):
        assert [one.name for one in RestVolume.get_collection()] == ["models"]


def test_a_token_lets_its_account_in_until_it_expires(emulator: Emulator, models: Volume, connect: Any) -> None:
    emulator.cluster.accounts.add(Account(name="runner", role=SNAPSHOTS_ONLY))
    token = emulator.cluster.accounts.add_token("runner", emulator.cluster.now() + timedelta(hours=1))
    bearer = connect(headers={"Authorization": f"Bearer {token}"})
    assert bearer.bearer_auth, "the library takes it for a token"
    with bearer:
        assert [one.name for one in RestVolume.get_collection()] == ["models"]
        emulator.cluster.skew = timedelta(hours=2)
        with pytest.raises(NetAppRestError) as raised:
            list(RestVolume.get_collection())
    assert raised.value.status_code == 401


def test_no_credential_is_kept_with_the_exchanges(emulator: Emulator, models: Volume, connect: Any) -> None:
    with connect(username="admin", password="cluster-password"):
        list(RestVolume.get_collection())
    assert "YWRtaW4" not in repr(emulator.exchanges)


def test_the_certificate_is_signed_by_itself_and_names_no_host(emulator: Emulator) -> None:
    context = ssl.create_default_context(cafile=str(emulator.own.certificate))
    client = HTTPSConnection(emulator.host, emulator.port, context=context, timeout=5)
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        client.request("GET", "/api/cluster")
    client.close()


def test_a_certificate_may_name_the_address(emulator: Emulator) -> None:
    before = emulator.own.fingerprint
    emulator.renew_certificate(named=True)
    assert emulator.own.fingerprint != before
    context = ssl.create_default_context(cafile=str(emulator.own.certificate))
    client = HTTPSConnection(emulator.host, emulator.port, context=context, timeout=20)
    client.request("GET", "/api/cluster")
    assert client.getresponse().status == 401
    client.close()


# -- what ----------------------------------------------------------------------------------------------------


def test_a_role_for_snapshots_makes_them_and_deletes_none(
    emulator: Emulator, models: Volume, connect: Any
) -> None:
    emulator.cluster.accounts.add(Account(name="runner", role=SNAPSHOTS_ONLY, password="p"))
    with connect(username="runner", password="p"):
        made = RestSnapshot(models.uuid, name=SHA)
        made.post()
        with pytest.raises(NetAppRestError) as raised:
            made.delete()
        assert refused(raised.value) == (403, "6")
        with pytest.raises(NetAppRestError) as raised:
            RestVolume(uuid=models.uuid).patch(**{"restore_to.snapshot.name": SHA})
        assert refused(raised.value) == (403, "6")
        with pytest.raises(NetAppRestError) as raised:
            RestCluster().get()
        assert refused(raised.value) == (403, "6")
    emulator.cluster.accounts.add(Account(name="runner", role=PRUNING, password="p"))
    with connect(username="runner", password="p"):
        RestSnapshot(models.uuid, uuid=made.uuid).delete()


def test_an_account_of_an_svm_sees_no_other(emulator: Emulator, models: Volume, connect: Any) -> None:
    emulator.cluster.add_svm("svm2")
    other = emulator.cluster.add_volume("other", svm="svm2")
    emulator.cluster.accounts.add(Account(name="vsadmin", role=VSADMIN, password="p", svm="svm1"))
    with connect(username="vsadmin", password="p"):
        assert [one.name for one in RestVolume.get_collection()] == ["models"]
        with pytest.raises(NetAppRestError) as raised:
            RestVolume(uuid=other.uuid).get()
    assert refused(raised.value) == (404, "4")


def test_a_header_aims_at_one_svm(emulator: Emulator, models: Volume) -> None:
    emulator.cluster.add_svm("svm2")
    _, _, body = asked(emulator, "GET", "/api/storage/volumes", **{"X-Dot-SVM-Name": "svm2"})
    assert body["num_records"] == 0


# -- how it answers --------------------------------------------------------------------------------------------


def test_an_accepted_snapshot_has_an_address_without_identifier(emulator: Emulator, models: Volume) -> None:
    path = f"/api/storage/volumes/{models.uuid}/snapshots"
    code, headers, body = asked(emulator, "POST", path, {"name": SHA})
    assert code == 202
    assert headers["Location"] == f"{path}/?name={SHA}"
    assert set(body) == {"job"}


def test_an_answer_that_waits_for_its_job_is_no_202(emulator: Emulator, models: Volume) -> None:
    emulator.cluster.jobs.delay = 0.05
    path = f"/api/storage/volumes/{models.uuid}/snapshots"
    code, headers, _ = asked(emulator, "POST", f"{path}?return_timeout=5", {"name": SHA})
    assert code == 201
    assert headers["Location"] == f"{path}/{models.snapshots[SHA].uuid}"
    code, _, body = asked(emulator, "POST", f"{path}?return_timeout=5", {"name": SHA})
    assert (code, body["error"]["code"]) == (409, "525059")


def test_a_failed_job_may_be_a_202_all_the_same(emulator: Emulator, models: Volume) -> None:
    emulator.cluster.jobs.failures_in_answer = False
    emulator.faults.next_job(JobFault(kind="fail", code=6, message="not authorized for that command"))
    path = f"/api/storage/volumes/{models.uuid}/snapshots?return_timeout=5"
    code, _, body = asked(emulator, "POST", path, {"name": SHA})
    _, _, job = asked(emulator, "GET", f"{body['job']['_links']['self']['href']}?fields=**")
    assert (code, job["state"], job["code"], job["error"]["code"]) == (202, "failure", 6, "6")


def test_return_timeout_is_at_most_two_minutes(emulator: Emulator, models: Volume) -> None:
    path = f"/api/storage/volumes/{models.uuid}/snapshots?return_timeout=121"
    code, _, _ = asked(emulator, "POST", path, {"name": SHA})
    assert code == 400


def test_dotted_names_in_a_body_are_taken_apart(emulator: Emulator, models: Volume) -> None:
    emulator.cluster.snapshot(models, SHA)
    live = emulator.cluster.path(models)
    (live / "new.bin").touch()
    code, _, _ = asked(emulator, "PATCH", f"/api/storage/volumes/{models.uuid}", {"restore_to.snapshot.name": SHA})
    assert code == 202
    assert not (live / "new.bin").exists()


def test_an_argument_that_does_not_exist_is_refused(emulator: Emulator, models: Volume) -> None:
    path = f"/api/storage/volumes/{models.uuid}/snapshots"
    code, _, _ = asked(emulator, "POST", path, {"name": SHA, "colour": "red"})
    assert code == 400
    assert models.snapshots == {}


def test_the_clock_may_be_wrong(emulator: Emulator, models: Volume) -> None:
    emulator.cluster.skew = timedelta(days=400)
    emulator.cluster.snapshot(models, SHA)
    _, headers, body = asked(emulator, "GET", f"/api/storage/volumes/{models.uuid}/snapshots?fields=create_time")
    year = models.snapshots[SHA].created.year
    assert parsedate_to_datetime(headers["Date"]).year == year
    assert body["records"][0]["create_time"].startswith(str(year))


# -- what goes wrong on request -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "made"), [(LOST_REQUEST, False), (LOST_ANSWER, True), (TRUNCATED, True)], ids=str
)
def test_an_answer_that_is_lost_may_be_work_that_is_done(
    fault: Fault, made: bool, emulator: Emulator, models: Volume, connection: Any
) -> None:
    emulator.faults.next(fault, on=POSTED)
    with pytest.raises(NetAppRestError):
        RestSnapshot(models.uuid, name=SHA).post()
    assert (SHA in models.snapshots) is made


@pytest.mark.parametrize("fault", [TOO_MANY, BROKEN, UNAVAILABLE], ids=lambda fault: str(fault.code))
def test_an_error_of_the_server_does_no_work(
    fault: Fault, emulator: Emulator, models: Volume, connection: Any
) -> None:
    emulator.faults.next(fault, on=POSTED)
    with pytest.raises(NetAppRestError) as raised:
        RestSnapshot(models.uuid, name=SHA).post()
    assert raised.value.status_code == fault.code
    assert models.snapshots == {}


def test_a_web_page_looks_like_success_to_the_library(emulator: Emulator, models: Volume, connection: Any) -> None:
    emulator.faults.next(LOGIN_PAGE, on=POSTED)
    RestSnapshot(models.uuid, name=SHA).post()
    assert models.snapshots == {}


def test_an_answer_may_be_late_or_never_come(emulator: Emulator, models: Volume, connect: Any) -> None:
    impatient = connect(username="admin", password="cluster-password", protocol_timeouts=(5, 0.3))
    emulator.faults.next(Fault(kind="delay", seconds=0.01), on="GET *")
    with impatient:
        assert len(list(RestVolume.get_collection())) == 1
        emulator.faults.next(Fault(kind="hang", worked=True), on=POSTED)
        with pytest.raises(NetAppRestError):
            RestSnapshot(models.uuid, name=SHA).post()
    assert SHA in models.snapshots


def test_something_may_happen_just_before_a_request(emulator: Emulator, models: Volume, connection: Any) -> None:
    emulator.faults.before(POSTED, lambda: emulator.cluster.snapshot(models, SHA, comment="mine"))
    with pytest.raises(NetAppRestError, match="already exists"):
        RestSnapshot(models.uuid, name=SHA).post()
    assert models.snapshots[SHA].comment == "mine"


def test_a_cancelled_job_is_success_to_the_library(emulator: Emulator, models: Volume, connection: Any) -> None:
    snapshot = emulator.cluster.snapshot(models, SHA)
    emulator.faults.next_job(JobFault(kind="cancel"), on="DELETE *")
    RestSnapshot(models.uuid, uuid=snapshot.uuid).delete()
    assert emulator.cluster.jobs.all()[-1].state == "cancelled"
    assert SHA in models.snapshots


def test_a_job_may_fail_with_its_work_done(emulator: Emulator, models: Volume, connection: Any) -> None:
    emulator.faults.next_job(JobFault(kind="fail", worked=True, code=1638536, message="unclear"), on=POSTED)
    with pytest.raises(NetAppRestError, match="unclear"):
        RestSnapshot(models.uuid, name=SHA).post()
    assert SHA in models.snapshots


def test_a_job_may_be_lost(emulator: Emulator, models: Volume, connection: Any) -> None:
    emulator.faults.next_job(JobFault(kind="lost", worked=True), on=POSTED)
    with pytest.raises(NetAppRestError) as raised:
        RestSnapshot(models.uuid, name=SHA).post()
    assert refused(raised.value) == (404, "4")
    assert SHA in models.snapshots


@pytest.mark.parametrize(
    "fault", [JobFault(kind="hang"), JobFault(kind="slow", seconds=60)], ids=lambda one: one.kind
)
def test_a_job_may_run_on(fault: JobFault, emulator: Emulator, models: Volume, connection: Any) -> None:
    emulator.faults.next_job(fault, on=POSTED)
    path = f"/api/storage/volumes/{models.uuid}/snapshots"
    _, _, body = asked(emulator, "POST", path, {"name": SHA})
    job = RestJob(uuid=body["job"]["uuid"])
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        job.get(fields="state")
        if job.state == "running":
            break
    assert job.state == "running"
    assert models.snapshots == {}


def test_an_idle_connection_may_be_closed(emulator: Emulator, models: Volume, connection: Any) -> None:
    emulator.faults.next(Fault(kind="close"), on="GET *")
    assert len(list(RestVolume.get_collection())) == 1
    assert len(list(RestVolume.get_collection())) == 1


def test_jobs_that_have_ended_are_forgotten(emulator: Emulator, models: Volume, connection: Any) -> None:
    emulator.faults.before("GET /api/cluster/jobs/*", emulator.cluster.jobs.forget)
    with pytest.raises(NetAppRestError) as raised:
        RestSnapshot(models.uuid, name=SHA).post()
    assert refused(raised.value) == (404, "4")


def test_a_release_before_groups_knows_none(emulator: Emulator, connection: Any) -> None:
    emulator.cluster.version = (9, 9, 1)
    code, _, _ = asked(emulator, "GET", "/api/application/consistency-groups")
    assert code == 404
    version = RestCluster()
    version.get()
    assert (version.version.generation, version.version.major) == (9, 9)
