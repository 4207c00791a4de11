"""The report of each run that ends: its own files, and the pages of all versions. Loads nothing before its use."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ci_mlsnap.domain.record import Record
from ci_mlsnap.ports import Driver

if TYPE_CHECKING:
    from ci_mlsnap.report.pages import Look
    from ci_mlsnap.report.pages_folder import Written


class RunReport:
    """Where a run writes its report."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def look(self) -> Look:
        """What the pages are made with, as it was when this was first asked for. Raises `ConfigInvalid`."""
        from ci_mlsnap.report.pages import look_of

        return look_of()

    def load(self) -> None:
        """Load what `write` needs, before training could change it. Raises `ConfigInvalid`."""
        from ci_mlsnap.flows import report

        report.load(self.look)

    def write(self, driver: Driver, record: Record) -> Written:
        """Write `record.json`, `metrics.json`, `summary.md` and `junit.xml` of a run, and the pages.

        Raises `Refused` for a folder that holds something else, `StorageFailed`, `Busy`, `ConfigInvalid`.
        """
        from ci_mlsnap.flows.report import run_group, write_report

        project, model = record.project, record.model
        return write_report(driver, self.folder, self.look, project=project, model=model, run=run_group(record))
