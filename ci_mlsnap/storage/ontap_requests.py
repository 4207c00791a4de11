"""Requests to a cluster: one policy of trying again, with a budget, and jobs followed to their end.

What only looks is tried again until the budget is used up. What acts is sent once, unless the cluster says that it
did not begin; whoever acted looks by name.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlsplit

from ci_mlsnap.domain.status import one_line
from ci_mlsnap.errors import (
    MlsnapError,
    StorageAuth,
    StorageFailed,
    StorageForbidden,
    StorageUnknown,
    StorageUnreachable,
    StorageUntrusted,
)
from ci_mlsnap.storage.ontap_endpoint import Endpoint
from ci_mlsnap.storage.ontap_errors import Absent, Later, Taken, Unclear, failure

if TYPE_CHECKING:
    from ci_mlsnap.storage.ontap_connection import Connection

Json = Mapping[str, Any]
"""A JSON object."""

_PAGE = "1000"


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long we wait, in seconds: for what only looks, for a job, between two tries, and between two polls.

    A mount may show a snapshot as late as `shown`: Linux remembers for up to a minute that it was not there.
    What was looked at less than `fresh` seconds ago is not asked for again. `answer_within` has the cluster keep a
    request until its job is done, so that most need no poll.
    """

    looking: float = 30.0
    job: float = 120.0
    between: float = 0.5
    first_poll: float = 0.1
    longest_poll: float = 0.3
    shown: float = 70.0
    fresh: float = 5.0
    answer_within: int = 15
    timeouts: tuple[float, float] = (6.0, 45.0)


