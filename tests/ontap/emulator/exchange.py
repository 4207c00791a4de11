"""What comes in and goes out, apart from how it travels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.ontap.emulator.access import Account
from tests.ontap.emulator.refusals import BAD_VALUE, NEEDED_FIELD, UNKNOWN_ARGUMENT, Refused
from tests.ontap.emulator.values import Job


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request of a known account; dotted names in the body are taken apart, `svm` is what it is limited to."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Mapping[str, Any]
    account: Account
    svm: str = ""

    def needed(self, name: str) -> Any:
        """Give a field of the body that must be there. Raises `Refused`."""
        if self.body.get(name) in (None, ""):
            raise Refused(NEEDED_FIELD, f'Field "{name}" is required.', name)
        return self.body[name]

    def require_known(self, known: frozenset[str]) -> None:
        """Hold the body's names against those that the operation knows. Raises `Refused`."""
        for name in self.body:
            if name not in known:
                raise Refused(UNKNOWN_ARGUMENT, f'Unexpected argument "{name}".', name)

    @property
    def return_timeout(self) -> int:
        """How long, in seconds, the answer may wait for the job. Raises `Refused`."""
        text = self.query.get("return_timeout", "0")
        if not text.isdecimal() or int(text) > 120:
            raise Refused(BAD_VALUE, "The value must be between 0 and 120.", "return_timeout")
        return int(text)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One answer."""

    code: int = 200
    body: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """An operation that goes on as a job; `location` is what a client is told before the job has ended."""

    job: Job
    location: str = ""
