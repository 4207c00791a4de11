"""report: static pages of all versions, to be looked at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ci_mlsnap.cli.options import json_option, open_here
from ci_mlsnap.cli.printing import emit_json, printable
from ci_mlsnap.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from ci_mlsnap.flows.context import Project


@click.command()
@click.option("--output", metavar="DIR", help="The folder to write to. Default: `report.output` of the settings.")
@click.option("--open", "opened", is_flag=True, help="Show the index in a browser, when this is a terminal.")
@json_option
@click.pass_context
def report(ctx: click.Context, output: str | None, opened: bool, as_json: bool) -> int:
    """Write static pages of all versions: which is the best, what each scored, and how to get it.

    What is there already and did not change is left alone.
    """
    from ci_mlsnap.domain.texts import counted
    from ci_mlsnap.flows.report import write_report

    project = open_here(ctx)
    folder = Path(output).absolute() if output else _folder_of_settings(project)
    index, look = folder / "index.html", project.hands.report.look
    done = write_report(project.driver, folder, look, project=project.project_id, model=project.settings.model)
    if as_json:
        counts = {"files": done.files, "written": done.written, "removed": done.removed}
        emit_json({"folder": str(folder), "index": str(index), **counts})
    else:
        click.echo(printable(f"{index}: {counted(done.files, 'file')}, {done.written} written anew"))
    if opened:
        _open(index)
    return ExitCode.DONE


def _folder_of_settings(project: Project) -> Path:
    folder = project.hands.report.folder
    if folder is None:
        raise UsageError(
            "nothing says where the pages are to go",
            safe="nothing was done",
            hint="`mlsnap report --output public` writes them to a folder of that name",
        )
    return folder


def _open(index: Path) -> None:
    """Show a page to whoever sits at this terminal; in a CI, or without a browser, say why not."""
    import sys
    import webbrowser

    if not sys.stdout.isatty():
        click.echo("not opened: this is no terminal", err=True)
    elif not webbrowser.open(index.as_uri()):
        click.echo("not opened: there is no browser here", err=True)
