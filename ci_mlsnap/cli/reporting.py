"""report: static pages of all versions, to be looked at."""

from __future__ import annotations

import click

from ci_mlsnap.cli.options import json_option, open_here
from ci_mlsnap.cli.printing import emit_json, printable
from ci_mlsnap.errors import ExitCode


@click.command()
@click.option("--output", metavar="DIR", required=True, help="The folder that the pages are written to.")
@json_option
@click.pass_context
def report(ctx: click.Context, output: str, as_json: bool) -> int:
    """Write static pages of all versions: which is the best, what each scored, and how to get it.

    What is there already and did not change is left alone.
    """
    from pathlib import Path

    from ci_mlsnap.domain.texts import counted
    from ci_mlsnap.flows.report import write_report
    from ci_mlsnap.report.pages import look_of

    project = open_here(ctx)
    folder = Path(output).absolute()
    done = write_report(
        project.driver, folder, look_of(), project=project.project_id, model=project.settings.model
    )
    if as_json:
        emit_json(
            {
                "folder": str(folder),
                "index": str(folder / "index.html"),
                "files": done.files,
                "written": done.written,
                "removed": done.removed,
            }
        )
        return ExitCode.DONE
    click.echo(printable(f"{folder / 'index.html'}: {counted(done.files, 'file')}, {done.written} written anew"))
    return ExitCode.DONE
