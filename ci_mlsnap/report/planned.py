"""The plan as lines: each step, and each API call it would make."""

from __future__ import annotations

from collections.abc import Iterator

from ci_mlsnap.domain import announcing
from ci_mlsnap.domain import plan as plans
from ci_mlsnap.domain.plan import Plan
from ci_mlsnap.domain.texts import duration
from ci_mlsnap.report.rendering import short


def plan_lines(plan: Plan) -> Iterator[str]:
    """Say what would be done, in order."""
    yield f"plan {plans.digest(plan)[:12]}: {_action(plan)}"
    if plan.action == "nothing":
        return
    yield f"  commit    {plan.commit}"
    if plan.action == "train":
        yield from _training(plan)
    else:
        yield f"  read back {plan.answered_by} through the snapshot"
    if not plan.dirty:
        yield from _last_calls(plan)


def _action(plan: Plan) -> str:
    if plan.action == "train":
        why = f" ({plan.reason})" if plan.reason else ""
        return f"train {plan.commit[:7]} and snapshot it as {plan.name}{why}"
    if plan.action == "announce":
        return f"announce {short(plan.answered_by)} again ({plan.answered_how}); train nothing"
    return f"nothing to do: {plan.reason}"


def _training(plan: Plan) -> Iterator[str]:
    volume, training = plan.volume, plan.training
    assert volume is not None and training is not None
    if not plan.dirty:
        yield _call(plan, announcing.pending(plan).state)
    yield f"  lease     volume {volume.name} ({volume.isolation})"
    for data in plan.data:
        yield f"  data      {data.name} at {data.path} (pin: {data.pin})"
    start = short(plan.parent) if plan.parent and training.start == "parent" else "an empty tree"
    where = volume.path if volume.isolation == "in-place" else f"a workspace that starts from {start}"
    yield f"  train in  {where}" + (", on a work tree of the commit" if training.worktree else "")
    command = training.command if isinstance(training.command, str) else " ".join(training.command)
    yield f"  command   {command}" + (f"   at most {duration(training.timeout)}" if training.timeout else "")
    for gate in plan.gates:
        yield f"  gate      {gate.metric}" + (f" against {short(plan.baseline)}" if plan.baseline else "")
    for it in plan.volumes:
        yield f"  snapshot  {it.path}/.snapshot/{plan.name}"
    if plan.advance and volume.isolation == "workspace":
        yield f"  advance   {' and '.join(it.path for it in plan.volumes)}, on a good verdict"


def _last_calls(plan: Plan) -> Iterator[str]:
    for context in (plan.context, *sorted(plan.gate_contexts.values())):
        yield _call(plan, "final", context)
    if not (plan.repository and plan.event.ci):
        return
    number = plan.event.pull_request
    if plan.comment != "never":
        where = (
            f"pull request #{number}" if number else "the open pull requests that have the commit as their head"
        )
        yield f"  comment   on {where}, made or edited"
    if plan.check_runs:
        yield f"  POST      /repos/{plan.repository}/check-runs  {plan.model} report"


def _call(plan: Plan, state: str, context: str = "") -> str:
    context = context or plan.context
    if not plan.repository:
        return f"  status    {context}: {state} (no repository to post to)"
    return f"  POST      /repos/{plan.repository}/statuses/{plan.commit}  {context}: {state}"
