"""jenkins: from here to a Jenkins server."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from ci_mlsnap.cli.options import json_option, open_here, site_of, stop_signals
from ci_mlsnap.cli.printing import columns, emit_json, printable
from ci_mlsnap.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from ci_mlsnap.ci.jenkins_api import Server

_SIGNS = {"ok": "ok", "note": "--", "bad": "no"}


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
    from ci_mlsnap.flows.jenkins_watch import Watch

    parameters = _parameters(given) | ({flow.SHA: _commit(ctx, sha)} if sha else {})
    with server_of(ctx) as server, stop_signals() as stop, _log_of_a_build(as_json):
        watch = Watch(say=_say, show=lambda line: click.echo(printable(line), err=as_json), stop=stop)
        built = flow.run(server, job, parameters, watch)
    if as_json:
        emit_json(
            {
                "job": job,
                "number": built.number,
                "url": built.url,
                "result": built.result,
                "told": flow.told(built),
            }
        )
    error = flow.error_of(built, job)
    if error is not None:
        raise error
    _say(f"build {built.number} of {job} ended as {built.result}")
    if flow.told(built):
        _say(flow.told(built).removeprefix("mlsnap "))
    return ExitCode.DONE


@jenkins.command()
@click.option(
    "--kind",
    type=click.Choice(["pipeline", "multibranch", "folder"]),
    default="pipeline",
    show_default=True,
    help="What to make: a job, a job for each branch and pull request, or a folder for jobs.",
)
@click.option("--repository", default="", metavar="OWNER/NAME|URL", help="Default: this checkout's `origin`.")
@click.option("--credentials", default="", metavar="ID", help="The server's credential for the repository.")
@click.option("--branch", default="main", show_default=True, help="What a pipeline checks out.")
@click.option("--jenkinsfile", default="Jenkinsfile", show_default=True, help="Its path in the repository.")
@click.option("--dry-run", is_flag=True, help="Show what would be different; change nothing.")
@json_option
@click.argument("job")
@click.pass_context
def install(ctx: click.Context, /, *, job: str, dry_run: bool, as_json: bool, **wishes: Any) -> int:
    """Make JOB, or change it where it is not as wanted; all else of it stays. Twice is once."""
    from ci_mlsnap.flows import jenkins_install as flow

    wishes["repository"] = wishes["repository"] or ("" if wishes["kind"] == "folder" else _origin(ctx))
    wanted = flow.Wanted(name=job, **wishes)
    with server_of(ctx) as server:
        done = flow.plan(server, wanted) if dry_run else flow.install(server, wanted)
    if as_json:
        emit_json({"job": job, "act": done.act, "dry_run": dry_run, "changes": done.changes})
        return ExitCode.DONE
    for line in done.changes if dry_run else ():
        click.echo(printable(line))
    would = {"create": "would be made", "change": "would be changed"} if dry_run else {}
    word = would.get(done.act) or {"create": "was made", "change": "was changed"}.get(done.act, "is as wanted")
    _say(f"{job} {word}")
    return ExitCode.DONE


@jenkins.command()
@click.option(
    "--jenkinsfile", type=click.Path(exists=True, dir_okay=False), help="A file for the server to look at."
)
@json_option
@click.argument("job", default="")
@click.pass_context
def check(ctx: click.Context, job: str, jenkinsfile: str | None, as_json: bool) -> int:
    """Look at the server, its plug-ins, the rights of the login, and at JOB. Changes nothing."""
    from pathlib import Path

    from ci_mlsnap.flows.jenkins_check import check as flow

    text = Path(jenkinsfile).read_text(encoding="utf-8", errors="replace") if jenkinsfile else None
    with server_of(ctx) as server:
        findings = flow(server, job=job, jenkinsfile=text)
    if as_json:
        emit_json(findings)
    else:
        rows = [(found.topic, _SIGNS[found.state], found.text) for found in findings]
        columns(rows)
        for hint in dict.fromkeys(found.hint for found in findings if found.hint):
            _say(hint)
    return ExitCode.STORAGE_FAILED if any(found.state == "bad" for found in findings) else ExitCode.DONE


@jenkins.command()
@json_option
@click.argument("revision", default="HEAD")
@click.pass_context
def describe(ctx: click.Context, revision: str, as_json: bool) -> int:
    """Have the build that made the version of REVISION say so in its description."""
    from ci_mlsnap.flows.jenkins_builds import describe as flow

    project = open_here(ctx)
    with server_of(ctx) as server:
        done = flow(project, server, revision)
    if as_json:
        emit_json(done)
    else:
        click.echo(printable(f"{done.url} {'says' if done.changed else 'says already'}: {done.text}"))
    return ExitCode.DONE


@jenkins.command()
@click.option("--dry-run", is_flag=True, help="Say what would be done; change nothing.")
@json_option
@click.pass_context
def keep(ctx: click.Context, dry_run: bool, as_json: bool) -> int:
    """Keep the builds for ever whose versions are held or led to by a channel, and release them after that."""
    from ci_mlsnap.flows.jenkins_builds import keep as flow
    from ci_mlsnap.report.rendering import short

    project = open_here(ctx)
    with server_of(ctx) as server:
        done = flow(project, server, dry_run=dry_run)
    if as_json:
        emit_json(done)
    elif done:
        columns([("VERSION", "BUILD", "WHAT"), *((short(one.version), one.url or "-", one.did) for one in done)])
    else:
        click.echo("nobody holds a version", err=True)
    if dry_run and done:
        _say("dry run: nothing was changed")
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


def _origin(ctx: click.Context) -> str:
    """Give this checkout's repository: `OWNER/NAME` on GitHub, an address elsewhere; empty where there is none."""
    from ci_mlsnap.errors import NotARepository
    from ci_mlsnap.services import find_place

    try:
        repository, _folder = find_place(ctx.obj["project"] or "")
    except NotARepository:
        return ""
    name, host = repository.origin(), repository.origin_host()
    if not name or not host:
        return ""
    return name if host == "github.com" else f"https://{host}/{name}.git"
