"""The part that knows netapp-ontap: one connection to one endpoint. Imported by the first request only.

Requests go over the session of the library's `HostConnection`, by an adapter of ours: the library's own takes a CA
bundle from the environment over the one that it was given, tries requests again on its own, and can print them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import requests
import urllib3
from netapp_ontap.host_connection import HostConnection
from requests.adapters import HTTPAdapter
from urllib3.exceptions import InsecureRequestWarning, NameResolutionError, NewConnectionError

from ci_mlsnap.domain.status import one_line
from ci_mlsnap.errors import ConfigInvalid, StorageUnreachable, StorageUntrusted
from ci_mlsnap.storage.ontap_endpoint import Endpoint
from ci_mlsnap.storage.ontap_errors import Unclear
from ci_mlsnap.storage.ontap_requests import Json


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What the cluster answered: the HTTP status, and the JSON object that came with it."""

    status: int
    body: Json


class _OurTrust(HTTPAdapter):
    """Holds TLS to the endpoint's record alone, whatever the environment says; tries nothing again."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._pin = endpoint.pin
        self._verify: bool | str = False if self._pin or endpoint.insecure else (endpoint.ca or True)
        super().__init__(max_retries=0)

    def init_poolmanager(self, *sizes: Any, **settings: Any) -> None:
        """Have each connection compare the certificate with the pin before a byte is sent."""
        if self._pin:
            settings["assert_fingerprint"] = self._pin
        super().init_poolmanager(*sizes, **settings)

    def send(self, request: requests.PreparedRequest, **settings: Any) -> requests.Response:  # type: ignore[override]
        """Send with our trust, and by no proxy."""
        return super().send(request, **{**settings, "verify": self._verify, "proxies": {}})


class Connection:
    """One connection, for one thread. `timeouts` are the seconds to connect, and to wait for an answer."""

    def __init__(self, endpoint: Endpoint, *, timeouts: tuple[float, float] = (6.0, 45.0)) -> None:
        for file in filter(None, (endpoint.ca, endpoint.certificate, endpoint.key)):
            if not os.path.isfile(file):
                raise ConfigInvalid(f"ontap: {file} is no file", hint="correct ontap.ca, .certificate or .key")
        host = HostConnection(
            endpoint.host,
            username=endpoint.user if endpoint.password else None,
            password=endpoint.password or None,
            cert=endpoint.certificate or None,
            key=endpoint.key or None,
            headers={"Authorization": f"Bearer {endpoint.token}"} if endpoint.token else None,
            port=endpoint.port,
        )
        self.date = ""
        self._origin = host.origin
        self._timeouts = timeouts
        self._session = host.session
        # No proxy, no netrc with another login, no CA bundle of the environment.
        self._session.trust_env = False
        self._session.adapters.clear()
        self._session.mount(self._origin, _OurTrust(endpoint))
        if endpoint.insecure:  # which the person who asked for it was told once, and not at each request
            urllib3.disable_warnings(InsecureRequestWarning)

    def send(self, method: str, path: str, *, query: Mapping[str, str], body: Json | None = None) -> Reply:
        """Send one request, once.

        Raises `StorageUnreachable` and `StorageUntrusted` when it was not sent, `Unclear` when it was and no
        answer came that can be understood.
        """
        try:
            answer = self._session.request(
                method,
                f"{self._origin}{path}",
                params=query,
                json=body,
                timeout=self._timeouts,
                allow_redirects=False,  # the login is for this address alone
            )
        except requests.RequestException as error:
            raise self._failure(error) from None  # the library's text may quote headers
        self.date = answer.headers.get("Date", "")
        return Reply(status=answer.status_code, body=_object(answer))

    def _failure(self, error: requests.RequestException) -> Exception:
        reason = getattr(error.args[0] if error.args else None, "reason", None)
        if isinstance(error, requests.exceptions.SSLError):
            return StorageUntrusted(
                f"the certificate of {self._origin} is not the one that is expected",
                why=one_line(str(reason or error))[:200],
                safe="nothing was sent, the login neither",
                hint="compare it with `security certificate show`, then set ontap.fingerprint or ontap.ca",
            )
        if isinstance(error, requests.exceptions.ConnectTimeout) or isinstance(
            reason, NewConnectionError | NameResolutionError
        ):
            return StorageUnreachable(
                f"{self._origin} does not answer",
                why="it does not accept connections" if reason is None else one_line(str(reason))[-200:],
                safe="nothing was sent",
                hint="check ontap.host and ontap.port, and that this machine may reach the management address",
            )
        return Unclear(f"the connection to {self._origin} was lost ({type(error).__name__})")


def _object(answer: requests.Response) -> Json:
    """Read a JSON object; whatever else is an answer of something that is not ONTAP, whatever its status."""
    if not answer.content and answer.status_code < 300:
        return {}
    try:
        found = answer.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Unclear(f"the answer is not one of ONTAP (HTTP status {answer.status_code})")
    return cast("Json", found)
