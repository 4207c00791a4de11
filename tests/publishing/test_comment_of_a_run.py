"""What a run in CI leaves on the pull request, and that it never stands in the way of a version."""

from __future__ import annotations

import msgspec
import pytest

from ci_mlsnap.demo.faults import LOST_ANSWER, Fault
from tests.flows.conftest import REPOSITORY
from tests.publishing.conftest import RUN_URL, Job, MakeJob

NUMBER = 7


def open_request(job: Job, *, locked: bool = False) -> str:
    """Commit a change and let a pull request for it be there; give the commit."""
    sha = job.place.commit("second\n")
    job.place.server.conversations.open_request(REPOSITORY, NUMBER, sha, locked=locked)
    return sha


def test_a_pull_request_gets_one_comment_that_later_pushes_edit(job: Job) -> None:
    job.push()
    base = job.place.repository.head()
    first = open_request(job)
    job.pull_request(NUMBER)
    (text,) = job.comments(NUMBER)
    assert text.startswith("<!-- mlsnap:digits -->\n### ✅ mlsnap · digits · snapshot ready")
    for words in (f"this commit {first[:7]}", f"base {base[:7]}", RUN_URL, f"mlsnap restore {first[:12]}"):
        assert words in text
    assert 'x-axis "version" 0 --> 1' in text
    second = job.place.commit("third\n")
    job.place.repository.git("branch", "--force", "topic", base)
    payload = job.requested(NUMBER)
    payload["pull_request"]["base"]["sha"] = base
    job.place.server.conversations.push(REPOSITORY, NUMBER, second)
    job.mlsnap("pull_request", payload)
    (text,) = job.comments(NUMBER)
    assert f"this commit {second[:7]}" in text
    assert first[:7] not in text


def test_a_push_comments_on_the_pull_request_that_has_its_commit_as_head(job: Job) -> None:
    open_request(job)
    job.push()
    assert len(job.comments(NUMBER)) == 1


def test_a_missed_gate_is_told_there_too(make_job: MakeJob) -> None:
    job = make_job("[gates.accuracy]\nmin = 0.95\n")
    open_request(job)
    job.pull_request(NUMBER, expect=12)
    (text,) = job.comments(NUMBER)
    assert "gate missed" in text
    assert "❌ **missed**" in text


def test_training_that_fails_is_told_there_too(job: Job) -> None:
    job.place.train_with("exit 3\n")
    open_request(job)
    job.pull_request(NUMBER, expect=10)
    (text,) = job.comments(NUMBER)
    assert "digits · failed" in text


def test_no_comment_is_left_where_none_is_wanted(make_job: MakeJob) -> None:
    job = make_job("[forge]\ncomment = false\n")
    open_request(job)
    job.pull_request(NUMBER)
    assert job.comments(NUMBER) == []
    assert [it for it in job.asked() if "issues" in it or "pulls" in it] == []


def test_on_change_a_comment_is_first_made_when_something_is_another(make_job: MakeJob) -> None:
    job = make_job('[forge]\ncomment = "on-change"\n')
    job.push()
    open_request(job)
    job.pull_request(NUMBER)
    assert job.comments(NUMBER) == []
    job.place.train_with('cp weights.txt "$MLSNAP_MODEL_DIR/"\necho \'{"accuracy": 0.95}\' > "$MLSNAP_METRICS"\n')
    job.pull_request(NUMBER)
    assert len(job.comments(NUMBER)) == 1


def test_a_locked_conversation_costs_nothing_but_the_comment(job: Job) -> None:
    sha = open_request(job, locked=True)
    said = job.pull_request(NUMBER)
    assert "locked" in said.stderr
    assert job.contexts(sha)["mlsnap/digits"][0] == "success"
    job.asked()
    job.push("publish")
    assert job.asked() == [], "what is forbidden is not tried for ever"


def test_github_away_the_comment_waits_and_publish_sends_it_once(job: Job) -> None:
    open_request(job)
    down = Fault(code=401, body='{"message": "Bad credentials"}')
    job.place.server.faults.next(down, times=20)
    said = job.pull_request(NUMBER, expect=30)
    assert "comment" in said.stderr
    assert "waits until the forge answers again" in said.stderr
    assert job.push("status", "--json").facts["waiting"] == 2
    job.place.server.faults.clear()
    sent = job.push("publish", "--json").facts
    assert len(job.comments(NUMBER)) == 1
    assert (len(sent["sent"]), sent["comments"]) == (1, {"sent": 1, "waiting": 0, "given_up": []})
    job.asked()
    job.push("publish")
    assert job.asked() == []


def test_an_answer_that_was_lost_makes_no_second_comment(job: Job) -> None:
    sha = open_request(job)
    for step in ("begin", "train"):
        job.push(step)
    job.asked()
    # The final status, the question for the pull request, the list of its comments; then the comment itself.
    as_asked = [Fault(code=200, body="[]"), LOST_ANSWER]
    numbers = msgspec.json.encode([{"number": NUMBER, "state": "open", "head": {"sha": sha}}]).decode()
    taken = Fault(worked=True, code=201, body='{"state": "success", "context": "mlsnap/digits"}')
    job.place.server.faults.next(taken, Fault(code=200, body=numbers), *as_asked)
    job.push("conclude")
    assert [it.partition(" ")[0] for it in job.asked()] == ["POST", "GET", "GET", "POST", "GET"]
    assert len(job.comments(NUMBER)) == 1


@pytest.mark.parametrize("kind", ["push", "pull_request"])
def test_the_requests_of_a_run_are_few(job: Job, kind: str) -> None:
    """At most four on a push without a pull request, six with one."""
    if kind == "push":
        job.push()
        assert job.asked() == [
            f"POST /repos/{REPOSITORY}/statuses/{job.place.repository.head()}",
            f"POST /repos/{REPOSITORY}/statuses/{job.place.repository.head()}",
            f"GET /repos/{REPOSITORY}/commits/{job.place.repository.head()}/pulls",
        ]
        return
    open_request(job)
    job.push()
    assert len(job.asked()) == 5
    job.place.commit("third\n")
    job.pull_request(NUMBER)
    assert len(job.asked()) == 5
