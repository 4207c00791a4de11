"""Struck at any call, a whole command ends with a named code and no trace, and the next one brings all to rest.

The points are chosen by a seed (`MLSNAP_CAMPAIGN_SEED`), or are all there are (`MLSNAP_CAMPAIGN=full`).
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import pytest

from ci_mlsnap.errors import ExitCode
from tests.conftest import IN_CI
from tests.promise.checking import content_of
from tests.promise.conftest import Done, Stage, sample
from tests.promise.faults import FAILING, Fault

MakeStage = Callable[..., Stage]
Count = Callable[[str, int], None]

KILLED = -9
NAMED = {
    ExitCode.DONE,
    ExitCode.INTERNAL,
    ExitCode.USAGE,
    ExitCode.TRAINING_FAILED,
    ExitCode.INVALID_MODEL,
    ExitCode.STORAGE_FAILED,
    ExitCode.STORAGE_UNKNOWN,
    ExitCode.ANNOUNCING_QUEUED,
    ExitCode.REFUSED,
    ExitCode.INTEGRITY,
}


@dataclass(frozen=True, kw_only=True)
class Errand:
    """A command on a stage: what comes before it, and that another try ends well."""

    arguments: tuple[str, ...]
    shared: bool = False
    prepare: Callable[[Stage, str], None] = lambda stage, text: None
    ended: Callable[[Stage, str], None] = lambda stage, text: None

    def first(self, stage: Stage) -> None:
        """Make two versions; the second is what the live tree is."""
        for weights in ("one", "two"):
            stage.another_commit(weights)
            done = stage.mlsnap("run")
            assert done.code == 0, done.text


def _commits(stage: Stage, text: str) -> None:
    stage.another_commit(text)


def _has_trained(stage: Stage, text: str) -> None:
    sha = stage.repository.head()
    assert len(stage.versions(sha)) == 1
    assert stage.states(sha)[-1] == "success"
    assert content_of(stage.volume)["model.bin"] == f"{text}\n".encode()


def _damages(stage: Stage, text: str) -> None:
    (stage.volume / "model.bin").unlink()
    (stage.volume / "layers" / "weights.txt").write_text(text)


def _is_second(stage: Stage, text: str) -> None:
    assert content_of(stage.volume)["model.bin"] == b"two\n"


def _adds_work(stage: Stage, text: str) -> None:
    (stage.volume / "notes.txt").write_text(text)


def _kept_work(stage: Stage, text: str) -> None:
    places = [stage.volume, *(stage.store / "snapshots").iterdir()]
    assert any((place / "notes.txt").is_file() and (place / "notes.txt").read_text() == text for place in places)


def _goes_back(stage: Stage, text: str) -> None:
    stage.repository.git("checkout", "--quiet", "--force", "main")
    done = stage.mlsnap("restore", "main")
    assert done.code == 0, done.text
    _adds_work(stage, text)


def _is_first(stage: Stage, text: str) -> None:
    _kept_work(stage, text)
    assert content_of(stage.volume)["model.bin"] == b"one\n"
    assert stage.repository.git("log", "-1", "--format=%s") == "one"


def _queues(stage: Stage, text: str) -> None:
    stage.another_commit(text)
    done = stage.mlsnap("run", environment={"MLSNAP__FORGE__URL": "http://127.0.0.1:9"})
    assert done.code == ExitCode.ANNOUNCING_QUEUED, done.text


def _is_sent(stage: Stage, text: str) -> None:
    assert stage.states(stage.repository.head())[-1] == "success"


ERRANDS = {
    "run": Errand(arguments=("run",), prepare=_commits, ended=_has_trained),
    "run on a shared volume": Errand(arguments=("run",), shared=True, prepare=_commits, ended=_has_trained),
    "recover": Errand(arguments=("recover",), prepare=_damages, ended=_is_second),
    "checkout": Errand(arguments=("checkout", "main~1"), prepare=_goes_back, ended=_is_first),
    "publish": Errand(arguments=("publish",), prepare=_queues, ended=_is_sent),
}


@pytest.mark.parametrize("name", ERRANDS)
def test_killed_at_a_call(make_stage: MakeStage, count: Count, name: str) -> None:
    stage, errand = make_stage(shared=ERRANDS[name].shared), ERRANDS[name]
    rehearsal = rehearsed(stage, errand)
    chosen = sample(rehearsal.effects, 6 if IN_CI else 4, of=name)
    for number, point in enumerate(chosen):
        struck = strike(stage, errand, Fault(at=point, kind="kill"), f"killed {number}")
        assert struck.code in (KILLED, 0), struck.text
    count("commands: killed at a call", len(chosen))


@pytest.mark.parametrize("how", ["once", "from there on"])
@pytest.mark.parametrize("name", ERRANDS)
def test_refused_a_call(
    make_stage: MakeStage, count: Count, name: str, how: Literal["once", "from there on"]
) -> None:
    stage, errand = make_stage(shared=ERRANDS[name].shared), ERRANDS[name]
    rehearsal = rehearsed(stage, errand)
    tried, each = 0, 2 if IN_CI and errand.arguments == ("run",) else 1
    for number, error in enumerate(FAILING):
        can_fail = rehearsal.outcome.points(error)
        for point in sample(rehearsal.effects, each, of=f"{name} {error} {how}", among=can_fail):
            fault = Fault(at=point, kind="error", error=error, sticky=how != "once")
            struck = strike(stage, errand, fault, f"refused {number}.{point}")
            assert struck.code in NAMED, struck.text
            tried += 1
    count(f"commands: refused a call {how}", tried)


@pytest.mark.parametrize("name", ["run", "run on a shared volume"])
@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("seconds", [20.0, 0.05], ids=["in time", "and killed soon"])
def test_told_to_stop_at_a_call(
    make_stage: MakeStage, count: Count, name: str, first: signal.Signals, seconds: float
) -> None:
    stage, errand = make_stage(shared=ERRANDS[name].shared), ERRANDS[name]
    rehearsal = rehearsed(stage, errand)
    chosen = sample(rehearsal.effects, 4 if IN_CI else 2, of=f"{name} {first} {seconds}")
    for number, point in enumerate(chosen):
        signals = ((0.0, int(first)), (seconds, int(signal.SIGKILL)))
        errand.prepare(stage, f"stopped {number}")
        sha = stage.repository.head()
        struck = stage.mlsnap(*errand.arguments, fault=Fault(at=point, kind="signal", signals=signals))
        require_said(struck)
        in_time = {128 + first, 0}
        assert struck.code in (in_time if seconds > 1 else {*in_time, KILLED}), struck.text
        if struck.code == 128 + first:
            assert stage.states(sha)[-1:] in ([], ["error"]), struck.text
            stage.require_rest()
        settle(stage, errand, f"stopped {number}", struck, point)
    count("commands: told to stop at a call", len(chosen))


def rehearsed(stage: Stage, errand: Errand) -> Done:
    """Do all once without a fault."""
    errand.first(stage)
    errand.prepare(stage, "rehearsal")
    done = stage.mlsnap(*errand.arguments)
    assert done.code == 0, done.text
    errand.ended(stage, "rehearsal")
    return done


def strike(stage: Stage, errand: Errand, fault: Fault, text: str) -> Done:
    """Have the fault strike, hold what must hold then, and do it again."""
    errand.prepare(stage, text)
    struck = stage.mlsnap(*errand.arguments, fault=fault)
    require_said(struck)
    settle(stage, errand, text, struck, fault.at)
    return struck


def require_said(done: Done) -> None:
    """Make sure that a person got an answer, and no trace."""
    assert "Traceback" not in done.stderr, done.text
    assert "unexpected" not in done.stderr, done.text
    assert "Exception ignored" not in done.stderr, done.text


def settle(stage: Stage, errand: Errand, text: str, struck: Done, point: int) -> None:
    """Look, do it again, and find everything in order."""
    try:
        stage.require_truth()
        look(stage, alone=struck.code != KILLED)
        again = stage.mlsnap(*errand.arguments)
        if again.code == ExitCode.REFUSED:  # the tree is half trained
            assert "mlsnap recover" in again.stderr, again.text
            assert stage.mlsnap("recover").code == 0
            again = stage.mlsnap(*errand.arguments)
        assert again.code == 0, again.text
        errand.ended(stage, text)
        stage.require_truth()
        stage.require_rest()
    except Exception as error:
        error.add_note(f"{text} at {point}: {struck.text}\n" + "\n".join(struck.effects[-4:]))
        raise


def look(stage: Stage, *, alone: bool) -> None:
    """Make sure that looking changes nothing; we are not `alone` where training outlived its run."""
    before = stage.everything()
    looked = stage.mlsnap("status")
    assert looked.code == 0, looked.text
    assert not alone or stage.everything() == before
