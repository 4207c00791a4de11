"""promote, channels: names that lead to versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ci_mlsnap.cli.options import json_option, open_here
from ci_mlsnap.cli.printing import columns, emit_json, printable
from ci_mlsnap.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from ci_mlsnap.domain.channels import Move
    from ci_mlsnap.flows.promote import Channel, Promoted


@click.command()
@click.option("--reason", default="", metavar="TEXT", help="Why; it is written to the ledger.")
@click.option("--even-missed", is_flag=True, help="Promote a version that missed a gate; needs a --reason.")
@click.option("--end", "ended", metavar="CHANNEL", help="Let CHANNEL lead nowhere any more.")
@json_option
@click.argument("revision", required=False)
@click.argument("channel", required=False)
@click.pass_context
def promote(
    ctx: click.Context,
    *,
    revision: str | None,
    channel: str | None,
    reason: str,
    even_missed: bool,
    ended: str | None,
    as_json: bool,
) -> int:
    """Let CHANNEL, such as `production`, lead to the version of REVISION.

    Whoever follows the channel's link finds the old version or the new one, whole. What is live is never pruned.
    """
    from ci_mlsnap.flows import promote as flow

    if ended is not None and revision is None:
        done = flow.end(open_here(ctx), ended, reason=reason)
    elif revision is not None and channel is not None and ended is None:
        done = flow.promote(open_here(ctx), revision, channel, reason=reason, even_missed=even_missed)
    else:
        raise UsageError(
            "promote takes a REVISION and a CHANNEL, or --end CHANNEL",
            safe="nothing was done",
            hint="for example `mlsnap promote HEAD production`; `mlsnap channels` lists what there is",
        )
    _tell(done, as_json)
    return ExitCode.DONE


@click.command()
@json_option
@click.argument("channel", required=False)
@click.pass_context
def channels(ctx: click.Context, channel: str | None, as_json: bool) -> int:
    """List where channels lead, or all moves of CHANNEL, newest first."""
    from ci_mlsnap.flows import promote as flow

    project = open_here(ctx)
    if channel is not None:
        moves = flow.moves_of(project, channel)
        emit_json([_move_facts(move) for move in moves]) if as_json else _print_moves(moves)
        return ExitCode.DONE
    found = flow.listed(project)
    emit_json([_channel_facts(one) for one in found]) if as_json else _print_channels(found)
    return ExitCode.DONE


def _tell(done: Promoted, as_json: bool) -> None:
    from ci_mlsnap.report.told import promoted_lines

    if as_json:
        emit_json({**_move_facts(done.move), "changed": done.changed, "link": str(done.link)})
        return
    version = done.answer.version if done.answer else None
    how = done.answer.how if done.answer else "own"
    for line in promoted_lines(done.move, version, how, done.link, changed=done.changed):
        click.echo(printable(line))


def _print_channels(found: list[Channel]) -> None:
    from ci_mlsnap.report.rendering import short

    if not found:
        click.echo("no channels yet: `mlsnap promote <rev> production` makes one", err=True)
        return
    rows = [("CHANNEL", "VERSION", "SINCE", "BY", "WHY")]
    for one in found:
        version = short(one.leads_to) + ("" if one.version else " (not there any more)")
        since, who, why = (one.last.at, one.last.who, one.last.why) if one.last else ("", "", "")
        rows.append((one.name, version, since, who, why))
    columns(rows)
    for one in found:
        if one.unfinished is not None:
            to = short(one.unfinished.version) if one.unfinished.version else "nowhere"
            click.echo(
                f"{one.name}: a move to {to} was cut off; the next command that writes finishes it", err=True
            )


def _print_moves(moves: list[Move]) -> None:
    from ci_mlsnap.report.rendering import short

    rows = [("WHEN", "FROM", "TO", "BY", "WHY", "RUN")]
    for move in moves:
        before, after = (short(name) if name else "-" for name in (move.before, move.version))
        rows.append((move.at, before, after, move.who, move.why, move.run_url))
    columns(rows)


def _channel_facts(one: Channel) -> dict[str, Any]:
    return {
        "channel": one.name,
        "version": one.leads_to,
        "there": one.version is not None,
        "metrics": one.version.metrics if one.version else {},
        "link": str(one.link),
        "last": _move_facts(one.last) if one.last else None,
        "unfinished": _move_facts(one.unfinished) if one.unfinished else None,
    }


def _move_facts(move: Move) -> dict[str, Any]:
    return {
        "channel": move.channel,
        "from": move.before or None,
        "version": move.version or None,
        "who": move.who,
        "why": move.why,
        "at": move.at,
        "run_url": move.run_url,
        "manifest": move.manifest,
    }
