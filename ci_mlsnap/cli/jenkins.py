"""jenkins: from here to a Jenkins server."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from ci_mlsnap.cli.options import json_option, site_of, stop_signals
from ci_mlsnap.cli.printing import emit_json, printable
from ci_mlsnap.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from ci_mlsnap.ci.jenkins_api import Server


@click.group()
def jenkins() -> None:
    """Make jobs on a Jenkins server, run them, and look after their builds.

    The server is `jenkins.url`; the login is MLSNAP_JENKINS_USER with an API token in MLSNAP_JENKINS_TOKEN.
    """


@jenkins.command()
@click.option("--sha", metavar="REVISION", help="The commit to train, as the parameter MLSNAP_SHA.")
@click.option("--param", "-p", "given", multiple=True, metavar="NAME=VALUE", help="A parameter; may be repeated.")
@json_option
@click.argument("job")
@click.pass_context
def run(ctx: click.Context, job: str, sha: str | None, given: tuple[str, ...], as_json: bool) -> int:
    """Start a build of JOB, show its log, and end as it ends; Ctrl-C stops the build.

    JOB is the full name as Jenkins has it, with the folders before it: `ml/digits`.
    """
    from ci_mlsnap.flows import jenkins_run as flow

    parameters = _parameters(given) | ({flow.SHA: _commit(ctx, sha)} if sha else {})
    with server_of(ctx) as server, stop_signals() as stop, _log_of_a_build(as_json):
        watch = flow.Watch(say=_say, show=lambda line: click.echo(printable(line), err=as_json), stop=stop)
        built = flow.run(server, job, parameters, watch)
    if as_json:
        emit_json({"job": job, "number": built.number, "url": built.url, "result": built.result})
    error = flow.error_of(built, job)
    if error is not None:
        raise error
    _say(f"build {built.number} of {job} ended as {built.result}")
    return ExitCode.DONE


@contextmanager
def server_of(ctx: click.Context) -> Iterator[Server]:
    """Open the server that the operator names, and close it in the end."""
    from ci_mlsnap.services import open_jenkins

    server = open_jenkins(site_of(ctx))
    try:
        yield server
    finally:
        server.close()


@contextmanager
def _log_of_a_build(as_json: bool) -> Iterator[None]:
    """Keep the CI that we run in from reading commands out of another build's log."""
    from ci_mlsnap.ci.detect import detect

    here = detect(os.environ, stdout=sys.stderr if as_json else sys.stdout)
    here.fence()
    try:
        yield
    finally:
        here.unfence()


def _say(text: str) -> None:
    click.echo(printable(f"mlsnap: {text}"), err=True)


def _parameters(given: tuple[str, ...]) -> dict[str, str]:
    wrong = next((each for each in given if not each.partition("=")[1] or each.startswith("=")), None)
    if wrong is not None:
        raise UsageError(
            f"{wrong[:80]!r} is no NAME=VALUE", safe="nothing was started", hint="for example: -p EPOCHS=20"
        )
    parts: Any = (each.partition("=") for each in given)
    return {name: value for name, _, value in parts}


def _commit(ctx: click.Context, revision: str) -> str:
    """Give the full SHA of a revision; one that is full needs no repository."""
    from ci_mlsnap.domain.names import is_sha
    from ci_mlsnap.services import find_place

    return revision if is_sha(revision) else find_place(ctx.obj["project"] or "")[0].resolve(revision)
