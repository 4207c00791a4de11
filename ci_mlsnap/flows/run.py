"""run: begin, train, conclude, finish in one process, for use by hand and in simple jobs."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import BinaryIO

import msgspec

from ci_mlsnap.domain.plan import Plan
from ci_mlsnap.domain.record import Record
from ci_mlsnap.errors import Cancelled, MlsnapError, Terminated
from ci_mlsnap.flows import closing, leases
from ci_mlsnap.flows.begin import Begun, begin
from ci_mlsnap.flows.conclude import conclude
from ci_mlsnap.flows.context import TOOL, Project, Request
from ci_mlsnap.flows.planning import plan_run
from ci_mlsnap.flows.train import train
from ci_mlsnap.state import pointers
from ci_mlsnap.training.isolation import Isolation
from ci_mlsnap.training.signals import StopSignal


def begin_planned(
    project: Project,
    request: Request,
    *,
    stop: StopSignal,
    phases: bool = True,
    planner: Callable[[Project, Request], Plan] = plan_run,
) -> Begun:
    """Plan and open a run; where there is nothing to do, say so on the build's page."""

    def make_plan() -> Plan:
        return planner(project, request)

    if request.break_lease:
        leases.break_all(project.hands, project.driver)
    try:
        begun = begin(project, make_plan, phases=phases, stop=lambda: bool(stop.received))
    except Cancelled as error:
        if stop.received == signal.SIGINT:
            raise
        raise Terminated(error.what, why=error.why, safe=error.safe, hint=error.hint) from None
    if begun.run is None:
        if phases:
            pointers.point_idle(project.hands.pointers, begun.digest)
        closing.tell_build(project.hands, nothing_to_do(project, begun.plan))
    return begun


def run(
    project: Project,
    request: Request,
    *,
    stop: StopSignal,
    sink: BinaryIO | None = None,
    isolation: Isolation | None = None,
) -> Record:
    """Make the version of the event's commit, or find that there is nothing to do. Raises as the phases do."""
    begun = begin_planned(project, request, stop=stop, phases=False)
    if begun.run is None:
        return nothing_to_do(project, begun.plan)
    with leases.renewed(project.hands, project.driver, begun.run.run_id):
        if begun.plan.action == "train":
            try:
                train(project.hands, begun.run, stop, sink=sink, isolation=isolation)
            except MlsnapError as error:
                closing.failed(project.hands, project.driver, begun.run, error)
                raise
        return conclude(project.hands, project.driver, begun.run, plan_checked=True)


def nothing_to_do(project: Project, plan: Plan) -> Record:
    """The record of an event that asks for nothing: a deleted ref, a fork."""
    return msgspec.structs.replace(
        Record(
            format="mlsnap/record/1",
            outcome="nothing",
            project=plan.project,
            model=plan.model,
            commit=plan.commit,
            event=plan.event.kind,
            ref=plan.event.ref,
            run_url=plan.event.run_url,
            tool=TOOL,
        ),
        reason=plan.reason,
        created=project.hands.now(),
    )
