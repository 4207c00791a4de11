"""publish: send what waits, and say of a commit what no single run can say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ci_mlsnap.cli.options import json_option, open_here
from ci_mlsnap.cli.printing import emit_json, printable
from ci_mlsnap.errors import ExitCode

if TYPE_CHECKING:
    from ci_mlsnap.flows.outside import Outside
    from ci_mlsnap.flows.roll_up import RolledUp
    from ci_mlsnap.state.notices import Told


@click.command()
@click.option("--notes", is_flag=True, help="Also tell versions as git notes, and exchange these with origin.")
@click.option("--fork", is_flag=True, help="Also say what becomes of a change of a fork or bot (on workflow_run).")
@click.option("--roll-up", is_flag=True, help="Also post `mlsnap`: one status for all models of the commit.")
@json_option
@click.pass_context
def publish(ctx: click.Context, *, notes: bool, fork: bool, roll_up: bool, as_json: bool) -> int:
    """Send the statuses and comments that wait in the outbox."""
    from ci_mlsnap.cli.noting import noted_text
    from ci_mlsnap.flows.announce import send_notices, send_waiting
    from ci_mlsnap.flows.noting import note
    from ci_mlsnap.flows.outside import tell_outside
    from ci_mlsnap.flows.roll_up import post_roll_up

    project = open_here(ctx)
    announced = send_waiting(project.driver, project.hands.announcer)
    told = send_notices(project.driver, project.hands.announcer)
    outside = tell_outside(project) if fork else None
    rolled = post_roll_up(project) if roll_up else None
    noted = note(project) if notes else None
    waits = bool(announced.queued) or any(it is not None and not it.sent for it in (outside, rolled))
    if as_json:
        facts = {"sent": announced.sent, "queued": announced.queued, "why": announced.why, "notes": noted}
        emit_json({**facts, "comments": _comments(told), "fork": outside, "roll_up": rolled})
        return ExitCode.ANNOUNCING_QUEUED if waits else ExitCode.DONE
    click.echo(f"{len(announced.sent)} sent, {len(announced.queued)} waiting" + _because(announced.why))
    for line in (*_comment_lines(told), *_outside_lines(outside, fork), *_roll_up_lines(rolled)):
        click.echo(printable(line))
    if noted is not None:
        click.echo(printable(noted_text(noted)))
    return ExitCode.ANNOUNCING_QUEUED if waits else ExitCode.DONE


def _comments(told: Told) -> dict[str, Any]:
    return {"sent": len(told.sent), "waiting": len(told.kept), "given_up": [why for _, why in told.dropped]}


def _comment_lines(told: Told) -> list[str]:
    lines = [f"comment {url}" for _, url in told.sent if url]
    lines += [f"a comment waits: {why}" for _, why in told.kept]
    return lines + [f"a comment was given up: {why}" for _, why in told.dropped]


def _outside_lines(outside: Outside | None, asked: bool) -> list[str]:
    if outside is None:
        return ["no change of a fork or bot: its own run says it all"] if asked else []
    said = f"{outside.sha[:12]} {outside.state}: {outside.description}"
    return [
        said + (f" ({outside.why})" if outside.why else ""),
        *([outside.comment_url] if outside.comment_url else []),
    ]


def _roll_up_lines(rolled: RolledUp | None) -> list[str]:
    if rolled is None:
        return []
    said = f"{rolled.context} {rolled.state}: {rolled.description}"
    return [said if rolled.sent else f"{said} (not sent: {rolled.why})"]


def _because(why: str) -> str:
    return f": {printable(why)}" if why else ""
