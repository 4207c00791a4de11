"""Options and openings that several commands share."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ci_mlsnap.flows.context import Hands, Project
    from ci_mlsnap.services import Site
    from ci_mlsnap.training.signals import StopSignal

json_option = click.option("--json", "as_json", is_flag=True, help="Print facts as JSON on stdout.")
plan_option = click.option("--plan", metavar="DIGEST", help="The plan's digest, as `begin` printed it.")

run_option = click.option(
    "--run",
    type=click.Path(path_type=Path),
    help="Where the run of --plan is, as `begin` of another job said in its output `run`.",
)


def open_here(ctx: click.Context, *, ephemeral: bool = False, moved: bool = False) -> Project:
    """Open the project that the command line means."""
    from ci_mlsnap.services import close, open_project

    project = open_project(site_of(ctx, ephemeral=ephemeral, moved=moved))
    ctx.call_on_close(lambda: close(project.hands))
    return project


def hands_here(ctx: click.Context, *, secrets: bool) -> Hands:
    """Open what a phase needs that goes on with a run."""
    from ci_mlsnap.services import close, open_hands

    hands = open_hands(site_of(ctx), secrets=secrets)
    ctx.call_on_close(lambda: close(hands))
    return hands


def site_of(ctx: click.Context, *, ephemeral: bool = False, moved: bool = False) -> Site:
    """Say what this process was started with.

    Where facts go to stdout as JSON they are alone there: what the CI reads as commands goes beside them.
    """
    from ci_mlsnap.cli.printing import Lines
    from ci_mlsnap.services import Site

    insecure = bool(ctx.obj.get("insecure"))
    if insecure:
        text = "mlsnap: --insecure: no certificate is checked, so whoever is in between can have the login"
        click.echo(text, err=True)
    return Site(
        progress_for=Lines,
        project=ctx.obj["project"] or "",
        environ=os.environ,
        ephemeral=ephemeral,
        moved=moved,
        insecure=insecure,
        log=sys.stderr if ctx.params.get("as_json") else sys.stdout,
    )


@contextmanager
def stop_signals() -> Iterator[StopSignal]:
    """Listen for SIGINT, SIGTERM and SIGHUP while a run is under way."""
    from ci_mlsnap.training.signals import StopSignal

    with StopSignal() as stop:
        yield stop
