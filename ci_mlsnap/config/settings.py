"""The settings that a run acts on: checked, complete, and frozen."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from ci_mlsnap.config.levels import Origin
from ci_mlsnap.domain.gates import Gate
from ci_mlsnap.domain.manifest import FilesMode
from ci_mlsnap.domain.notices import CommentWish
from ci_mlsnap.domain.plan import Isolation
from ci_mlsnap.domain.policy import Policy


class TrainSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How to train. An empty `command` means that none is set; `timeout` in seconds, 0 for none; `writers` are the
    hosts that write to the volume."""

    command: tuple[str, ...] | str = ""
    timeout: float = 0.0
    env: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    start: Literal["parent", "empty"] = "parent"
    writers: int = 1


class VolumeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One model volume. Paths are as they were written: `resolved` makes them absolute. Empty texts mean the
    default that depends on where the volume is, and so does `isolation` None. `volume` and `state` are for volumes
    on ONTAP, `store` for others."""

    name: str = "models"
    path: str = "models"
    driver: str = "local"
    store: str = ""
    volume: str = ""
    state: str = ""
    view: str = ""
    isolation: Isolation | None = None


class DataSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One data volume. Paths are as they were written; an empty `store` means the default."""

    name: str
    path: str
    driver: str = "local"
    store: str = ""
    pin: str = "snapshot"


class ForgeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where statuses go, and what is told there besides the model's status. `ca` is the path of a certificate
    bundle, empty for the system's; `pause` in seconds."""

    url: str = "https://api.github.com"
    ca: str = ""
    repository: str = ""
    pause: float = 1.0
    comment: CommentWish = "always"
    gate_statuses: bool = False
    check_runs: bool = False
    deployments: bool = False


class OntapSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Which cluster's volumes may be used, and by whom; secrets are not among it. An empty `host` means none.

    `clones` is where the SVM's namespace, or a part of it, is mounted."""

    host: str = ""
    port: int = 443
    svm: str = ""
    user: str = ""
    certificate: str = ""
    key: str = ""
    ca: str = ""
    fingerprint: str = ""
    clones: str = ""
    snapmirror_label: str = ""
    readback: Literal["mount", "server"] = "mount"


class ReportSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where pages are written to, empty where a run writes none; where they are published, without a slash at its
    end; and whose templates they are made with. Paths are as they were written."""

    output: str = ""
    base_url: str = ""
    templates: str = ""


class JenkinsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Which Jenkins server is spoken to; an empty `url` means none, and no `ca` the well-known authorities."""

    url: str = ""
    ca: str = ""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings. `volume` is the first model volume, `others` are those that make a version with it, in the
    file's order; `data` are the data volumes in the order of their names. `follow` is empty for the default
    branch, `lease_wait` and `snapshot_lock` in seconds; `formats` are those that model files may have, empty for
    all.

    `origins` tells for each key, written with dots, which source set it. `notes` are sentences for people
    about what was read and deliberately not used.
    """

    model: str
    project: str = ""
    train: TrainSettings = TrainSettings()
    volume: VolumeSettings = VolumeSettings()
    others: tuple[VolumeSettings, ...] = ()
    data: tuple[DataSettings, ...] = ()
    gates: tuple[Gate, ...] = ()
    metrics_file: str = ""
    files_mode: FilesMode = "changed"
    formats: tuple[str, ...] = ()
    follow: tuple[str, ...] = ()
    lease_wait: float = 1800.0
    snapshot_lock: float = 0.0
    retention: Policy = Policy()
    hook_copy_mb: int = 100
    forge: ForgeSettings = ForgeSettings()
    ontap: OntapSettings = OntapSettings()
    jenkins: JenkinsSettings = JenkinsSettings()
    report: ReportSettings = ReportSettings()
    on_fork: Literal["skip", "fail"] = "skip"
    origins: dict[str, Origin] = {}
    notes: tuple[str, ...] = ()


class Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller knows of the repository and the CI; used where no source sets the key."""

    model: str
    project: str = ""
    forge_url: str = "https://api.github.com"
    forge_repository: str = ""


def resolved(path: str, folder: Path) -> Path:
    """Make a path of the settings absolute: a relative one counts from the project's folder."""
    return folder / path