@dataclass(kw_only=True)
class Requests:
    """The cluster at one endpoint; the connection is made by the first request. For one thread."""

    endpoint: Endpoint
    patience: Patience = field(default_factory=Patience)

    @cached_property
    def _connection(self) -> Connection:
        from ci_mlsnap.storage.ontap_connection import Connection

        return Connection(self.endpoint, timeouts=self.patience.timeouts)

    @property
    def date(self) -> str:
        """The time of the last answer by the cluster's clock, as HTTP writes it; empty where it said none."""
        return self._connection.date

    def records(self, path: str, query: Mapping[str, str], act: str) -> Iterator[Json]:
        """Give the records of a collection, of all its pages."""
        asked = {**query, "max_records": _PAGE}
        while True:
            page = self.look(path, asked, act)
            records = page.get("records")
            if not isinstance(records, list):
                raise _unanswered(act, Unclear("the answer has no records"))
            yield from (record for record in records if isinstance(record, dict))
            following = table(table(page, "_links"), "next").get("href")
            if not isinstance(following, str):
                return
            # Only what it asks for is taken of the link: the login goes to no other address.
            asked, before = dict(parse_qsl(urlsplit(following).query)), asked
            if asked == before:
                raise StorageFailed(act, why="the cluster gives the same page again and again")

    def look(self, path: str, query: Mapping[str, str], act: str) -> Json:
        """Ask, and ask again for a while. Raises `Absent`, `StorageUnreachable`, and refusals."""
        until = time.monotonic() + self.patience.looking
        while True:
            try:
                return self._answer("GET", path, query, None, act)
            except (Unclear, StorageUnreachable) as error:
                if time.monotonic() + self.patience.between >= until:
                    raise _unanswered(act, error) from None
                time.sleep(self.patience.between)

    def _answer(self, method: str, path: str, query: Mapping[str, str], body: Json | None, act: str) -> Json:
        reply = self._connection.send(method, path, query=query, body=body)
        error = table(reply.body, "error")
        if reply.status < 300 and (method == "GET" or not error):  # a job that failed has one too
            return reply.body
        if reply.status == 429:
            raise Later("the cluster has too much to do (HTTP status 429)")
        if 300 <= reply.status < 400 or not error:
            raise Unclear(f"HTTP status {reply.status} is no answer of ONTAP")
        code, message = number(error.get("code")), str(error.get("message", ""))
        raise failure(act, status=reply.status, code=code, message=message)

    def act(
        self, method: str, path: str, body: Json | None, act: str, *, query: Mapping[str, str] | None = None
    ) -> None:
        """Have something done, once, and wait for its job's end. Raises `Absent`, `Taken`, `Unclear`, refusals.

        `act` says what cannot be done when it fails.
        """
        query = {**(query or {}), "return_timeout": str(self.patience.answer_within)}
        until = time.monotonic() + self.patience.looking
        while True:
            try:
                answer = self._answer(method, path, query, body, act)
                break
            except Later:
                if time.monotonic() >= until:
                    raise
                time.sleep(self.patience.between)
        job = table(answer, "job").get("uuid")
        if isinstance(job, str) and job:
            self._wait(job, act)

    def may(self, method: str, path: str, body: Json | None) -> bool:
        """Tell whether a request that can do nothing is refused for something else than a missing right.

        It is asked again for a while. Raises `StorageUnreachable`, `StorageAuth`, `StorageUntrusted`.
        """
        until = time.monotonic() + self.patience.looking
        while True:
            try:
                self.act(method, path, body, "a right cannot be found out")
            except StorageForbidden:
                return False
            except (StorageAuth, StorageUntrusted):
                raise
            except (Unclear, StorageUnreachable) as error:
                if time.monotonic() + self.patience.between >= until:
                    raise _unanswered("a right cannot be found out", error) from None
                time.sleep(self.patience.between)
                continue
            except (Absent, Taken, MlsnapError):
                pass
            return True

    def _wait(self, job: str, act: str) -> None:
        """Wait for a job's end. What is no clear success or failure is `Unclear`: what it did, the name tells."""
        until, pause = time.monotonic() + self.patience.job, self.patience.first_poll
        while True:
            try:
                found = self.look(f"/api/cluster/jobs/{quote(job, safe='')}", {"fields": "**"}, act)
            except (Absent, MlsnapError) as error:  # the right to look at jobs may be missing
                raise Unclear(f"its job cannot be followed: {error}") from None
            match found.get("state"):
                case "success":
                    return
                case "failure":
                    code = number(found.get("code")) or number(table(found, "error").get("code"))
                    raise failure(act, status=0, code=code, message=str(found.get("message", "")))
                case "queued" | "running" | "paused" if time.monotonic() < until:
                    time.sleep(pause)
                    pause = min(pause * 1.5, self.patience.longest_poll)
                case state:
                    raise Unclear(f"its job is {one_line(str(state))[:40]}")


def settled(
    act: Callable[[], None], look: Callable[[], bool], what: str, *, tries: int = 3, pause: float = 0.5
) -> None:
    """Act once, and look whether it was done where that is unclear or denied; never act again.

    Raises what `act` does, and `StorageUnknown` when looking does not show it: it may still be under way.
    """
    try:
        act()
    except MlsnapError:
        with suppress(MlsnapError):
            if look():  # a job may fail after its work was done
                return
        raise
    except Unclear as error:
        for passed in range(1, tries + 1):
            if look():
                return
            if passed < tries:
                time.sleep(pause)
        raise StorageUnknown(
            what,
            why=str(error),
            safe="nothing else was changed, and no success was posted",
            hint="run again: what was done is found by its name",
        ) from None


def _unanswered(act: str, error: Exception) -> StorageUnreachable:
    if isinstance(error, StorageUnreachable):
        return error
    return StorageUnreachable(
        act,
        why=str(error),
        safe="nothing was changed",
        hint="check that ontap.host is the cluster's management address, and not a proxy's or a login page's",
    )


def table(record: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Give a record's inner record; an empty one where it has none."""
    found = record.get(key)
    return found if isinstance(found, dict) else {}


def number(found: object) -> int:
    """Read a number; ONTAP writes an error's code as a text, and a job's as a number."""
    text = str(found)
    return int(text) if text.isascii() and text.isdecimal() else 0
