"""What goes wrong on request: on the way of a request, and in the jobs behind a 202."""

from __future__ import annotations

import fnmatch
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar

Kind = TypeVar("Kind")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What one request meets. `worked` says that it was obeyed first.

    `answer` sends `code` and `body`; `reset` breaks the connection; `truncate` breaks it in the middle of the true
    answer; `hang` answers never; `delay` answers truly, `seconds` late; `act` answers truly after `meanwhile`;
    `close` answers truly and then closes the connection without a word, as a cluster does with one that was idle.
    """

    kind: Literal["answer", "reset", "truncate", "hang", "delay", "act", "close"] = "answer"
    worked: bool = False
    code: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = '{"error": {"message": "The service is not available.", "code": "2"}}'
    seconds: float = 0.0
    meanwhile: Callable[[], object] | None = None


LOST_REQUEST = Fault(kind="reset")
LOST_ANSWER = Fault(kind="reset", worked=True)
TRUNCATED = Fault(kind="truncate", worked=True)
LOGIN_PAGE = Fault(code=200, headers={"Content-Type": "text/html"}, body="<html>Please log in</html>")
"""What a proxy answers in the cluster's place: the library takes it for a successful POST."""
TOO_MANY = Fault(code=429, headers={"Retry-After": "0"})
BROKEN = Fault(code=500, body='{"error": {"message": "internal error", "code": "3"}}')
UNAVAILABLE = Fault(code=503)


@dataclass(frozen=True, kw_only=True)
class JobFault:
    """How one job ends otherwise; `worked` says that it does its work all the same.

    `lost` is a job that nobody knows any more, `hang` one that runs for ever, `slow` one that takes `seconds`.
    """

    kind: Literal["fail", "cancel", "lost", "hang", "slow"]
    worked: bool = False
    code: int = 1
    message: str = "internal error"
    seconds: float = 0.0


class FaultScript:
    """Faults in wait for the requests and jobs that they are meant for; after them all goes well again."""

    def __init__(self) -> None:
        self._requests: list[tuple[str, Fault]] = []
        self._jobs: list[tuple[str, JobFault]] = []
        self._lock = threading.Lock()
        self.over = threading.Event()

    def next(self, *faults: Fault, on: str = "*", times: int = 1) -> None:
        """Let the next requests whose `METHOD /api/path` fits the pattern meet `faults`, so many times over."""
        with self._lock:
            self._requests += [(on, fault) for fault in faults * times]

    def next_job(self, *faults: JobFault, on: str = "*", times: int = 1) -> None:
        """Let the next jobs whose description, such as `POST /api/…`, fits the pattern meet `faults`."""
        with self._lock:
            self._jobs += [(on, fault) for fault in faults * times]

    def before(self, on: str, act: Callable[[], object]) -> None:
        """Let something else happen just before the next request that fits the pattern is obeyed."""
        self.next(Fault(kind="act", meanwhile=act), on=on)

    def take(self, request: str) -> Fault | None:
        """Take the fault that a request meets."""
        with self._lock:
            return _taken(self._requests, request)

    def take_job(self, description: str) -> JobFault | None:
        """Take the fault that a job meets."""
        with self._lock:
            return _taken(self._jobs, description)

    def clear(self) -> None:
        """Let all go well."""
        with self._lock:
            self._requests.clear()
            self._jobs.clear()


def _taken(waiting: list[tuple[str, Kind]], text: str) -> Kind | None:
    for place, (pattern, fault) in enumerate(waiting):
        if fnmatch.fnmatchcase(text, pattern):
            del waiting[place]
            return fault
    return None
