"""status, show, path: looking. They write nothing and need no credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ci_mlsnap.cli.options import json_option, open_here
from ci_mlsnap.cli.printing import emit_json, printable
from ci_mlsnap.errors import ExitCode, NoCommit, NoSuchVersion

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci_mlsnap.flows.inspect import Standing
    from ci_mlsnap.flows.live import LiveTree


@click.command()
@json_option
@click.pass_context
def status(ctx: click.Context, as_json: bool) -> int:
    """Say which version the live tree is, which one HEAD means, and what is unfinished."""
    from ci_mlsnap.flows.inspect import standing
    from ci_mlsnap.flows.live import way_back

    project = open_here(ctx)
    found = standing(project)
    if as_json:
        emit_json(_standing_facts(found))
    else:
        back = way_back(shared=not project.private)
        for line in _standing_lines(found, str(project.volume_path), project.settings.model, back):
            click.echo(printable(line))
    return ExitCode.DONE


@click.command()
@json_option
@click.argument("revision", default="HEAD")
@click.pass_context
def show(ctx: click.Context, revision: str, as_json: bool) -> int:
    """Show all that is known of one version: metrics, verdict, files, where it came from, how to get it."""
    from ci_mlsnap.cli.keeping import show_removed
    from ci_mlsnap.cli.noting import tell_noted
    from ci_mlsnap.flows.contents import parts_of
    from ci_mlsnap.flows.inspect import shown
    from ci_mlsnap.flows.show import beside
    from ci_mlsnap.report.shown import version_facts, version_lines

    project = open_here(ctx)
    try:
        answer = shown(project, revision)
    except (NoSuchVersion, NoCommit):
        if not show_removed(project, revision, as_json):
            tell_noted(project, revision, as_json)
            raise
        return ExitCode.DONE
    parts = parts_of(project.driver, answer.version)
    manifests = [part.manifest for part in parts]
    found = beside(project, answer, parts)
    if as_json:
        emit_json(version_facts(answer, manifests, found))
    else:
        for line in version_lines(answer, manifests, found):
            click.echo(printable(line))
    return ExitCode.DONE


@click.command()
@click.option("--nearest", is_flag=True, help="Take the nearest ancestor's version when there is no other.")
@click.option("--channel", is_flag=True, help="REVISION is a channel, whatever git has under that name.")
@json_option
@click.argument("revision", default="HEAD")
@click.pass_context
def path(ctx: click.Context, revision: str, nearest: bool, channel: bool, as_json: bool) -> int:
    """Print the read-only path of a version, or of the one that a channel leads to."""
    from ci_mlsnap.flows.inspect import path_of

    found = path_of(open_here(ctx), revision, nearest=nearest, channel=channel)
    if as_json:
        emit_json({"path": str(found)})
    else:
        click.echo(found)
    return ExitCode.DONE


def _standing_lines(found: Standing, path: str, model: str, back: str) -> Iterator[str]:
    from ci_mlsnap.domain.pins import told
    from ci_mlsnap.domain.texts import counted
    from ci_mlsnap.report.going_back import stays_text
    from ci_mlsnap.report.rendering import short
    from ci_mlsnap.report.told import headline_of

    clean = counted(found.dirty, "uncommitted change") if found.dirty else "work tree clean"
    yield f"commit    {found.commit[:7]} on {found.branch or 'a detached HEAD'}, {clean}"
    if found.answer is None:
        yield "version   none for this commit: `mlsnap run` makes one"
    else:
        first = headline_of(found.answer.version)
        scored = f"  {first[0]} {first[1]}" if first else ""
        how = "" if found.answer.how == "own" else f"  ({found.answer.how})"
        yield f"version   {short(found.answer.version.header.name)}{scored}{how}"
    for pin in found.answer.version.header.pins if found.answer else ():
        yield f"data      {told(pin)}"
    yield f"{'live tree':<9} {path}: {_live_text(found, back)}"
    if found.view:
        yield f"view      {short(found.view)}{_copy_text(found.copy)}"
    for noted in found.stays:
        text = stays_text(noted.version, noted.version_before, noted.who, noted.why, noted.since)
        yield f"rollback  {noted.place} {text}"
    for name, leads_to in found.channels.items():
        yield f"channel   {name} leads to {short(leads_to)}"
    if found.trouble:
        yield f"damaged   {found.trouble}"
    foreign = f", {counted(found.foreign, 'foreign snapshot')}" if found.foreign else ""
    yield f"model     {model}: {counted(found.versions, 'version')}{foreign}"
    for run in found.unfinished:
        yield f"running   1 unfinished run: {run}"
    if found.waiting:
        yield f"outbox    {found.waiting} statuses or comments wait: `mlsnap publish` sends them"


def _copy_text(copy: LiveTree | None) -> str:
    if copy is None:
        return ""
    return f", a copy to write to: {_differing(copy) or 'unchanged'}"


def _differing(live: LiveTree) -> str:
    parts = (
        ("added", live.differences.added),
        ("changed", live.differences.changed),
        ("removed", live.differences.removed),
    )
    return ", ".join(f"{len(paths)} {word}" for word, paths in parts if paths)


def _live_text(found: Standing, back: str) -> str:
    from ci_mlsnap.report.rendering import short

    live = found.live
    if live is None:
        return f"holds something that no version can hold, such as a FIFO or a link out (`{back}` goes back)"
    if not live.version:
        return "no version yet"
    if live.condition == "in-change":
        return f"in change since {short(live.version)}: a run trains there, or was cut off (`{back}`)"
    if live.equal:
        return f"equals {short(live.version)}"
    parts = _differing(live)
    since = " by a failed run" if live.condition == "changed-by-failed-run" else ""
    if live.condition == "mixed":
        return f"{short(live.version)} with files of other versions: {parts} (`{back}` goes back)"
    return f"{parts or 'changed'} since {short(live.version)}{since} (`{back}` goes back)"


def _standing_facts(found: Standing) -> dict[str, Any]:
    return {
        "commit": found.commit,
        "branch": found.branch,
        "dirty": found.dirty,
        "shallow": found.shallow,
        "version": found.answer.version.header.name if found.answer else None,
        "how": found.answer.how if found.answer else None,
        "pins": found.answer.version.header.pins if found.answer else [],
        "live": None if found.live is None else _live_facts(found.live),
        "view": found.view or None,
        "copy": None if found.copy is None else _live_facts(found.copy),
        "versions": found.versions,
        "foreign": found.foreign,
        "unfinished": found.unfinished,
        "waiting": found.waiting,
        "rollbacks": [
            {"place": it.place, "version": it.version, "before": it.version_before, "who": it.who, "why": it.why}
            for it in found.stays
        ],
        "channels": found.channels,
        "trouble": found.trouble or None,
    }


def _live_facts(live: LiveTree) -> dict[str, Any]:
    return {
        "version": live.version or None,
        "condition": live.condition,
        "equal": live.equal,
        "added": len(live.differences.added),
        "changed": len(live.differences.changed),
        "removed": len(live.differences.removed),
    }
