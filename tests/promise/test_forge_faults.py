"""Whatever GitHub answers, the version is kept, and what it could not be told is told later."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ci_mlsnap.demo.faults import LOST_ANSWER, WEB_PAGE, Fault
from tests.promise.conftest import Stage

MakeStage = Callable[..., Stage]

FAULTS = {
    "401": Fault(code=401, body='{"message": "Bad credentials"}'),
    "403": Fault(code=403, body='{"message": "Resource not accessible by integration"}'),
    "404": Fault(code=404, body='{"message": "Not Found"}'),
    "429": Fault(code=429, headers={"Retry-After": "3600"}, body='{"message": "slow down"}'),
    "500": Fault(code=500),
    "503": Fault(code=503),
    "garbage": Fault(code=201, body="{]"),
    "a web page": WEB_PAGE,
    "nothing": Fault(kind="reset"),
    "silence": Fault(kind="hang"),
}
MANY = 50


@pytest.fixture
def stage(make_stage: MakeStage) -> Stage:
    return make_stage()


@pytest.mark.parametrize("kind", FAULTS)
def test_github_away_costs_no_version_and_publish_tells_it_later(stage: Stage, kind: str) -> None:
    sha = stage.repository.head()
    stage.server.faults.next(FAULTS[kind], times=MANY)
    done = stage.mlsnap("run")
    assert done.code == 30, done.text
    assert "outbox" in done.stderr
    assert stage.versions(sha) == [sha]
    assert stage.facts("status")["waiting"] == 1
    assert stage.states(sha) == []
    still = stage.mlsnap("publish")
    assert still.code == 30, still.text
    stage.server.faults.clear()
    sent = stage.mlsnap("publish")
    assert sent.code == 0, sent.text
    # The pending one was overtaken by the final one, and is never sent behind it.
    assert stage.states(sha) == ["success"]
    stage.require_truth()
    stage.require_rest()
    before = stage.everything()
    assert stage.mlsnap("publish").code == 0
    assert stage.states(sha) == ["success"]
    assert set(stage.everything()) == set(before)


def test_what_github_will_never_take_is_a_note_and_no_failure(stage: Stage) -> None:
    stage.server.board._knows = lambda sha: False
    done = stage.mlsnap("run")
    assert done.code == 0, done.text
    assert "will not take" in done.stderr
    assert stage.facts("status")["waiting"] == 0
    assert len(stage.snapshots()) == 1


def test_a_lost_answer_gives_no_second_final_status(stage: Stage) -> None:
    sha = stage.repository.head()
    stage.server.faults.next(LOST_ANSWER)
    done = stage.mlsnap("run")
    assert done.code == 0, done.text
    assert [state for state in stage.states(sha) if state != "pending"] == ["success"]
    assert stage.states(sha)[-1] == "success"


def test_only_the_pending_status_is_lost_and_the_final_one_counts(stage: Stage) -> None:
    sha = stage.repository.head()
    stage.server.faults.next(Fault(code=401, body='{"message": "Bad credentials"}'))
    done = stage.mlsnap("run")
    assert done.code == 0, done.text
    assert stage.states(sha) == ["success"]


def test_the_next_run_sends_what_waits_of_an_earlier_one(stage: Stage) -> None:
    first = stage.repository.head()
    stage.server.faults.next(FAULTS["503"], times=MANY)
    assert stage.mlsnap("run").code == 30
    stage.server.faults.clear()
    second = stage.another_commit("two")
    done = stage.mlsnap("run")
    assert done.code == 0, done.text
    assert (stage.states(first), stage.states(second)) == (["success"], ["pending", "success"])


def test_a_failure_is_told_later_too(stage: Stage) -> None:
    sha = stage.train_with("exit 5\n")
    stage.server.faults.next(FAULTS["503"], times=MANY)
    assert stage.mlsnap("run").code == 10
    stage.server.faults.clear()
    assert stage.mlsnap("publish").code == 0
    assert stage.states(sha) == ["failure"]


def test_a_success_that_waits_is_not_sent_once_its_snapshot_is_gone(stage: Stage) -> None:
    sha = stage.repository.head()
    stage.server.faults.next(FAULTS["503"], times=MANY)
    assert stage.mlsnap("run").code == 30
    stage.server.faults.clear()
    place = stage.store / "snapshots" / sha
    place.rename(place.with_name("moved-away"))
    done = stage.mlsnap("publish")
    assert stage.states(sha) == ["error"], done.text
    assert "gone" in str(stage.last_status(sha)["description"])


def test_a_server_that_takes_a_token_nowhere_else(stage: Stage, tmp_path: Path) -> None:
    """A repository cannot send the operator's token to a place of its own."""
    file = stage.repository.path / "mlsnap.toml"
    stage.repository.commit(
        "another forge", {"mlsnap.toml": file.read_text() + '\n[forge]\nurl = "http://127.0.0.1:1"\n'}
    )
    done = stage.mlsnap("run")
    assert done.code == 2, done.text
    assert "config-level" in done.stderr
    assert stage.server.connections == 0
