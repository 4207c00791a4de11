"""Certificates: those of the given authority are trusted, all others are not, and nothing is sent to these."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ci_mlsnap.demo.github import GitHubLookAlike
from ci_mlsnap.errors import ForgeUnavailable
from ci_mlsnap.forge.github import GitHub
from tests.forge.conftest import BRISK, REPOSITORY, SHA, STATUS, TOKEN


class Authority(NamedTuple):
    """An authority of our own, its bundle, and a server's context with a certificate of it."""

    bundle: Path
    context: ssl.SSLContext


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(
    subject: str, issuer: str, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey, host: str
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=not host, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if host:
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(signer, hashes.SHA256())


def _authority(folder: Path, *, host: str = "127.0.0.1") -> Authority:
    folder.mkdir()
    root, server = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    pem = serialization.Encoding.PEM
    bundle, chain = folder / "authority.pem", folder / "server.pem"
    bundle.write_bytes(_certificate("authority", "authority", root, root, "").public_bytes(pem))
    chain.write_bytes(
        server.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + _certificate("server", "authority", server, root, host).public_bytes(pem)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return Authority(bundle, context)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Give an authority that signed the server's certificate."""
    return _authority(tmp_path / "ours")


@pytest.fixture
def secured(authority: Authority) -> Iterator[GitHubLookAlike]:
    """Give a look-alike that speaks TLS."""
    with GitHubLookAlike(tokens={TOKEN: "write"}, prefix="/api/v3", tls=authority.context) as server:
        yield server


def test_the_authority_of_an_enterprise_server_is_trusted(secured: GitHubLookAlike, authority: Authority) -> None:
    with GitHub(token=TOKEN, api_url=secured.url, ca=authority.bundle, patience=BRISK) as github:
        github.post_status(REPOSITORY, STATUS)
    assert len(secured.board.statuses(REPOSITORY, SHA)) == 1


def test_the_authority_may_come_from_the_environment(
    secured: GitHubLookAlike, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.bundle))
    with GitHub(token=TOKEN, api_url=secured.url, patience=BRISK) as github:
        github.post_status(REPOSITORY, STATUS)
    assert len(secured.board.statuses(REPOSITORY, SHA)) == 1


@pytest.mark.parametrize("wrong", ["the system's authorities", "another authority", "another host"])
def test_any_other_certificate_is_refused_at_the_first_try(tmp_path: Path, wrong: str) -> None:
    ours = _authority(tmp_path / "ours", host="127.0.0.2" if wrong == "another host" else "127.0.0.1")
    bundle = {"the system's authorities": None, "another host": ours.bundle}
    ca = bundle[wrong] if wrong in bundle else _authority(tmp_path / "other").bundle
    with (
        GitHubLookAlike(tokens={TOKEN: "write"}, tls=ours.context) as server,
        GitHub(token=TOKEN, api_url=server.url, ca=ca, patience=BRISK) as github,
    ):
        with pytest.raises(ForgeUnavailable) as caught:
            github.post_status(REPOSITORY, STATUS)
        assert "certificate of 127.0.0.1 is not trusted" in caught.value.what
        assert "forge.ca" in caught.value.hint
        assert server.connections == 1
        assert server.received == []


def test_a_bundle_without_certificates_is_an_error_and_no_free_pass(
    secured: GitHubLookAlike, tmp_path: Path
) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("no certificate\n")
    with (
        GitHub(token=TOKEN, api_url=secured.url, ca=empty, patience=BRISK) as github,
        pytest.raises(ForgeUnavailable),
    ):
        github.post_status(REPOSITORY, STATUS)
    assert secured.received == []


def test_a_server_that_speaks_no_tls_is_unavailable(lookalike: GitHubLookAlike) -> None:
    url = lookalike.url.replace("http://", "https://")
    with (
        GitHub(token=TOKEN, api_url=url, patience=BRISK) as github,
        pytest.raises(ForgeUnavailable),
    ):
        github.post_status(REPOSITORY, STATUS)
