"""A small world for whole flows in this process: a history of commits, a forge, runners that come, die and wait.

The flows, the state and the driver are the real ones. Played are what stands around them: git, the forge, the CI,
the training command, and who is alive.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast
from unittest import mock

import msgspec

from ci_mlsnap import services
from ci_mlsnap.domain.event import Event
from ci_mlsnap.domain.metrics import Metrics
from ci_mlsnap.domain.notices import Notice
from ci_mlsnap.domain.status import CommitStatus
from ci_mlsnap.errors import ForgeRejected, ForgeUnavailable, NoCommit
from ci_mlsnap.flows.context import Announcer, Project, Timing
from ci_mlsnap.ports import CommitFacts, Driver, Refs, Sent, Step
from ci_mlsnap.state.holder import Holder
from ci_mlsnap.storage.registry import open_driver
from ci_mlsnap.testing import MemoryDriver, MemoryStorage
from ci_mlsnap.training.process import Trained
from ci_mlsnap.trees.remove import remove_tree

SECRET = "ghp_canary5Tq8Zr1Yv7Kx3Wn9"
REPOSITORY = "octo/digits"
Reply = Literal["ok", "lost", "twice", "away", "rejected"]
Training = Literal["good", "worse", "fails", "changes nothing"]


# -- git -----------------------------------------------------------------------------------------------


class History:
    """Commits and branches; promises are those of `ports.Repository`."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.common_folder = top / ".git"
        self.common_folder.mkdir(parents=True)
        self.commits: dict[str, CommitFacts] = {}
        self.branches: dict[str, str] = {}
        self.checked_out = ""
        self.make("main")

    def make(self, branch: str, *, tree_of: str = "") -> str:
        """Commit to a branch, which is made from `main` where it is missing; maybe with a tree that was before."""
        sha = hashlib.sha1(f"commit {len(self.commits)}".encode(), usedforsecurity=False).hexdigest()
        parent = self.branches.get(branch) or self.branches.get("main")
        tree = self.commits[tree_of].tree if tree_of else sha[::-1]
        parents = (parent,) if parent else ()
        self.commits[sha] = CommitFacts(sha=sha, tree=tree, parents=parents, subject=f"commit {len(self.commits)}")
        self.branches[branch] = self.checked_out = sha
        return sha

    def head(self) -> str:
        return self.checked_out

    def branch(self) -> str:
        return "main"

    def resolve(self, revision: str) -> str:
        name = revision.removeprefix("origin/")
        found = self.checked_out if name == "HEAD" else self.branches.get(name, name)
        if found not in self.commits:
            raise NoCommit(f"there is no {revision}")
        return found

    def commit(self, revision: str) -> CommitFacts:
        return self.commits[self.resolve(revision)]

    def has(self, sha: str) -> bool:
        return sha in self.commits

    fetch = has

    def ancestors(self, revision: str, *, limit: int) -> Sequence[str]:
        sha, found = self.resolve(revision), list[str]()
        while sha and len(found) < limit:
            found.append(sha)
            sha = next(iter(self.commits[sha].parents), "")
        return found

    def log(self, revision: str, *, limit: int) -> Sequence[CommitFacts]:
        return [self.commits[sha] for sha in self.ancestors(revision, limit=limit)]

    def is_shallow(self) -> bool:
        return False

    def dirty_paths(self, *, below: Path) -> Sequence[str]:
        return ()

    def refs(self) -> Refs:
        return Refs(branches=dict(self.branches), tags={}, asked=True)

    def commits_and_trees(self, shas: Collection[str], *, ancestors: bool) -> set[str]:
        found = {it for sha in shas for it in (self.ancestors(sha, limit=10_000) if ancestors else [sha])}
        return found | {self.commits[sha].tree for sha in found}

    def worktrees(self) -> Sequence[Path]:
        return (self.top,)

    def root_commit(self) -> str:
        return next(iter(self.commits))

    def origin(self) -> str:
        return REPOSITORY

    def origin_host(self) -> str:
        return "github.com"

    def config_values(self) -> Mapping[str, str]:
        return {}

    def default_branch(self) -> str:
        return "main"

    def inputs_digest(self, sha: str, patterns: Sequence[str], *, below: str) -> str:
        return ""

    def is_tracked(self, path: Path) -> bool:
        return False

    def add_worktree(self, sha: str, destination: Path) -> None:
        destination.mkdir()

    def checkout(self, revision: str) -> None:
        self.checked_out = self.resolve(revision)


