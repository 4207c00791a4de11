"""The plan: everything a run will do, decided before anything is done, printable and with a digest."""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from ci_mlsnap.domain.event import Event
from ci_mlsnap.domain.gates import Gate
from ci_mlsnap.domain.manifest import FilesMode
from ci_mlsnap.domain.metrics import Curve, Scalar
from ci_mlsnap.domain.notices import CommentWish
from ci_mlsnap.domain.pins import DataPlan

Isolation = Literal["workspace", "in-place"]
Action = Literal["train", "announce", "nothing"]


class VolumePlan(msgspec.Struct, frozen=True, kw_only=True):
    """One model volume as the run will use it; paths are absolute. `native` is the volume's name or UUID on its
    storage, empty where the mount tells or the driver needs none."""

    name: str
    path: str
    driver: str
    store: str
    view: str = ""
    private: bool
    isolation: Isolation
    native: str = ""


class TrainingPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What is run, and where: `command` is an argument list, or one text for `/bin/sh -c`.

    `worktree` asks for a work tree of its own at the commit, because the checkout is another one; `folder` is
    the project's place below the work tree's root. `timeout` in seconds, 0 for none. `fresh` leaves alone what an
    interrupted run of the commit had trained already. `writers` is how many hosts write to the volume.
    """

    command: tuple[str, ...] | str
    timeout: float = 0.0
    environment: tuple[str, ...] = ()
    metrics_file: str = ""
    worktree: bool = False
    top: str
    folder: str = "."
    start: Literal["parent", "empty"] = "parent"
    fresh: bool = False
    writers: int = 1


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The decision of `begin`. `conclude` acts on it alone and reads nothing from the checkout.

    `action`: train and snapshot; announce the version `answered_by` again; or nothing, with the `reason`.
    `reason` of training is why a version that is there does not do. `volume` is the first model volume, `others`
    make a version together with it, in this order. `data` are the volumes that training reads.
    `parameters` are those of the commit by file and name, where a report is to show them.
    `gate_contexts` are the statuses of the gates by metric, where these have their own. `history` is the metric
    that is shown first, of the good versions before on the branch that is compared with.
    `report_url` is where the report is published, empty where that is not known.
    `adopts` takes the live tree as it is instead of training. `parent` names the snapshot training starts from,
    `baseline` the one gates compare with. `ancestors` are the commits before this one, as far as they were looked
    at, where the live tree is to advance. `formats` are those that model files may have; empty for all.
    """

    action: Action
    reason: str = ""
    project: str
    model: str
    event: Event
    commit: str = ""
    tree: str = ""
    parents: tuple[str, ...] = ()
    subject: str = ""
    parameters: dict[str, dict[str, str]] = {}
    shallow: bool = False
    inputs_digest: str = ""
    name: str = ""
    dirty: bool = False
    volume: VolumePlan | None = None
    others: tuple[VolumePlan, ...] = ()
    data: tuple[DataPlan, ...] = ()
    training: TrainingPlan | None = None
    parent: str = ""
    baseline: str = ""
    baseline_metrics: dict[str, Scalar] = {}
    gates: tuple[Gate, ...] = ()
    files_mode: FilesMode = "changed"
    formats: tuple[str, ...] = ()
    answered_by: str = ""
    answered_how: str = ""
    advance: bool = False
    adopts: bool = False
    ancestors: tuple[str, ...] = ()
    repository: str = ""
    context: str = ""
    target_url: str = ""
    report_url: str = ""
    comment: CommentWish = "always"
    gate_contexts: dict[str, str] = {}
    check_runs: bool = False
    history: Curve | None = None
    lease_wait: float = 1800.0
    tool: str

    @property
    def volumes(self) -> tuple[VolumePlan, ...]:
        """All model volumes, the first one first."""
        return (self.volume, *self.others) if self.volume is not None else ()


def model_variable(volume: str) -> str:
    """Name the environment variable that tells training where one of the model volumes is."""
    return "MLSNAP_MODEL_DIR_" + volume.upper().replace("-", "_")


def encode(plan: Plan) -> bytes:
    """Give the plan's canonical bytes."""
    return msgspec.json.encode(plan, order="deterministic")


def digest(plan: Plan) -> str:
    """Give the digest that passes from `begin` to `conclude`."""
    return hashlib.sha256(encode(plan)).hexdigest()
