"""The decision of `begin`: from what git, the CI, the settings and the storage say to one plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from ci_mlsnap.domain import versions as answers
from ci_mlsnap.domain.event import Event
from ci_mlsnap.domain.gates import Gate
from ci_mlsnap.domain.manifest import FilesMode
from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.domain.notices import CommentWish
from ci_mlsnap.domain.pins import DataPlan, Pin, differing
from ci_mlsnap.domain.plan import Isolation, Plan, TrainingPlan, VolumePlan
from ci_mlsnap.domain.versions import Answer, Version
from ci_mlsnap.errors import DirtyTree, ForkRefused, UsageError


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What the person or the CI asked for beyond the settings. `nonce`: 8 random hex digits for a dirty run;
    `hand_on`: other jobs, which may not reach this checkout, go on with the run."""

    retrain: bool = False
    allow_dirty: bool = False
    hand_on: bool = False
    nonce: str = ""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that decide."""

    project: str
    model: str
    gates: tuple[Gate, ...]
    files_mode: FilesMode
    formats: tuple[str, ...] = ()
    follow: tuple[str, ...]
    lease_wait: float
    on_fork: Literal["skip", "fail"]
    context: str
    repository: str
    report_url: str = ""
    comment: CommentWish = "always"
    gate_contexts: Mapping[str, str] = msgspec.field(default_factory=dict)
    check_runs: bool = False


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. `ancestors` and `base_commits` are newest first; `ancestors` has not the commit itself.

    `data` is what each data volume holds now, None where that is no matter. `head` is what the checkout holds,
    `dirty_paths` its changes that are in no commit, and `ours` tells whether the checkout belongs to a person, who
    then decides where the live tree goes.
    """

    event: Event
    head: str
    tree: str = ""
    parents: tuple[str, ...] = ()
    subject: str = ""
    shallow: bool = False
    dirty_paths: tuple[str, ...] = ()
    inputs_digest: str = ""
    versions: Sequence[Version] = ()
    data: Sequence[Pin] | None = None
    used_names: Sequence[SnapshotName] = ()
    ancestors: Sequence[str] = ()
    base_commits: Sequence[str] = ()
    target_url: str = ""


def decide(
    facts: Facts,
    rules: Rules,
    wishes: Wishes,
    volume: VolumePlan | None,
    training: TrainingPlan | None,
    *,
    others: Sequence[VolumePlan] = (),
    data: Sequence[DataPlan] = (),
    tool: str,
) -> Plan:
    """Make the plan. Raises `ForkRefused`, `DirtyTree`, and `UsageError` when nothing says how to train."""
    idle = _reason_for_nothing(facts.event, rules)
    plan = _common(facts, rules, tool)
    if idle:
        return msgspec.structs.replace(plan, action="nothing", reason=idle)
    dirty = facts.head == facts.event.sha and bool(facts.dirty_paths)
    if dirty and not wishes.allow_dirty:
        raise _dirty(facts.dirty_paths)
    plan = msgspec.structs.replace(
        plan, volume=volume, others=tuple(others), data=tuple(data), **_lineage(facts, rules.gates)
    )
    found = None if dirty else _answer(plan, facts, wishes)
    if found is not None:
        return _announcing(plan, found)
    if training is None or not training.command:
        raise UsageError(
            "nothing says how to train",
            hint='set `train = "python train.py"` in mlsnap.toml, or run `mlsnap run -- python train.py`',
        )
    return _training(plan, facts, rules, wishes, training, dirty)


def _reason_for_nothing(event: Event, rules: Rules) -> str:
    if event.nothing_to_do:
        return event.nothing_to_do
    if event.untrusted and rules.on_fork == "fail":
        raise ForkRefused(
            "this event may not use secrets, so nothing can be trained",
            why=event.untrusted,
            hint="a maintainer can push the commit to a branch of this repository",
        )
    return event.untrusted


def _common(facts: Facts, rules: Rules, tool: str) -> Plan:
    return Plan(
        action="nothing",
        project=rules.project,
        model=rules.model,
        event=facts.event,
        commit=facts.event.sha,
        tree=facts.tree,
        parents=facts.parents,
        subject=facts.subject,
        shallow=facts.shallow,
        inputs_digest=facts.inputs_digest,
        gates=rules.gates,
        files_mode=rules.files_mode,
        formats=rules.formats,
        repository=rules.repository,
        context=rules.context,
        target_url=facts.target_url,
        report_url=rules.report_url,
        comment=rules.comment,
        gate_contexts=dict(rules.gate_contexts),
        check_runs=rules.check_runs,
        lease_wait=rules.lease_wait,
        tool=tool,
    )


