"""verify and rebuild: is what is kept still what was sealed, and knowing it again when its state was lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ci_mlsnap.cli.options import json_option, open_here
from ci_mlsnap.cli.printing import emit_json, printable
from ci_mlsnap.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci_mlsnap.flows.rebuild import Rebuilding
    from ci_mlsnap.flows.verify import Verified

DAMAGE_SHOWN = 20


@click.command()
@click.option("--all", "everything", is_flag=True, help="Look at all versions.")
@click.option("--read-data", is_flag=True, help="Read every byte, not only sizes, times and modes.")
@json_option
@click.argument("revisions", nargs=-1)
@click.pass_context
def verify(
    ctx: click.Context, revisions: tuple[str, ...], everything: bool, read_data: bool, as_json: bool
) -> int:
    """Look whether versions are still what was sealed, and say what vouches for that. Default: that of HEAD."""
    from ci_mlsnap.flows import verify as flow

    if revisions and everything:
        raise UsageError("--all names every version already", hint="leave out the revisions, or --all")
    project = open_here(ctx)
    found = []
    for each in flow.verify(project, revisions, everything=everything, read=read_data):
        found.append(each)
        if not as_json:
            for line in _lines(each):
                click.echo(printable(line))
    unlisted = flow.resembling(project.driver) if everything else []
    if as_json:
        emit_json({"versions": found, "read": read_data, "resembling": unlisted})
    else:
        _tell_rest(found, unlisted, read_data=read_data)
    flow.require_whole(found)
    return ExitCode.DONE


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would be known again, and write nothing.")
@click.option("--accept-moved-volume", "moved", is_flag=True, help="The volume is the same on other storage.")
@json_option
@click.pass_context
def rebuild(ctx: click.Context, dry_run: bool, moved: bool, as_json: bool) -> int:
    """Know versions, attempts, holds and channels again from the snapshots, and list what is lost.

    For when the state beside the snapshots was lost or damaged. What is known already stays as it is.
    """
    from ci_mlsnap.flows.rebuild import rebuild as flow

    found = flow(open_here(ctx, moved=moved), dry_run=dry_run)
    if as_json:
        emit_json(found)
        return ExitCode.DONE
    for line in _rebuilt(found, dry_run=dry_run):
        click.echo(printable(line))
    return ExitCode.DONE


def _rebuilt(found: Rebuilding, *, dry_run: bool) -> Iterator[str]:
    from ci_mlsnap.domain.texts import counted
    from ci_mlsnap.report.rendering import short

    if not found.changed:
        yield f"nothing to rebuild: {counted(found.versions, 'snapshot')} known"
    else:
        yield f"{'would be known' if dry_run else 'known'}: {counted(found.versions, 'snapshot')}"
    for name in found.adopted:
        yield f"  adopted   {short(name)}, by its manifest alone: `mlsnap verify` says what vouches for it"
    for channel, name in found.channels:
        yield f"  channel   {channel} leads to {short(name)}"
    for volume, name in found.pins:
        yield f"  data      {volume} {short(name)} is held again"
    for name, why in found.refused:
        yield f"  foreign   {name}: {why}"
    for what in found.lost:
        yield f"  lost      {what}"


def _lines(each: Verified) -> Iterator[str]:
    from ci_mlsnap.domain.texts import counted
    from ci_mlsnap.report.rendering import short

    held = counted(each.files, "file") if each.inventoried else "contents not inventoried"
    mark = "no" if each.damage else "ok"
    yield f"{mark}  {short(each.name)}  {each.level}" + ("" if each.damage else f", {held}")
    if each.next_level:
        yield f"    no more, since {each.next_level}"
    for damage in each.damage[:DAMAGE_SHOWN]:
        yield f"    {damage}"
    if len(each.damage) > DAMAGE_SHOWN:
        yield f"    and {len(each.damage) - DAMAGE_SHOWN} more: --json lists all"


def _tell_rest(found: list[Verified], unlisted: list[str], *, read_data: bool) -> None:
    from ci_mlsnap.domain.texts import counted

    if not found:
        click.echo("no versions: `mlsnap run` makes the first one", err=True)
    elif not read_data:
        click.echo("files were compared by size, time and mode; --read-data reads them all", err=True)
    if unlisted:
        alike = f"{counted(len(unlisted), 'snapshot')} with a name like ours"
        click.echo(f"in no ledger, so foreign: {alike}; `mlsnap rebuild --dry-run` looks whose", err=True)
