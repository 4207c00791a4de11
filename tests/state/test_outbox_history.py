"""Any history of statuses, answers and crashes: nothing is lost, and the latest is what the forge ends with."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ci_mlsnap.domain.notices import Notice
from ci_mlsnap.domain.status import CommitStatus, State
from ci_mlsnap.domain.status import status as make_status
from ci_mlsnap.errors import ForgeForbidden, ForgeRejected, ForgeUnavailable, StorageFailed
from ci_mlsnap.ports import Sent
from ci_mlsnap.state.outbox import Outbox

Key = tuple[str, str, str]

_IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Thousands of histories wait for no disk: what a crash leaves of a file is not the question here."""


class Crash(BaseException):
    """The process is gone: nothing of it runs any more."""


class Answering:
    """A forge that remembers, and answers as it was told to: one word for each status it is sent."""

    def __init__(self) -> None:
        self.heard: dict[Key, list[int]] = {}
        self.states: dict[Key, State] = {}
        self.refused: dict[Key, int] = {}
        self.answers: list[str] = []

    def post_status(self, repository: str, status: CommitStatus) -> Sent:
        key = (repository, status.sha, status.context)
        number = int(status.target_url.rpartition("/")[2])
        answer = self.answers.pop(0) if self.answers else "fine"
        if answer == "crash before":
            raise Crash
        if answer == "away":
            raise ForgeUnavailable("503")
        if answer == "forbidden":
            raise ForgeForbidden("403")
        if answer == "rejected":
            self.refused[key] = number
            raise ForgeRejected("422")
        self.heard.setdefault(key, []).append(number)
        self.states[key] = status.state
        if answer == "answer lost":
            raise ForgeUnavailable("no answer")
        if answer == "crash after":
            raise Crash
        return Sent()

    def newest_statuses(self, repository: str, sha: str) -> list[CommitStatus]:
        return self.statuses_of(repository, sha)

    def tell(self, repository: str, notice: Notice) -> Sent:
        return Sent()

    def may_post(self, repository: str) -> str:
        return ""

    def statuses_of(self, repository: str, sha: str) -> list[CommitStatus]:
        return []


KEYS = st.tuples(st.sampled_from(["a/a", "b/b"]), st.sampled_from(["a" * 40, "b" * 40]), st.just("mlsnap/m"))
ANSWERS = st.sampled_from(["fine", "away", "forbidden", "rejected", "answer lost", "crash before", "crash after"])


class Histories(RuleBasedStateMachine):
    """The run number stands in the target URL, so what the forge heard can be put in order."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mlsnap-outbox-", dir=_IN_MEMORY))
        self.forge = Answering()
        self.latest: dict[Key, tuple[int, State]] = {}
        self.count = 0

    @rule(key=KEYS, state=st.sampled_from(["pending", "success", "failure"]))
    def put(self, key: Key, state: State) -> None:
        self.count += 1
        repository, sha, context = key
        status = make_status(sha, context, state, "text", f"https://ci.example.org/{self.count}")
        assert Outbox(self.folder).put(repository, status, snapshot=sha) is not None
        self.latest[key] = (self.count, state)

    @rule(key=KEYS)
    def put_late(self, key: Key) -> None:
        """A status whose number is not above that of the latest, from a process that was slow."""
        if key in self.latest:
            repository, sha, context = key
            status = make_status(sha, context, "pending", "late", "https://ci.example.org/0")
            assert Outbox(self.folder).put(repository, status, snapshot=sha, sequence=1) is None

    @rule(answers=st.lists(ANSWERS, max_size=4), storage=st.sampled_from(["there", "gone", "away"]))
    def deliver(self, answers: list[str], storage: str) -> None:
        self.forge.answers = list(answers)
        self._deliver(storage)
        self.forge.answers = []

    def _deliver(self, storage: str) -> None:
        def exists(name: str) -> bool:
            if storage == "away":
                raise StorageFailed("away")
            return storage == "there"

        try:
            Outbox(self.folder).deliver(self.forge, exists=exists)
        except Crash:
            return

    @invariant()
    def what_the_forge_hears_is_never_older_than_what_it_heard(self) -> None:
        for heard in getattr(self, "forge", Answering()).heard.values():
            assert heard == sorted(heard)

    @invariant()
    def each_latest_status_waits_or_was_heard_or_was_refused(self) -> None:
        if not hasattr(self, "folder"):
            return
        outbox = Outbox(self.folder)
        waiting = {
            (entry.repository, entry.status.sha, entry.status.context): entry.status for entry in outbox.pending()
        }
        for key, (number, _) in self.latest.items():
            if key in waiting:
                assert waiting[key].target_url.endswith(f"/{number}")
            else:
                heard = self.forge.heard.get(key, [0])[-1]
                assert number in (heard, self.forge.refused.get(key))

    def teardown(self) -> None:
        if not hasattr(self, "folder"):
            return
        try:
            for _ in range(3):
                self._deliver("there")
            outbox = Outbox(self.folder)
            assert not (outbox.pending() or outbox.damaged())
            refused = {(e.repository, e.status.sha, e.status.context) for e in outbox.undeliverable()}
            for key, (number, state) in self.latest.items():
                if key not in refused:
                    assert self.forge.heard[key][-1] == number
                    assert self.forge.states[key] in (state, "error" if state == "success" else state)
        finally:
            shutil.rmtree(self.folder)


TestHistories = Histories.TestCase
TestHistories.settings = settings(stateful_step_count=20)
