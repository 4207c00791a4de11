"""A stage for whole commands: a repository that trains, GitHub's look-alike, and ways to run `mlsnap`."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ci_mlsnap.demo.github import GitHubLookAlike
from tests.conftest import CAMPAIGN_SEED, IN_CI, FileSystem, GitRepository
from tests.promise.checking import everything_of, faults_of, manifest_of
from tests.promise.faults import Fault, Outcome
from tests.promise.launching import LAUNCHER, ROOT, Launcher

TOKEN = "ghp_canary0Xy7Kq2Wm5Zt9Rb4Nc8Vd1"
REPOSITORY = "octo/digits"
PATIENCE = 60.0
"""Seconds after which what must happen is taken as not happening; no test waits so long when all is well."""

TRAIN = """\
set -eu
mkdir -p "$MLSNAP_MODEL_DIR/layers"
cp weights.txt "$MLSNAP_MODEL_DIR/layers/weights.txt"
cp weights.txt "$MLSNAP_MODEL_DIR/model.bin"
[ -e "$MLSNAP_MODEL_DIR/vocabulary.txt" ] || echo words > "$MLSNAP_MODEL_DIR/vocabulary.txt"
echo '{"accuracy": 0.9}' > "$MLSNAP_METRICS"
"""


FILE_SYSTEMS: tuple[FileSystem, ...] = ("ext4", "xfs", "btrfs")
"""The grounds on which faults strike; the driver picks its way on each."""

POINTS = 60 if IN_CI else 9
"""How many points of a scenario are tried at least."""
SEED = CAMPAIGN_SEED
"""What chooses the points where not all are tried: others each day, and told at the end."""

ALL_POINTS = os.environ.get("MLSNAP_CAMPAIGN") == "full"
"""Try all points with all faults, which takes hours; CONTRIBUTING.md says how."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str
    outcome: Outcome = field(default_factory=Outcome)

    @property
    def effects(self) -> list[str]:
        """What the command changed outside of itself, call by call."""
        return self.outcome.effects

    @property
    def text(self) -> str:
        """All that a person sees of it."""
        return f"exit code {self.code}\n{self.stdout}{self.stderr}"


