"""Options and openings that several commands share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ci_mlsnap.flows.context import Project
    from ci_mlsnap.services import Site
    from ci_mlsnap.training.signals import StopSignal

json_option = click.option("--json", "as_json", is_flag=True, help="Print facts as JSON on stdout.")
plan_option = click.option("--plan", metavar="DIGEST", help="The plan's digest, as `begin` printed it.")


def open_here(ctx: click.Context) -> Project:
    """Open the project that the command line means."""
    from ci_mlsnap.services import open_project

    return open_project(site_of(ctx))


def site_of(ctx: click.Context) -> Site:
    """Say what this process was started with."""
    from ci_mlsnap.cli.printing import Lines
    from ci_mlsnap.services import Site

    return Site(progress_for=Lines, project=ctx.obj["project"] or "", environ=os.environ)


@contextmanager
def stop_signals() -> Iterator[StopSignal]:
    """Listen for SIGINT, SIGTERM and SIGHUP while a run is under way."""
    from ci_mlsnap.training.signals import StopSignal

    with StopSignal() as stop:
        yield stop
