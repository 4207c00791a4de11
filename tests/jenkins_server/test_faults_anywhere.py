"""A fault at any request of a command: nothing happens twice, and the command run again does what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest

from ci_mlsnap.ci.jenkins_api import Server
from ci_mlsnap.ci.jenkins_facts import Built
from ci_mlsnap.demo.faults import LOST_ANSWER, WEB_PAGE, Fault
from ci_mlsnap.errors import JenkinsForbidden, JenkinsRejected, JenkinsUnknown, JenkinsUnreachable
from ci_mlsnap.flows.jenkins_check import check
from ci_mlsnap.flows.jenkins_install import Wanted, install, plan
from ci_mlsnap.flows.jenkins_run import RUN_ID, run
from ci_mlsnap.flows.jenkins_watch import Rhythm, Watch
from ci_mlsnap.training.signals import StopSignal
from tests.jenkins_server.jobs import add
from tests.jenkins_server.lookalike import JenkinsLookAlike
from tests.jenkins_server.state import Script

FAULTS = {
    "never heard": Fault(kind="reset"),
    "answer lost": LOST_ANSWER,
    "starting": Fault(code=503, body=""),
    "proxy": Fault(code=502, body=""),
    "proxy after all": Fault(code=504, body="", worked=True),
    "web page": WEB_PAGE,
    "broken": Fault(code=500, body="<title>Oops!</title>"),
    "forbidden": Fault(code=403, body="<title>No valid crumb</title>"),
}
OURS = (JenkinsUnreachable, JenkinsUnknown, JenkinsForbidden, JenkinsRejected)


def ignored(_: str) -> None:
    """Nobody reads it."""


@pytest.fixture
def watch() -> Iterator[Watch]:
    with StopSignal() as stop:
        yield Watch(say=ignored, show=ignored, stop=stop, rhythm=Rhythm(look=0.0, away=1.0, stopping=1.0))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_run_starts_one_build_at_most_and_knows_it(
    server: Server, lookalike: JenkinsLookAlike, watch: Watch, fault: str
) -> None:
    at, whole = 0, 0
    while True:
        at += 1
        name = f"digits{at}"
        job = add(lookalike, name, [RUN_ID], Script(waits=1))
        lookalike.break_at(at, FAULTS[fault])
        asked = len(lookalike.received)
        built: Built | None = None
        with suppress(*OURS):
            built = run(server, name, {}, watch)
        assert (
            len(job.builds) + sum(item.job is job and not item.build for item in lookalike.state.items.values())
            <= 1
        )
        assert sum("buildWithParameters" in line for line in lookalike.received[asked:]) <= 2
        if built is not None:
            whole += 1
            assert (built.result, built.parameters) == ("SUCCESS", job.builds[1].parameters)
        if len(lookalike.received) - asked < at:
            break
    assert at > 7
    assert whole >= 1


@pytest.mark.parametrize("fault", FAULTS)
def test_an_install_run_again_does_what_is_missing(
    server: Server, lookalike: JenkinsLookAlike, fault: str
) -> None:
    for at in range(1, 4):
        wanted = Wanted(name=f"digits{at}", repository="octo/digits")
        lookalike.break_at(at, FAULTS[fault])
        with suppress(*OURS):
            install(server, wanted)
            assert wanted.name in lookalike.state.jobs
        lookalike.break_at(10**6, FAULTS[fault])
        install(server, wanted)
        assert plan(server, wanted).act == "nothing"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_mark_and_a_line_are_there_when_that_is_said(
    server: Server, lookalike: JenkinsLookAlike, fault: str
) -> None:
    job = add(lookalike, script=Script(waits=0))
    for at in range(1, 4):
        number = server.queued(server.start(server.job("digits"), {})).build
        assert number is not None
        lookalike.break_at(at, FAULTS[fault])
        with suppress(*OURS):
            server.keep("digits", number, kept=True)
            assert job.builds[number].kept
        lookalike.break_at(at, FAULTS[fault])
        with suppress(*OURS):
            server.describe("digits", number, "a line")
            assert job.builds[number].description == "a line"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_check_tells_a_fault_and_goes_on(server: Server, lookalike: JenkinsLookAlike, fault: str) -> None:
    add(lookalike, "digits", [RUN_ID])
    for at in range(2, 7):
        lookalike.break_at(at, FAULTS[fault])
        topics = {found.topic for found in check(server, job="digits", jenkinsfile="pipeline { }")}
        assert {"server", "version", "rights", "job", "Jenkinsfile"} <= topics
        assert {"plug-in", "plug-ins"} & topics
