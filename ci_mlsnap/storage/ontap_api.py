"""What we ask of a cluster, call by call: volumes, snapshots and jobs. One policy of trying again, with a budget.

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
from ci_mlsnap.errors import MlsnapError, StorageFailed, StorageUnknown, StorageUnreachable
from ci_mlsnap.storage.ontap_endpoint import Endpoint
from ci_mlsnap.storage.ontap_errors import Absent, Later, Unclear, failure

if TYPE_CHECKING:
    from ci_mlsnap.storage.ontap_connection import Connection, Json

VOLUMES = "/api/storage/volumes"
_VOLUME_FIELDS = (
    "uuid,name,style,state,type,nas.path,snapshot_count,"
    "snapshot_directory_access_enabled,snapshot_policy.name,space.snapshot.autodelete.enabled"
)
_SNAPSHOT_FIELDS = "uuid,name,comment"
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


@dataclass(frozen=True, kw_only=True)
class NativeVolume:
    """A volume as the cluster has it. `junction` is where its SVM shows it, empty when nowhere.

    `policy` is by what the cluster makes snapshots on its own; with `deletes` it deletes some when it is full.
    """

    uuid: str
    name: str
    style: str
    state: str
    type: str
    junction: str
    snapshots: int
    shows_snapshots: bool
    policy: str
    deletes: bool


@dataclass(frozen=True, kw_only=True)
class NativeSnapshot:
    """A snapshot as the cluster has it."""

    uuid: str
    name: str
    comment: str


@dataclass(kw_only=True)
class OntapApi:
    """The cluster at one endpoint; the connection is made by the first call. For one thread."""

    endpoint: Endpoint
    patience: Patience = field(default_factory=Patience)

    @cached_property
    def _connection(self) -> Connection:
        from ci_mlsnap.storage.ontap_connection import Connection

        return Connection(self.endpoint, timeouts=self.patience.timeouts)

    # -- looking -----------------------------------------------------------------------------------

    def volumes(self, **filters: str) -> list[NativeVolume]:
        """Give the SVM's volumes that fit; a filter's `_` stands for a dot (`nas_path`)."""
        query = {name.replace("_", "."): value for name, value in filters.items()} | {"fields": _VOLUME_FIELDS}
        if self.endpoint.svm:
            query["svm.name"] = self.endpoint.svm
        found = self._records(VOLUMES, query, "the volumes cannot be listed")
        return [_volume(record) for record in found]

    def snapshots(self, volume: str) -> list[NativeSnapshot]:
        """Give all snapshots of a volume, which is named by its UUID."""
        query = {"fields": _SNAPSHOT_FIELDS}
        return [_snapshot(it) for it in self._records(_below(volume), query, "the snapshots cannot be listed")]

    def snapshot(self, volume: str, name: str) -> NativeSnapshot | None:
        """Look one up by its very name; None when there is none."""
        query = {"fields": _SNAPSHOT_FIELDS, "name": name}
        found = self._records(_below(volume), query, f"the snapshot {name} cannot be looked up")
        return next((it for it in map(_snapshot, found) if it.name == name), None)

    # -- acting ------------------------------------------------------------------------------------

    def create_snapshot(self, volume: str, name: str, comment: str) -> None:
        """Have a snapshot made. Raises `Taken`, `Unclear`, and what a refusal means (`ontap_errors`)."""
        body = {"name": name, "comment": comment}
        self._act("POST", _below(volume), body, f"the snapshot {name} cannot be made")

    def rename_snapshot(self, volume: str, snapshot: str, name: str) -> None:
        """Give a snapshot, by its UUID, another name. Raises `Absent`, `Taken`, `Unclear`, and refusals."""
        self._act("PATCH", _below(volume, snapshot), {"name": name}, "the snapshot cannot be renamed")

    def delete_snapshot(self, volume: str, snapshot: str) -> None:
        """Delete a snapshot, by its UUID: a name may mean another one by now. Raises as `rename_snapshot`."""
        self._act("DELETE", _below(volume, snapshot), None, "the snapshot cannot be deleted")

    # -- requests ----------------------------------------------------------------------------------

    def _records(self, path: str, query: Mapping[str, str], act: str) -> Iterator[Json]:
        """Give the records of a collection, of all its pages."""
        asked = {**query, "max_records": _PAGE}
        while True:
            page = self._look(path, asked, act)
            records = page.get("records")
            if not isinstance(records, list):
                raise _unanswered(act, Unclear("the answer has no records"))
            yield from (record for record in records if isinstance(record, dict))
            following = _table(_table(page, "_links"), "next").get("href")
            if not isinstance(following, str):
                return
            # Only what it asks for is taken of the link: the login goes to no other address.
            asked, before = dict(parse_qsl(urlsplit(following).query)), asked
            if asked == before:
                raise StorageFailed(act, why="the cluster gives the same page again and again")

    def _look(self, path: str, query: Mapping[str, str], act: str) -> Json:
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
        error = _table(reply.body, "error")
        if reply.status < 300 and (method == "GET" or not error):  # a job that failed has one too
            return reply.body
        if reply.status == 429:
            raise Later("the cluster has too much to do (HTTP status 429)")
        if 300 <= reply.status < 400 or not error:
            raise Unclear(f"HTTP status {reply.status} is no answer of ONTAP")
        code, message = _number(error.get("code")), str(error.get("message", ""))
        raise failure(act, status=reply.status, code=code, message=message)

    def _act(self, method: str, path: str, body: Json | None, act: str) -> None:
        query = {"return_timeout": str(self.patience.answer_within)}
        until = time.monotonic() + self.patience.looking
        while True:
            try:
                answer = self._answer(method, path, query, body, act)
                break
            except Later:
                if time.monotonic() >= until:
                    raise
                time.sleep(self.patience.between)
        job = _table(answer, "job").get("uuid")
        if isinstance(job, str) and job:
            self._wait(job, act)

    def _wait(self, job: str, act: str) -> None:
        """Wait for a job's end. What is no clear success or failure is `Unclear`: what it did, the name tells."""
        until, pause = time.monotonic() + self.patience.job, self.patience.first_poll
        while True:
            try:
                found = self._look(f"/api/cluster/jobs/{quote(job, safe='')}", {"fields": "**"}, act)
            except (Absent, MlsnapError) as error:  # the right to look at jobs may be missing
                raise Unclear(f"its job cannot be followed: {error}") from None
            match found.get("state"):
                case "success":
                    return
                case "failure":
                    code = _number(found.get("code")) or _number(_table(found, "error").get("code"))
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
        for number in range(tries):
            if look():
                return
            if number + 1 < tries:
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