# -- the forge and the CI ------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Board:
    """A forge that remembers what it heard, and answers as it was told to, one word for each request."""

    heard: list[CommitStatus] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)

    def post_status(self, repository: str, status: CommitStatus) -> Sent:
        reply = self.replies.pop(0) if self.replies else "ok"
        if reply == "rejected":
            raise ForgeRejected("422")
        if reply != "away":
            self.heard += [status] * (2 if reply == "twice" else 1)
        if reply in ("away", "lost"):
            raise ForgeUnavailable("no answer")
        return Sent()

    def may_post(self, repository: str) -> str:
        return ""

    def statuses_of(self, repository: str, sha: str) -> list[CommitStatus]:
        return [status for status in reversed(self.heard) if status.sha == sha]

    def newest_statuses(self, repository: str, sha: str) -> list[CommitStatus]:
        return list({status.context: status for status in self.heard if status.sha == sha}.values())

    def tell(self, repository: str, notice: Notice) -> Sent:
        return Sent()

    def last(self, sha: str) -> CommitStatus | None:
        """Give what a commit says."""
        return next((status for status in reversed(self.heard) if status.sha == sha), None)


@dataclass(kw_only=True)
class Silence:
    """A build without a CI, whose event is given; and progress that is kept as text."""

    given: Event
    name: str = ""
    said: list[str] = field(default_factory=list)

    def event(self) -> Event:
        return self.given

    def group(self, title: str) -> None:
        pass

    def error(self, text: str, *, title: str = "", file: str = "", line: int = 0) -> None:
        pass

    def fence(self) -> None:
        pass

    unfence = fence

    def output(self, values: Mapping[str, str]) -> None:
        pass

    def summary(self, markdown: str) -> None:
        pass

    def step(self, step: Step) -> None:
        self.said.append(f"{step.name}: {step.text}")


class Unstopped:
    """Nobody sends a signal."""

    received: int | None = None


