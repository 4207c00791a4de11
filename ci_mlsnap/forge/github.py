"""GitHub and GitHub Enterprise: commit statuses through PyGithub, within one deadline.

PyGithub takes a tenth of a second and forty megabytes to load, so it is loaded by the first call.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar
from urllib.parse import urlsplit

import msgspec

from ci_mlsnap.domain.notices import CheckRun, Comment, Deployment, Notice
from ci_mlsnap.domain.status import CommitStatus
from ci_mlsnap.errors import ConfigInvalid, ForgeForbidden, ForgeUnavailable
from ci_mlsnap.forge.request import Request, looking, posting, reading, summing
from ci_mlsnap.ports import Sent

if TYPE_CHECKING:
    from ci_mlsnap.forge.client import Client

PUBLIC_API = "https://api.github.com"
_MOST_PAGES = 20
_RIGHTS = {Comment: "pull-requests", Deployment: "deployments", CheckRun: "checks"}
"""What a job's `permissions` call the right to each kind of notice."""
_LOOPBACK = ("127.0.0.1", "localhost")
_T = TypeVar("_T")


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long GitHub is waited for; all in seconds, except `retries`.

    `deadline` bounds one call with all its retries and pauses, `timeout` one answer. A wait that GitHub asks
    for and that is over `longest_wait`, or would end after the deadline, is not begun. The pauses between
    requests are those that GitHub asks of integrators. `settle` is how long what was written may not be read yet.
    """

    retries: int = 4
    backoff: float = 1
    timeout: int = 15
    secondary_wait: float = 30
    longest_wait: float = 60
    deadline: float = 120
    between_requests: float = 0.25
    between_writes: float = 1
    settle: float = 2


def patience_with(pause: float) -> Patience:
    """Give the usual patience, with so many seconds at least between two writes."""
    return Patience(between_writes=pause, between_requests=min(pause, Patience().between_requests))


LAST_WORDS = Patience(retries=0, timeout=2, deadline=2.5, longest_wait=0, between_requests=0, between_writes=0)
"""For a run that is being stopped: one request, so that its status is final before the CI kills it."""


class GitHub:
    """A `Forge` that posts to GitHub. Close it, or use it in a `with` statement; closed, it opens again.

    `api_url` is the value of GITHUB_API_URL, `ca` a bundle of certificates that stands in for the system's.
    Raises `ConfigInvalid` for a URL over which a token may not travel, and for what can be no token.
    """

    def __init__(
        self, *, token: str, api_url: str = PUBLIC_API, ca: Path | None = None, patience: Patience | None = None
    ) -> None:
        self._token = _checked_token(token)
        self._api_url = _checked_url(api_url)
        self._ca = _checked_bundle(ca)
        self._patience = patience or Patience()
        self._client: Client | None = None

    def post_status(self, repository: str, status: CommitStatus) -> Sent:
        """Send one status; sending it twice is harmless.

        Raises `ForgeForbidden` (the token lacks a right), `ForgeRejected` (GitHub will never take it) and
        `ForgeUnavailable` (anything else; it may or may not have been taken).
        """
        request = posting(repository, status)
        return Sent(url=self._in_time(lambda client: client.post(request, status)))

    def may_post(self, repository: str) -> str:
        """Say what would stop a status, at the cost of one request; empty when nothing is known to.

        A token that is refused, or sees no such repository, is an answer too. Raises `ForgeUnavailable`, and
        `ForgeRejected` for what can be no repository.
        """
        request = looking(repository)
        try:
            return self._in_time(lambda client: client.obstacle(request, repository))
        except ForgeForbidden as forbidden:
            return f"{forbidden.what} ({forbidden.why}): {forbidden.hint}"

    def statuses_of(self, repository: str, sha: str) -> Sequence[CommitStatus]:
        """Give the newest statuses of a commit, newest first, at most a hundred, at the cost of one request.

        Raises `ForgeForbidden`, `ForgeUnavailable`, and `ForgeRejected` for a commit that GitHub does not know.
        """
        request = reading(repository, sha)
        return self._in_time(lambda client: client.statuses(request, sha))

    def newest_statuses(self, repository: str, sha: str) -> Sequence[CommitStatus]:
        """Give the newest status of each context of a commit, at the cost of one request for a hundred of them.

        Raises as `statuses_of` does.
        """
        found: list[CommitStatus] = []
        for page in range(1, _MOST_PAGES + 1):
            statuses, full = self._in_time(partial(_page_of_statuses, summing(repository, sha, page), sha))
            found += statuses
            if not full:
                break
        return found

    def tell(self, repository: str, notice: Notice) -> Sent:
        """Make what the notice says be there; doing it twice is doing it once, also after a lost answer.

        `Sent.url` is its page: of a comment empty where there is no change request, or nothing to edit. Raises
        `ForgeForbidden` (no right to it, a locked conversation), `ForgeRejected`, `ForgeUnavailable`.
        """
        return Sent(url=self._in_time(lambda client: client.tell(repository, notice), right=_RIGHTS[type(notice)]))

    def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _in_time(self, ask: Callable[[Client], _T], right: str = "statuses") -> _T:
        """Do one call in a thread of its own, since neither name look-up nor a dripping answer has a timeout."""
        client = self._opened()
        outcomes: list[_T | Exception] = []
        asking = threading.Thread(target=lambda: outcomes.append(client.attempt(ask, right)), daemon=True)
        asking.start()
        asking.join(self._patience.deadline)
        if not outcomes:
            self._client = None  # still in use by the thread: left to it, and the next call has its own
            raise ForgeUnavailable(
                f"no answer from {client.host} within {self._patience.deadline:g} s",
                hint="`mlsnap publish` sends what waits, once GitHub answers again",
            )
        outcome = outcomes[0]
        # Raised here and not where it was caught, so that no trace leads to a request and its headers.
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _opened(self) -> Client:
        if self._client is None:
            from ci_mlsnap.forge.client import Client

            self._client = Client(self._token, self._api_url, self._ca, self._patience)
        return self._client


def _page_of_statuses(request: Request, sha: str, client: Client) -> tuple[list[CommitStatus], bool]:
    return client.combined(request, sha)


def _checked_token(text: str) -> str:
    token = text.strip()
    if re.fullmatch(r"[!-~]+", token) is None:
        raise ConfigInvalid(
            "the GitHub token is empty or has characters that no token has",
            hint="check how the secret reaches this step; its value is not shown",
        )
    return token


def _checked_bundle(ca: Path | None) -> Path | None:
    if ca is not None and not ca.is_file():
        raise ConfigInvalid(
            f"the bundle of certificates {str(ca)!a} is no file", hint="set `forge.ca` to a PEM file"
        )
    return ca


def _checked_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
        usable = bool(parts.hostname) and parts.username is None and not parts.query and parts.port != 0
    except ValueError:
        safe = usable = False
    if not (safe and usable):
        raise ConfigInvalid(
            "the GitHub API's URL is not one that a token may be sent to",
            why="it must be https://HOST[:PORT][/PATH], without a login",
            hint="set `forge.url` to https://api.github.com, or to https://HOST/api/v3 on Enterprise Server",
        )
    return text.rstrip("/")