def _dirty(paths: Sequence[str]) -> DirtyTree:
    shown = ", ".join(ascii(path)[1:-1] for path in paths[:3]) + (" …" if len(paths) > 3 else "")
    return DirtyTree(
        f"the work tree has changes that are in no commit ({shown})",
        why="the model would not be the one that its commit makes",
        safe="nothing was trained",
        hint="commit them, or use --allow-dirty, which makes a snapshot of its own name and posts no status",
    )


def _answer(plan: Plan, facts: Facts, wishes: Wishes) -> Answer | None:
    if wishes.retrain:
        return None
    fitting = [v for v in facts.versions if facts.data is None or not differing(v.header.pins, facts.data)]
    return _answered(facts, [v for v in fitting if v.header.members == _members(plan)])


def _members(plan: Plan) -> tuple[str, ...]:
    return tuple(volume.name for volume in plan.volumes)


def _answered(facts: Facts, known: Sequence[Version]) -> Answer | None:
    return answers.answer(facts.event.sha, known, tree=facts.tree, inputs_digest=facts.inputs_digest)


def _why_again(plan: Plan, facts: Facts, wishes: Wishes) -> str:
    """Say why a version that would answer the commit does not: it has other volumes, or other data made it."""
    stale = None if wishes.retrain else _answered(facts, facts.versions)
    if stale is None:
        return ""
    if stale.version.header.members != _members(plan):
        return (
            f"{stale.version.name.short} is a version of other volumes ({', '.join(stale.version.header.members)})"
        )
    if facts.data is None:
        return ""
    pins, short = stale.version.header.pins, stale.version.name.short
    volumes = ", ".join(differing(pins, facts.data))
    known = "was trained on other data" if pins else "does not say which data it was trained on"
    return f"{short} {known} ({volumes})" if volumes else ""


def _lineage(facts: Facts, gates: Sequence[Gate]) -> dict[str, object]:
    """Name the version to start from and the one to compare with."""
    near = answers.answer("", facts.versions, ancestors=facts.ancestors)
    base = answers.baseline(facts.versions, facts.base_commits)
    return {
        "parent": near.version.header.name if near else "",
        "baseline": base.header.name if base else "",
        "baseline_metrics": base.metrics if base else {},
        "history": answers.history(facts.versions, facts.base_commits, tuple(g.metric for g in gates)),
    }


def _announcing(plan: Plan, found: Answer) -> Plan:
    header = found.version.header
    return msgspec.structs.replace(
        plan, action="announce", name=header.name, answered_by=header.name, answered_how=found.how
    )


def _training(plan: Plan, facts: Facts, rules: Rules, wishes: Wishes, training: TrainingPlan, dirty: bool) -> Plan:
    volume = plan.volume
    assert volume is not None
    assert wishes.nonce or not dirty, "without its nonce a dirty tree would take the commit's own name"
    sha = facts.event.sha
    name = SnapshotName(sha=sha, dirty=wishes.nonce) if dirty else answers.next_attempt(sha, facts.used_names)
    # A private volume lives in the checkout: to train elsewhere than in place, or on another commit than the
    # one checked out, needs a work tree of its own, where the volume's path leads to the workspace.
    elsewhere = facts.head != sha or (volume.private and volume.isolation == "workspace")
    isolation: Isolation = "workspace" if elsewhere else volume.isolation
    advance = _advances(facts.event, rules) and not dirty
    return msgspec.structs.replace(
        plan,
        action="train",
        reason="" if dirty else _why_again(plan, facts, wishes),
        name=str(name),
        dirty=dirty,
        volume=msgspec.structs.replace(volume, isolation=isolation),
        others=tuple(msgspec.structs.replace(other, isolation=isolation) for other in plan.others),
        training=msgspec.structs.replace(training, worktree=elsewhere or wishes.hand_on, fresh=wishes.retrain),
        advance=advance,
        ancestors=tuple(facts.ancestors) if advance else (),
    )


def _advances(event: Event, rules: Rules) -> bool:
    if event.kind == "local":
        return True
    # An unknown branch is followed by nobody, also where the default branch is unknown too.
    followed = bool(event.branch) and event.branch in (rules.follow or (event.default_branch,))
    return followed and event.kind in ("push", "manual", "schedule")
