"""The program: options of all commands, help in groups, and how an error ends the process."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from ci_mlsnap import __version__
from ci_mlsnap.cli.table import COMMANDS, HINTS
from ci_mlsnap.errors import ExitCode, MlsnapError, OutputLost, Remark, UsageError

MOST_REMARKS = 10
"""Errors of one step that GitHub shows on the page of a run; of more it says nothing."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for, and shown by group in the help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"ci_mlsnap.cli.{COMMANDS[cmd_name].module}")
        command = getattr(module, cmd_name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise UsageError(
                f"there is no command {args[0][:80]!r}", safe="nothing was done", hint=_did_you_mean(args[0])
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for group in dict.fromkeys(row.group for row in COMMANDS.values()):
            with formatter.section(group):
                formatter.write_dl([(name, row.help) for name, row in COMMANDS.items() if row.group == group])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mlsnap", message="%(prog)s %(version)s")
@click.option("--verbose", "-v", is_flag=True, help="Show a trace with an error, and debug lines.")
@click.option(
    "--project",
    type=click.Path(exists=True, file_okay=False),
    help="The folder whose mlsnap.toml is meant. Default: the nearest one upwards.",
)
@click.option(
    "--insecure", is_flag=True, help="Take any certificate of an ONTAP cluster, to try things out. Not in a CI."
)
@click.pass_context
def program(ctx: click.Context, verbose: bool, project: str | None, insecure: bool) -> None:
    """Every commit carries its model: train on push, snapshot under the commit SHA, link it from a status."""
    from ci_mlsnap.cli.printing import colour

    ctx.color = colour()
    ctx.obj = {"verbose": verbose, "project": project, "insecure": insecure}


def run_program(arguments: Sequence[str]) -> int:
    """Run one command and give its exit code; errors of ours are shown in at most six lines."""
    verbose = "--verbose" in arguments or "-v" in arguments
    try:
        inputs = _inputs()
        result = program.main(args=list(arguments), prog_name="mlsnap", standalone_mode=False, default_map=inputs)
        return result if isinstance(result, int) else ExitCode.DONE
    except MlsnapError as error:
        show_error(error)
        _trace(verbose)
        return int(error.exit_code)
    except click.ClickException as error:
        if arguments:
            show_error(_usage(error))
        else:
            error.show()  # the help, which is all the answer there is to no command
        return int(ExitCode.USAGE)
    except (click.Abort, KeyboardInterrupt):
        click.echo("mlsnap: interrupted", err=True)
        return int(ExitCode.INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the last resort: a message and an exit code, not a trace
        show_error(_unexpected(error))
        _trace(verbose)
        return int(ExitCode.INTERNAL)


def _inputs() -> dict[str, Any]:
    """Give what a CI's inputs say of options; the command line goes before them."""
    if not any(name.startswith("MLSNAP_INPUT_") for name in os.environ):
        return {}
    from ci_mlsnap.ci.inputs import given_options

    return given_options(os.environ)


def show_error(error: MlsnapError) -> None:
    """Print an error on stderr: what, why, what is safe, what to do next."""
    from ci_mlsnap.cli.printing import colour, printable

    click.secho(f"mlsnap: error[{error.slug}]: {printable(error.what)}", err=True, fg="red", color=colour())
    for label, text in (("why", error.why), ("safe", error.safe), ("next", error.hint)):
        if text:
            first, *more = text.split("\n")
            click.echo(f"  {label:<5} {printable(first)}", err=True)
            for line in more:
                click.echo(f"  {'':<5} {printable(line)}", err=True)

    if "GITHUB_ACTIONS" in os.environ:
        _annotate(error)


def show_output_lost(lost: OSError, code: int) -> int:
    """Say that standard output was lost, and give the exit code: the command's own, unless that was success."""
    error = OutputLost(
        "not all output could be written",
        why=lost.strerror or type(lost).__name__,
        safe="the command did its work; what it printed is lost",
        hint="make room where the output goes; commands that only look can be run again",
    )
    show_error(error)
    return code or int(error.exit_code)


def _annotate(error: MlsnapError) -> None:
    """Show the error where the CI shows errors, besides the log."""
    from ci_mlsnap.ci.detect import detect

    try:
        # The runner reads both streams; facts on stdout stay alone.
        build = detect(os.environ, stdout=sys.stderr)
        for remark in _remarks(error):
            build.error(remark.text, title=remark.title, file=remark.file, line=remark.line)
    except MlsnapError:
        return  # what is wrong with the CI's environment is the error that was just shown


def _remarks(error: MlsnapError) -> list[Remark]:
    """Give the parts of an error, or the whole; of more than the CI shows, the last says how many there are."""
    if len(error.remarks) < 2 and not any(remark.file for remark in error.remarks):
        return [Remark(f"{error.slug}: {error.what}")]
    told = [remark._replace(text=f"{error.slug}: {remark.text}") for remark in error.remarks]
    if len(told) <= MOST_REMARKS:
        return told
    more = len(told) - MOST_REMARKS + 1
    return [*told[: MOST_REMARKS - 1], Remark(f"{error.slug}: and {more} more, which the log has")]


def _trace(verbose: bool) -> None:
    if verbose:
        import traceback

        traceback.print_exc()


def _unexpected(error: Exception) -> MlsnapError:
    return MlsnapError(
        f"unexpected {type(error).__name__}: {str(error)[:200]}",
        safe="a run that was open is at rest after `mlsnap finish`",
        hint="run again with --verbose, and report the trace",
    )


def _usage(error: click.ClickException) -> UsageError:
    context = error.ctx if isinstance(error, click.UsageError) else None
    command = context.command_path if context else "mlsnap"
    return UsageError(
        error.format_message(), safe="nothing was done", hint=f"`{command} --help` shows what can be asked"
    )


def _did_you_mean(word: str) -> str:
    import difflib

    near = next(iter(difflib.get_close_matches(word, [*COMMANDS, *HINTS], n=1)), "")
    guess = HINTS.get(word) or HINTS.get(near) or near
    return f"did you mean `mlsnap {guess}`?" if guess else "`mlsnap --help` lists all commands"
