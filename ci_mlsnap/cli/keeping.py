"""hold, prune: what is kept, and what goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ci_mlsnap.cli.options import json_option, open_here
from ci_mlsnap.cli.printing import columns, emit_json, printable
from ci_mlsnap.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from ci_mlsnap.domain.removed import Pruned
    from ci_mlsnap.domain.versions import Version
    from ci_mlsnap.flows.announce import Announced
    from ci_mlsnap.flows.context import Project
    from ci_mlsnap.flows.hold import Holding
    from ci_mlsnap.flows.prune import Pruning


@click.command()
@click.option("--reason", default="", metavar="TEXT", help="Why; shown wherever the hold is.")
@click.option("--release", is_flag=True, help="Take back what people hold of this version.")
@click.option("--list", "listed", is_flag=True, help="List all versions that somebody holds.")
@json_option
@click.argument("revision", required=False)
@click.pass_context
def hold(ctx: click.Context, revision: str | None, reason: str, release: bool, listed: bool, as_json: bool) -> int:
    """Keep the version of REVISION from being removed, until somebody releases it."""
    from ci_mlsnap.flows import hold as flow

    if listed == bool(revision) or (bool(reason) and release) or (listed and (release or bool(reason))):
        raise UsageError(
            "`mlsnap hold` takes a REVISION, or --list; and a --reason only to hold",
            safe="nothing was done",
            hint="mlsnap hold HEAD --reason 'shown at the fair'",
        )
    project = open_here(ctx)
    if listed:
        return _tell_all(flow.held(project), as_json)
    assert revision is not None
    done = flow.release(project, revision) if release else flow.hold(project, revision, reason=reason)
    if as_json:
        emit_json({**_holding_facts(done), "changed": done.changed})
        return ExitCode.DONE
    name = done.version.name.short
    act = "released" if release else "holds it now"
    for owner in done.changed:
        click.echo(printable(f"{name}: {owner} {act}"))
    if not done.changed:
        click.echo(f"{name}: {'nobody held it' if release else 'held already'}")
    return ExitCode.DONE


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would be kept and removed, and why; change nothing.")
@click.option("--all", "everything", is_flag=True, help="Remove all at once, whatever `max_removed` is.")
@click.option("--version", "revision", metavar="REVISION", help="Remove exactly this version, and no other.")
@click.option("--now", is_flag=True, help="With --version: at once and for good, not by way of the trash.")
@click.option("--reason", default="", metavar="TEXT", help="With --version: why. It stays beside the record.")
@click.option("--even-held", is_flag=True, help="With --version and --now: also when somebody holds it.")
@json_option
@click.pass_context
def prune(ctx: click.Context, /, *, as_json: bool, **asked: Any) -> int:
    """Remove the versions that no rule of [retention] keeps.

    They go to the trash, from where `mlsnap recover REVISION` brings them back, and for good after a grace period.
    """
    from ci_mlsnap.flows import prune as flow

    _require_fitting(**asked)
    project = open_here(ctx)
    if asked["revision"] is not None:
        return _remove_one(project, as_json, asked["revision"], asked["reason"], asked["now"], asked["even_held"])
    done = flow.prune(project, dry_run=asked["dry_run"], everything=asked["everything"])
    if as_json:
        emit_json(_pruning_facts(done))
    else:
        _print_pruning(done)
    for name, error in done.failed:
        click.echo(printable(f"{name[:12]} stays: {error.what}"), err=True)
    _tell_queued(done.announced)
    return next((int(error.exit_code) for _, error in done.failed if error.slug != "snapshot-held"), ExitCode.DONE)


def show_removed(project: Project, revision: str, as_json: bool) -> bool:
    """Show what is known of a version that was removed; tell whether there is such a one."""
    from ci_mlsnap.flows.removed import find_removed, last_day, neighbours_of

    record = find_removed(project, revision)
    if record is not None:
        _tell_removed(record, last_day(project, record), neighbours_of(project, record), as_json)
    return record is not None


def _tell_removed(
    record: Pruned, until: str, around: tuple[Version | None, Version | None], as_json: bool
) -> None:
    from ci_mlsnap.report.kept import removed_facts, removed_lines

    if as_json:
        emit_json(removed_facts(record, until, around))
        return
    for line in removed_lines(record, until, around):
        click.echo(printable(line))


def _require_fitting(
    *, dry_run: bool, everything: bool, revision: str | None, now: bool, reason: str, even_held: bool
) -> None:
    """Refuse options that mean nothing together."""
    one = "--version" if revision is not None else ""
    policy = dry_run or everything
    if (one and policy) or (not one and (now or reason or even_held)) or (even_held and not now):
        raise UsageError(
            "--now, --reason and --even-held go with --version, --dry-run and --all without it, "
            "and --even-held with --now",
            safe="nothing was removed",
            hint="mlsnap prune --dry-run, or: mlsnap prune --version REVISION --reason TEXT [--now [--even-held]]",
        )


def _remove_one(project: Project, as_json: bool, revision: str, reason: str, now: bool, even_held: bool) -> int:
    from ci_mlsnap.flows.prune import remove_exactly
    from ci_mlsnap.flows.removed import last_day

    done = remove_exactly(project, revision, reason=reason, now=now, even_held=even_held)
    _tell_removed(done.record, last_day(project, done.record), done.around, as_json)
    _tell_queued(done.announced)
    return ExitCode.DONE


def _print_pruning(done: Pruning) -> None:
    from ci_mlsnap.report.kept import decision_line, decision_rows

    rows = list(decision_rows(done.decision))
    if rows:
        columns([("", "VERSION", "WHEN", "METRIC", "WHY"), *rows])
    for line in decision_line(done.decision, done.expired, dry_run=done.dry_run, limits=done.limits):
        click.echo(line)
    for note in done.notes:
        click.echo(printable(note), err=True)


def _pruning_facts(done: Pruning) -> dict[str, Any]:
    from ci_mlsnap.report.kept import judged_facts

    decision = done.decision
    return {
        "dry_run": done.dry_run,
        "kept": [judged_facts(judged) for judged in decision.kept],
        "removed": [judged_facts(judged) for judged in decision.removed],
        "postponed": [judged_facts(judged) for judged in decision.postponed],
        "expired": [record.name for record in done.expired],
        "failed": {name: error.what for name, error in done.failed},
        "notes": done.notes,
        "queued": done.announced.queued,
    }


def _tell_queued(announced: Announced) -> None:
    if announced.queued:
        from ci_mlsnap.domain.texts import counted

        waiting = counted(len(announced.queued), "status")
        click.echo(printable(f"{waiting} not sent yet ({announced.why}): `mlsnap publish` sends them"), err=True)


def _tell_all(held: list[Holding], as_json: bool) -> int:
    if as_json:
        emit_json([_holding_facts(one) for one in held])
    elif held:
        columns([("VERSION", "HELD BY"), *((one.version.name.short, "; ".join(one.holds)) for one in held)])
    else:
        click.echo("nobody holds a version", err=True)
    return ExitCode.DONE


def _holding_facts(holding: Holding) -> dict[str, Any]:
    return {"version": holding.version.header.name, "holds": holding.holds, "how": holding.how}
