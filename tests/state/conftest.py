"""State on real files, real processes that are killed at any step, and a forge and a storage with memory."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

import pytest

from ci_mlsnap.domain.event import Event
from ci_mlsnap.domain.gates import Verdict
from ci_mlsnap.domain.manifest import ManifestHeader
from ci_mlsnap.domain.names import Marker, SnapshotName
from ci_mlsnap.domain.notices import Notice, identity_of
from ci_mlsnap.domain.plan import Plan
from ci_mlsnap.domain.status import CommitStatus
from ci_mlsnap.errors import IntegrityDamage, NoSuchVersion
from ci_mlsnap.ports import Driver, Sent, Snapshot

SHA = "a" * 40

_STEPS = ("mkdir", "write", "ftruncate", "fsync", "rename", "unlink")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Give a state folder that is not made yet."""
    return tmp_path / "state"


class MakePlan(Protocol):
    """Makes a plan for a commit of a model."""

    def __call__(self, *, commit: str = SHA, model: str = "digits") -> Plan: ...


@pytest.fixture
def make_plan() -> MakePlan:
    """Give a maker of plans."""

    def make(*, commit: str = SHA, model: str = "digits") -> Plan:
        event = Event(kind="push", sha=commit)
        return Plan(
            action="train", project="ada/digits", model=model, event=event, commit=commit, name=commit, tool="t"
        )

    return make


# -- processes -----------------------------------------------------------------------------------------


class InChild(Protocol):
    """Runs a callable in a forked child and gives how that ended: 0, or minus the signal that killed it."""

    def __call__(self, act: Callable[[], object]) -> int: ...


class KilledAtEachStep(Protocol):
    """Runs a callable in children, each killed one step later, and calls `after` each time; gives the steps.

    A step is a call that changes a file or folder, or makes a change durable.
    """

    def __call__(
        self, before: Callable[[], object], act: Callable[[], object], after: Callable[[], object]
    ) -> int: ...


@pytest.fixture
def in_child() -> InChild:
    """Give a runner of callables in processes of their own."""
    return lambda act: _wait(_fork(act))


@pytest.fixture
def together() -> Iterator[Callable[[Sequence[Callable[[], object]]], list[int]]]:
    """Give a runner of callables in processes at the same time; none is left at the end."""
    children: list[int] = []

    def run(acts: Sequence[Callable[[], object]]) -> list[int]:
        children.extend(started := [_fork(act) for act in acts])
        ends = [_wait(child) for child in started]
        children.clear()
        return ends

    yield run
    for child in children:
        os.kill(child, signal.SIGKILL)


@pytest.fixture
def killed_at_each_step() -> KilledAtEachStep:
    """Give a runner that kills at every step in turn, until the callable comes to its end."""

    def run(before: Callable[[], object], act: Callable[[], object], after: Callable[[], object]) -> int:
        for step in range(1, 1000):
            before()
            end = _wait(_fork(lambda step=step: _die_at(step, act)))  # type: ignore[misc]
            assert end in (0, -signal.SIGKILL)
            after()
            if end == 0:
                return step - 1
        raise AssertionError("it never came to its end")

    return run


def _fork(act: Callable[[], object]) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # xdist has threads; the child touches none of them
        child = os.fork()
    if child == 0:
        code = 1
        try:
            act()
            code = 0
        finally:
            os._exit(code)
    return child


def _wait(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _die_at(step: int, act: Callable[[], object]) -> None:
    left = step

    def dying(call: Callable[..., Any]) -> Callable[..., Any]:
        def step_or_die(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **named)

        return step_or_die

    for name in _STEPS:
        setattr(os, name, dying(getattr(os, name)))
    act()


# -- a forge with memory -------------------------------------------------------------------------------


@dataclass
class MemoryForge:
    """Keeps what was posted; `answer` decides, before or after keeping, what the caller hears."""

    posted: list[tuple[str, CommitStatus]] = field(default_factory=list)
    before: Callable[[str, CommitStatus], object] = lambda repository, status: None
    after: Callable[[str, CommitStatus], object] = lambda repository, status: None
    told: dict[tuple[str, ...], Notice] = field(default_factory=dict)
    telling: Callable[[str, Notice], object] = lambda repository, notice: None

    def post_status(self, repository: str, status: CommitStatus) -> Sent:
        self.before(repository, status)
        self.posted.append((repository, status))
        self.after(repository, status)
        return Sent()

    def may_post(self, repository: str) -> str:
        return ""

    def statuses_of(self, repository: str, sha: str) -> list[CommitStatus]:
        return [status for _, status in reversed(self.posted) if status.sha == sha]

    def newest_statuses(self, repository: str, sha: str) -> list[CommitStatus]:
        found = {status.context: status for _, status in self.posted if status.sha == sha}
        return list(found.values())

    def tell(self, repository: str, notice: Notice) -> Sent:
        self.telling(repository, notice)
        self.told[repository, *identity_of(notice)] = notice
        return Sent(url=f"https://forge.example/{len(self.told)}")


@pytest.fixture
def forge() -> MemoryForge:
    """Give a forge that takes all."""
    return MemoryForge()


# -- a storage with memory -----------------------------------------------------------------------------


@dataclass
class Shelf:
    """As much of a driver as the catalogue asks for: listed snapshots and the headers inside them."""

    state: Path
    snapshots: list[Snapshot] = field(default_factory=list)
    headers: dict[str, ManifestHeader] = field(default_factory=dict)
    damaged: set[str] = field(default_factory=set)
    read: list[str] = field(default_factory=list)

    def state_folder(self) -> Path:
        return self.state

    def list(self) -> Sequence[Snapshot]:
        return self.snapshots

    def manifest_header(self, name: SnapshotName) -> ManifestHeader:
        self.read.append(str(name))
        if str(name) in self.damaged:
            raise IntegrityDamage("a manifest is damaged")
        if str(name) not in self.headers:
            raise NoSuchVersion("it is gone")
        return self.headers[str(name)]

    def add(self, name: str, *, sequence: int = 1, inside: str = "", digest: str = "d" * 64) -> None:
        """Put one of ours there; `inside` is the name that its manifest says when that is another one."""
        marker = Marker(project="ada/digits", model="digits", name=SnapshotName.parse(name), digest=digest)
        self.snapshots = [s for s in self.snapshots if s.name != name] + [Snapshot(name=name, marker=marker)]
        self.headers[name] = ManifestHeader(
            format="mlsnap/manifest/1",
            name=inside or name,
            volume="models",
            volume_id="1" * 32,
            members=("models",),
            project="ada/digits",
            model="digits",
            commit=SnapshotName.parse(name).sha,
            tree="",
            sequence=sequence,
            created="2026-01-01T00:00:00+00:00",
            metrics={"accuracy": 0.5},
            verdict=Verdict(good=True),
            files_mode="changed",
            tool="t",
        )

    def remove(self, name: str) -> None:
        """Take one away, as a prune does."""
        self.snapshots = [snapshot for snapshot in self.snapshots if snapshot.name != name]
        self.headers.pop(name, None)

    @property
    def driver(self) -> Driver:
        """The shelf as the catalogue takes it."""
        return cast("Driver", self)


@pytest.fixture
def shelf(state: Path) -> Shelf:
    """Give an empty storage."""
    return Shelf(state=state)
