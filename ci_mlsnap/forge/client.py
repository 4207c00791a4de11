"""The part that knows PyGithub: one client with our patience. Imported by the first call only."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar, get_args
from urllib.parse import urlsplit

from github import Auth, Github, GithubException
from github.GithubRetry import GithubRetry
from urllib3.exceptions import InvalidHeader, SSLError

from ci_mlsnap import __version__
from ci_mlsnap.domain.notices import CheckRun, Comment, Deployment, Notice
from ci_mlsnap.domain.status import CommitStatus, State, one_line
from ci_mlsnap.domain.status import status as built
from ci_mlsnap.errors import AnnouncingQueued
from ci_mlsnap.forge import checks, comments, deployments
from ci_mlsnap.forge import request as requests
from ci_mlsnap.forge.diagnosis import Garbage, WaitRefused, diagnose
from ci_mlsnap.forge.github import Patience
from ci_mlsnap.forge.request import Request

_T = TypeVar("_T")
_CHATTY = ("github.GithubRetry", "github.Requester", "urllib3.connectionpool", "urllib3.util.retry")


class _AtDebug(logging.Filter):
    """Lowers a library's lines to DEBUG: that a request is tried again is no news for the log of a build."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.levelno, record.levelname = logging.DEBUG, logging.getLevelName(logging.DEBUG)
        return logging.getLogger(record.name).isEnabledFor(logging.DEBUG)


_AT_DEBUG = _AtDebug()


