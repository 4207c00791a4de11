"""hooks: git calls mlsnap after it moved the work tree, so that the models follow."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from ci_mlsnap.cli.options import json_option, open_here
from ci_mlsnap.cli.printing import emit_json, printable
from ci_mlsnap.errors import ExitCode, NotARepository, Refused

if TYPE_CHECKING:
    from ci_mlsnap.flows.context import Project
    from ci_mlsnap.flows.hooks import Standing


@click.command()
@click.option("--global", "everywhere", is_flag=True, help="For all clones that this user makes from now on.")
@json_option
@click.argument("act", type=click.Choice(["install", "uninstall", "status"]))
@click.pass_context
def hooks(ctx: click.Context, act: str, everywhere: bool, as_json: bool) -> int:
    """Let the models follow `git checkout`, `git pull` and the like.

    `install` brings the models of HEAD at once; hooks that are there already still run. `uninstall` puts back what
    was there before. `status` changes nothing.
    """
    if as_json and act != "status":
        raise click.UsageError("--json is for `mlsnap hooks status`")
    if act == "status":
        return _status(ctx, as_json)
    return _install(ctx, everywhere) if act == "install" else _uninstall(ctx, everywhere)


def _install(ctx: click.Context, everywhere: bool) -> int:
    from ci_mlsnap.flows import hooks as flow

    if everywhere:
        folder = flow.install_for_all(os.environ, _project_or_none(ctx))
        click.echo(printable(f"clones that are made from now on have the hooks: {folder}"))
        return ExitCode.DONE
    project = open_here(ctx)
    found = flow.install(project)
    _restore_now(project)
    if found.uncalled:
        raise _uncalled(found)
    click.echo(printable(f"git calls mlsnap in {project.repository.top}: the models follow"))
    return ExitCode.DONE


def _uninstall(ctx: click.Context, everywhere: bool) -> int:
    from ci_mlsnap.flows import hooks as flow
    from ci_mlsnap.services import find_place

    if everywhere:
        changed = flow.uninstall_for_all(os.environ)
    else:
        changed = flow.uninstall(find_place(ctx.obj["project"] or "")[0])
    click.echo("hooks are as they were before" if changed else "no hooks of mlsnap were there")
    return ExitCode.DONE


def _status(ctx: click.Context, as_json: bool) -> int:
    from ci_mlsnap.flows.hooks import standing

    found = standing(open_here(ctx))
    if as_json:
        emit_json(_facts(found))
        return ExitCode.DONE
    for hook in found.hooks:
        earlier = ", after the hook that was there" if hook.earlier else ""
        by = f", runs {hook.python}" if hook.python else ""
        click.echo(printable(f"{hook.name:<14} {hook.state}{earlier}{by}"))
    for file in found.uncalled:
        click.echo(printable(f"{'not called':<14} {file} lacks the line that `mlsnap hooks install` names"))
    click.echo(f"{'new clones':<14} {'installed' if found.template else 'missing'}")
    return ExitCode.DONE


def _facts(found: Standing) -> dict[str, object]:
    return {
        "installed": found.installed,
        "folder": str(found.folder),
        "hooks": [
            {"name": hook.name, "state": hook.state, "python": hook.python or None, "earlier": hook.earlier}
            for hook in found.hooks
        ],
        "uncalled": [str(file) for file in found.uncalled],
        "trusted": found.trusted,
        "global": found.template,
    }


def _project_or_none(ctx: click.Context) -> Project | None:
    try:
        return open_here(ctx)
    except NotARepository:
        return None


def _restore_now(project: Project) -> None:
    """Bring the version of HEAD, however long that takes: a person asked for it."""
    from ci_mlsnap.flows import trusting
    from ci_mlsnap.flows.following_git import follow, look

    outlook = look(project, trusting.places_of(project), copied=None)
    text = follow(project, outlook.answer) if outlook.answer is not None else outlook.text
    if text:
        click.echo(printable(f"mlsnap: {text}"), file=sys.stderr)


def _uncalled(found: Standing) -> Refused:
    from ci_mlsnap.flows.hooks import CALL

    files = ", ".join(str(file) for file in found.uncalled)
    return Refused(
        f"git's hooks here are files of a work tree, which mlsnap does not change: {found.folder}",
        why=f"{files} do not call mlsnap yet",
        safe="all else is prepared",
        hint=f"add this line to them (it does nothing for others):\n{CALL}",
    )
