"""Gather what git, the CI and the storage say, and decide the plan."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from ci_mlsnap.domain.event import Event
from ci_mlsnap.domain.plan import Plan, TrainingPlan
from ci_mlsnap.domain.planning import Facts, Rules, Wishes, decide
from ci_mlsnap.domain.status import context_for, gate_contexts
from ci_mlsnap.errors import MlsnapError, NoCommit
from ci_mlsnap.flows import pinning
from ci_mlsnap.flows.context import TOOL, Project, Request
from ci_mlsnap.flows.parameters import committed_parameters
from ci_mlsnap.state.catalogue import versions

HISTORY = 500
"""How many commits back a parent or a baseline is looked for."""


def plan_run(project: Project, request: Request) -> Plan:
    """Plan a run of the commit that the event names. Changes nothing."""
    facts = gather(project)
    if not _asks_for_nothing(facts.event):
        facts = replace(facts, data=pinning.see(project.hands, project.data))
    return plan_of(project, request, facts)


def gather(project: Project) -> Facts:
    """Gather what git and the storage say of the event's commit; the data volumes are not looked at."""
    event = named_event(project)
    return Facts(event=event, head="") if _asks_for_nothing(event) else _facts(project, event)


def plan_of(project: Project, request: Request, facts: Facts) -> Plan:
    """Decide what a run does, from what was gathered; the data volumes are no matter unless they are in it."""
    wishes = Wishes(
        retrain=request.retrain,
        allow_dirty=request.allow_dirty,
        hand_on=request.hand_on,
        nonce=secrets.token_hex(4),
    )
    if _asks_for_nothing(facts.event):
        return decide(facts, _rules(project), wishes, None, None, tool=TOOL)
    training = _training(project, request.command)
    plan = decide(
        facts,
        _rules(project),
        wishes,
        project.volume,
        training,
        others=project.others,
        data=project.data if facts.data is not None else (),
        tool=TOOL,
    )
    if plan.action != "train" or plan.dirty or project.hands.report.folder is None:
        return plan
    # Read now, since nothing reads the checkout once something was trained in it.
    return replace(plan, parameters=committed_parameters(project, plan.commit, checked_out=facts.head))


def _asks_for_nothing(event: Event) -> bool:
    return bool(event.nothing_to_do or event.untrusted)


def named_event(project: Project) -> Event:
    """The build's event with its commit filled in and present in the repository."""
    event = project.hands.build.event()
    if _asks_for_nothing(event):
        return event
    if not event.sha:
        event = msgspec.structs.replace(event, sha=project.repository.head())
    if not project.repository.has(event.sha) and not project.repository.fetch(event.sha):
        raise NoCommit(
            f"commit {event.sha[:12]} of this event is not in the checkout and could not be fetched",
            hint="check out the commit itself (on Actions: `ref: ${{ github.event.pull_request.head.sha }}`)",
        )
    return event


def _facts(project: Project, event: Event) -> Facts:
    repository = project.repository
    commit = repository.commit(event.sha)
    known = versions(project.driver)
    below = project.folder.relative_to(repository.top).as_posix()
    ancestors = [sha for sha in repository.ancestors(event.sha, limit=HISTORY) if sha != event.sha]
    return Facts(
        event=event,
        head=repository.head(),
        tree=commit.tree,
        parents=commit.parents,
        subject=commit.subject,
        shallow=repository.is_shallow(),
        dirty_paths=tuple(dirty_paths(project)),
        inputs_digest=repository.inputs_digest(event.sha, project.settings.train.inputs, below=below),
        versions=known,
        used_names=tuple(project.driver.used_names()),
        ancestors=ancestors,
        base_commits=_base_commits(project, event, ancestors),
        target_url=page_of(project, event),
    )


def dirty_paths(project: Project) -> Iterator[str]:
    """Give the changes that are in no commit, but for those of volumes and views that git does not track."""
    places = [place for place in (project.volume_path, project.view) if place is not None]
    places += [Path(place) for other in project.others for place in (other.path, other.view) if place]
    places += [Path(volume.path) for volume in project.data]
    places += [project.hands.report.folder] if project.hands.report.folder is not None else []
    top = project.repository.top
    ours = [place for place in places if place.is_relative_to(top) and not project.repository.is_tracked(place)]
    for path in project.repository.dirty_paths(below=project.folder):
        if not any((top / path).is_relative_to(place) for place in ours):
            yield path


def _base_commits(project: Project, event: Event, ancestors: Sequence[str]) -> Sequence[str]:
    """The commits of the branch to compare with: a change request's base, else the default branch.

    On the default branch itself, and wherever that branch cannot be found (a shallow clone, no remote), the
    commit's own ancestors are what there is to compare with.
    """
    repository = project.repository
    default = event.default_branch or repository.default_branch()
    wanted = event.base_sha or (f"origin/{event.base_ref}" if event.base_ref else "")
    if not wanted and default and event.branch not in ("", default):
        wanted = f"origin/{default}"
    if not wanted:
        return ancestors
    try:
        return [sha for sha in repository.ancestors(wanted, limit=HISTORY) if sha != event.sha]
    except MlsnapError:
        return ancestors


def page_of(project: Project, event: Event) -> str:
    """Give the page that a status leads to: the CI's run, else the commit; empty where neither is known."""
    server = project.hands.environ.get("GITHUB_SERVER_URL", "").rstrip("/")
    repository = project.repository_name
    if event.run_url:
        return event.run_url
    return f"{server}/{repository}/commit/{event.sha}" if server and repository else ""


def _rules(project: Project) -> Rules:
    settings = project.settings
    return Rules(
        project=project.project_id,
        model=settings.model,
        gates=settings.gates,
        files_mode=settings.files_mode,
        formats=settings.formats,
        follow=settings.follow,
        lease_wait=settings.lease_wait,
        on_fork=settings.on_fork,
        report_url=settings.report.base_url,
        context=context_for(settings.model),
        repository=project.repository_name,
        comment=settings.forge.comment,
        gate_contexts=gate_contexts(settings.model, settings.gates) if settings.forge.gate_statuses else {},
        check_runs=settings.forge.check_runs,
    )


def _training(project: Project, command: tuple[str, ...]) -> TrainingPlan:
    train = project.settings.train
    return TrainingPlan(
        command=command or train.command,
        timeout=train.timeout,
        environment=train.env,
        metrics_file=project.settings.metrics_file,
        top=str(project.repository.top),
        folder=Path(project.folder).relative_to(project.repository.top).as_posix(),
        start=train.start,
        writers=train.writers,
    )
