"""Records and versions for what is made of them."""

from __future__ import annotations

from typing import Any

import msgspec

from ci_mlsnap.domain.gates import Finding, Gate, Verdict
from ci_mlsnap.domain.metrics import Curve, Metrics
from ci_mlsnap.domain.pins import Pin
from ci_mlsnap.domain.record import Record, VolumeRecord

SHA, BASE = "ab" * 20, "cd" * 20

VOLUME = VolumeRecord(
    name="models",
    driver="local",
    way="copy",
    volume_id="v1",
    path="/r/models",
    snapshot=SHA,
    manifest_digest="0123456789abcdef" * 4,
    storage_seconds=0.041,
    files=3,
    bytes=218_000,
    copied_bytes=218_000,
)


def record(**changes: Any) -> Record:
    """Give the record of a run that missed one of two gates, with these fields changed."""
    made = Record(
        format="mlsnap/record/1",
        outcome="gate-missed",
        project="org/digits",
        model="digits",
        commit=SHA,
        subject="A better model",
        volume=VOLUME,
        metrics=Metrics(source="metrics.json", scalars={"accuracy": 0.9611, "val_loss": 0.25, "epochs": 12.0}),
        baseline=BASE,
        baseline_metrics={"accuracy": 0.95, "val_loss": 0.2},
        gates=(Gate(metric="accuracy", min=0.9), Gate(metric="val_loss", max=0.2)),
        verdict=Verdict(
            good=False,
            findings=(
                Finding(metric="accuracy", good=True, text="accuracy 0.9611 >= 0.9000"),
                Finding(metric="val_loss", good=False, text="val_loss 0.2500 > 0.2000"),
            ),
        ),
        exit_code=12,
        tool="0.1.0",
    )
    return msgspec.structs.replace(made, **changes)


def hostile_record(text: str) -> Record:
    """Give a record in which this text stands wherever a stranger's may."""
    verdict = Verdict(
        good=False,
        findings=(
            Finding(metric=text, good=True, text=f"{text} 1.0000 >= 0.0000"),
            Finding(metric=text, good=False, text=text),
        ),
    )
    return record(
        model=text,
        subject=text,
        ref=f"refs/heads/{text}",
        actor=text,
        metrics=Metrics(
            source=text, scalars={text: 1.0}, curves=(Curve(name=text, steps=(1.0, 2.0), values=(0.5, 1.0)),)
        ),
        baseline=text,
        baseline_metrics={text: 2.0},
        gates=(Gate(metric=text, min=0.0),),
        verdict=verdict,
        reason=text,
        log_tail=text,
        queued=(f"mlsnap/{text}",),
        pins=(Pin(volume="images", kind="existing", path=text, name=text, token=text, facts={text: text}),),
    )
