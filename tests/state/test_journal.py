from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from ci_mlsnap.domain import plan as plans
from ci_mlsnap.domain.plan import Plan
from ci_mlsnap.domain.record import Record
from ci_mlsnap.errors import IntegrityDamage, NoSuchVersion, UsageError
from ci_mlsnap.state.journal import Run, open_runs

RUN_ID = "aaaaaaaaaaaa-01234567"


KilledAtEachStep = Callable[..., int]


@pytest.fixture
def plan(make_plan: Callable[..., Plan]) -> Plan:
    return make_plan()


@pytest.fixture
def run(state: Path, plan: Plan) -> Run:
    return Run.create(state, plan, RUN_ID)


def _record(outcome: str = "good") -> Record:
    return Record(format="mlsnap/record/1", outcome=outcome, project="a/b", model="m", commit="a" * 40, tool="t")  # type: ignore[arg-type]


def test_a_run_is_opened_with_the_plan_it_was_made_with(state: Path, plan: Plan, run: Run) -> None:
    again = Run.open(run.folder)
    assert again == run
    assert again.plan == plan
    assert again.digest == plans.digest(plan)
    assert (again.run_id, again.state) == (RUN_ID, state)


def test_the_last_facts_of_an_event_count(run: Run) -> None:
    assert run.facts("trained") is None
    run.note("begun", host="one")
    run.note("trained", exit_code=1, reason="zürich")
    run.note("trained", exit_code=0, metrics={"accuracy": 0.5})
    assert Run.open(run.folder).facts("trained") == {"exit_code": 0, "metrics": {"accuracy": 0.5}}
    assert run.facts("begun") == {"host": "one"}
    assert run.last == "trained"


def test_phases_in_several_processes_write_one_journal(
    run: Run, together: Callable[[Sequence[Callable[[], object]]], list[int]]
) -> None:
    def phase() -> None:
        for _ in range(5):
            Run.open(run.folder).note("begun", host="one")

    assert together([phase, phase, phase]) == [0, 0, 0]
    assert (run.folder / "journal").read_bytes().count(b'"begun"') == 15
    assert run.facts("begun") == {"host": "one"}


@pytest.mark.parametrize("ending", ["concluded", "failed", "abandoned"])
def test_a_run_is_open_until_it_ends(state: Path, run: Run, ending: str) -> None:
    run.note("begun")
    assert open_runs(state) == [run]
    assert not run.ended
    run.note(ending)  # type: ignore[arg-type]
    assert open_runs(state) == []
    assert run.ended


def test_a_step_that_failed_leaves_the_run_open(state: Path, run: Run) -> None:
    run.note("failed-step")
    assert open_runs(state) == [run]


def test_open_runs_of_a_state_that_was_never_used_are_none_and_nothing_is_made(state: Path) -> None:
    assert open_runs(state) == []
    assert not state.exists()


def test_looking_for_open_runs_writes_nothing(state: Path, run: Run) -> None:
    run.note("begun")
    before = {path: path.stat().st_mtime_ns for path in state.rglob("*")}
    open_runs(state)
    assert {path: path.stat().st_mtime_ns for path in state.rglob("*")} == before


def test_an_unknown_event_is_refused_before_it_is_written(run: Run) -> None:
    before = (run.folder / "journal").read_bytes()
    with pytest.raises(UsageError):
        run.note("begum")  # type: ignore[arg-type]
    assert (run.folder / "journal").read_bytes() == before


@pytest.mark.parametrize(
    "run_id", ["", "../../etc", "aaaaaaaaaaaa", "aaaaaaaaaaaa-0123456g", "a" * 12 + "-" + "0" * 9]
)
def test_an_id_that_could_be_a_path_is_refused(state: Path, plan: Plan, run_id: str) -> None:
    with pytest.raises(UsageError):
        Run.create(state, plan, run_id)
    assert not state.exists()


