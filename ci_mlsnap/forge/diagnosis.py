"""What went wrong with GitHub, in our words: of many exceptions of four libraries, three errors of ours."""

from __future__ import annotations

import re

from github import GithubException, RateLimitExceededException
from requests import exceptions

from ci_mlsnap.domain.status import cut, one_line
from ci_mlsnap.errors import AnnouncingQueued, ForgeForbidden, ForgeRejected, ForgeUnavailable

LATER = "`mlsnap publish` sends what waits, once GitHub answers again"
_URL = "check `forge.url` or GITHUB_API_URL (https://HOST/api/v3 on Enterprise Server), and the proxy on the way"


STATUSES = "statuses"
"""The right to post statuses, as a job's `permissions` name it."""


class WaitRefused(Exception):
    """GitHub asks for a wait of `seconds` that there is no time for."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Garbage(Exception):
    """The answer is not GitHub's; `moved_to` is where it points, if anywhere."""

    def __init__(self, *, moved_to: str) -> None:
        super().__init__(moved_to)
        self.moved_to = moved_to


_FAULTS: tuple[tuple[type[Exception], str, str], ...] = (
    (exceptions.RetryError, "{host} keeps failing", LATER),
    (
        exceptions.SSLError,
        "the certificate of {host} is not trusted",
        "give the certificates of its authority as `forge.ca`, or in REQUESTS_CA_BUNDLE",
    ),
    (exceptions.Timeout, "{host} does not answer in time", LATER),
    # PyGithub raises these two bare, for redirects and links that lead to another host.
    (AssertionError, "{host} points elsewhere, and the token is sent nowhere else", _URL),
    (RuntimeError, "{host} points elsewhere, and the token is sent nowhere else", _URL),
    # A ValueError may also be an OSError of requests' own (of JSON): no word on the connection.
    (ValueError, "the answer of {host} is not one of GitHub's", _URL),
    (OSError, "{host} cannot be reached", LATER),
)

_ANSWERS: dict[int, tuple[type[AnnouncingQueued], str, str]] = {
    401: (ForgeForbidden, "{host} refuses the token", "renew the token: it is wrong, expired or revoked"),
    403: (
        ForgeForbidden,
        "{host} forbids it to this token",
        "add `permissions: {right}: write` to the job; a personal token needs {scope}",
    ),
    404: (
        ForgeForbidden,
        "{host} shows this token no such repository",
        "check the repository's name, and that the token has access with `{right}: write`",
    ),
    422: (
        ForgeRejected,
        "{host} will not take this",
        "push the commit first; a commit takes at most 1000 statuses of one context",
    ),
}


def diagnose(fault: Exception, *, host: str, secret: str, right: str = STATUSES) -> AnnouncingQueued:
    """Give our error for any exception of a call to `host` that needs a `right`; it never has the `secret`."""
    kind, what, why, hint = _diagnosis(fault)
    hint = hint.replace("{right}", right).replace("{scope}", "`repo:status`" if right == STATUSES else "`repo`")
    return kind(what.format(host=host), why=cut(one_line(why.replace(secret, "***")), 200), hint=hint)


def _diagnosis(fault: Exception) -> tuple[type[AnnouncingQueued], str, str, str]:
    if limit := _limit(fault):
        return ForgeUnavailable, "{host} limits how much is asked of it", limit, LATER
    if isinstance(fault, GithubException):
        kind, what, hint = _ANSWERS.get(fault.status, (ForgeUnavailable, "{host} failed", LATER))
        return kind, what, f"{fault.status}: {_message(fault) or 'without a reason'}", hint
    if isinstance(fault, Garbage) and fault.moved_to:
        renamed = f"if the repository was renamed, change the remote's URL; else {_URL}"
        elsewhere = "{host} points elsewhere, and the token is sent nowhere else"
        return ForgeUnavailable, elsewhere, f"to {fault.moved_to}", renamed
    for kind_of_fault, what, hint in _FAULTS:
        if isinstance(fault, kind_of_fault):
            return ForgeUnavailable, what, _innermost(fault), hint
    return ForgeUnavailable, "the answer of {host} is not one of GitHub's", "", _URL


def _limit(fault: Exception) -> str:
    """Say which limit it was; empty when it was none."""
    if isinstance(fault, WaitRefused):
        return f"it asks to wait {fault.seconds:.0f} s" if fault.seconds else "the time for this call is over"
    if isinstance(fault, RateLimitExceededException):
        return _message(fault)
    if isinstance(fault, exceptions.RetryError) and re.search("too many (403|429) ", _innermost(fault)):
        return "also after the waits it asked for"
    return ""


def _message(fault: GithubException) -> str:
    data = fault.data
    if not isinstance(data, dict):
        return ""
    errors = data.get("errors")
    details = [_detail(error) for error in errors] if isinstance(errors, list) else [errors]
    return "; ".join(part for part in (data.get("message"), *details) if isinstance(part, str) and part)


def _detail(error: object) -> object:
    return error.get("message") if isinstance(error, dict) else error


def _innermost(fault: BaseException) -> str:
    """Give the text of the deepest reason: the outer ones only add addresses of objects."""
    for _ in range(10):
        inner = getattr(fault, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((arg for arg in reversed(fault.args) if isinstance(arg, BaseException)), None)
        inner = inner or fault.__cause__ or (None if fault.__suppress_context__ else fault.__context__)
        if inner is None or inner is fault:
            break
        fault = inner
    return getattr(fault, "strerror", None) or str(fault)
