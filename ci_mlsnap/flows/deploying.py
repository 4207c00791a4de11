"""A deployment on the forge for each move of a channel, where that is asked for."""

from __future__ import annotations

from ci_mlsnap.domain.announcing import live_text
from ci_mlsnap.domain.channels import Move
from ci_mlsnap.domain.notices import Deployment
from ci_mlsnap.domain.versions import Version
from ci_mlsnap.flows.announce import send_notices
from ci_mlsnap.flows.context import Project
from ci_mlsnap.ports import Step
from ci_mlsnap.state.notices import NoticeBox


def tell_deployment(project: Project, move: Move, version: Version) -> None:
    """Say that a version became live. Never raises for the forge's sake: the channel leads there already.

    A move that was told before is told no second time; one that the forge cannot be told now waits.
    """
    hands = project.hands
    if not project.settings.forge.deployments:
        return
    if hands.announcer.forge is None or not project.repository_name:
        why = hands.announcer.silence or "the repository has no origin on a forge"
        hands.progress.step(Step(name="publish", state="note", text=f"no deployment: {why}"))
        return
    deployment = Deployment(
        sha=version.header.commit,
        environment=move.channel,
        move=f"{move.at} {move.channel} {move.version}",
        description=live_text(version.header, move.why),
        model=version.header.model,
        snapshot=version.header.name,
        url=move.run_url,
    )
    NoticeBox(project.state).put(project.repository_name, deployment, snapshot=version.header.name)
    told = send_notices(project.driver, hands.announcer)
    if any(notice == deployment for notice, _ in told.sent):
        text = f"deployment of {version.name.short} to {move.channel}"
        hands.progress.step(Step(name="publish", state="ok", text=text))
    for notice, why in (*told.kept, *told.dropped):
        if notice == deployment:
            hands.progress.step(Step(name="publish", state="note", text=f"deployment not made: {why}"))
