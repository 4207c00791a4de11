"""The run as a JUnit file, which most CIs show: a case for the training, and one for each gated metric."""

from __future__ import annotations

from typing import Literal

import msgspec

from ci_mlsnap.domain.gates import Finding
from ci_mlsnap.domain.record import Record
from ci_mlsnap.domain.status import cut, one_line
from ci_mlsnap.report.rendering import render_xml

TEMPLATE = "junit.xml.j2"
TRAINING = "training"
_LIMIT = 400


class _Case(msgspec.Struct, frozen=True, kw_only=True):
    """One test case; `failure` is the model's fault, `error` the infrastructure's. Texts are still strangers'."""

    name: str
    state: Literal["passed", "failure", "error", "skipped"] = "passed"
    type: str = ""
    message: str = ""
    text: str = ""
    seconds: float = 0.0


def junit(record: Record) -> str:
    """Write the JUnit file of a run; strangers' text stands in it escaped, without control characters."""
    cases = [_training(record), *(_gate(metric, record) for metric in _metrics(record))]
    states = [case.state for case in cases]
    values = {
        "suite": one_line(f"mlsnap.{record.model}"),
        "timestamp": record.created.removesuffix("+00:00"),
        "seconds": _seconds(sum(record.steps.values())),
        "failures": states.count("failure"),
        "errors": states.count("error"),
        "skipped": states.count("skipped"),
        "cases": [_shown(case) for case in cases],
    }
    return render_xml(TEMPLATE, values)


def _training(record: Record) -> _Case:
    seconds = record.steps.get("train", 0.0)
    match record.outcome:
        case "good" | "gate-missed":
            return _Case(name=TRAINING, text=_snapshot(record), seconds=seconds)
        case "reused":
            return _Case(name=TRAINING, text=f"not trained again: {_snapshot(record)} is used")
        case "failed":
            state: Literal["failure", "error"] = "failure" if 10 <= record.exit_code < 20 else "error"
            return _Case(name=TRAINING, state=state, type=record.error, message=record.reason, seconds=seconds)
        case "cancelled" | "nothing":
            return _Case(name=TRAINING, state="skipped", message=record.reason or record.outcome)


def _snapshot(record: Record) -> str:
    return f"snapshot {record.volume.snapshot}" if record.volume else "an earlier version"


def _metrics(record: Record) -> list[str]:
    found = record.verdict.findings if record.verdict else ()
    return list(dict.fromkeys([gate.metric for gate in record.gates] + [finding.metric for finding in found]))


def _gate(metric: str, record: Record) -> _Case:
    name = f"gate {metric}"
    if record.verdict is None:
        return _Case(name=name, state="skipped", message="there is no version to judge")
    found = [finding for finding in record.verdict.findings if finding.metric == metric]
    missed = [finding for finding in found if not finding.good]
    if missed:
        message = "; ".join(one_line(finding.text) for finding in missed)
        return _Case(name=name, state="failure", type="gate-missed", message=message, text=_texts(found))
    return _Case(name=name, text=_texts(found))


def _texts(found: list[Finding]) -> str:
    return "\n".join(one_line(finding.text) for finding in found)


def _shown(case: _Case) -> dict[str, str]:
    """Give a case's texts as lines that XML 1.0 can hold."""
    return {
        "name": cut(one_line(case.name), _LIMIT),
        "state": case.state,
        "type": case.type,
        "message": cut(one_line(case.message), _LIMIT),
        "text": "\n".join(cut(one_line(line), _LIMIT) for line in case.text.split("\n")),
        "seconds": _seconds(case.seconds),
    }


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f}"
