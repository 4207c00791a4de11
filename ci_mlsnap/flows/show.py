"""show: what is known of one version beside its manifests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ci_mlsnap.domain.versions import Answer
from ci_mlsnap.errors import IntegrityDamage
from ci_mlsnap.flows.contents import Part
from ci_mlsnap.flows.context import Project
from ci_mlsnap.flows.modelling import models_of
from ci_mlsnap.report.shown import Beside
from ci_mlsnap.state import channels
from ci_mlsnap.state.catalogue import versions
from ci_mlsnap.state.records import record_of


def beside(project: Project, answer: Answer, parts: Sequence[Part]) -> Beside:
    """Gather it. Writes nothing, and what is damaged elsewhere hides nothing of the version."""
    version, driver = answer.version, project.driver
    record = record_of(project.state, version)
    snapshot = driver.get(version.name)
    return Beside(
        links=driver.links(version.name),
        lost=_lost_data(answer),
        holds=snapshot.holds if snapshot is not None else (),
        channels=_channels(project, version.header.name),
        base=next((it for it in versions(driver) if it.header.name == version.header.baseline), None),
        record=record,
        models=models_of(parts, version, record),
    )


def _channels(project: Project, name: str) -> list[str]:
    try:
        return [channel for channel, to in channels.live(project.state).items() if to == name]
    except IntegrityDamage:
        return []  # `mlsnap status` and `mlsnap channels` say what is damaged


def _lost_data(answer: Answer) -> tuple[str, ...]:
    """Name the data volumes whose state, as the version was trained on it, is not there any more."""
    return tuple(pin.volume for pin in answer.version.header.pins if not Path(pin.path).is_dir())