@dataclass(kw_only=True)
class Stage:
    """A repository and where its statuses go. `environment` is that of each command, `volume` the live tree."""

    repository: GitRepository
    server: GitHubLookAlike
    environment: dict[str, str]
    volume: Path
    store: Path
    folder: Path
    launcher: Launcher
    _started: ExitStack

    # -- commits ---------------------------------------------------------------------------------------

    def train_with(self, script: str) -> str:
        """Commit another training script."""
        return self.repository.commit("another script", {"train.sh": script})

    def another_commit(self, weights: str) -> str:
        """Commit something that gives another model."""
        return self.repository.commit(weights, {"weights.txt": f"{weights}\n"})

    # -- commands --------------------------------------------------------------------------------------

    def mlsnap(
        self,
        *arguments: str,
        kill_at: int = 0,
        fault: Fault | None = None,
        durable: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> Done:
        """Run a command in a forked child of a process that has all loaded, struck by the fault; tell its effects.

        Unless it is to be `durable`, it does not wait for disks.
        """
        stdout, stderr = (self.folder / name for name in ("stdout", "stderr"))
        command = {
            "arguments": arguments,
            "environ": {**self.environment, **(environment or {})},
            "folder": str(self.repository.path),
            "stdout": str(stdout),
            "stderr": str(stderr),
        }
        fault = fault or Fault(at=kill_at, kind="kill")
        outcome = self.launcher.order(fault, command=command, durable=durable)
        return Done(
            code=outcome.code,
            stdout=stdout.read_text(errors="replace"),
            stderr=stderr.read_text(errors="replace"),
            outcome=outcome,
        )

    def start(self, *arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start a command as a process of its own; it is killed at the test's end."""
        process = subprocess.Popen(
            (sys.executable, str(LAUNCHER), *arguments),
            cwd=self.repository.path,
            env={**self.environment, "PYTHONPATH": str(ROOT), **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        self._started.callback(_end, process)
        return process

    def run(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Done:
        """Run a command as a process of its own, to its end."""
        return ended(self.start(*arguments, environment=environment))

    # -- what came of it -------------------------------------------------------------------------------

    def states(self, sha: str) -> list[str]:
        """Give the states that the commit was given, in order."""
        return [str(status["state"]) for status in self.server.board.statuses(REPOSITORY, sha)][::-1]

    def last_status(self, sha: str) -> dict[str, object]:
        """Give the newest status of a commit."""
        return self.server.board.statuses(REPOSITORY, sha)[0]

    def snapshots(self) -> list[str]:
        """Give the names under `.snapshot`, unfinished ones too."""
        place = self.volume / ".snapshot"
        return sorted(os.listdir(place)) if place.is_dir() else []

    def everything(self) -> dict[str, tuple[int, ...]]:
        """Give the facts of all files of repository, volume and store."""
        return everything_of(self.repository.path, self.volume, self.store)

    def require_truth(self) -> None:
        """Hold every snapshot against its manifest, and every success on a commit against its snapshot."""
        for name in self.snapshots():
            if not name.startswith("."):
                assert faults_of(self.volume / ".snapshot" / name) == []
        for status in self.server.board._statuses:
            if status["state"] == "success":
                text, sha = str(status["description"]), str(status["url"]).rpartition("/")[2]
                digests = [manifest_of(self.volume / ".snapshot" / name)[2] for name in self.versions(sha)]
                assert any(digest[:12] in text for digest in digests), f"a success without a snapshot: {text}"

    def versions(self, sha: str) -> list[str]:
        """Give the names of a commit's versions."""
        return [name for name in self.snapshots() if name == sha or name.startswith(f"{sha}.")]

    def require_rest(self) -> None:
        """Make sure that nothing is left of runs that ended: no part of a snapshot, lease, open run, workspace."""
        assert [name for name in self.snapshots() if name.startswith(".partial-")] == []
        assert self.leases() == []
        assert [run.name for run in self.runs() if not _has_ended(run)] == []
        assert [place.name for place in (self.store / "work").glob("*.*")] == []

    def leases(self) -> list[str]:
        """Give the leases that are held."""
        return sorted(path.name for path in (self.store / "state" / "leases" / "held").glob("*.json"))

    def runs(self) -> list[Path]:
        """Give the folders of all runs."""
        return sorted((self.store / "state" / "runs").glob("[0-9a-f]*"))

    def facts(self, *arguments: str) -> Any:
        """Give what a command says with `--json`."""
        done = self.mlsnap(*arguments, "--json")
        assert done.code == 0, done.text
        return json.loads(done.stdout)


def _has_ended(run: Path) -> bool:
    last = json.loads((run / "journal").read_bytes().splitlines()[-1])
    return last["v"]["event"] in ("concluded", "failed", "abandoned")


def ended(process: subprocess.Popen[str]) -> Done:
    """Wait for a command's end."""
    stdout, stderr = process.communicate(timeout=PATIENCE)
    return Done(code=process.returncode, stdout=stdout, stderr=stderr)


def eventually(fact: Callable[[], object], what: str) -> None:
    """Wait until the fact holds; fail the test when it does not."""
    deadline = time.monotonic() + PATIENCE
    while not fact():
        assert time.monotonic() < deadline, f"never came true: {what}"
        time.sleep(0.01)


def runs(pid: int) -> bool:
    """Tell whether the process is there and not merely unreaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2][:1] not in (b"Z", b"X")
    except OSError:
        return False


def sample(effects: Sequence[str], number: int, *, of: str, among: Sequence[int] = ()) -> list[int]:
    """Choose so many of the effects, or of those `among` them, by the seed; all where all are to be tried.

    Each kind of call is tried before one is tried twice.
    """
    numbers = list(among or range(1, len(effects) + 1))
    if ALL_POINTS or len(numbers) <= number:
        return numbers
    random.Random(f"{SEED} {of}").shuffle(numbers)
    had = Counter[str]()
    turns = {}
    for at in numbers:
        kind = call_of(effects[at - 1]) if at <= len(effects) else "its end"
        had[kind] += 1
        turns[at] = had[kind]
    return sorted(sorted(numbers, key=turns.__getitem__)[:number])


def of_each_call(effects: Sequence[str], *, of: str) -> list[int]:
    """Choose by the seed one effect of each kind of call, and some more; give all in CI and in a campaign."""
    if IN_CI or ALL_POINTS:
        return list(range(1, len(effects) + 1))
    kinds = len(set(map(call_of, effects)))
    return sample(effects, max(kinds, len(effects) // 5), of=of)


def call_of(effect: str) -> str:
    """Give the kind of call that an effect is."""
    return " ".join(effect.split()[:2])


def points(total: int, part: int = 0, parts: int = 1, *, most: int = POINTS) -> Iterator[int]:
    """Give the effects, of so many, before which this part of a test kills: one of each stretch, by the seed."""
    step = 1 if ALL_POINTS else max(1, total // most)
    chance = random.Random(f"{SEED} {total}")
    for number, first in enumerate(range(1, total + 1, step)):
        point = chance.randint(first, min(first + step - 1, total))
        if number % parts == part:
            yield point


@pytest.fixture
def count(record_property: Callable[[str, object], None]) -> Callable[[str, int], None]:
    """Give `count(what, number)`: what is tried so often is told at the end of all tests."""
    return lambda what, number: record_property(f"tried: {what}", number)


@pytest.fixture(scope="session")
def launcher() -> Iterator[Launcher]:
    """Give the process that has all loaded and forks for each command."""
    with Launcher() as launcher:
        yield launcher


@pytest.fixture
def make_stage(tmp_path: Path, launcher: Launcher) -> Iterator[Callable[..., Stage]]:
    """Give `make_stage(shared=…)`: a private volume, or a shared one with a view, and a first commit.

    All that can be lost is on the `ground`.
    """
    with ExitStack() as stack:
        started = stack.enter_context(ExitStack())
        server = stack.enter_context(GitHubLookAlike(tokens={TOKEN: "write"}, repositories=[REPOSITORY]))

        def make(*, shared: bool = False, settings: str = "", ground: Path = tmp_path) -> Stage:
            repository = GitRepository(path=ground / "checkout")
            repository.path.mkdir()
            repository.git("init", "--quiet", "--initial-branch=main")
            volume = ground / "shared" / "digits" if shared else repository.path / "models"
            store = ground / "store" if shared else repository.path / ".git" / "mlsnap" / "models"
            lines = [
                'train = "sh train.sh"',
                "[volumes.models]",
                f'path = "{volume}"' if shared else 'path = "models"',
            ]
            lines += [f'store = "{store}"', 'view = "models"'] if shared else []
            files: dict[str, str | bytes] = {
                "mlsnap.toml": "\n".join([*lines, settings, ""]),
                "train.sh": TRAIN,
                "weights.txt": "one\n",
                ".gitignore": "/models\n",
            }
            repository.commit("the first model", files)
            repository.git("remote", "add", "origin", f"https://github.com/{REPOSITORY}.git")
            environment = {
                **os.environ,
                "MLSNAP__FORGE__URL": server.url,
                "MLSNAP__FORGE__REPOSITORY": REPOSITORY,
                "MLSNAP_GITHUB_TOKEN": TOKEN,
                "MLSNAP__LEASE__WAIT": f"{PATIENCE:.0f}s",
            }
            return Stage(
                repository=repository,
                server=server,
                environment=environment,
                volume=volume,
                store=store,
                folder=tmp_path,
                launcher=launcher,
                _started=started,
            )

        yield make


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()
