"""A status for each gate, and one for all models of a commit."""

from __future__ import annotations

from ci_mlsnap.demo.faults import Fault
from tests.flows.conftest import REPOSITORY
from tests.publishing.conftest import RUN_URL, Job, MakeJob

GATES = "[forge]\ngate_statuses = true\n[gates.accuracy]\nmin = 0.5\n[gates.loss]\nmax = 0.1\n"


def post(job: Job, context: str, state: str) -> None:
    """Let another job of the commit say something."""
    body = {"state": state, "context": context, "description": "x"}
    job.place.server.board.post(REPOSITORY, job.place.repository.head(), body)


def test_each_gate_has_a_status_of_its_own_which_is_final(make_job: MakeJob) -> None:
    job = make_job(GATES)
    job.push(expect=12)
    assert job.contexts() == {
        "mlsnap/digits": ("failure", "Gate missed: loss was not reported; snapshot kept, not advanced"),
        "mlsnap/digits/accuracy": ("success", "accuracy 0.9000 >= 0.5000"),
        "mlsnap/digits/loss": ("failure", "loss was not reported"),
    }
    assert len(job.asked()) == 5, "no gate was pending before"


def test_a_gate_that_was_not_judged_does_not_wait_for_ever(make_job: MakeJob) -> None:
    job = make_job(GATES)
    job.place.train_with("exit 3\n")
    job.push(expect=10)
    state, text = job.contexts()["mlsnap/digits/accuracy"]
    assert state == "failure"
    assert text.startswith("Not judged: training ended with code 3 after ")
    assert text.count(" after ") == 1


def test_gates_that_github_takes_for_one_are_refused_before_training(make_job: MakeJob) -> None:
    job = make_job("[forge]\ngate_statuses = true\n[gates.accuracy]\nmin = 0.5\n[gates.Accuracy]\nmin = 0.5\n")
    said = job.push(expect=2)
    assert "have the same status" in said.error[0]
    assert job.asked() == []


def test_the_roll_up_is_the_worst_of_all_models(job: Job) -> None:
    def rolled(expect: int = 0) -> tuple[str, str]:
        job.push("publish", "--roll-up", expect=expect)
        return job.contexts()["mlsnap"]

    assert rolled() == ("error", "No model has said anything of this commit")
    post(job, "ci/build", "failure")
    post(job, "mlsnap/digits", "success")
    post(job, "mlsnap/letters", "success")
    assert rolled() == ("success", "2 models: digits, letters")
    post(job, "mlsnap/letters", "pending")
    assert rolled() == ("pending", "1 of 2 models to come: letters")
    post(job, "mlsnap/digits/accuracy", "failure")
    assert rolled() == ("failure", "1 of 2 models failed: digits")
    statuses = job.place.server.board.combined(REPOSITORY, job.place.repository.head())["statuses"]
    assert isinstance(statuses, list)
    assert {it["target_url"] for it in statuses if it["context"] == "mlsnap"} == {RUN_URL}


def test_a_roll_up_that_github_does_not_take_is_no_success(job: Job) -> None:
    post(job, "mlsnap/digits", "success")
    job.place.server.faults.next(Fault(code=401, body='{"message": "Bad credentials"}'), times=9)
    assert job.push("publish", "--roll-up", expect=30).error
    job.place.server.faults.clear()
    job.asked()
    facts = job.push("publish", "--roll-up", "--json").facts["roll_up"]
    assert (facts["state"], facts["sent"]) == ("success", True)
    assert len(job.asked()) == 2


def test_without_a_token_there_is_nothing_to_sum_up(job: Job) -> None:
    said = job.push("publish", "--roll-up", expect=40, MLSNAP_GITHUB_TOKEN="")
    assert "no token" in said.stderr
