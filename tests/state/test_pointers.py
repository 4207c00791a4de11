from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ci_mlsnap.domain.plan import Plan
from ci_mlsnap.errors import IntegrityDamage, NoSuchVersion, PlanMismatch, UsageError
from ci_mlsnap.state import pointers
from ci_mlsnap.state.journal import Run

MakeRun = Callable[..., Run]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return tmp_path / "temporary" / "mlsnap"


@pytest.fixture
def make_run(state: Path, here: Path, make_plan: Callable[..., Plan]) -> MakeRun:
    def make(number: int = 1, **how: str) -> Run:
        made = Run.create(state, make_plan(**how), f"aaaaaaaaaaaa-{number:08x}")
        pointers.point(here, made)
        return made

    return make


def test_a_run_is_found_by_its_plan(here: Path, make_run: MakeRun) -> None:
    first, second = make_run(1), make_run(2, model="other")
    assert pointers.find(here, digest=first.digest) == first
    assert pointers.find(here, digest=second.digest) == second


def test_the_one_open_run_is_found_without_a_plan(here: Path, make_run: MakeRun) -> None:
    made = make_run()
    assert pointers.find(here) == made
    assert pointers.find(here, commit="a" * 40) == made


def test_a_run_of_another_commit_is_not_taken(here: Path, make_run: MakeRun) -> None:
    make_run(1)
    other = make_run(2, commit="b" * 40)
    assert pointers.find(here, commit="b" * 40) == other
    with pytest.raises(NoSuchVersion, match="cccccccccccc"):
        pointers.find(here, commit="c" * 40)


def test_of_several_open_runs_none_is_guessed_and_all_are_listed(here: Path, make_run: MakeRun) -> None:
    runs = [make_run(1, model="one"), make_run(2, model="two")]
    with pytest.raises(UsageError) as caught:
        pointers.find(here)
    assert all(run.digest in caught.value.why and run.plan.model in caught.value.why for run in runs)


def test_an_ended_run_is_found_only_by_its_plan(here: Path, make_run: MakeRun) -> None:
    made = make_run()
    made.note("concluded")
    assert pointers.find(here, digest=made.digest) == made
    with pytest.raises(NoSuchVersion):
        pointers.find(here)


def test_a_dropped_run_is_not_found_and_dropping_twice_is_fine(here: Path, make_run: MakeRun) -> None:
    made = make_run()
    pointers.drop(here, made)
    pointers.drop(here, made)
    for digest in (made.digest, None):
        with pytest.raises(NoSuchVersion):
            pointers.find(here, digest=digest)


@pytest.mark.parametrize("digest", ["", "../../x", "A" * 64, "a" * 63, "a" * 64 + "\n"])
def test_a_digest_that_could_be_a_path_is_refused(here: Path, digest: str) -> None:
    with pytest.raises(UsageError):
        pointers.find(here, digest=digest)


def test_finding_nothing_makes_nothing(here: Path) -> None:
    with pytest.raises(NoSuchVersion):
        pointers.find(here)
    with pytest.raises(NoSuchVersion):
        pointers.find(here, digest="a" * 64)
    assert not here.parent.exists()


def test_a_whole_run_that_was_put_in_place_of_the_planned_one_is_refused(here: Path, make_run: MakeRun) -> None:
    """What training could do that may write to the state: a run that is sound in itself, with another plan."""
    planned, other = make_run(1), make_run(2, model="other")
    shutil.rmtree(planned.folder)
    shutil.copytree(other.folder, planned.folder)
    with pytest.raises(PlanMismatch):
        pointers.find(here, digest=planned.digest)


def test_a_pointer_that_leads_to_another_run_is_refused(here: Path, make_run: MakeRun) -> None:
    planned, other = make_run(1), make_run(2, model="other")
    (here / f"{other.digest}.json").rename(here / f"{planned.digest}.json")
    with pytest.raises(PlanMismatch):
        pointers.find(here, digest=planned.digest)


def test_a_changed_plan_is_refused_with_and_without_its_digest(here: Path, make_run: MakeRun) -> None:
    made = make_run()
    path = made.folder / "plan.json"
    path.write_bytes(path.read_bytes().replace(b'"digits"', b'"others"'))
    for digest in (made.digest, None):
        with pytest.raises(IntegrityDamage):
            pointers.find(here, digest=digest)


def test_a_run_whose_folder_is_gone_does_not_hide_the_open_one(here: Path, make_run: MakeRun) -> None:
    gone, made = make_run(1), make_run(2, model="other")
    shutil.rmtree(gone.folder)
    assert pointers.find(here) == made


def test_a_damaged_pointer_is_told(here: Path, make_run: MakeRun) -> None:
    made = make_run()
    (here / f"{made.digest}.json").write_bytes(b"{")
    with pytest.raises(IntegrityDamage):
        pointers.find(here, digest=made.digest)
