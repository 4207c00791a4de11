"""run, begin, train, conclude, finish, snapshot."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ci_mlsnap.cli.options import hands_here, json_option, open_here, plan_option, run_option, stop_signals
from ci_mlsnap.cli.printing import emit_json, printable
from ci_mlsnap.errors import ExitCode

if TYPE_CHECKING:
    from ci_mlsnap.flows.context import Project, Request

_TRAINING = {"allow_interspersed_args": False}


def _planning_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--break-lease", is_flag=True, help="Take the volume from a run that is known to be dead."),
        click.option("--ephemeral", is_flag=True, help="Accept a store that ends with this machine or job."),
        click.option("--dry-run", is_flag=True, help="Print the plan and each API call; do nothing."),
        click.option("--allow-dirty", is_flag=True, help="Train uncommitted files, under a name of its own."),
        click.option("--retrain", is_flag=True, help="Train again: the next attempt at this commit."),
    ):
        command = option(command)
    return command


@click.command(context_settings=_TRAINING)
@_planning_options
@click.option("--trust-training", is_flag=True, help="Let training run beside this process and its secrets.")
@json_option
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def run(
    ctx: click.Context,
    /,
    command: tuple[str, ...],
    dry_run: bool,
    ephemeral: bool,
    as_json: bool,
    trust_training: bool,
    **wishes: bool,
) -> int:
    """Train the commit, snapshot its model, post the status.

    COMMAND after `--` is what trains; without one, `train` of mlsnap.toml is used.
    """
    from ci_mlsnap.flows import run as flow
    from ci_mlsnap.flows.context import Request
    from ci_mlsnap.services import isolate_training

    project = open_here(ctx, ephemeral=ephemeral)
    request = Request(command=command, **wishes)
    if dry_run:
        return _print_plan(project, request, as_json)
    isolation = isolate_training(project.hands, trusted=trust_training)
    with stop_signals() as stop:
        # Facts are alone on stdout: training's own output then goes beside them.
        sink = sys.stderr.buffer if as_json else None
        record = flow.run(project, request, stop=stop, sink=sink, isolation=isolation)
    if as_json:
        emit_json(record)
    return ExitCode(record.exit_code)


@click.command(context_settings=_TRAINING)
@_planning_options
@click.option("--hand-on", is_flag=True, help="Put the code beside the model, for jobs without this checkout.")
@json_option
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def begin(
    ctx: click.Context, /, command: tuple[str, ...], dry_run: bool, ephemeral: bool, as_json: bool, **wishes: bool
) -> int:
    """Plan, check, announce and prepare a run; prints the plan's digest, which `conclude --plan` takes."""
    from ci_mlsnap.flows.begin import begin_planned
    from ci_mlsnap.flows.context import Request

    project = open_here(ctx, ephemeral=ephemeral)
    request = Request(command=command, **wishes)
    if dry_run:
        return _print_plan(project, request, as_json)
    with stop_signals() as stop:
        begun = begin_planned(project, request, stop=stop)
    action = begun.plan.action
    where = str(begun.run.folder) if begun.run else ""
    facts = {"plan": begun.digest, "action": action, "run": where}
    project.hands.build.output(facts)
    if as_json:
        emit_json(facts)
    else:
        click.echo(begun.digest)
    return ExitCode.DONE


@click.command()
@plan_option
@run_option
@click.pass_context
def train(ctx: click.Context, plan: str | None, run: Path | None) -> int:
    """Run the training command of the open run; give it no secrets."""
    from ci_mlsnap.flows import leases
    from ci_mlsnap.flows.handing_over import require_checkout, take_over
    from ci_mlsnap.flows.train import train as flow
    from ci_mlsnap.services import driver_of, find_place
    from ci_mlsnap.state import pointers

    hands = hands_here(ctx, secrets=False)
    take_over(hands, run, plan)
    open_run = pointers.find(hands.pointers, digest=plan)
    if open_run is None or open_run.plan.action != "train":
        click.echo("mlsnap: nothing to train", err=True)
        return ExitCode.DONE
    if run is not None:
        require_checkout(open_run, lambda top: find_place(top)[0])
    with stop_signals() as stop, leases.renewed(hands, driver_of(hands, open_run.plan), open_run.run_id):
        flow(hands, open_run, stop)
    return ExitCode.DONE


@click.command()
@plan_option
@run_option
@json_option
@click.pass_context
def conclude(ctx: click.Context, plan: str | None, run: Path | None, as_json: bool) -> int:
    """Snapshot what was trained, judge it, publish it, and post the final status."""
    from ci_mlsnap.flows import leases
    from ci_mlsnap.flows.conclude import conclude as flow
    from ci_mlsnap.flows.handing_over import take_over
    from ci_mlsnap.services import driver_of
    from ci_mlsnap.state import pointers

    hands = hands_here(ctx, secrets=True)
    take_over(hands, run, plan)
    open_run = pointers.find(hands.pointers, digest=plan)
    if open_run is None:
        click.echo("mlsnap: nothing to conclude", err=True)
        return ExitCode.DONE
    driver = driver_of(hands, open_run.plan)
    with stop_signals(), leases.renewed(hands, driver, open_run.run_id):
        record = flow(hands, driver, open_run, plan_checked=plan is not None)
    if as_json:
        emit_json(record)
    return ExitCode(record.exit_code)


@click.command()
@plan_option
@run_option
@click.pass_context
def finish(ctx: click.Context, plan: str | None, run: Path | None) -> int:
    """End what a stopped or cancelled run left over; does nothing when runs ended in order."""
    from ci_mlsnap.flows.closing import identity_of
    from ci_mlsnap.flows.finish import finish as flow
    from ci_mlsnap.flows.handing_over import take_over
    from ci_mlsnap.flows.tidying import tidy
    from ci_mlsnap.services import driver_of
    from ci_mlsnap.state import pointers

    hands = hands_here(ctx, secrets=True)
    take_over(hands, run, plan)
    for open_run in pointers.all_open(hands.pointers, digest=plan):
        driver = driver_of(hands, open_run.plan)
        if flow(hands, driver, open_run) is not None:
            tidy(hands, driver, identity_of(open_run.plan))
    pointers.drop_idle(hands.pointers)
    return ExitCode.DONE


@click.command()
@click.option("--allow-dirty", is_flag=True, help="Take uncommitted code as it is, under a name of its own.")
@click.option("--break-lease", is_flag=True, help="Take the volume from a run that is known to be dead.")
@click.option("--ephemeral", is_flag=True, help="Accept a store that ends with this machine or job.")
@json_option
@click.pass_context
def snapshot(ctx: click.Context, allow_dirty: bool, break_lease: bool, ephemeral: bool, as_json: bool) -> int:
    """Make a version of the live tree as it is, without training: for models that were made elsewhere.

    Judged, announced and kept as a trained one is, under the commit that is checked out.
    """
    from ci_mlsnap.flows.context import Request
    from ci_mlsnap.flows.snapshot import snapshot as flow

    project = open_here(ctx, ephemeral=ephemeral)
    with stop_signals() as stop:
        record = flow(project, Request(allow_dirty=allow_dirty, break_lease=break_lease), stop=stop)
    if as_json:
        emit_json(record)
    return ExitCode(record.exit_code)


def _print_plan(project: Project, request: Request, as_json: bool) -> int:
    from ci_mlsnap.flows.planning import plan_run
    from ci_mlsnap.report.planned import plan_lines

    plan = plan_run(project, request)
    if as_json:
        emit_json(plan)
    else:
        for line in plan_lines(plan):
            click.echo(printable(line))
    return ExitCode.DONE
