"""What a power cut brings back of a run that had ended and tidied up: names whose removal was not yet durable."""

from __future__ import annotations

import os

from tests.flows.conftest import QUIET, Place


def test_folders_of_an_ended_run_go_with_the_next_command_that_writes(trained: Place) -> None:
    (run,) = (path.name for path in (trained.store / "state" / "runs").glob("[0-9a-f]*"))
    work = trained.store / "work"
    for name in (f"{run}.out", f"{run}.tree/deeper"):
        (work / name).mkdir(parents=True)
    (work / "mine.txt").write_text("of a person")
    trained.mlsnap("recover", env=QUIET)
    assert os.listdir(work) == ["mine.txt"]
