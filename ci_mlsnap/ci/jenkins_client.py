"""The part that knows python-jenkins: its client, held to one server. Imported by the first request only."""

from __future__ import annotations

import threading
from typing import Any

import jenkins
import msgspec
import requests

from ci_mlsnap.ci.jenkins_facts import Endpoint


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds to wait for a sign of the server, and for a whole answer; how often a look is tried; the pause."""

    timeout: float = 30.0
    deadline: float = 120.0
    tries: int = 3
    pause: float = 1.0


class Client(jenkins.Jenkins):  # type: ignore[misc]
    """python-jenkins, held to one server: no redirect is followed, and no other login is tried."""

    _auths: list[Any]
    _session: requests.Session
    crumb: Any

    def __init__(self, endpoint: Endpoint, patience: Patience) -> None:
        super().__init__(endpoint.url, username=endpoint.user, password=endpoint.token, timeout=patience.timeout)
        self._auths = self._auths[:1]
        self._deadline = patience.deadline
        self._session.verify = self._verify = endpoint.ca or True
        # Nobody needs a crumb with an API token. With a password the server asks for one, see `Server`.
        self.crumb = False

    def _request(self, req: requests.Request, stream: Any = None) -> requests.Response:
        """Send a request, in a thread of its own: neither name look-up nor a dripping answer has a timeout."""
        outcomes: list[requests.Response | Exception] = []
        asking = threading.Thread(target=lambda: outcomes.append(self._outcome(req, stream)), daemon=True)
        asking.start()
        asking.join(self._deadline)
        if not outcomes:
            self._leave_session()
            raise requests.ReadTimeout(f"no whole answer within {self._deadline:g} s")
        if isinstance(outcomes[0], Exception):
            raise outcomes[0]
        return outcomes[0]

    def _outcome(self, req: requests.Request, stream: Any) -> requests.Response | Exception:
        try:
            prepared = self._session.prepare_request(req)
            settings = self._session.merge_environment_settings(
                prepared.url, {}, stream, self._session.verify, None
            )
            # Jenkins answers many a POST with a redirect to a page under its configured address.
            return self._session.send(prepared, timeout=self.timeout, allow_redirects=False, **settings)
        except Exception as fault:  # noqa: BLE001 - raised again where it is waited for
            return fault

    def _leave_session(self) -> None:
        """Leave the session to the thread that still waits; a crumb belongs to it."""
        self._session = jenkins.WrappedSession()
        self._session.verify, self._session.auth = self._verify, self._auths[0][1]
        self.crumb = None if self.crumb else False
