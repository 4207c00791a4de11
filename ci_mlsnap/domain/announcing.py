"""What the commit says: one status for each state a run can be in.

`failure` is the model's or the code's fault, `error` the infrastructure's: reviewers rely on the difference.
The important words come first, since a forge cuts what does not fit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ci_mlsnap.domain.gates import Finding, Verdict
from ci_mlsnap.domain.manifest import ManifestHeader
from ci_mlsnap.domain.metrics import headline, shown
from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.domain.notices import Conclusion
from ci_mlsnap.domain.plan import Plan
from ci_mlsnap.domain.record import Record
from ci_mlsnap.domain.status import ROLL_UP, CommitStatus, State, cut, one_line, status
from ci_mlsnap.domain.texts import change, counted, size

DIGEST_PREFIX = 12
"""How many hex digits of the manifest's digest the success text carries, for `verify` to hold against."""


def pending(plan: Plan) -> CommitStatus:
    """Say that training began."""
    return _status(plan, "pending", f"Training started; its model will be snapshot {plan.name[:12]}")


def waiting(plan: Plan, owner: str) -> CommitStatus:
    """Say for whom the run waits."""
    return _status(plan, "pending", f"Waiting for another run on volume {_volume(plan)}: {owner}")


def page_url(plan: Plan, record: Record) -> str:
    """Give the page of the version that a run made or found; where none is published, what else says more."""
    made = record.volume.snapshot if record.volume is not None else ""
    return f"{plan.report_url}/{made}/index.html" if plan.report_url and made else plan.target_url


def concluded(plan: Plan, record: Record) -> CommitStatus:
    """Say how the run ended, from its record, with a link to the version's page."""
    found = _concluded(plan, record)
    return status(found.sha, found.context, found.state, found.description, page_url(plan, record))


def _concluded(plan: Plan, record: Record) -> CommitStatus:
    match record.outcome:
        case "good":
            return _status(plan, "success", _ready(record))
        case "gate-missed":
            return _status(plan, "failure", _missed(record))
        case "reused":
            return _reused(plan, record)
        case "cancelled":
            return _status(plan, "error", "Cancelled; no snapshot was made")
        case "nothing":
            return _status(plan, "success", f"Nothing to train: {record.reason}")
        case "failed":
            return _failed(plan, record)


def gates_concluded(plan: Plan, record: Record) -> list[CommitStatus]:
    """Say of each gate that has a status of its own how it was judged, or why it was not: never left pending."""
    findings = record.verdict.findings if record.verdict else ()
    return [
        _gate_status(plan, record, context, [finding for finding in findings if finding.metric == metric])
        for metric, context in sorted(plan.gate_contexts.items())
    ]


def _gate_status(plan: Plan, record: Record, context: str, findings: Sequence[Finding]) -> CommitStatus:
    if findings:
        good = all(finding.good for finding in findings)
        texts = [finding.text for finding in sorted(findings, key=lambda finding: finding.good)]
        state: State = "success" if good else "failure"
        return status(plan.commit, context, state, "; ".join(texts), page_url(plan, record))
    model = concluded(plan, record)
    text = "Not judged by this gate" if record.verdict else f"Not judged: {model.description}"
    return status(plan.commit, context, model.state, text, page_url(plan, record))


def rolled_up(sha: str, found: Iterable[CommitStatus], target_url: str = "") -> CommitStatus:
    """Sum up the newest statuses of a commit's models: failed if one is, else pending if one is, else success.

    The statuses of gates count with their models'. A commit of which no model says anything is an error: the jobs
    that should have said something did not come that far.
    """
    ours = [it for it in found if it.context.lower().startswith(f"{ROLL_UP}/")]
    states: dict[str, set[State]] = {}
    for it in ours:
        states.setdefault(it.context.split("/")[1], set()).add(it.state)
    failed = sorted(model for model, those in states.items() if those & {"failure", "error"})
    waiting = sorted(model for model, those in states.items() if "pending" in those and model not in failed)
    if not states:
        return status(sha, ROLL_UP, "error", "No model has said anything of this commit", target_url)
    of = counted(len(states), "model")
    if failed:
        return status(sha, ROLL_UP, "failure", f"{len(failed)} of {of} failed: {', '.join(failed)}", target_url)
    if waiting:
        return status(sha, ROLL_UP, "pending", f"{len(waiting)} of {of} to come: {', '.join(waiting)}", target_url)
    return status(sha, ROLL_UP, "success", f"{of}: {', '.join(sorted(states))}", target_url)


def conclusion_of(record: Record) -> Conclusion:
    """Say how a check run of this record ends."""
    if record.outcome in ("good", "reused"):
        return "success" if record.verdict is None or record.verdict.good else "failure"
    if record.outcome == "cancelled":
        return "cancelled"
    return "neutral" if record.outcome == "nothing" else "failure"


