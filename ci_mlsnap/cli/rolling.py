"""rollback: back to an earlier version, and staying there."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from ci_mlsnap.cli.options import json_option, open_here
from ci_mlsnap.cli.printing import emit_json, printable
from ci_mlsnap.errors import ExitCode, Refused, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from ci_mlsnap.flows.context import Project
    from ci_mlsnap.flows.proposing import Proposal
    from ci_mlsnap.flows.rollback import Done


@click.command()
@click.option("--undo", is_flag=True, help="Bring back what was there before, unsaved changes included.")
@click.option("--release", is_flag=True, help="Let it move again, with the next run or `git pull`.")
@click.option("--shared", is_flag=True, help="Roll back the live tree of a shared volume, for all who use it.")
@click.option("--reason", default="", metavar="TEXT", help="Why; `mlsnap status` shows it.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask; needed where there is no terminal.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@json_option
@click.argument("revision", required=False)
@click.pass_context
def rollback(
    ctx: click.Context,
    *,
    revision: str | None,
    undo: bool,
    release: bool,
    shared: bool,
    reason: str,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Put the models back to REVISION, or to the good version before this one, and let them stay there.

    The code stays where it is. Neither `git pull` nor a run moves them on until you say so.
    """
    if sum((revision is not None, undo, release)) > 1 or (release and dry_run):
        raise UsageError(
            "rollback takes a REVISION, or --undo, or --release (alone)",
            safe="nothing was done",
            hint="`mlsnap status` says whether the models were rolled back",
        )
    project = open_here(ctx)
    if release:
        return _release(project, shared=shared, as_json=as_json)
    proposal = _propose(project, revision, undo=undo, shared=shared)
    if proposal is None:
        return _nothing(as_json)
    if dry_run:
        _show(project, proposal, as_json=as_json)
        return ExitCode.DONE
    if not proposal.arrived:
        _ask(project, proposal, yes=yes)
    _tell(_act(project, proposal, reason, undo=undo), undone=undo, as_json=as_json)
    return ExitCode.DONE


def _propose(project: Project, revision: str | None, *, undo: bool, shared: bool) -> Proposal | None:
    from ci_mlsnap.flows import proposing

    if undo:
        return proposing.propose_undo(project, shared=shared)
    return proposing.propose(project, revision, shared=shared)


def _act(project: Project, proposal: Proposal, reason: str, *, undo: bool) -> Done:
    from ci_mlsnap.flows import rollback as flow

    return flow.undo(project, proposal) if undo else flow.roll_back(project, proposal, reason=reason)


def _ask(project: Project, proposal: Proposal, *, yes: bool) -> None:
    """Show what would be done and ask; where nobody can be asked, the command line must say yes."""
    for line in _lines(project, proposal):
        click.echo(printable(line), err=True)
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Refused(
            "rollback asks before it moves models, and there is no terminal",
            safe="nothing was changed",
            hint="look at it with --dry-run, then run it with --yes",
        )
    if not click.confirm("Continue?", err=True):
        raise Refused("not confirmed", safe="nothing was changed", hint="run it again when you are sure")


def _show(project: Project, proposal: Proposal, *, as_json: bool) -> None:
    if as_json:
        emit_json(_facts(proposal))
    else:
        for line in _lines(project, proposal):
            click.echo(printable(line))


def _lines(project: Project, proposal: Proposal) -> list[str]:
    from ci_mlsnap.report.going_back import proposal_lines, unsaved_line

    lines = proposal_lines(
        proposal.place,
        proposal.now,
        proposal.now_version,
        proposal.then,
        why=proposal.why,
        how=proposal.how,
        code=project.repository.head(),
    )
    unsaved = unsaved_line(proposal.added, proposal.changed, fits=proposal.fits)
    return [*lines, *([unsaved] if unsaved else [])]


def _tell(done: Done, *, undone: bool, as_json: bool) -> None:
    from ci_mlsnap.report.going_back import done_lines

    if as_json:
        aside = str(done.aside) if done.aside else None
        emit_json({**_facts(done.proposal), "changed": done.changed, "kept": done.kept, "aside": aside})
        return
    for line in done_lines(
        done.proposal.place,
        done.proposal.then,
        done.kept,
        str(done.aside or ""),
        changed=done.changed,
        undone=undone,
    ):
        click.echo(printable(line))


def _nothing(as_json: bool) -> int:
    click.echo('{"changed": false}' if as_json else "nothing was rolled back here, so there is nothing to undo")
    return ExitCode.DONE


def _release(project: Project, *, shared: bool, as_json: bool) -> int:
    from ci_mlsnap.flows.proposing import place_of
    from ci_mlsnap.flows.rollback import release

    noted = release(project, shared=shared)
    place = place_of(project, shared=shared)
    if as_json:
        emit_json({"place": str(place), "changed": noted is not None, "version": noted.version if noted else None})
    else:
        click.echo(printable(_released(place, noted.version if noted else "")))
    return ExitCode.DONE


def _released(place: Path, version: str) -> str:
    from ci_mlsnap.report.rendering import short

    if not version:
        return f"{place} was not rolled back: it moves with the next run or `git pull`"
    return (
        f"{place} is at {short(version)} and moves again with the next run or `git pull`; now: mlsnap restore HEAD"
    )


def _facts(proposal: Proposal) -> dict[str, Any]:
    return {
        "place": str(proposal.place),
        "view": proposal.view,
        "now": proposal.now or None,
        "then": proposal.then.header.name,
        "why": proposal.why,
        "how": proposal.how,
        "good": proposal.then.good,
        "metrics": {
            "now": proposal.now_version.metrics if proposal.now_version else {},
            "then": proposal.then.metrics,
        },
        "unsaved": {"added": proposal.added, "changed": proposal.changed},
        "arrived": proposal.arrived,
    }
