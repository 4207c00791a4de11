"""What went wrong with a Jenkins server, in our words. python-jenkins tells most of it apart only by its text."""

from __future__ import annotations

import re
import ssl

import requests
from requests import exceptions
from urllib3.exceptions import NameResolutionError, NewConnectionError

from ci_mlsnap.ci.jenkins_answers import Garbage
from ci_mlsnap.domain.status import cut, one_line
from ci_mlsnap.errors import (
    JenkinsForbidden,
    JenkinsNotFound,
    JenkinsRejected,
    JenkinsUnknown,
    JenkinsUnreachable,
    MlsnapError,
)

_LIMIT = 200
_PASSING = (502, 503, 504)
"""What a server says that starts, or a proxy before it."""
_MISSING = re.compile(r"is missing the ([A-Za-z ]{1,40}/[A-Za-z ]{1,40}) permission")
_TITLE = re.compile(r"<title>\s*([^<]{1,200}?)\s*</title>", re.IGNORECASE)
_LOGIN = "check MLSNAP_JENKINS_USER and MLSNAP_JENKINS_TOKEN: an API token of that very user, not revoked"


def status_of(fault: BaseException) -> int:
    """Give the HTTP status that a fault of python-jenkins came from; 0 where there was no answer."""
    answer = _answer(fault)
    return answer.status_code if answer is not None else 0


def was_sent(fault: BaseException) -> bool:
    """Tell whether the server may have got the request: all but a connection that never stood."""
    return not any(_never_stood(each) for each in _chain(fault))


def diagnose(fault: Exception, *, server: str, what: str, secret: str, acting: bool) -> MlsnapError:
    """Give our error for any fault of a request. `what` names what was asked for; `acting` tells that it changes
    something, so that an answer that was lost leaves the outcome open. `secret` never appears in a text."""
    if isinstance(fault, ValueError | KeyError | TypeError) and not status_of(fault):
        fault = Garbage()  # as python-jenkins lets through what it cannot read
    status = status_of(fault)
    why = cut(one_line(_reason(fault).replace(secret, "***")), _LIMIT)
    if status in (401, 403):
        return _forbidden(fault, status, server, what, why)
    if status == 404 or (not status and _says_missing(fault)):
        return JenkinsNotFound(
            f"{server} shows no {what}",
            safe="nothing was done",
            hint="check its full name, with the folders before it; it also needs the right to be seen",
        )
    if status and status not in _PASSING:
        return JenkinsRejected(f"{server} would not do it: {what}", why=f"{status}: {why}", hint=_hint(status))
    if acting and was_sent(fault) and status != 503:
        return JenkinsUnknown(
            f"it is not known whether {server} did it: {what}",
            why=why,
            hint="look at the server; running the command again does no more than is missing",
        )
    return JenkinsUnreachable(
        f"{server} gives no answer that can be used", why=why, safe="nothing was done", hint=_way_out(fault)
    )


def _forbidden(fault: Exception, status: int, server: str, what: str, why: str) -> JenkinsForbidden:
    answer = _answer(fault)
    missing = _MISSING.search(answer.text[:20_000]) if answer is not None else None
    if status == 401 or missing is None:
        return JenkinsForbidden(
            f"{server} refuses the login: {what}", why=why, safe="nothing was done", hint=_LOGIN
        )
    return JenkinsForbidden(
        f"{server} does not allow it: {what}",
        why=f"the user lacks the permission {missing[1]}",
        safe="nothing was done",
        hint=f"have an administrator grant {missing[1]}; `mlsnap jenkins check` says what is there",
    )


def _hint(status: int) -> str:
    if status == 400:
        return "check names and values; `mlsnap jenkins check` looks at the job"
    return "the server's own log says more; try again later"


def _way_out(fault: Exception) -> str:
    if any(isinstance(each, exceptions.SSLError) for each in _chain(fault)):
        return "set jenkins.ca to the certificates of the authority that signed the server's"
    if isinstance(fault, Garbage):
        return "check jenkins.url and what stands before the server: a proxy or a login page answered"
    return "check jenkins.url, and that this machine reaches the server; then run the command again"


def _reason(fault: Exception) -> str:
    answer = _answer(fault)
    if answer is not None:
        # A page of the site may hold names of it: its title is all that is told.
        title = _TITLE.search(answer.text[:20_000])
        return title[1] if title else answer.reason or ""
    if isinstance(fault, Garbage):
        return f"it points to {fault.where}" if fault.where else "what answers is no Jenkins"
    inner = _chain(fault)[-1]
    return getattr(inner, "strerror", None) or str(inner) or type(inner).__name__


def _says_missing(fault: Exception) -> bool:
    """python-jenkins raises its plain exception for what is missing in some calls."""
    return type(fault).__module__ == "jenkins" and str(fault).endswith("does not exist")


def _answer(fault: BaseException) -> requests.Response | None:
    answers = (each.response for each in _chain(fault) if isinstance(each, exceptions.HTTPError))
    return next((answer for answer in answers if answer is not None), None)


def _never_stood(fault: BaseException) -> bool:
    return isinstance(
        fault,
        exceptions.ConnectTimeout | ssl.SSLCertVerificationError | NewConnectionError | NameResolutionError,
    )


def _chain(fault: BaseException) -> list[BaseException]:
    """Give a fault and what it came from, the innermost last."""
    found = [fault]
    while len(found) < 12:
        last = found[-1]
        inner = next((arg for arg in last.args if isinstance(arg, BaseException)), None)
        inner = getattr(last, "reason", None) if inner is None else inner
        inner = inner if isinstance(inner, BaseException) else last.__cause__ or last.__context__
        if inner is None or inner in found:
            break
        found.append(inner)
    return found