def _below(volume: str, snapshot: str = "") -> str:
    path = f"{VOLUMES}/{quote(volume, safe='')}/snapshots"
    return f"{path}/{quote(snapshot, safe='')}" if snapshot else path


def _volume(record: Json) -> NativeVolume:
    space = _table(record, "space")
    return NativeVolume(
        uuid=str(record.get("uuid", "")),
        name=str(record.get("name", "")),
        style=str(record.get("style", "flexvol")),
        state=str(record.get("state", "online")),
        type=str(record.get("type", "rw")),
        junction=str(_table(record, "nas").get("path", "")),
        snapshots=_number(record.get("snapshot_count")),
        shows_snapshots=record.get("snapshot_directory_access_enabled") is not False,
        policy=str(_table(record, "snapshot_policy").get("name", "none")),
        deletes=_table(_table(space, "snapshot"), "autodelete").get("enabled") is True,
    )


def _snapshot(record: Json) -> NativeSnapshot:
    return NativeSnapshot(
        uuid=str(record.get("uuid", "")),
        name=str(record.get("name", "")),
        comment=str(record.get("comment", "")),
    )


def _table(record: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = record.get(key)
    return found if isinstance(found, dict) else {}


def _number(found: object) -> int:
    """Read a number; ONTAP writes an error's code as a text, and a job's as a number."""
    text = str(found)
    return int(text) if text.isascii() and text.isdecimal() else 0
