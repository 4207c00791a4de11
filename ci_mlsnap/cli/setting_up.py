"""init, doctor, demo."""

from __future__ import annotations

import os
from pathlib import Path

import click

from ci_mlsnap.cli.options import json_option, open_here
from ci_mlsnap.cli.printing import emit_json, printable
from ci_mlsnap.errors import ExitCode

_SIGNS = {"ok": ("ok", "green"), "note": ("--", "yellow"), "bad": ("no", "red")}


@click.command()
@click.option("--train", default="python train.py", show_default=True, help="The training command.")
@click.option("--volume", default="models", show_default=True, help="The folder that holds the model.")
@click.option("--github", is_flag=True, help="Also write a workflow of GitHub Actions.")
@click.option("--jenkins", is_flag=True, help="Also write a Jenkinsfile.")
@click.option("--forks", is_flag=True, help="Also write the workflow that tells forks what becomes of a change.")
@click.option(
    "--action", metavar="OWNER/NAME@REF", help="With --github or --forks: where the action is, and which version."
)
@click.option("--dry-run", is_flag=True, help="Say what would be written, and show it; write nothing.")
@click.pass_context
def init(ctx: click.Context, /, *, train: str, volume: str, action: str | None, dry_run: bool, **ci: bool) -> int:
    """Write mlsnap.toml and ignore the model folder in git; changes no file that is there already."""
    from ci_mlsnap.flows import init as flow
    from ci_mlsnap.services import find_place

    repository, folder = find_place(ctx.obj["project"] or "")
    asked = [name for name, wanted in ci.items() if wanted]
    place: dict[str, str] = {} if action is None else {"action": action}
    for wrote in flow.init(repository, folder, command=train, volume=volume, ci=asked, dry_run=dry_run, **place):
        would = dry_run and wrote.content is not None
        done = "dry run: " if would else ""
        click.echo(printable(f"{done}{os.path.relpath(wrote.path, folder)} {wrote.what}"))
        for line in (wrote.content or b"").decode(errors="replace").splitlines() if would else ():
            click.echo(printable(f"    {line}"))
    if not dry_run:
        click.echo("next: commit these files, then `mlsnap doctor` and `mlsnap run`")
    return ExitCode.DONE


@click.command()
@json_option
@click.option(
    "--role",
    type=click.Choice(["run", "group", "prune", "restore", "clone", "in-place"]),
    help="Print the commands that make a role on ONTAP with the least rights for this.",
)
@click.pass_context
def doctor(ctx: click.Context, as_json: bool, role: str | None) -> int:
    """Say on one screen what would go wrong, and what to do about it. Changes nothing."""
    from ci_mlsnap.flows.doctor import examine

    if role is not None:
        return _role(ctx, role, as_json=as_json)
    findings = examine(lambda: open_here(ctx))
    bad = any(finding.state == "bad" for finding in findings)
    if as_json:
        emit_json([{"topic": f.topic, "state": f.state, "text": f.text, "hint": f.hint} for f in findings])
    else:
        for finding in findings:
            sign, colour = _SIGNS[finding.state]
            click.echo(f"  {finding.topic:<14} {click.style(sign, fg=colour)}  {printable(finding.text)}")
            if finding.hint:
                click.echo(f"  {'':<18} {printable(finding.hint)}")
    return ExitCode.STORAGE_FAILED if bad else ExitCode.DONE


def _role(ctx: click.Context, kind: str, *, as_json: bool) -> int:
    """Print a role's commands, for whoever administers the cluster."""
    from ci_mlsnap.storage.ontap_roles import commands_of

    commands = commands_of(kind, svm=open_here(ctx).settings.ontap.svm or "SVM")
    if as_json:
        emit_json(commands)
    for command in () if as_json else commands:
        click.echo(printable(command))
    return ExitCode.DONE


@click.command()
@click.option("--keep", type=click.Path(path_type=Path), help="Leave the demo's repository in this new folder.")
def demo(keep: Path | None) -> int:
    """Train, snapshot, lose, recover and go back, in a throw-away repository, by the real commands."""
    from ci_mlsnap.demo.scenes import play

    play(keep=keep)
    return ExitCode.DONE
