"""Whom we speak to, and who we are to it."""

from __future__ import annotations

import re
import socket
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from ci_mlsnap.errors import ConfigInvalid, MlsnapError, StorageAuth, StorageUnreachable, StorageUntrusted
from ci_mlsnap.storage.ontap_api import OntapApi
from ci_mlsnap.storage.ontap_endpoint import Endpoint
from ci_mlsnap.storage.ontap_requests import Patience
from tests.ontap.emulator.access import ADMIN, VSADMIN, Account
from tests.ontap.emulator.faults import BROKEN, LOGIN_PAGE, LOST_ANSWER, TOO_MANY, TRUNCATED, UNAVAILABLE, Fault
from tests.ontap.emulator.server import Emulator
from tests.ontap.emulator.values import Volume
from tests.ontap.mounted import HASTY, PASSWORD, QUICK, endpoint_of

BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


def names(endpoint: Endpoint, patience: Patience = HASTY) -> list[str]:
    return [volume.name for volume in OntapApi(endpoint=endpoint, patience=patience).volumes()]


# -- the certificate -----------------------------------------------------------------------------------


def test_the_very_certificate_is_trusted_by_its_fingerprint(emulator: Emulator, models: Volume) -> None:
    assert names(endpoint_of(emulator)) == ["models"]


def test_a_fingerprint_may_be_written_as_openssl_does(emulator: Emulator, models: Volume) -> None:
    pairs = re.findall("..", emulator.own.fingerprint.upper())
    assert names(endpoint_of(emulator, fingerprint=":".join(pairs))) == ["models"]


def test_another_certificate_than_the_pinned_one_gets_no_login(emulator: Emulator, models: Volume) -> None:
    with pytest.raises(StorageUntrusted) as refused:
        names(endpoint_of(emulator, fingerprint="ab" * 32))
    assert emulator.exchanges == []
    assert PASSWORD not in repr(refused.value.__dict__)


@pytest.mark.parametrize("variable", BUNDLES)
def test_no_variable_makes_a_certificate_trusted(
    emulator: Emulator, models: Volume, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, str(emulator.own.certificate))
    for endpoint in (endpoint_of(emulator, fingerprint=""), endpoint_of(emulator, fingerprint="ab" * 32)):
        with pytest.raises(StorageUntrusted):
            names(endpoint)
    assert emulator.exchanges == []


