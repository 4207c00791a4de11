"""What all tests stand on: a clean environment, real git repositories, real file systems, ordinary users.

A test that needs more than any machine has asks with `need`, and is skipped with a reason where that is
missing. With `CI=true` in the environment every skip is a failure: there nothing may be left out.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import subprocess
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import pytest
from hypothesis import HealthCheck, settings

from tests.quick_disk import leave_quick_disk, move_to_quick_disk

IN_CI = os.environ.get("CI") == "true"

CAMPAIGN_SEED = os.environ.setdefault("MLSNAP_CAMPAIGN_SEED", f"{datetime.now(tz=UTC):%Y-%m-%d}")
"""What chooses where not all is tried: something else each day. Processes of this run inherit it."""

ORDINARY_USERS = (12001, 12002)
"""Two user ids that have no login and own nothing."""

Result = TypeVar("Result")
FileSystem = Literal["ext4", "xfs", "btrfs"]

_SMALLEST_MB = {"ext4": 8, "xfs": 300, "btrfs": 120}
_FOREIGN_PREFIXES = (
    *(
        "GITHUB_",
        "RUNNER_",
        "ACTIONS_",
        "GH_",
        "JENKINS_",
        "HUDSON_",
        "BUILD_",
        "CHANGE_",
        "JOB_",
        "STAGE_",
        "NODE_",
    ),
    *("GIT_", "MLSNAP_", "ONTAP_", "NETAPP_", "SLURM_", "MAKE", "XDG_"),
)
_FOREIGN_NAMES = (
    *("CI", "BRANCH_NAME", "TAG_NAME", "WORKSPACE", "EXECUTOR_NUMBER", "MFLAGS", "CDPATH"),
    *("PYTHONPATH", "PYTHONWARNINGS", "PYTHONDONTWRITEBYTECODE", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"),
)
_SECRET_WORDS = ("TOKEN", "SECRET", "PASSWORD", "CREDENTIAL")

# The quick profile is for the many runs while writing; CI looks longer, and the same way each time, so that
# a failure there can be repeated here.
_SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("quick", max_examples=50, deadline=None, suppress_health_check=_SLOW_IS_FINE)
settings.register_profile(
    "ci", max_examples=400, deadline=None, derandomize=True, print_blob=True, suppress_health_check=_SLOW_IS_FINE
)
settings.load_profile("ci" if IN_CI else "quick")


# -- what is left out ----------------------------------------------------------------------------------


def need(condition: object, reason: str) -> None:
    """Leave the running test out, for this reason, unless the condition holds; in CI that is a failure."""
    if not condition:
        pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn each skip into a failure in CI; an expected failure (`xfail`) is not a skip."""
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        _fail(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn the skip of a whole file into a failure in CI."""
    report = yield
    if IN_CI and report.skipped:
        _fail(report)
    return report


def _fail(report: pytest.TestReport | pytest.CollectReport) -> None:
    why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = f"left out, which CI does not allow: {why}"


# -- how a whole run goes ------------------------------------------------------------------------------

_QUICK_DISK = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Give a run that is spread over processes a quick disk; a single process leaves its files to be looked at."""
    if config.getoption("numprocesses", None) and not config.getoption("basetemp"):
        config.stash[_QUICK_DISK] = move_to_quick_disk()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave the quick disk."""
    if folder := config.stash.get(_QUICK_DISK, ""):
        leave_quick_disk(folder)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Tell where files are."""
    in_memory = bool(config.stash.get(_QUICK_DISK, ""))
    return ["temporary files: on a disk in memory (TMPDIR=… for another place)"] if in_memory else []


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Have more processes than processors: many a test waits for a pause, a timeout or another process."""
    return max(2, len(os.sched_getaffinity(0)) * 3 // 2)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Take all that was collected out of the garbage collector's sight: it stays until the end."""
    gc.collect()
    gc.freeze()


# -- environment ---------------------------------------------------------------------------------------


@pytest.fixture(autouse=True, scope="session")
def _clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Take away what the machine, its CI and its user would add, for this process and all it starts."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if _is_foreign(name):
                patch.delenv(name)
        for name, value in (*_git_identity(home), ("HOME", str(home)), ("TZ", "UTC"), ("LC_ALL", "C.UTF-8")):
            patch.setenv(name, value)
        if (
            signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        ):  # as `nohup` has it, for all that is started here too
            signal.signal(signal.SIGHUP, lambda _number, _frame: None)
        # Servers of the tests are on loopback: no proxy of the machine may stand before them.
        patch.setenv("NO_PROXY", "127.0.0.1,localhost")
        patch.setenv("no_proxy", "127.0.0.1,localhost")
        yield


def _is_foreign(name: str) -> bool:
    return (
        name.startswith(_FOREIGN_PREFIXES)
        or name in _FOREIGN_NAMES
        or any(word in name.upper() for word in _SECRET_WORDS)
    )


def _git_identity(home: Path) -> Iterator[tuple[str, str]]:
    """Give git a person and a configuration of the tests' own, whatever the machine's says."""
    config = home / "gitconfig"
    config.write_text("[init]\n\tdefaultBranch = main\n[advice]\n\tdetachedHead = false\n[gc]\n\tauto = 0\n")
    yield "GIT_CONFIG_GLOBAL", str(config)
    yield "GIT_CONFIG_NOSYSTEM", "1"
    yield "GIT_TERMINAL_PROMPT", "0"
    for role in ("AUTHOR", "COMMITTER"):
        yield f"GIT_{role}_NAME", "Ada Example"
        yield f"GIT_{role}_EMAIL", "ada@example.org"


# -- git -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class GitRepository:
    """A real repository with a work tree at `path`."""

    path: Path

    def git(self, *arguments: str) -> str:
        """Run git here and give its output without the last newline; a failure fails the test with its text."""
        done = subprocess.run(("git", *arguments), cwd=self.path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr}"
        return done.stdout.removesuffix("\n")

    def commit(self, message: str = "a change", files: dict[str, str | bytes] | None = None) -> str:
        """Write these files, commit all that is in the work tree, and give the commit's SHA."""
        for name, content in (files or {}).items():
            file = self.path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode() if isinstance(content, str) else content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", f"--message={message}")
        return self.head()

    def head(self) -> str:
        """Give the SHA of the commit that is checked out."""
        return self.git("rev-parse", "HEAD")


class MakeRepository(Protocol):
    """Makes a repository; `commits` are subjects, each committed with a file of its own."""

    def __call__(
        self,
        name: str = "repository",
        *,
        object_format: Literal["sha1", "sha256"] = "sha1",
        commits: Sequence[str] = ("the first commit",),
    ) -> GitRepository: ...


@pytest.fixture
def make_repository(tmp_path: Path) -> MakeRepository:
    """Give a maker of git repositories below the test's folder."""

    def make(
        name: str = "repository",
        *,
        object_format: Literal["sha1", "sha256"] = "sha1",
        commits: Sequence[str] = ("the first commit",),
    ) -> GitRepository:
        made = GitRepository(path=tmp_path / name)
        made.path.mkdir(parents=True)
        made.git("init", "--quiet", f"--object-format={object_format}")
        for number, subject in enumerate(commits, start=1):
            made.commit(subject, {f"file{number}.txt": f"{subject}\n"})
        return made

    return make


@pytest.fixture
def repository(make_repository: MakeRepository) -> GitRepository:
    """Give a repository with one commit on `main`."""
    return make_repository()


# -- users ---------------------------------------------------------------------------------------------


@pytest.fixture
def needs_root() -> None:
    """Leave the test out where it does not run as root."""
    need(os.geteuid() == 0, "needs root")


def need_user_namespaces() -> None:
    """Leave the test out where the kernel grants ordinary users no namespace, as Ubuntu's does when left alone."""
    for name, wanted in (
        ("kernel/apparmor_restrict_unprivileged_userns", "0"),
        ("kernel/unprivileged_userns_clone", "1"),
    ):
        setting = Path("/proc/sys") / name
        need(not setting.exists() or setting.read_text().strip() == wanted, f"needs sysctl {name} = {wanted}")
    most = Path("/proc/sys/user/max_user_namespaces")
    need(not most.exists() or int(most.read_text()) > 0, "needs sysctl user/max_user_namespaces above 0")


class FailedAsUser(Exception):
    """What the callable raised as another user: the class's `kind` and the whole `trace`, as text."""

    def __init__(self, kind: str, trace: str) -> None:
        super().__init__(trace)
        self.kind = kind
        self.trace = trace


class AsUser(Protocol):
    """Runs a callable as another user and gives its result, which must be what JSON can carry."""

    def __call__(self, uid: int, act: Callable[[], Result], *, groups: Sequence[int] = ()) -> Result: ...


@pytest.fixture
def ordinary_users(needs_root: None) -> tuple[int, int]:
    """Give two user ids without rights; needs root, which alone can become them."""
    return ORDINARY_USERS


@pytest.fixture
def as_user(needs_root: None) -> AsUser:
    """Give `as_user(uid, act)`: `act()` in a forked child with that user and group id, and no groups but `groups`.

    What `act` needs is best imported before: that user may not be able to read the interpreter's folder.
    Raises `FailedAsUser` when `act` raised.
    """
    return _run_as_user


def _run_as_user(uid: int, act: Callable[[], Result], *, groups: Sequence[int] = ()) -> Result:
    readable, writable = os.pipe()
    with warnings.catch_warnings():
        # Newer Pythons warn of a fork beside threads (those of xdist); the child touches none of them.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        os.close(readable)
        _become_and_act(uid, act, writable, groups)
    os.close(writable)
    with os.fdopen(readable, "rb") as answer:
        text = answer.read()
    _, status = os.waitpid(child, 0)
    assert text, f"the child of user {uid} said nothing and ended with {os.waitstatus_to_exitcode(status)}"
    said: dict[str, Any] = json.loads(text)
    if "kind" in said:
        raise FailedAsUser(said["kind"], said["trace"])
    result: Result = said["result"]
    return result


def _become_and_act(uid: int, act: Callable[[], object], writable: int, groups: Sequence[int]) -> None:
    """Say what came of it, and end the process without running the parent's clean-up."""
    try:
        os.chdir("/")
        os.setgroups(groups)
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        os.umask(0o022)
        said = json.dumps({"result": act()})
    except BaseException as error:  # noqa: BLE001 - the child must end here whatever happened in it
        said = json.dumps({"kind": type(error).__name__, "trace": traceback.format_exc()})
    with os.fdopen(writable, "w") as answer:
        answer.write(said)
    os._exit(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Give a temporary folder whose parents every user can pass, unlike those of `tmp_path`; it is root's."""
    folder = Path(tempfile.mkdtemp(prefix="mlsnap-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


# -- file systems --------------------------------------------------------------------------------------


class LoopMount(Protocol):
    """Makes a file system of `size_mb` MiB (at least the kind's smallest), mounts it, and gives its root."""

    def __call__(self, fs: FileSystem, size_mb: int = 64, options: str = "") -> Path: ...


@dataclass(kw_only=True)
class _Mounts:
    folder: Path
    roots: list[Path] = field(default_factory=list)

    def mount(self, fs: FileSystem, size_mb: int = 64, options: str = "") -> Path:
        maker = shutil.which(f"mkfs.{fs}", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        need(maker, f"needs mkfs.{fs}")
        image = self.folder / f"{len(self.roots)}.img"
        with image.open("wb") as file:
            file.truncate(max(size_mb, _SMALLEST_MB[fs]) * 2**20)
        _quiet(str(maker), "-q", str(image))
        root = self.folder / f"{len(self.roots)}-{fs}"
        root.mkdir()
        done = _tried("mount", "-t", fs, "-o", ",".join(filter(None, ("loop", options))), str(image), str(root))
        need(done.returncode == 0, f"needs loop mounts of {fs}: {done.stderr.strip()}")
        self.roots.append(root)
        return root

    def unmount(self) -> None:
        """Unmount all, also those that are still in use: the loop devices go with the last user."""
        for root in reversed(self.roots):
            if _tried("umount", str(root)).returncode != 0 and os.path.ismount(root):
                _tried("umount", "--lazy", str(root))


@pytest.fixture
def loop_mount(needs_root: None, open_folder: Path) -> Iterator[LoopMount]:
    """Give `loop_mount(fs, size_mb, options)`; all is unmounted at the end, also after a failure."""
    # The images are in memory: a real disk under them takes milliseconds for each of the many fsyncs.
    images = open_folder / "images"
    images.mkdir()
    _tried("mount", "-t", "tmpfs", "-o", "mode=755,size=4g", "tmpfs", str(images))
    mounts = _Mounts(folder=images)
    try:
        yield mounts.mount
    finally:
        mounts.unmount()
        _tried("umount", "--lazy", str(images))


def _tried(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _quiet(*command: str) -> None:
    done = _tried(*command)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


# -- what was tried -------------------------------------------------------------------------------------


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell how often each fault struck: tests note that as properties named `tried: …`."""
    tried: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", "") == "call":
                tried.update({name: n for name, n in report.user_properties if name.startswith("tried: ")})
    if tried:
        terminalreporter.section("faults")
        for name, number in sorted(tried.items()):
            terminalreporter.line(f"{number:6} {name.removeprefix('tried: ')}")
        terminalreporter.line(f"       chosen by MLSNAP_CAMPAIGN_SEED={CAMPAIGN_SEED}")
