"""The roll-up: one status for all models of a commit, so that a branch's protection needs to name but one."""

from __future__ import annotations

import msgspec

from ci_mlsnap.domain.announcing import rolled_up
from ci_mlsnap.domain.status import State
from ci_mlsnap.errors import AnnouncingQueued, Refused
from ci_mlsnap.flows.context import Project
from ci_mlsnap.flows.planning import named_event, page_of


class RolledUp(msgspec.Struct, frozen=True, kw_only=True):
    """What was said of the commit, and whether the forge took it; else `why` not."""

    sha: str
    context: str
    state: State
    description: str
    sent: bool
    why: str = ""


def post_roll_up(project: Project) -> RolledUp:
    """Post `mlsnap` on the event's commit: the worst of what its models' statuses say.

    It never waits in the outbox: what it sums up may be another by then, and this job may see no volume. Raises
    `Refused` where there is no forge to ask, or no commit, and `AnnouncingQueued` when the forge does not say what
    the statuses are; nothing is posted then.
    """
    forge, repository = project.hands.announcer.forge, project.repository_name
    event = named_event(project)
    if forge is None or not repository or not event.sha:
        raise Refused(
            "there is nothing to sum up",
            why=event.nothing_to_do or project.hands.announcer.silence or "no repository on a forge is known",
            safe="nothing was posted",
            hint="run this in a job that has the token, for the commit of its event",
        )
    try:
        found = forge.newest_statuses(repository, event.sha)
    except AnnouncingQueued as error:
        error.safe = "nothing was posted; the statuses of the models stand"
        raise
    status = rolled_up(event.sha, found, page_of(project, event))
    why = ""
    try:
        forge.post_status(repository, status)
    except AnnouncingQueued as error:
        why = f"{error.what} {error.why}".strip()
    return RolledUp(
        sha=event.sha,
        context=status.context,
        state=status.state,
        description=status.description,
        sent=not why,
        why=why,
    )