@pytest.mark.parametrize("variable", [*BUNDLES, "HTTPS_PROXY", "ALL_PROXY"])
def test_no_variable_stands_in_the_way_of_the_pin(
    emulator: Emulator, models: Volume, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:9" if "PROXY" in variable else "/nowhere/ca.pem")
    assert names(endpoint_of(emulator)) == ["models"]


def test_a_certificate_without_the_hosts_name_is_not_trusted_by_an_authority(
    emulator: Emulator, models: Volume
) -> None:
    with pytest.raises(StorageUntrusted):
        names(endpoint_of(emulator, fingerprint="", ca=str(emulator.own.certificate)))
    assert emulator.exchanges == []


def test_an_authoritys_file_that_is_not_there_is_a_wrong_setting(emulator: Emulator) -> None:
    with pytest.raises(ConfigInvalid, match=r"/nowhere/ca\.pem"):
        names(endpoint_of(emulator, fingerprint="", ca="/nowhere/ca.pem"))


def test_python_cannot_be_told_to_trust_every_certificate(
    emulator: Emulator, models: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHTTPSVERIFY", "0")
    with pytest.raises(StorageUntrusted):
        names(endpoint_of(emulator, fingerprint=""))
    assert emulator.exchanges == []


def test_only_who_asks_for_it_takes_any_certificate(emulator: Emulator, models: Volume) -> None:
    assert names(endpoint_of(emulator, fingerprint="", insecure=True)) == ["models"]
    with pytest.raises(ConfigInvalid, match="--insecure"):
        endpoint_of(emulator, insecure=True)


# -- the login -----------------------------------------------------------------------------------------


def test_a_wrong_password_is_said_and_is_in_no_text(emulator: Emulator, models: Volume) -> None:
    with pytest.raises(StorageAuth) as refused:
        names(endpoint_of(emulator, password="not-the-password"))
    assert "not-the-password" not in repr(refused.value.__dict__)
    assert emulator.calls() == ["GET /api/storage/volumes"]


def test_a_bearer_token_is_a_login(emulator: Emulator, models: Volume) -> None:
    token = emulator.cluster.accounts.add_token("admin", emulator.cluster.now() + timedelta(hours=1))
    assert names(endpoint_of(emulator, user="", password="", token=token)) == ["models"]


def test_a_login_of_the_netrc_is_not_taken_for_a_token(
    emulator: Emulator, models: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine {emulator.host} login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    token = emulator.cluster.accounts.add_token("admin", emulator.cluster.now() + timedelta(hours=1))
    assert names(endpoint_of(emulator, user="", password="", token=token)) == ["models"]


def test_a_clients_certificate_is_a_login(emulator: Emulator, models: Volume) -> None:
    emulator.cluster.accounts.add(Account(name="runner", role=ADMIN))
    pair = emulator.client_certificate("runner")
    given = {"certificate": str(pair.certificate), "key": str(pair.key)}
    assert names(endpoint_of(emulator, user="", password="", **given)) == ["models"]


def test_a_user_of_the_svm_alone_will_do(emulator: Emulator, models: Volume) -> None:
    emulator.cluster.add_svm("svm2")
    emulator.cluster.add_volume("models", svm="svm2")
    emulator.cluster.accounts.add(Account(name="vs", role=VSADMIN, password="svm-password", svm="svm1"))
    assert names(endpoint_of(emulator, svm="", user="vs", password="svm-password")) == ["models"]


@pytest.mark.parametrize(
    "changes", [{"password": ""}, {"token": "a.b.c"}, {"certificate": "/c", "key": "/k"}, {"ca": "/ca.pem"}]
)
def test_no_credential_and_two_of_them_are_wrong_settings(emulator: Emulator, changes: dict[str, str]) -> None:
    with pytest.raises(ConfigInvalid):
        endpoint_of(emulator, **changes)


def test_an_endpoint_shows_no_secret(emulator: Emulator) -> None:
    endpoint = endpoint_of(emulator)
    assert PASSWORD not in repr(endpoint)
    assert "a.b.c" not in repr(replace(endpoint, user="", password="", token="a.b.c"))


# -- the address ---------------------------------------------------------------------------------------


def test_a_port_where_nobody_listens_is_said(emulator: Emulator) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    with pytest.raises(StorageUnreachable):
        names(endpoint_of(emulator, port=port))


def test_a_host_that_is_not_there_is_said(emulator: Emulator) -> None:
    with pytest.raises(StorageUnreachable):
        names(endpoint_of(emulator, host="nowhere.invalid"))


def test_a_login_page_is_no_answer(emulator: Emulator) -> None:
    emulator.faults.next(LOGIN_PAGE, times=100)
    with pytest.raises(StorageUnreachable):
        names(endpoint_of(emulator))


def test_nobody_is_followed_elsewhere(emulator: Emulator, tmp_path: Path) -> None:
    with Emulator(tmp_path / "other") as other:
        there = f"https://{other.host}:{other.port}/api/storage/volumes"
        emulator.faults.next(Fault(code=302, headers={"Location": there}), times=100)
        with pytest.raises(StorageUnreachable):
            names(endpoint_of(emulator))
        assert other.exchanges == []


@pytest.mark.parametrize("fault", [LOST_ANSWER, TRUNCATED, BROKEN, UNAVAILABLE, TOO_MANY, LOGIN_PAGE])
def test_looking_is_tried_again(emulator: Emulator, models: Volume, fault: Fault) -> None:
    emulator.faults.next(fault, times=2)
    assert names(endpoint_of(emulator), QUICK) == ["models"]


def test_an_answer_that_never_comes_is_not_waited_for_longer_than_we_may(emulator: Emulator) -> None:
    emulator.faults.next(Fault(kind="hang"), times=100)
    patience = replace(HASTY, timeouts=(5.0, 0.05))
    with pytest.raises(StorageUnreachable):
        OntapApi(endpoint=endpoint_of(emulator), patience=patience).volumes()


def test_all_pages_of_a_list_are_read(emulator: Emulator, models: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ci_mlsnap.storage.ontap_requests._PAGE", "3")
    wanted = [f"hourly.{number}" for number in range(10)]
    for name in wanted:
        emulator.cluster.snapshot(models, name)
    found = OntapApi(endpoint=endpoint_of(emulator), patience=QUICK).snapshots(models.uuid)
    assert sorted(snapshot.name for snapshot in found) == wanted
    assert len(emulator.calls()) > 3


def test_what_a_server_says_is_told_on_one_harmless_line(emulator: Emulator) -> None:
    said = '{"error": {"message": "no\\n::error::\\u001b[31m\\u202e", "code": "262197"}}'
    emulator.faults.next(Fault(code=400, body=said), times=100)
    with pytest.raises(MlsnapError) as refused:
        names(endpoint_of(emulator))
    assert refused.value.why.isprintable() and "262197" in refused.value.why
