"""The record: what one run did. Status, comment, summary, page, terminal and JSON are made from it."""

from __future__ import annotations

from typing import Literal

import msgspec

from ci_mlsnap.domain.gates import Gate, Verdict
from ci_mlsnap.domain.metrics import Curve, Metrics, Scalar
from ci_mlsnap.domain.models import ModelFile
from ci_mlsnap.domain.pins import Pin
from ci_mlsnap.domain.receipts import Receipt

Outcome = Literal["good", "gate-missed", "failed", "cancelled", "reused", "nothing"]


class VolumeRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happened to one volume. `storage_seconds` is the time from freeze to publish; `files`, `bytes`
    are the snapshot's, `copied_bytes` those that had to be written anew for it. `filling` says how full the
    storage is, where that is nearly all. `read_back` is false where nobody could look into the snapshot."""

    name: str
    driver: str
    way: str
    volume_id: str
    path: str
    snapshot: str = ""
    native_id: str = ""
    manifest_digest: str = ""
    storage_seconds: float = 0.0
    files: int = 0
    bytes: int = 0
    copied_bytes: int = 0
    filling: str = ""
    read_back: bool = True


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One attempt at one commit. `steps` are seconds by step name; `error` is a slug with `reason` for people.

    `parameters` are those of the commit, by file and name, without what may be a secret.
    `argv` is the training command as planned; `passed_variables` are names only, never values.
    `receipts` are those of the other hosts that wrote to the volume. `volume` is the first one; `others` made the
    version together with it. `models` are its model files, the largest ones, with what they say of themselves.
    """

    format: Literal["mlsnap/record/1"]
    outcome: Outcome
    project: str
    model: str
    commit: str
    tree: str = ""
    parents: tuple[str, ...] = ()
    subject: str = ""
    parameters: dict[str, dict[str, str]] = {}
    ref: str = ""
    event: str = ""
    pull_request: int = 0
    actor: str = ""
    run_url: str = ""
    run_attempt: int = 1
    attempt: int = 1
    sequence: int = 0
    argv: tuple[str, ...] | str = ()
    host: str = ""
    image: str = ""
    packages_digest: str = ""
    passed_variables: tuple[str, ...] = ()
    receipts: tuple[Receipt, ...] = ()
    volume: VolumeRecord | None = None
    others: tuple[VolumeRecord, ...] = ()
    pins: tuple[Pin, ...] = ()
    metrics: Metrics = Metrics()
    models: tuple[ModelFile, ...] = ()
    baseline: str = ""
    baseline_metrics: dict[str, Scalar] = {}
    gates: tuple[Gate, ...] = ()
    verdict: Verdict | None = None
    error: str = ""
    reason: str = ""
    exit_code: int = 0
    log_tail: str = ""
    steps: dict[str, float] = {}
    created: str = ""
    plan_digest: str = ""
    plan_checked: bool = True
    announced: tuple[str, ...] = ()
    queued: tuple[str, ...] = ()
    comment_url: str = ""
    history: Curve | None = None
    tool: str

    @property
    def volumes(self) -> tuple[VolumeRecord, ...]:
        """All volumes of the version, the first one first; none where there is no version."""
        return (self.volume, *self.others) if self.volume is not None else ()

    @property
    def files(self) -> int:
        """How many files the version has; 0 also where they were not inventoried."""
        return sum(volume.files for volume in self.volumes)

    @property
    def bytes(self) -> int:
        """The sum of their sizes."""
        return sum(volume.bytes for volume in self.volumes)
