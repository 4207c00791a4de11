"""`mlsnap jenkins run`: the command as a process, against the look-alike."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from ci_mlsnap.ci.jenkins_api import Server
from ci_mlsnap.ci.jenkins_facts import Built
from ci_mlsnap.errors import (
    BuildAborted,
    Cancelled,
    JenkinsNotFound,
    JenkinsUnknown,
    MlsnapError,
    Refused,
    Terminated,
    UsageError,
)
from ci_mlsnap.flows.jenkins_run import RUN_ID, error_of, run, told
from ci_mlsnap.flows.jenkins_watch import Quiet, Rhythm, Watch
from ci_mlsnap.training.signals import StopSignal
from tests.jenkins_server.conftest import Command
from tests.jenkins_server.jobs import BRANCHES, add
from tests.jenkins_server.lookalike import API_TOKEN, JenkinsLookAlike
from tests.jenkins_server.state import Script

SHA = "ab" * 20


@dataclass(kw_only=True)
class Seen:
    """Who watches a run, and what was told."""

    watch: Watch
    said: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)


@pytest.fixture
def seen() -> Iterator[Seen]:
    said: list[str] = []
    shown: list[str] = []
    with StopSignal() as stop:
        rhythm = Rhythm(look=0.001, away=5.0, stopping=1.0)
        yield Seen(
            watch=Watch(say=said.append, show=shown.append, stop=stop, rhythm=rhythm), said=said, shown=shown
        )


def when(happens: Callable[[], bool], act: Callable[[], object]) -> threading.Thread:
    """Do something as soon as something is so; and nothing when it never is, since a signal would then end us."""

    def work() -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if happens():
                act()
                return
            time.sleep(0.001)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


# -- the run -------------------------------------------------------------------------------------------


def test_a_build_is_followed_to_its_end(server: Server, lookalike: JenkinsLookAlike, seen: Seen) -> None:
    parts = (b"one\r\ntwo gr\xc3", b"\xbcn", b"\r\nlast")
    add(lookalike, "ml/digits", ["MLSNAP_SHA", RUN_ID], Script(waits=3, parts=parts))
    built = run(server, "ml/digits", {"MLSNAP_SHA": SHA}, seen.watch)
    assert seen.shown == ["one", "two grün", "last"]
    assert seen.said[0].startswith("in the queue: In the quiet period")
    assert seen.said[1].startswith("build 1 of ml/digits: http://127.0.0.1")
    assert len(seen.said) == 2
    assert (built.result, built.number, built.parameters["MLSNAP_SHA"]) == ("SUCCESS", 1, SHA)
    assert len(built.parameters[RUN_ID]) == 16


@pytest.mark.parametrize(
    ("result", "slug", "code"),
    [
        ("SUCCESS", "", 0),
        ("UNSTABLE", "build-unstable", 12),
        ("FAILURE", "build-failed", 10),
        ("NOT_BUILT", "build-failed", 10),
        ("ABORTED", "build-aborted", 143),
    ],
)
def test_it_ends_as_the_build_ends(
    server: Server, lookalike: JenkinsLookAlike, seen: Seen, result: str, slug: str, code: int
) -> None:
    add(lookalike, script=Script(result=result))
    error = error_of(run(server, "digits", {}, seen.watch), "digits")
    assert (error.slug if error else "", int(error.exit_code) if error else 0) == (slug, code)


def test_what_mlsnap_says_in_the_build_is_told(server: Server, lookalike: JenkinsLookAlike, seen: Seen) -> None:
    job = add(lookalike, script=Script(result="UNSTABLE"))
    line = "mlsnap ab12cd3 → gate missed, snapshot kept, accuracy 0.9000"
    describing = when(
        lambda: 1 in job.builds, lambda: setattr(job.builds[1], "description", f"Ada's\n{line}\n<b>")
    )
    built = run(server, "digits", {}, seen.watch)
    describing.join()
    error = error_of(server.build("digits", built.number), "digits")
    assert error is not None
    assert error.why == line
    assert told(Built(number=1, url="", building=False, description="nothing of ours")) == ""


def test_each_run_has_a_build_of_its_own(server: Server, lookalike: JenkinsLookAlike, seen: Seen) -> None:
    """Two items that are the same would be one: the id tells them apart."""
    job = add(lookalike, "digits", [RUN_ID], Script(waits=10))
    server.start(server.job("digits"), {RUN_ID: "somebody"})
    built = run(server, "digits", {}, seen.watch)
    assert built.parameters[RUN_ID] not in ("", "somebody")
    assert len(lookalike.state.items) == 2
    assert job.builds[built.number].parameters == built.parameters


def test_a_parameter_that_jenkins_would_drop_is_refused(
    server: Server, lookalike: JenkinsLookAlike, seen: Seen
) -> None:
    add(lookalike, "digits", ["EPOCHS", RUN_ID])
    add(lookalike, "plain")
    for name, known in (("digits", "EPOCHS"), ("plain", "none at all")):
        with pytest.raises(UsageError) as caught:
            run(server, name, {"EPOCH": "3"}, seen.watch)
        assert known in caught.value.why
    assert lookalike.state.items == {}


def test_what_can_not_be_built_is_refused(server: Server, lookalike: JenkinsLookAlike, seen: Seen) -> None:
    add(lookalike, "off").disabled = True
    lookalike.state.create("", "mb", BRANCHES)
    add(lookalike, "mb/feat%2Fx")
    with pytest.raises(Refused):
        run(server, "off", {}, seen.watch)
    with pytest.raises(UsageError) as caught:
        run(server, "mb", {}, seen.watch)
    assert "mb/feat%2Fx" in caught.value.hint
    with pytest.raises(JenkinsNotFound):
        run(server, "nothing", {}, seen.watch)
    assert lookalike.state.scans == []


def test_a_quiet_time_is_told_and_only_so(seen: Seen) -> None:
    hasty = Watch(say=seen.said.append, show=seen.shown.append, stop=seen.watch.stop, rhythm=Rhythm(quiet=0.0))
    Quiet(seen.watch).tell("the build goes on")
    assert seen.said == []
    Quiet(hasty).tell("the build goes on")
    assert seen.said[0].startswith("the build goes on; no news for 0.0")


# -- faults --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("waits", [0, 3])
def test_a_lost_answer_finds_the_build_by_its_id_and_starts_no_second(
    server: Server, lookalike: JenkinsLookAlike, seen: Seen, waits: int
) -> None:
    job = add(lookalike, "digits", [RUN_ID], Script(waits=waits))
    lookalike.lose_next("buildWithParameters")
    built = run(server, "digits", {}, seen.watch)
    assert (built.result, len(job.builds)) == ("SUCCESS", 1)


def test_a_lost_answer_without_an_id_is_told_and_nothing_is_repeated(
    server: Server, lookalike: JenkinsLookAlike, seen: Seen
) -> None:
    add(lookalike, "plain")
    lookalike.lose_next("/build")
    with pytest.raises(JenkinsUnknown):
        run(server, "plain", {}, seen.watch)
    assert len(lookalike.state.items) == 1


def test_an_answer_that_was_lost_before_it_was_heard_starts_nothing(
    server: Server, lookalike: JenkinsLookAlike, seen: Seen
) -> None:
    add(lookalike, "digits", [RUN_ID])
    lookalike.lose_next("buildWithParameters", worked=False)
    with pytest.raises(JenkinsUnknown):
        run(server, "digits", {}, seen.watch)
    assert lookalike.state.items == {}


def test_a_server_that_restarts_is_waited_for(server: Server, lookalike: JenkinsLookAlike, seen: Seen) -> None:
    job = add(lookalike, "digits", [RUN_ID], Script(endless=True))

    def end() -> None:
        lookalike.restart(slowly=10)
        job.script.endless = False

    restarting = when(lambda: bool(seen.shown), end)
    built = run(server, "digits", {}, seen.watch)
    restarting.join()
    assert built.result == "SUCCESS"
    assert sum("the build goes on" in text for text in seen.said) >= 1
    assert seen.shown == ["Started by user Ada", "Finished: SUCCESS"]


def test_a_build_that_the_queue_has_forgotten_is_found_by_its_id(
    server: Server, lookalike: JenkinsLookAlike, seen: Seen
) -> None:
    add(lookalike, "digits", [RUN_ID])
    add(lookalike, "plain")

    def forget() -> None:
        for item in list(lookalike.state.items):
            lookalike.state.look_at_item(item)
            lookalike.state.look_at_item(item)
        lookalike.state.items.clear()

    lookalike.before("queue/item", forget)
    assert run(server, "digits", {}, seen.watch).result == "SUCCESS"
    lookalike.before("queue/item", forget)
    with pytest.raises(JenkinsUnknown):
        run(server, "plain", {}, seen.watch)


def test_an_item_that_somebody_cancels_is_told(server: Server, lookalike: JenkinsLookAlike, seen: Seen) -> None:
    add(lookalike, "digits", [RUN_ID], Script(waits=10**6))
    cancelling = when(lambda: bool(seen.said), lambda: setattr(lookalike.state.items[1], "cancelled", True))
    with pytest.raises(BuildAborted):
        run(server, "digits", {}, seen.watch)
    cancelling.join()


# -- being stopped -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "kind"), [(signal.SIGINT, Cancelled), (signal.SIGTERM, Terminated)])
def test_a_signal_stops_the_build(
    server: Server, lookalike: JenkinsLookAlike, seen: Seen, number: int, kind: type[MlsnapError]
) -> None:
    job = add(lookalike, "digits", [RUN_ID], Script(endless=True))
    stopping = when(lambda: bool(seen.shown), lambda: os.kill(os.getpid(), number))
    with pytest.raises(kind) as caught:
        run(server, "digits", {}, seen.watch)
    stopping.join()
    assert type(caught.value) is kind
    assert job.builds[1].result == "ABORTED"


def test_a_signal_takes_a_waiting_build_out_of_the_queue(
    server: Server, lookalike: JenkinsLookAlike, seen: Seen
) -> None:
    job = add(lookalike, "digits", [RUN_ID], Script(waits=10**6))
    stopping = when(lambda: bool(seen.said), lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Cancelled):
        run(server, "digits", {}, seen.watch)
    stopping.join()
    assert lookalike.state.items[1].cancelled
    assert job.builds == {}


# -- the command ---------------------------------------------------------------------------------------


def test_the_command_shows_the_log_and_has_the_builds_code(mlsnap: Command, lookalike: JenkinsLookAlike) -> None:
    parts = (b"::set-output name=a::b\r\n\x1b[8mha:secret\x1b[0m\r\n",)
    add(lookalike, "ml/digits", ["MLSNAP_SHA", "EPOCHS", RUN_ID], Script(waits=0, parts=parts, result="UNSTABLE"))
    said = mlsnap(
        "run",
        "ml/digits",
        "--sha",
        SHA,
        "-p",
        "EPOCHS=2=3",
        env={"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "push"},
    )
    assert said.returncode == 12, said.stderr
    fence, *log, end = said.stdout.splitlines()
    assert fence.startswith("::stop-commands::")
    assert end == f"::{fence.rpartition(':')[2]}::"
    assert "::set-output name=a::b" in log
    assert "\\x1b[8mha:secret\\x1b[0m" in log
    assert "error[build-unstable]" in said.stderr
    assert lookalike.state.jobs["ml/digits"].builds[1].parameters["EPOCHS"] == "2=3"
    assert API_TOKEN not in said.stdout + said.stderr


def test_with_json_the_facts_are_alone_on_stdout(mlsnap: Command, lookalike: JenkinsLookAlike) -> None:
    add(lookalike, script=Script(waits=0))
    said = mlsnap("run", "digits", "--json")
    assert said.returncode == 0, said.stderr
    facts = json.loads(said.stdout)
    assert (facts["job"], facts["number"], facts["result"]) == ("digits", 1, "SUCCESS")
    assert "Started by user Ada" in said.stderr


@pytest.mark.parametrize(
    ("missing", "named"),
    [("MLSNAP__JENKINS__URL", "jenkins.url"), ("MLSNAP_JENKINS_TOKEN", "MLSNAP_JENKINS_TOKEN")],
)
def test_what_is_missing_is_named_and_nothing_is_sent(
    mlsnap: Command, lookalike: JenkinsLookAlike, missing: str, named: str
) -> None:
    said = mlsnap("run", "digits", env={missing: ""})
    assert said.returncode == 2
    assert "error[config-invalid]" in said.stderr
    assert named in said.stderr
    assert lookalike.received == []