def live_text(header: ManifestHeader, why: str) -> str:
    """Say in a deployment's line which version became live, and why."""
    name = headline(header.metrics, tuple(gate.metric for gate in header.gates))
    value = f": {cut(one_line(name), 30)} {shown(header.metrics[name])}" if name is not None else ""
    return cut(one_line(f"{header.model} {_short(header.name)}{value}" + (f"; {why}" if why else "")), 140)


def why_reused(plan: Plan) -> str:
    """Say why an earlier version answers the commit."""
    why = "same files as" if plan.answered_how == "same-tree" else "no training input changed since"
    return f"Not trained: {why} {_short(plan.answered_by)}; its snapshot is used."


def left_to_a_maintainer(plan: Plan) -> list[CommitStatus]:
    """Say that nothing is trained unless a maintainer starts it: for the model, and each gate with a status."""
    text = f"A maintainer starts it: {plan.event.untrusted}"
    contexts = (plan.context, *sorted(plan.gate_contexts.values()))
    return [status(plan.commit, context, "pending", text, plan.target_url) for context in contexts]


def has_news(record: Record) -> bool:
    """Tell whether not all is as before: the run failed or missed a gate, or a metric is another."""
    now, before = record.metrics.scalars, record.baseline_metrics
    same = now.keys() == before.keys() and all(shown(now[name]) == shown(before[name]) for name in now)
    return record.outcome in ("failed", "gate-missed") or not same


def pruned(
    context: str, sha: str, state: State, *, name: str, day: str, near: str = "", target_url: str = ""
) -> CommitStatus:
    """Say that a version was pruned, and which one that is kept is nearest. The verdict that it had stays."""
    nearest = f"; the nearest kept version is {_short(near)}" if near else ""
    text = f"Pruned on {day}: snapshot {_short(name)} is not kept{nearest}"
    return status(sha, context, state, text, target_url)


def brought_back(
    context: str, sha: str, state: State, *, name: str, manifest_digest: str, target_url: str = ""
) -> CommitStatus:
    """Say that a version that was pruned is there again."""
    text = f"Snapshot {_short(name)} is back from the trash, manifest {manifest_digest[:DIGEST_PREFIX]}"
    return status(sha, context, state, text, target_url)


def gone(context: str, sha: str, name: str) -> CommitStatus:
    """Say that a snapshot announced before is not there any more."""
    return status(sha, context, "error", f"Snapshot {name[:12]} is gone from the storage")


def digest_said(text: str, name: SnapshotName) -> str:
    """Give the first digits of the manifest's digest that a success text says of this snapshot; empty without.

    Anybody who may push can post such a text.
    """
    found = re.match(r"Snapshot (\S+) ready: .*\bmanifest ([0-9a-f]{12})\b", text)
    return found[2] if found and found[1] == name.short else ""


def _status(plan: Plan, state: State, text: str) -> CommitStatus:
    return status(plan.commit, plan.context, state, text, plan.target_url)


def _volume(plan: Plan) -> str:
    return plan.volume.name if plan.volume else ""


def _ready(record: Record) -> str:
    volume = record.volume
    if volume is None:
        return "Snapshot ready"
    held = counted(record.files, "file") + " " + size(record.bytes)
    contents = held if record.files else "contents not inventoried"
    parts = [f"Snapshot {_short(volume.snapshot)} ready: {_headline(record)}{contents}"]
    parts.append(f"manifest {volume.manifest_digest[:DIGEST_PREFIX]}")
    parts += [] if all(it.read_back for it in record.volumes) else ["not read back"]
    parts += [volume.filling] if volume.filling else []
    return ", ".join(parts)


def _headline(record: Record) -> str:
    name = headline(record.metrics.scalars, tuple(gate.metric for gate in record.gates))
    if name is None:
        return ""
    value = record.metrics.scalars[name]
    moved = change(name, value, record.baseline_metrics.get(name))
    against = f" ({moved} vs {_short(record.baseline)})" if moved and record.baseline else ""
    return f"{cut(one_line(name), 30)} {shown(value)}{against}, "


def _missed(record: Record) -> str:
    verdict = record.verdict or Verdict(good=False)
    reasons = "; ".join(cut(one_line(finding.text), 60) for finding in verdict.missed)
    return f"Gate missed: {cut(reasons, 90)}; snapshot kept, not advanced"


def _reused(plan: Plan, record: Record) -> CommitStatus:
    good = record.verdict is None or record.verdict.good
    if plan.answered_how == "own":
        text = _ready(record) if good else _missed(record)
    else:
        text = f"{why_reused(plan)} {_headline(record)}".rstrip(", ")
    return _status(plan, "success" if good else "failure", text)


def _failed(plan: Plan, record: Record) -> CommitStatus:
    models_fault = 10 <= record.exit_code < 20
    text = f"{cut(one_line(record.reason), 110)}; no snapshot"
    return _status(plan, "failure" if models_fault else "error", text)


def _short(name: str) -> str:
    parsed = SnapshotName.parse_or_none(name)
    return parsed.short if parsed else name[:12]
