"""The report of each run that ends: its own files, and the pages of all versions. Loads nothing before its use."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ci_mlsnap.domain.record import Record
from ci_mlsnap.ports import Driver

if TYPE_CHECKING:
    from ci_mlsnap.report.pages import Look
    from ci_mlsnap.report.pages_folder import Written


class RunReport:
    """Where a run writes its report, None where nobody asked for one, and whose templates it is made with.

    `read` gives a file of the folder of templates by its name; without it all are those of mlsnap.
    """

    def __init__(self, folder: Path | None = None, read: Callable[[str], bytes | None] | None = None) -> None:
        self.folder = folder
        self._read = read

    @cached_property
    def look(self) -> Look:
        """What the pages are made with, as it was when this was first asked for. Raises `ConfigInvalid`."""
        from ci_mlsnap.report.pages import look_of

        return look_of(self._read)

    def load(self) -> None:
        """Load what `write` needs, before training could change it. Raises `ConfigInvalid`."""
        if self.folder is not None:
            from ci_mlsnap.flows import report

            report.load(self.look)

    def write(self, driver: Driver, record: Record) -> Written:
        """Write `record.json`, `metrics.json`, `summary.md` and `junit.xml` of a run, and the pages.

        Raises `Refused` for a folder that holds something else, `StorageFailed`, `Busy`, `ConfigInvalid`.
        """
        from ci_mlsnap.flows.report import run_group, write_report

        assert self.folder is not None
        project, model = record.project, record.model
        return write_report(driver, self.folder, self.look, project=project, model=model, run=run_group(record))