class Deadline:
    """When the call under way must be over, and the longest wait within it."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self.repeats = True
        """Whether what makes something may be asked for again when it may have been done already."""
        self.start()

    def start(self) -> None:
        """Begin a call."""
        self.repeats = True
        self._end = time.monotonic() + self._patience.deadline

    def allow(self, wait: float) -> None:
        """Raise `WaitRefused` unless there is time for `wait` seconds."""
        if wait > min(self._patience.longest_wait, self._end - time.monotonic()) and wait > 0:
            raise WaitRefused(wait)
        if time.monotonic() >= self._end:
            raise WaitRefused(0)


class PatientRetry(GithubRetry):
    """PyGithub's rules for what is tried again, but no wait that is too long or ends after the deadline.

    PyGithub's own `max_rate_limit_wait` does not cover a Retry-After header, which can ask for an hour.
    """

    def __init__(self, *, deadline: Deadline, **settings: Any) -> None:
        self._deadline = deadline
        super().__init__(**settings)

    def new(self, **changes: Any) -> Self:
        """Give the next state, with the same deadline."""
        return super().new(deadline=self._deadline, **changes)

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: Any = None,
        error: Exception | None = None,
        *where: Any,
        **rest: Any,
    ) -> Self:
        """Count a failure. A certificate that is not trusted will not be at the next try either."""
        if isinstance(error, SSLError) and isinstance(error.args[0], ssl.SSLCertVerificationError):
            raise error
        return super().increment(method, url, response, error, *where, **rest)  # type: ignore[return-value]

    def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:  # noqa: FBT002
        """Tell whether an answer asks for another try: one that only refused made nothing."""
        if method == "POST" and not self._deadline.repeats:
            return status_code in (403, 429)
        return super().is_retry(method, status_code, has_retry_after)

    def _is_method_retryable(self, method: str) -> bool:
        return (method != "POST" or self._deadline.repeats) and super()._is_method_retryable(method)

    def get_retry_after(self, response: Any) -> float | None:
        """Read the Retry-After header; one that nobody can read is as none."""
        try:
            return super().get_retry_after(response)
        except InvalidHeader:
            return None

    def sleep(self, response: Any = None) -> None:
        """Wait before the next try, or raise `WaitRefused`."""
        asked = self.get_retry_after(response) if response is not None else None
        self._deadline.allow(asked or self.get_backoff_time())
        super().sleep(response)


class Client:
    """One connection to GitHub's API, for one call at a time."""

    def __init__(self, token: str, api_url: str, ca: Path | None, patience: Patience) -> None:
        for name in _CHATTY:
            logging.getLogger(name).addFilter(_AT_DEBUG)
        self.host = urlsplit(api_url).hostname or ""
        self.is_bot = token.startswith("ghs_")
        """Whether the token is an Action's or an App's."""
        self.tries = patience.retries + 1
        self._settle = patience.settle
        self._own_name: str | None = None
        self._deadline = Deadline(patience)
        self._token = token
        self._github = Github(
            auth=Auth.Token(token),
            base_url=api_url,
            verify=str(ca) if ca else True,
            timeout=patience.timeout,
            user_agent=f"mlsnap/{__version__}",
            seconds_between_requests=patience.between_requests,
            seconds_between_writes=patience.between_writes,
            retry=PatientRetry(
                deadline=self._deadline,
                total=patience.retries,
                backoff_factor=patience.backoff,
                secondary_rate_wait=patience.secondary_wait,
                status_forcelist=[429, 500, 502, 503, 504],
                allowed_methods=frozenset(("GET", "POST", "PATCH")),
            ),
        )

    def attempt(self, ask: Callable[[Client], _T], right: str) -> _T | AnnouncingQueued:
        """Do one call, which needs a `right`, and give its answer, or our error for whatever went wrong."""
        self._deadline.start()
        try:
            return ask(self)
        except AnnouncingQueued as refused:  # by us, before anything was sent
            return refused.with_traceback(None)
        except Exception as fault:  # noqa: BLE001 - the library's edge: it lets through what it met
            logging.getLogger(__name__).debug("call to %s failed: %s", self.host, type(fault).__name__)
            return diagnose(fault, host=self.host, secret=self._token, right=right)

    def post(self, request: Request, status: CommitStatus) -> str:
        """Send a status and give its address in the API."""
        sent = (status.state, status.context.lower())
        # The page of a proxy comes with 200 too: only the echo says that GitHub took the status.
        facts = self._ask(request, lambda echo: (echo.get("state"), str(echo.get("context")).lower()) == sent)
        return one_line(str(facts.get("url", "")))

    def statuses(self, request: Request, sha: str) -> list[CommitStatus]:
        """Give what GitHub lists as a commit's statuses, in its order; one of no known form is left out."""
        found = [_read_status(sha, each) for each in self.items(request)[:100]]
        return [status for status in found if status is not None]

    def combined(self, request: Request, sha: str) -> tuple[list[CommitStatus], bool]:
        """Give a page of the newest status of each context, and whether it is full."""
        facts = self._ask(request, lambda answer: isinstance(answer.get("statuses"), list))
        rows = facts["statuses"]
        found = [_read_status(sha, each) for each in rows]
        return [status for status in found if status is not None], len(rows) >= 100

    def tell(self, repository: str, notice: Notice) -> str:
        """Make what a notice says be there, and give its page."""
        match notice:
            case Comment():
                return one_line(comments.put(self, repository, notice))
            case Deployment():
                return one_line(deployments.put(self, repository, notice))
            case CheckRun():
                return one_line(checks.put(self, repository, notice))

    def items(self, request: Request) -> list[Mapping[str, Any]]:
        """Ask for a list of objects."""
        headers, facts = self._github.requester.requestJsonAndCheck(request.method, request.path)
        if not isinstance(facts, list) or not all(isinstance(each, dict) for each in facts):
            raise Garbage(moved_to=str(headers.get("location", "")))
        return facts

    def facts(self, request: Request, *, repeats: bool = True) -> Mapping[str, Any]:
        """Ask for an object that has an `id`. Unless it `repeats`, what may have been done is not asked again."""
        self._deadline.repeats = repeats
        try:
            return self._ask(request, lambda answer: isinstance(answer.get("id"), int))
        finally:
            self._deadline.repeats = True

    def listed(self, request: Request, key: str) -> list[Mapping[str, Any]]:
        """Ask for an object that has a list of objects under a key."""
        facts = self._ask(request, lambda answer: isinstance(answer.get(key), list))
        return [each for each in facts[key] if isinstance(each, dict)]

    def own_name(self) -> str:
        """Say whose the token is; empty where it may not ask."""
        if self._own_name is None:
            try:
                self._own_name = str(self.facts(requests.naming_oneself()).get("login") or "")
            except GithubException:
                self._own_name = ""
        return self._own_name

    def pause(self) -> None:
        """Wait until what was just written is to be read, or raise `WaitRefused`."""
        self._deadline.allow(self._settle)
        time.sleep(self._settle)

    def obstacle(self, request: Request, repository: str) -> str:
        """Say what would stop a status, from one look at the repository."""
        facts = self._ask(request, lambda answer: isinstance(answer.get("full_name"), str))
        name = one_line(str(facts["full_name"]))
        if name.lower() != repository.lower():
            return f"the repository is now called {name[:200]}: change the remote's URL"
        if facts.get("archived") is True:
            return "the repository is archived, so GitHub takes no status"
        return self._missing_right(facts.get("permissions"))

    def _ask(self, request: Request, is_answer: Callable[[Mapping[str, Any]], bool]) -> Mapping[str, Any]:
        # Not `create_status`: it hides the headers of an answer that is no status, as of a redirect.
        headers, facts = self._github.requester.requestJsonAndCheck(
            request.method, request.path, input=dict(request.body) or None
        )
        if not isinstance(facts, dict) or not is_answer(facts):
            raise Garbage(moved_to=str(headers.get("location", "")))
        return facts

    def _missing_right(self, rights: object) -> str:
        scopes = self._github.oauth_scopes
        if scopes is not None and not {"repo", "public_repo", "repo:status"} & set(scopes):
            return "the token has none of the scopes `repo`, `public_repo`, `repo:status`"
        # What is said of an installation (an Action's token, an App) does not cover its right to statuses.
        if not self.is_bot and isinstance(rights, dict) and rights.get("push") is False:
            return "the token's user may not write to the repository, and so may post no status"
        return ""

    def close(self) -> None:
        """Close the connections."""
        self._github.close()


def _read_status(sha: str, facts: object) -> CommitStatus | None:
    states: tuple[State, ...] = get_args(State)
    state = next((it for it in states if isinstance(facts, dict) and facts.get("state") == it), None)
    if not isinstance(facts, dict) or state is None:
        return None
    text, context = (str(facts.get(key) or "") for key in ("description", "context"))
    return built(sha, context, state, text, str(facts.get("target_url") or ""))
