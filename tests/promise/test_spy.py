"""A spy trains beside secrets, and looks for them: in one process and in phases, as root and as somebody else."""

from __future__ import annotations

import json
import os
import resource
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ci_mlsnap.demo.github import GitHubLookAlike
from tests.conftest import ORDINARY_USERS, GitRepository, need, need_user_namespaces
from tests.promise.conftest import PATIENCE, REPOSITORY, Done, eventually

ROOT = Path(__file__).parents[2]
SPY = Path(__file__).with_name("spy.py").read_text()
USERS = pytest.mark.parametrize("user", [0, ORDINARY_USERS[0]], ids=["as root", "as an ordinary user"])

BECOME = """\
set -eu
user=$1 hidden=$2 prefix=$3 aside=$4 cage=$5
shift 5
if [ "$hidden" ]; then
    mount --bind "$prefix" "$aside"
    mount -t tmpfs -o mode=755 tmpfs "$hidden"
    mkdir -p "$prefix"
    mount --bind "$aside" "$prefix"
fi
become="setpriv --reuid $user --regid $user --clear-groups"
if [ "$cage" ]; then
    mount --rbind / "$cage"
    folder=$(pwd -P)
    exec chroot "$cage" $become --bounding-set=-sys_admin sh -c 'cd "$1"; shift; exec "$@"' sh "$folder" "$@"
fi
exec $become "$@"
"""
"""Become another user, who may pass to the interpreter; in a cage the kernel makes no namespace for anybody."""


