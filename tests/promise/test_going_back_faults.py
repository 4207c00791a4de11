"""Refused any call, promote and rollback end with a named code, and the next try ends well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import pytest

from ci_mlsnap.state import channels, rolled_back
from tests.conftest import IN_CI
from tests.promise.checking import content_of
from tests.promise.conftest import ALL_POINTS, Stage
from tests.promise.faults import FAILING, Fault
from tests.promise.test_command_faults import NAMED, Errand, rehearsed, strike

MakeStage = Callable[..., Stage]
Count = Callable[[str, int], None]
EACH = 4 if IN_CI else 1
"""Points for each error."""


def _promotes_the_second(stage: Stage, text: str) -> None:
    done = stage.mlsnap("promote", "main", "production")
    assert done.code == 0, done.text


def _leads_to_the_first(stage: Stage, text: str) -> None:
    assert content_of(channels.place(stage.store / "state", "production").resolve())["model.bin"] == b"one\n"


def _comes_back_with_unsaved_work(stage: Stage, text: str) -> None:
    done = stage.mlsnap("restore", "main")
    assert done.code == 0, done.text
    (stage.volume / "notes.txt").write_text(text)


def _is_rolled_back(stage: Stage, text: str) -> None:
    noted = rolled_back.find(stage.store / "state", stage.volume)
    assert noted is not None
    assert content_of(stage.volume)["model.bin"] == b"one\n"
    kept = stage.volume / ".snapshot" / (noted.kept or noted.version_before)
    assert (kept / "notes.txt").read_text() == text


def _was_rolled_back(stage: Stage, text: str) -> None:
    _comes_back_with_unsaved_work(stage, text)
    done = stage.mlsnap("rollback", "--yes")
    assert done.code == 0, done.text


def _is_as_it_was(stage: Stage, text: str) -> None:
    assert rolled_back.find(stage.store / "state", stage.volume) is None
    assert content_of(stage.volume)["model.bin"] == b"two\n"
    assert (stage.volume / "notes.txt").read_text() == text


ERRANDS = {
    "promote": Errand(
        arguments=("promote", "main~1", "production"), prepare=_promotes_the_second, ended=_leads_to_the_first
    ),
    "rollback": Errand(
        arguments=("rollback", "--yes"), prepare=_comes_back_with_unsaved_work, ended=_is_rolled_back
    ),
    "undo": Errand(arguments=("rollback", "--undo", "--yes"), prepare=_was_rolled_back, ended=_is_as_it_was),
}


def chosen(points: Sequence[int]) -> Sequence[int]:
    """Give some of the points, spread over the command, or all where all are to be tried."""
    return points if ALL_POINTS else points[:: max(1, len(points) // EACH)][:EACH]


@pytest.mark.parametrize("how", ["once", "from there on"])
@pytest.mark.parametrize("name", ERRANDS)
def test_refused_a_call(
    make_stage: MakeStage, count: Count, name: str, how: Literal["once", "from there on"]
) -> None:
    stage, errand = make_stage(), ERRANDS[name]
    rehearsal = rehearsed(stage, errand)
    tried = 0
    for number, error in enumerate(FAILING):
        for point in chosen(rehearsal.outcome.points(error)):
            fault = Fault(at=point, kind="error", error=error, sticky=how != "once")
            struck = strike(stage, errand, fault, f"refused {number}.{point}")
            assert struck.code in NAMED, struck.text
            tried += 1
    count(f"going back: refused a call {how}", tried)
