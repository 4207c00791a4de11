"""The certificate that a cluster shows, looked at without sending anything else: for `doctor` alone.

Nothing is trusted here. What is sent to the cluster goes over the connection that holds the certificate to the
operator's record.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
from datetime import UTC, datetime

import msgspec

_HAS_EXPIRED = 10  # OpenSSL's X509_V_ERR_CERT_HAS_EXPIRED


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate by its SHA-256, in hex digits; `ends` is None where that can't be read, `ended` says so."""

    fingerprint: str
    ends: datetime | None
    ended: bool = False


def shown_certificate(host: str, port: int, *, timeout: float) -> Certificate:
    """Give the certificate that a server shows; `timeout` in seconds. Raises `OSError`."""
    text = ssl.get_server_certificate((host, port), timeout=timeout)
    fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(text)).hexdigest()
    try:
        return Certificate(fingerprint=fingerprint, ends=_end(text, host, port, timeout))
    except ssl.SSLCertVerificationError as error:
        return Certificate(fingerprint=fingerprint, ends=None, ended=error.verify_code == _HAS_EXPIRED)


def _end(text: str, host: str, port: int, timeout: float) -> datetime | None:
    """Read when a certificate ends, which Python tells of one that it has verified: here by itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=text)
    with (
        socket.create_connection((host, port), timeout=timeout) as plain,
        context.wrap_socket(plain, server_hostname=host) as secured,
    ):
        found = (secured.getpeercert() or {}).get("notAfter")
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(found), UTC) if isinstance(found, str) else None
