"""diff: what differs between two versions. Writes nothing."""

from __future__ import annotations

import click

from ci_mlsnap.cli.options import json_option, open_here
from ci_mlsnap.cli.printing import columns, emit_json, printable, terminal_width
from ci_mlsnap.errors import ExitCode, UsageError


@click.command()
@click.option("--md", "as_markdown", is_flag=True, help="Print tables in Markdown, for a pull request.")
@click.option("--exit-code", "judge", is_flag=True, help="End with 3 unless both have the same files and metrics.")
@json_option
@click.argument("before", required=False, default="", metavar="[A]")
@click.argument("after", required=False, default="", metavar="[B]")
@click.pass_context
def diff(ctx: click.Context, before: str, after: str, as_markdown: bool, judge: bool, as_json: bool) -> int:
    """Say what differs from version A to version B: metrics, parameters, files, code, data, environment.

    B is HEAD's version when not given, A what B is compared with: its baseline, else the version before it.
    """
    from ci_mlsnap.flows.diff import diff as flow
    from ci_mlsnap.report.compared import closing_lines, difference_facts, difference_rows

    if as_json and as_markdown:
        raise UsageError("--json and --md print two forms of one thing", hint="choose one of them")
    found = flow(open_here(ctx), before, after)
    if as_json:
        emit_json(difference_facts(found))
    elif as_markdown:
        from ci_mlsnap.report.compared import difference_markdown

        click.echo(difference_markdown(found).rstrip())
    else:
        columns(difference_rows(found, terminal_width()))
        for line in closing_lines(found):
            click.echo(printable(line))
    return ExitCode.DIFFERENT if judge and not found.same_model else ExitCode.DONE
