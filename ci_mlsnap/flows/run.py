"""run: begin, train, conclude, finish in one process, for use by hand and in simple jobs."""

from __future__ import annotations

from typing import BinaryIO

from ci_mlsnap.domain.record import Record
from ci_mlsnap.errors import MlsnapError
from ci_mlsnap.flows import closing, leases
from ci_mlsnap.flows.begin import begin_planned, nothing_to_do
from ci_mlsnap.flows.conclude import conclude
from ci_mlsnap.flows.context import Project, Request
from ci_mlsnap.flows.train import train
from ci_mlsnap.training.isolation import Isolation
from ci_mlsnap.training.signals import StopSignal


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