def test_a_second_run_of_the_same_id_is_refused_and_changes_nothing(
    state: Path, make_plan: Callable[..., Plan], run: Run
) -> None:
    with pytest.raises(UsageError):
        Run.create(state, make_plan(model="other"), RUN_ID)
    assert Run.open(run.folder) == run
    assert [path.name for path in (state / "runs").iterdir()] == [RUN_ID]


def test_a_missing_run_is_told_from_a_damaged_one(state: Path) -> None:
    with pytest.raises(NoSuchVersion):
        Run.open(state / "runs" / RUN_ID)


# -- damage --------------------------------------------------------------------------------------------


def test_a_torn_last_line_is_as_if_never_written(run: Run) -> None:
    run.note("trained", exit_code=0)
    with (run.folder / "journal").open("ab") as journal:
        journal.write(b'{"n":3,"prev":"0011')
    assert Run.open(run.folder).last == "trained"
    run.note("frozen", token="t")
    assert Run.open(run.folder).facts("frozen") == {"token": "t"}


def test_a_journal_whose_middle_was_changed_is_damaged(run: Run) -> None:
    run.note("trained", exit_code=1)
    run.note("frozen")
    journal = run.folder / "journal"
    journal.write_bytes(journal.read_bytes().replace(b'"exit_code":1', b'"exit_code":0'))
    with pytest.raises(IntegrityDamage):
        run.facts("trained")
    with pytest.raises(IntegrityDamage):
        Run.open(run.folder)


def test_a_changed_plan_is_found(run: Run) -> None:
    path = run.folder / "plan.json"
    path.write_bytes(path.read_bytes().replace(b'"advance":false', b'"advance":true'))
    with pytest.raises(IntegrityDamage, match="damaged"):
        Run.open(run.folder)


def test_another_runs_valid_plan_is_found(state: Path, make_plan: Callable[..., Plan], run: Run) -> None:
    other = Run.create(state, make_plan(model="other"), "aaaaaaaaaaaa-76543210")
    shutil.copy(other.folder / "plan.json", run.folder / "plan.json")
    with pytest.raises(IntegrityDamage):
        Run.open(run.folder)


def test_a_lost_journal_is_damage_and_not_a_fresh_run(state: Path, run: Run) -> None:
    run.note("trained")
    (run.folder / "journal").unlink()
    with pytest.raises(IntegrityDamage):
        open_runs(state)


# -- record --------------------------------------------------------------------------------------------


def test_the_latest_record_is_kept(run: Run) -> None:
    assert run.record() is None
    run.write_record(_record("failed"))
    run.write_record(_record("good"))
    assert Run.open(run.folder).record() == _record("good")


def test_a_damaged_record_is_found(run: Run) -> None:
    run.write_record(_record())
    (run.folder / "record.json").write_bytes(b'{"format":"mlsnap/record/1"')
    with pytest.raises(IntegrityDamage):
        run.record()


# -- killed --------------------------------------------------------------------------------------------


def test_killed_at_any_step_a_run_is_there_whole_or_not_at_all(
    state: Path, plan: Plan, killed_at_each_step: KilledAtEachStep
) -> None:
    found: list[int] = []

    def look() -> None:
        runs = open_runs(state)
        found.append(len(runs))
        assert all(run.plan == plan and run.last == "planned" for run in runs)

    steps = killed_at_each_step(
        lambda: shutil.rmtree(state, ignore_errors=True), lambda: Run.create(state, plan, RUN_ID), look
    )
    assert steps > 10
    assert found == sorted(found)
    assert set(found) == {0, 1}


def test_killed_at_any_step_of_its_end_a_run_is_open_or_ended_and_can_be_ended_again(
    state: Path, run: Run, killed_at_each_step: KilledAtEachStep
) -> None:
    fresh = state.with_name("fresh")
    shutil.copytree(state, fresh)

    def renewed() -> None:
        shutil.rmtree(state)
        shutil.copytree(fresh, state)

    def look() -> None:
        assert open_runs(state) == ([] if run.ended else [run])
        run.note("abandoned")
        assert open_runs(state) == []

    assert killed_at_each_step(renewed, lambda: run.note("concluded"), look) > 4
