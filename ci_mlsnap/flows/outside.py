"""Changes of forks and bots, which get no secrets: told on the commit too, so that no check waits for ever.

Runs where secrets are, after the change's own run, and executes nothing of the change: it reads git and the
versions that there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from ci_mlsnap.domain import announcing
from ci_mlsnap.domain import versions as answers
from ci_mlsnap.domain.event import Event
from ci_mlsnap.domain.metrics import Metrics
from ci_mlsnap.domain.notices import Comment, marker_of
from ci_mlsnap.domain.plan import Plan
from ci_mlsnap.domain.record import Record
from ci_mlsnap.domain.status import CommitStatus, State, context_for, gate_contexts
from ci_mlsnap.domain.versions import Answer
from ci_mlsnap.errors import AnnouncingQueued, MlsnapError, Refused
from ci_mlsnap.flows.context import TOOL, Project
from ci_mlsnap.flows.planning import page_of
from ci_mlsnap.ports import Forge
from ci_mlsnap.report.comment import comment_body, waiting_body
from ci_mlsnap.state.catalogue import versions


class Outside(msgspec.Struct, frozen=True, kw_only=True):
    """What was said of a change from outside; `why` it was not, where the forge did not take it."""

    sha: str
    state: State
    description: str
    answered_by: str = ""
    comment_url: str = ""
    sent: bool = True
    why: str = ""


def tell_outside(project: Project) -> Outside | None:
    """Say of the event's commit that an earlier version answers it, or that a maintainer starts its training.

    None for a change that may use secrets: its own run says it all. A status that is final stays. Nothing waits
    in the outbox, since this job may see no volume: it can be run again. Raises `Refused` where there is no
    forge to tell.
    """
    event = project.hands.build.event()
    if not event.untrusted:
        return None
    forge = project.hands.announcer.forge
    if forge is None or not project.repository_name or not event.sha:
        raise Refused(
            "there is nobody to tell",
            why=project.hands.announcer.silence or "no repository on a forge, or no commit, is known",
            safe="nothing was posted",
            hint="run this on `workflow_run`, in a job that has the token",
        )
    answer = _answer(project, event)
    plan = _plan(project, event, answer)
    if answer is None:
        statuses, body = announcing.left_to_a_maintainer(plan), waiting_body(plan.model, event)
    else:
        record = _record(project, plan, answer)
        statuses = [announcing.concluded(plan, record), *announcing.gates_concluded(plan, record)]
        body = comment_body(record)
    project.hands.build.summary(body)
    return _told(forge, project, plan, statuses, body)


def _answer(project: Project, event: Event) -> Answer | None:
    """Find the version that answers the commit; where commit or versions cannot be seen, none does."""
    repository = project.repository
    below = project.folder.relative_to(repository.top).as_posix()
    try:
        if not repository.has(event.sha) and not repository.fetch(event.sha):
            return None
        tree = repository.commit(event.sha).tree
        digest = repository.inputs_digest(event.sha, project.settings.train.inputs, below=below)
        return answers.answer(event.sha, versions(project.driver), tree=tree, inputs_digest=digest)
    except MlsnapError:
        return None


def _plan(project: Project, event: Event, answer: Answer | None) -> Plan:
    settings = project.settings
    return Plan(
        action="announce" if answer else "nothing",
        project=project.project_id,
        model=settings.model,
        event=event,
        commit=event.sha,
        gates=settings.gates,
        answered_by=answer.version.header.name if answer else "",
        answered_how=answer.how if answer else "",
        repository=project.repository_name,
        context=context_for(settings.model),
        target_url=page_of(project, event),
        gate_contexts=gate_contexts(settings.model, settings.gates) if settings.forge.gate_statuses else {},
        tool=TOOL,
    )


def _record(project: Project, plan: Plan, answer: Answer) -> Record:
    header = answer.version.header
    return Record(
        format="mlsnap/record/1",
        outcome="reused",
        project=plan.project,
        model=plan.model,
        commit=plan.commit,
        event=plan.event.kind,
        pull_request=plan.event.pull_request,
        run_url=plan.event.run_url,
        metrics=Metrics(source=header.metrics_source, scalars=header.metrics),
        baseline=header.baseline,
        gates=header.gates,
        verdict=header.verdict,
        reason=announcing.why_reused(plan),
        created=project.hands.now(),
        tool=TOOL,
    )


def _told(forge: Forge, project: Project, plan: Plan, statuses: Sequence[CommitStatus], body: str) -> Outside:
    first = statuses[0]
    told = Outside(sha=plan.commit, state=first.state, description=first.description, answered_by=plan.answered_by)
    try:
        for status in _not_final(statuses, forge.newest_statuses(plan.repository, plan.commit)):
            forge.post_status(plan.repository, status)
    except AnnouncingQueued as error:
        return msgspec.structs.replace(told, sent=False, why=f"{error.what}: {error.why}")
    if project.settings.forge.comment == "never":
        return told
    comment = Comment(
        sha=plan.commit,
        number=plan.event.pull_request,
        from_fork=True,
        marker=marker_of(plan.model),
        body=body,
    )
    try:
        return msgspec.structs.replace(told, comment_url=forge.tell(plan.repository, comment).url)
    except AnnouncingQueued as error:
        return msgspec.structs.replace(told, why=f"no comment: {error.what}: {error.why}")


def _not_final(statuses: Iterable[CommitStatus], there: Sequence[CommitStatus]) -> list[CommitStatus]:
    """Leave out what the commit was told the end of: a maintainer started it before."""
    ended = {it.context.lower() for it in there if it.state != "pending"}
    return [it for it in statuses if it.context.lower() not in ended]