# -- the world -----------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class World:
    """One volume, private (trained in place) or shared (with a view), and all who work with it."""

    folder: Path
    shared: bool
    memory: MemoryStorage | None
    history: History = field(init=False)
    board: Board = field(default_factory=Board)
    clock: float = 1_800_000_000.0
    training: Training = "good"
    trainings: int = 0
    processes: int = 0
    now_running: int = 0
    dead: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.history = History(self.folder / "checkout")
        self.volume = self.folder / "srv" / "digits" if self.shared else self.history.top / "models"
        self.store = self.memory.folder if self.memory else self.folder / "store"
        (self.store / "work").mkdir(parents=True)
        lines = [
            "train = 'it is played'",
            "[volumes.models]",
            f"path = '{self.volume}'",
            f"store = '{self.store}'",
        ]
        lines += ["view = 'models'"] if self.shared else []
        lines += ["[gates.accuracy]", "min = 0.5", "[lease]", "wait = '0s'"]
        lines += ["[retention]", "keep_last = 2", "max_removed = 3", "grace = '60s'"]
        (self.history.top / "mlsnap.toml").write_text("\n".join(lines))

    # -- opening -----------------------------------------------------------------------------------

    def driver(self) -> Driver:
        """Open the volume's driver as a process does."""
        return self._open("local", self.volume, self.store, "models")

    def _open(self, kind: str, path: Path, store: Path, name: str, **wishes: Any) -> Driver:
        if self.memory is not None:
            return MemoryDriver(path, self.memory)
        return open_driver(kind, path, store, name, **{**wishes, "environ": {}})

    def project(self, event: Event | None = None) -> Project:
        """Open the project in a process of its own."""
        self.new_process()
        build = Silence(given=event or Event(kind="local"))
        site = services.Site(progress_for=lambda _: cast("Any", build), environ={"MLSNAP_SECRET": SECRET})
        history, top = cast("Any", self.history), self.history.top
        settings = services.read_settings(site, history, top, build, build.given, REPOSITORY)
        opened = services._project(site, history, top, build, settings)
        hands = msgspec.structs.replace(
            opened.hands,
            announcer=Announcer(forge=self.board, hasty=self.board),
            timing=Timing(lease_poll=0.0, trash_grace=60.0),
            clock=lambda: self.clock,
        )
        return msgspec.structs.replace(opened, hands=hands)

    def new_process(self) -> int:
        """Let what comes now be done by a process that did nothing before."""
        self.processes += 1
        self.now_running = self.processes
        return self.processes

    # -- what is played ----------------------------------------------------------------------------

    def holder(self) -> Holder:
        """Describe the process that runs now."""
        pid = self.now_running
        return Holder(host="runner", machine="m", boot="b", namespace="n", pid=pid, started=pid)

    def train(self, command: object, *, environment: Mapping[str, str], **_: object) -> Trained:
        """Train: each file of a model says which commit it is of, and which training it comes from."""
        assert SECRET not in "".join(environment.values())
        self.trainings += 1
        model = Path(environment["MLSNAP_MODEL_DIR"])
        if self.training == "fails":
            (model / "half").write_text("written before it failed")
            return Trained(exit_code=1, seconds=0.0)
        if self.training != "changes nothing":
            write_model(model, environment["MLSNAP_COMMIT"], self.trainings)
        return Trained(exit_code=0, seconds=0.0)

    def metrics(self, *_: object, **__: object) -> Metrics:
        """Report what training came to."""
        return Metrics(source="metrics.json", scalars={"accuracy": 0.1 if self.training == "worse" else 0.9})

    @contextmanager
    def played(self, *, processes: bool = True) -> Iterator[None]:
        """Let the flows meet this world during the block; also who is alive is played, if `processes` are."""
        roles = self._roles() | (self._processes() if processes else {})
        with ExitStack() as stack:
            for place, acts in roles.items():
                stack.enter_context(mock.patch(f"ci_mlsnap.{place}", acts))
            yield

    def _roles(self) -> dict[str, Callable[..., object]]:
        return {
            "flows.train.run_training": self.train,
            "flows.train.packages_digest": lambda environment: "",
            "flows.conclude.find_metrics": self.metrics,
            "flows.conclude.open_writers": lambda model: [],
            "flows.finish.end_leftovers": lambda run_id, **_: None,
            "services.open_driver": self._open,
        }

    def _processes(self) -> dict[str, Callable[..., object]]:
        return {
            "flows.leases.this_process": self.holder,
            "flows.leases.proven_dead": lambda other, here: other.pid in self.dead,
            "state.lease.this_process": self.holder,
            "state.lease.proven_dead": lambda other, here: other.pid in self.dead,
        }

    def remove(self) -> None:
        """Take it all away."""
        remove_tree(self.folder)


def write_model(model: Path, commit: str, training: int) -> None:
    """Write a whole model of a commit, one file after the other."""
    (model / "layers").mkdir(exist_ok=True)
    for name in ("model.bin", "layers/one", "layers/two"):
        (model / name).write_text(f"{commit} {training} {name}\n")


def model_of(files: Mapping[str, bytes]) -> set[tuple[str, str]]:
    """Say of which commit and training the files of a tree are: one of each, where the tree is whole."""
    return {(said[0], said[1]) for content in files.values() if len(said := content.decode().split()) == 3}


def new_world(*, shared: bool, in_memory: bool, place: Path | None) -> World:
    """Make a world in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="mlsnap-world-", dir=place))
    storage = MemoryStorage(folder=folder / "storage") if in_memory else None
    return World(folder=folder, shared=shared, memory=storage)
