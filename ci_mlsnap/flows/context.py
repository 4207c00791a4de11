"""What every flow is given: adapters already chosen, and the parameters of time and place."""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ci_mlsnap import __version__
from ci_mlsnap.config.settings import Settings
from ci_mlsnap.domain.pins import DataPlan
from ci_mlsnap.domain.plan import VolumePlan
from ci_mlsnap.flows.run_report import RunReport
from ci_mlsnap.ports import Build, Driver, Forge, Progress, Repository


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a person or a CI asks of a run, beyond the settings."""

    command: tuple[str, ...] = ()
    retrain: bool = False
    allow_dirty: bool = False
    break_lease: bool = False
    hand_on: bool = False


class Announcer(msgspec.Struct, frozen=True, kw_only=True):
    """Where statuses go: the forge, or `silence`, the reason why nowhere.

    `hasty` is the same forge for a run that is being stopped: one request, since the CI kills us soon.
    """

    forge: Forge | None
    hasty: Forge | None = None
    silence: str = ""


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Waits in seconds, as parameters so that tests need not wait."""

    lease_ttl: float = 600.0
    lease_renewal: float = 60.0
    lease_poll: float = 1.0
    heartbeat: float = 60.0
    grace: float = 3.0
    own_signal_wait: float = 0.0
    clock_slack: float = 2.0
    trash_grace: float = 600.0
    workspace_kept: float = 7 * 86400.0


class Hands(msgspec.Struct, frozen=True, kw_only=True):
    """What a phase needs to act on a plan; nothing here reads the checkout."""

    build: Build
    progress: Progress
    announcer: Announcer
    open_volumes: Callable[[Sequence[VolumePlan]], Driver]
    """Open the driver of the model volumes that make a version, the first one first."""
    open_data: Callable[[DataPlan], Driver]
    """Open a data volume's driver."""
    pointers: Path
    """The folder where phases of one build find their open run."""
    environ: Mapping[str, str]
    report: RunReport = msgspec.field(default_factory=RunReport)
    """Where each run that ends writes its report, if anywhere."""
    timing: Timing = msgspec.field(default_factory=Timing)
    clock: Callable[[], float] = time.time

    def owner(self) -> str:
        """Who holds a lease, as others read it: the build's URL, or the person at this machine."""
        return self.environ.get("BUILD_URL") or _run_url(self.environ) or f"{_user()}@{os.uname().nodename}"

    def person(self) -> str:
        """Who asks, as ledgers have it: whom the CI names, else the person at this machine."""
        return self.build.event().actor or f"{_user()}@{os.uname().nodename}"

    def now(self) -> str:
        """The time as records have it: UTC, ISO 8601, whole seconds."""
        return datetime.fromtimestamp(self.clock(), UTC).isoformat(timespec="seconds")


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """A checkout with its settings and its volume, for the commands that look at git.

    `others` are the model volumes that make a version together with the first one, `data` those that it reads.
    """

    hands: Hands
    repository: Repository
    settings: Settings
    folder: Path
    """The project's folder: where its mlsnap.toml is, or the top of the work tree."""
    volume: VolumePlan
    project_id: str
    repository_name: str
    """The repository's `owner/name` at the forge; empty when statuses go nowhere."""
    driver: Driver
    others: tuple[VolumePlan, ...] = ()
    data: tuple[DataPlan, ...] = ()

    @property
    def volume_path(self) -> Path:
        """The live tree of the first model volume."""
        return Path(self.volume.path)

    @property
    def store(self) -> Path:
        """Where the first model volume's snapshots are."""
        return Path(self.volume.store)

    @property
    def private(self) -> bool:
        """Whether the model volumes are inside the work tree, so that git commands move their live trees."""
        return self.volume.private

    @property
    def view(self) -> Path | None:
        """The link in the work tree that leads to a version of the first model volume."""
        return Path(self.volume.view) if self.volume.view else None

    @property
    def state(self) -> Path:
        """The folder of leases, journals, outbox and ledger."""
        return self.driver.state_folder()


TOOL = f"mlsnap {__version__}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number that no list of users has
        return f"user {os.getuid()}"


def _run_url(environ: Mapping[str, str]) -> str:
    server, repository, run = (
        environ.get(f"GITHUB_{part}", "") for part in ("SERVER_URL", "REPOSITORY", "RUN_ID")
    )
    return f"{server}/{repository}/actions/runs/{run}" if server and repository and run else ""