@dataclass(kw_only=True)
class Nest:
    """A repository of one user whose training is the spy, and the secrets that are about."""

    repository: GitRepository
    server: GitHubLookAlike
    folder: Path
    sha: str
    user: int
    secret: str
    environment: dict[str, str]
    known: Mapping[str, str] = field(default_factory=dict)

    def mlsnap(self, *arguments: str, secret: bool, caged: bool = False, below_a_shell: bool = True) -> Done:
        """Run a command as this user, with the secrets or without; the shell above it then has them too."""
        command = [sys.executable, "-m", "ci_mlsnap", *arguments]
        if below_a_shell:
            command = ["sh", "-c", f"{shlex.join(command)}; exit $?"]
        done = subprocess.run(
            self._become(command, caged=caged),
            cwd=self.repository.path,
            env={**self.environment, **(self.known if secret else {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
            text=True,
            errors="replace",
            check=False,
        )
        return Done(code=done.returncode, stdout=done.stdout, stderr=done.stderr)

    def spied(self) -> list[str]:
        """Give where the spy found the secret; it must have looked in many places."""
        said = json.loads((self.repository.path / "models" / "spied.json").read_text())
        assert len(said["looked"]) >= 20
        return list(said["found"])

    def require_nowhere(self, *said: Done) -> None:
        """Look for the secret in all that was said or written."""
        assert [done.text for done in said if self.secret in done.text] == []
        files = [path for path in self.folder.rglob("*") if path.is_file() and not path.is_symlink()]
        assert [path for path in files if self.secret.encode() in path.read_bytes()] == []

    def states(self) -> list[str]:
        """Give the states that the commit was given, in order."""
        statuses = self.server.board.statuses(REPOSITORY, self.sha)
        return [str(status["state"]) for status in statuses][::-1]

    def _become(self, command: list[str], *, caged: bool) -> list[str]:
        aside, cage = self.folder / "aside", self.folder / "cage"
        for place in (aside, cage):
            place.mkdir(exist_ok=True)
        hidden = _hidden(Path(sys.base_prefix)) if self.user else ""
        words = (str(self.user), hidden, sys.base_prefix, str(aside), str(cage) if caged else "")
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", BECOME, "sh", *words, *command]


def _hidden(path: Path) -> str:
    """Give the uppermost folder on the way that an ordinary user may not pass."""
    return next((str(it) for it in reversed(path.parents) if not it.stat().st_mode & 0o001), "")


@pytest.fixture
def make_nest(needs_root: None, open_folder: Path) -> Iterator[Callable[..., Nest]]:
    """Give `make_nest(user)`."""
    for tool in ("unshare", "setpriv", "chroot"):
        need(shutil.which(tool), f"needs {tool}")
    secret = f"ghp_{secrets.token_hex(18)}"
    with ExitStack() as stack:
        server = stack.enter_context(GitHubLookAlike(tokens={secret: "write"}, repositories=[REPOSITORY]))

        def make(user: int) -> Nest:
            repository = GitRepository(path=open_folder / "digits")
            repository.path.mkdir()
            repository.git("init", "--quiet", "--initial-branch=main")
            half = len(secret) // 2
            home, temporary = open_folder / "home", open_folder / "temporary"
            words = (secret[:half][::-1], secret[half:][::-1], str(os.getpid()), str(home), str(temporary))
            files: dict[str, str | bytes] = {
                "mlsnap.toml": 'train = "sh train.sh"\nvolume = "models"\n',
                "train.sh": f"exec python3 spy.py {shlex.join(words)}\n",
                "spy.py": SPY,
                ".gitignore": "/models\n",
            }
            sha = repository.commit("a spy", files)
            repository.git("remote", "add", "origin", f"https://github.com/{REPOSITORY}.git")
            home.mkdir()
            temporary.mkdir()
            agent = stack.enter_context(socket.socket(socket.AF_UNIX))
            agent.bind(str(open_folder / "agent"))
            agent.listen()
            for path in (open_folder, *open_folder.rglob("*")):
                os.lchown(path, user, user)
            return Nest(
                repository=repository,
                server=server,
                folder=open_folder,
                sha=sha,
                user=user,
                secret=secret,
                environment={
                    "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
                    "HOME": str(home),
                    "TMPDIR": str(temporary),
                    "LANG": "C.UTF-8",
                    "NO_PROXY": "127.0.0.1",
                    "MLSNAP__FORGE__URL": server.url,
                    "MLSNAP__FORGE__REPOSITORY": REPOSITORY,
                },
                known={
                    "MLSNAP_GITHUB_TOKEN": secret,
                    "GITHUB_TOKEN": secret,
                    "AWS_SECRET_ACCESS_KEY": secret,
                    "NOBODY_KNOWS_THIS_NAME": secret,
                    "DATABASE_URL": f"postgres://ada:{secret}@db.example/digits",
                    "SSH_AUTH_SOCK": str(open_folder / "agent"),
                    "HTTPS_PROXY": f"http://ada:{secret}@proxy.example:3128",
                },
            )

        yield make


MakeNest = Callable[[int], Nest]


@USERS
def test_a_spy_finds_nothing_in_one_process(make_nest: MakeNest, user: int) -> None:
    if user:
        need_user_namespaces()
    nest = make_nest(user)
    done = nest.mlsnap("run", secret=True)
    assert done.code == 0, done.text
    assert "isolation of training: own process namespace" in done.stderr
    assert nest.spied() == []
    assert nest.states() == ["pending", "success"]
    nest.require_nowhere(done)


@USERS
def test_a_spy_finds_nothing_in_the_phases(make_nest: MakeNest, user: int) -> None:
    nest = make_nest(user)
    said = [nest.mlsnap(phase, secret=phase != "train") for phase in ("begin", "train", "conclude", "finish")]
    assert [done.code for done in said] == [0] * 4, "".join(done.text for done in said)
    assert nest.spied() == []
    assert nest.states() == ["pending", "success"]
    nest.require_nowhere(*said)


def test_a_spy_that_is_trusted_as_root_finds_it_so_it_looks_in_the_right_places(make_nest: MakeNest) -> None:
    nest = make_nest(0)
    done = nest.mlsnap("run", "--trust-training", secret=True)
    assert done.code == 0, done.text
    assert "isolation of training: none" in done.stderr
    assert set(nest.spied()) == {
        *("environments of others", "behind the mounts", "with more rights"),
        *("memory of others", "memory of others by process_vm_readv", "memory of others as a debugger"),
    }


def test_the_environment_of_our_process_is_clean_even_for_root(make_nest: MakeNest) -> None:
    nest = make_nest(0)
    done = nest.mlsnap("run", "--trust-training", secret=True, below_a_shell=False)
    assert done.code == 0, done.text
    assert "environments of others" not in nest.spied()
    assert "memory of others" in nest.spied()


def test_where_there_is_no_namespace_an_ordinary_users_process_is_closed(make_nest: MakeNest) -> None:
    nest = make_nest(ORDINARY_USERS[0])
    done = nest.mlsnap("run", secret=True, caged=True, below_a_shell=False)
    assert done.code == 0, done.text
    assert "isolation of training: non-dumpable parent" in done.stderr
    assert nest.spied() == []
    again = nest.mlsnap("run", "--retrain", secret=True, caged=True)
    assert again.code == 0, again.text
    # What SECURITY.md says is not covered there: the shell of the same user above it.
    assert "environments of others" in nest.spied()


def test_root_without_a_namespace_is_refused_before_anything_is_done(make_nest: MakeNest) -> None:
    nest = make_nest(0)
    done = nest.mlsnap("run", secret=True, caged=True)
    assert done.code == 40, done.text
    assert "error[training-unisolated]" in done.stderr
    assert "GITHUB_TOKEN" in done.stderr
    assert nest.states() == []
    assert not (nest.repository.path / "models").exists()
    trusted = nest.mlsnap("run", "--trust-training", secret=True, caged=True)
    assert trusted.code == 0, trusted.text
    without = nest.mlsnap("run", "--retrain", secret=False, caged=True, below_a_shell=False)
    assert without.code == 0, without.text
    assert "isolation" not in without.stderr


def test_a_run_that_is_made_to_end_badly_leaves_no_core(make_nest: MakeNest) -> None:
    need(_leaves_a_core(["sh", "-c", "kill -QUIT $$"]), "needs a kernel that dumps cores")
    nest = make_nest(0)
    started = nest.folder / "started"
    training = f"touch {started}; exec sleep 1000"
    command = [sys.executable, "-m", "ci_mlsnap", "run", "--", "sh", "-c", training]

    def quit_it(pid: int) -> None:
        eventually(started.exists, "training runs")
        os.kill(pid, signal.SIGQUIT)

    variables = {**nest.environment, **nest.known}
    assert not _leaves_a_core(command, then=quit_it, cwd=nest.repository.path, env=variables)
    assert nest.mlsnap("finish", secret=True).code == 0
    nest.require_nowhere()


def _leaves_a_core(command: list[str], then: Callable[[int], None] = lambda pid: None, **options: Any) -> bool:
    """Run a command that may leave a core of any size; tell whether the kernel dumped one."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    with tempfile.TemporaryDirectory() as folder:
        try:
            process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **{"cwd": folder, **options}
            )
        finally:
            resource.setrlimit(resource.RLIMIT_CORE, before)
        then(process.pid)
        status = os.waitpid(process.pid, 0)[1]
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == -signal.SIGQUIT
    return os.WCOREDUMP(status)
