"""A deployment for each promotion, and a check run for each run, where these are asked for."""

from __future__ import annotations

from ci_mlsnap.demo.faults import Fault
from tests.publishing.conftest import RUN_URL, Job, MakeJob

DOWN = Fault(code=401, body='{"message": "Bad credentials"}')


def deployed(job: Job) -> list[tuple[str, str, list[str]]]:
    """Give the deployments in order: commit, environment and states."""
    found = job.place.server.deliveries.all_deployments
    return [(it["sha"], it["environment"], [status["state"] for status in it["statuses"]]) for it in found]


def test_what_is_promoted_is_deployed_once(make_job: MakeJob) -> None:
    job = make_job("[forge]\ndeployments = true\n")
    job.push()
    first = job.place.repository.head()
    job.push("promote", "HEAD", "production", "--reason", "the best so far")
    job.push("promote", "HEAD", "production")
    assert deployed(job) == [(first, "production", ["success"])]
    there = job.place.server.deliveries.all_deployments[0]
    assert there["description"] == f"digits {first[:7]}: accuracy 0.9000; the best so far"
    assert there["payload"]["snapshot"] == first
    assert there["statuses"][0]["log_url"] == RUN_URL
    second = job.place.commit("second\n")
    job.push()
    job.push("promote", "HEAD", "production")
    assert deployed(job)[1:] == [(second, "production", ["success"])]


def test_github_away_the_channel_moves_and_the_deployment_follows(make_job: MakeJob) -> None:
    job = make_job("[forge]\ndeployments = true\n")
    job.push(MLSNAP_GITHUB_TOKEN="")
    job.place.server.faults.next(Fault(code=418), times=9)
    said = job.push("promote", "HEAD", "production")
    assert "deployment not made" in said.stderr
    job.place.server.faults.clear()
    job.push("publish")
    assert deployed(job) == [(job.place.repository.head(), "production", ["success"])]


def test_nothing_is_deployed_unless_asked_for(job: Job) -> None:
    job.push(MLSNAP_GITHUB_TOKEN="")
    job.push("promote", "HEAD", "production")
    assert job.asked() == []


def test_a_run_leaves_its_report_as_a_check(make_job: MakeJob) -> None:
    job = make_job("[forge]\ncheck_runs = true\n[gates.accuracy]\nmin = 0.95\n")
    job.push(expect=12)
    (check,) = job.place.server.deliveries.all_checks
    assert (check["name"], check["conclusion"], check["external_id"]) == ("digits report", "failure", "4711.1")
    assert check["output"]["title"] == "gate missed"
    assert "❌ **missed**" in check["output"]["summary"]
