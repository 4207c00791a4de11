"""The client of a Jenkins server: the real python-jenkins against the look-alike, on a real socket."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from ci_mlsnap.ci.jenkins_api import Server
from ci_mlsnap.ci.jenkins_facts import Endpoint, build_at, job_path, require_strict
from ci_mlsnap.demo.faults import LOST_ANSWER, WEB_PAGE, Fault
from ci_mlsnap.errors import (
    ConfigInvalid,
    JenkinsForbidden,
    JenkinsNotFound,
    JenkinsRejected,
    JenkinsUnknown,
    JenkinsUnreachable,
    MlsnapError,
    UsageError,
)
from tests.jenkins_server.conftest import BRISK, HASTY
from tests.jenkins_server.jobs import BRANCHES, FOLDER, NAMES, add, pipeline
from tests.jenkins_server.lookalike import API_TOKEN, PASSWORD, USER, JenkinsLookAlike
from tests.jenkins_server.state import Script

SILENT, DRIPPING = Fault(kind="hang"), Fault(kind="drip")
RESET = Fault(kind="reset")


@pytest.fixture
def with_password(lookalike: JenkinsLookAlike) -> Iterator[Server]:
    client = Server(Endpoint(url=lookalike.url, user=USER, token=PASSWORD), patience=BRISK)
    yield client
    client.close()


def built(server: Server, lookalike: JenkinsLookAlike, job: str = "digits") -> int:
    """Run a build of a job, as far as its begin."""
    item = server.start(server.job(job), {})
    while (number := server.queued(item).build) is None:
        pass
    return number


# -- the server ----------------------------------------------------------------------------------------


def test_the_server_says_who_we_are_and_what_it_is(server: Server) -> None:
    assert (server.who(), server.version()) == (USER, "2.421")
    assert server.plugins()["git"] == "5.2.0"
    assert "ant" not in server.plugins()


def test_the_version_is_told_on_a_closed_server_in_the_very_first_call(
    server: Server, lookalike: JenkinsLookAlike
) -> None:
    """python-jenkins would send it without a login."""
    assert server.version() == "2.421"
    assert all("403" not in line for line in lookalike.received)


def test_a_right_that_lacks_is_named(server: Server, lookalike: JenkinsLookAlike) -> None:
    lookalike.lacks = {"Overall/SystemRead", "Job/Create"}
    with pytest.raises(JenkinsForbidden) as caught:
        server.plugins()
    assert caught.value.why == "the user lacks the permission Overall/SystemRead"
    assert server.may_create("") is False
    lookalike.lacks.clear()
    assert server.may_create("") is True


def test_a_wrong_login_is_one_line_and_shows_no_secret(lookalike: JenkinsLookAlike) -> None:
    client = Server(Endpoint(url=lookalike.url, user=USER, token="wrong-secret"), patience=BRISK)
    with pytest.raises(JenkinsForbidden) as caught:
        client.who()
    said = f"{caught.value.what} {caught.value.why} {caught.value.hint}"
    assert "MLSNAP_JENKINS_TOKEN" in caught.value.hint
    assert "wrong-secret" not in said
    assert "names of the site" not in said
    assert caught.value.__context__ is None
    client.close()


def test_a_jenkinsfile_is_linted_by_the_server(server: Server, with_password: Server) -> None:
    good = "pipeline { agent any }"
    assert server.lint(good) == with_password.lint(good) == []
    assert server.lint("pipeline {") == ["WorkflowScript: 1: expecting '}', found '' @ line 1, column 1."]


def test_a_server_without_the_linter_says_so(server: Server, lookalike: JenkinsLookAlike) -> None:
    del lookalike.state.plugins["pipeline-model-definition"]
    with pytest.raises(JenkinsNotFound):
        server.lint("pipeline { }")


# -- jobs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_the_one_that_jenkins_shows(server: Server, lookalike: JenkinsLookAlike, name: str) -> None:
    add(lookalike, name, ["A"])
    assert server.job(name).names == ("A",)
    assert server.config(name) == lookalike.state.jobs[name].xml
    item = server.start(server.job(name), {"A": name})
    assert server.queued(item).build is None
    number = server.queued(item).build
    assert number == 1
    found = server.build(name, number)
    assert found.parameters == {"A": name}
    assert server.place_of(found.url) == (name, 1)
    assert server.log(name, number, 0).content.startswith(b"Started")


@pytest.mark.parametrize("name", ["", "/", "a//b", "../x", "a/..", ".", "a\nb", "a/"])
def test_what_is_no_name_reaches_no_server(server: Server, lookalike: JenkinsLookAlike, name: str) -> None:
    for act in (lambda: server.job(name), lambda: server.config(name), lambda: server.build(name, 1)):
        with pytest.raises(UsageError):
            act()
    assert lookalike.received == []


def test_jobs_are_made_and_changed_in_folders(server: Server, lookalike: JenkinsLookAlike) -> None:
    with pytest.raises(JenkinsNotFound):
        server.create("ml team/digits", pipeline())
    server.create("ml team", FOLDER)
    server.create("ml team/digits ü", pipeline("A"))
    server.configure("ml team/digits ü", pipeline("B"))
    assert server.job("ml team/digits ü").names == ("B",)
    assert server.job("ml team").jobs == ("digits ü",)
    assert server.config("nothing") is None
    with pytest.raises(JenkinsRejected, match="ml team"):
        server.create("ml team", FOLDER)
    with pytest.raises(JenkinsRejected):
        server.create("broken", "<flow-definition>")
    assert "broken" not in lookalike.state.jobs


# -- builds --------------------------------------------------------------------------------------------


def test_a_build_of_each_kind_of_job_is_started(server: Server, lookalike: JenkinsLookAlike) -> None:
    add(lookalike, "plain")
    add(lookalike, "asked", ["A", "B"])
    assert built(server, lookalike, "plain") == 1
    assert built(server, lookalike, "asked") == 1
    assert server.job("asked").builds == (1,)


def test_values_stand_in_no_url(server: Server, lookalike: JenkinsLookAlike) -> None:
    add(lookalike, "digits", ["A"])
    item = server.start(server.job("digits"), {"A": "a value & more"})
    assert server.waiting() == [(item, {"A": "a value & more"})]
    assert not any("more" in line for line in lookalike.received)


def test_a_scan_of_branches_has_no_item_in_the_queue(server: Server, lookalike: JenkinsLookAlike) -> None:
    lookalike.state.create("", "mb", BRANCHES)
    with pytest.raises(MlsnapError):
        server.start(server.job("mb"), {})
    assert lookalike.state.scans == ["mb"]


def test_an_item_of_the_queue_says_why_it_waits_and_is_cancelled(
    server: Server, lookalike: JenkinsLookAlike
) -> None:
    add(lookalike, script=Script(waits=5))
    item = server.start(server.job("digits"), {})
    assert server.queued(item).why.startswith("In the quiet period")
    server.cancel(item)
    assert server.queued(item).cancelled
    server.cancel(4711)
    assert server.queued(4711).gone


def test_a_log_is_read_bit_by_bit_and_its_offsets_are_bytes(server: Server, lookalike: JenkinsLookAlike) -> None:
    parts = ("grün\r\n".encode(), b"\xe2\x82", b"\xac done\r\n")
    add(lookalike, script=Script(parts=parts))
    number, read, start = built(server, lookalike), b"", 0
    while True:
        part = server.log("digits", number, start)
        read, start = read + part.content, part.end
        if not part.more:
            break
    assert read == b"".join(parts)
    assert (server.build("digits", number).result, server.build("digits", number).building) == ("SUCCESS", False)


def test_a_build_is_stopped_described_kept_and_released(server: Server, lookalike: JenkinsLookAlike) -> None:
    add(lookalike, script=Script(endless=True))
    number = built(server, lookalike)
    server.describe("digits", number, "mlsnap → ü & <b>")
    assert server.keep("digits", number, kept=True) is True
    assert server.keep("digits", number, kept=True) is False
    found = server.build("digits", number)
    assert (found.description, found.kept, found.building) == ("mlsnap → ü & <b>", True, True)
    server.stop("digits", number)
    assert server.keep("digits", number, kept=False) is True
    assert (server.build("digits", number).kept, server.build("digits", number).result) == (False, "ABORTED")


def test_what_is_not_there_is_not_found(server: Server, lookalike: JenkinsLookAlike) -> None:
    add(lookalike)
    for act in (
        lambda: server.job("nothing"),
        lambda: server.build("digits", 7),
        lambda: server.stop("digits", 7),
        lambda: server.log("digits", 7, 0),
        lambda: server.start(server.job("digits").__class__(name="gone", kind=""), {}),
    ):
        with pytest.raises(JenkinsNotFound):
            act()


# -- crumbs --------------------------------------------------------------------------------------------


def test_an_api_token_needs_no_crumb_and_asks_for_none(server: Server, lookalike: JenkinsLookAlike) -> None:
    add(lookalike)
    server.start(server.job("digits"), {})
    assert not any("crumbIssuer" in line for line in lookalike.received)


def test_with_a_password_a_crumb_is_fetched_and_again_after_a_restart(
    with_password: Server, lookalike: JenkinsLookAlike
) -> None:
    add(lookalike, "digits", ["A"])
    job = with_password.job("digits")
    with_password.start(job, {"A": "1"})
    with_password.start(job, {"A": "2"})
    assert sum("crumbIssuer" in line for line in lookalike.received) == 1
    lookalike.restart()
    with_password.start(job, {"A": "3"})
    assert [item.parameters["A"] for item in lookalike.state.items.values()] == ["1", "2", "3"]


def test_a_right_that_lacks_is_no_matter_of_crumbs(with_password: Server, lookalike: JenkinsLookAlike) -> None:
    add(lookalike)
    lookalike.lacks = {"Job/Build"}
    with pytest.raises(JenkinsForbidden, match="does not allow") as caught:
        with_password.start(with_password.job("digits"), {})
    assert "Job/Build" in caught.value.why
    assert lookalike.state.items == {}


# -- faults --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [RESET, WEB_PAGE, Fault(code=502), Fault(code=503)])
def test_a_look_that_fails_once_is_repeated(server: Server, lookalike: JenkinsLookAlike, fault: Fault) -> None:
    add(lookalike)
    lookalike.faults.next(fault)
    assert server.job("digits").buildable


@pytest.mark.parametrize("fault", [SILENT, DRIPPING])
def test_a_silent_or_dripping_answer_is_given_up_and_asked_for_again(
    lookalike: JenkinsLookAlike, fault: Fault
) -> None:
    add(lookalike)
    lookalike.faults.next(fault)
    trying = msgspec.structs.replace(HASTY, tries=20)  # a busy machine may be slower than this is hasty
    client = Server(Endpoint(url=lookalike.url, user=USER, token=API_TOKEN), patience=trying)
    assert client.job("digits").buildable
    assert len(lookalike.received) >= 2
    client.close()


@pytest.mark.parametrize("fault", [RESET, WEB_PAGE, Fault(code=502), Fault(code=504)])
def test_a_look_that_fails_for_good_is_told(server: Server, lookalike: JenkinsLookAlike, fault: Fault) -> None:
    require_told(server, lookalike, fault)


@pytest.mark.parametrize("fault", [SILENT, DRIPPING])
def test_a_server_that_stays_silent_is_told(hasty: Server, lookalike: JenkinsLookAlike, fault: Fault) -> None:
    require_told(hasty, lookalike, fault)


def require_told(server: Server, lookalike: JenkinsLookAlike, fault: Fault) -> None:
    for act in (lambda: server.job("digits"), server.who, lambda: server.queued(1), lambda: server.log("d", 1, 0)):
        lookalike.faults.clear()
        lookalike.faults.next(fault, times=4)
        with pytest.raises(JenkinsUnreachable) as caught:
            act()
        assert API_TOKEN not in caught.value.what + caught.value.why
        assert caught.value.hint


def test_a_redirect_is_not_followed(server: Server, lookalike: JenkinsLookAlike) -> None:
    """The login is for one server; a login page elsewhere gets nothing."""
    lookalike.faults.next(Fault(code=302, headers={"Location": "https://sso.invalid/login"}, body=""), times=4)
    with pytest.raises(JenkinsUnreachable) as caught:
        server.job("digits")
    assert caught.value.why == "it points to https://sso.invalid/login"


@pytest.mark.parametrize("fault", [LOST_ANSWER, Fault(code=502), Fault(code=504), RESET, SILENT])
def test_a_build_whose_answer_is_lost_is_never_asked_for_again(
    server: Server, hasty: Server, lookalike: JenkinsLookAlike, fault: Fault
) -> None:
    add(lookalike, "digits", ["A"])
    job = server.job("digits")
    lookalike.faults.next(fault)
    with pytest.raises(JenkinsUnknown):
        (hasty if fault is SILENT else server).start(job, {"A": "1"})
    assert sum("buildWithParameters" in line for line in lookalike.received) == 1


def test_a_server_that_is_not_there_got_nothing(lookalike: JenkinsLookAlike) -> None:
    add(lookalike)
    client = Server(Endpoint(url="http://127.0.0.1:1/", user=USER, token=API_TOKEN), patience=BRISK)
    with pytest.raises(JenkinsUnreachable) as caught:
        client.stop("digits", 1)
    assert caught.value.safe == "nothing was done"
    client.close()


def test_a_server_that_starts_did_nothing(server: Server, lookalike: JenkinsLookAlike) -> None:
    add(lookalike)
    job = server.job("digits")
    lookalike.restart(slowly=1)
    with pytest.raises(JenkinsUnreachable):
        server.start(job, {})
    assert lookalike.state.items == {}
    lookalike.restart(slowly=1)
    assert server.job("digits").buildable


def test_a_disabled_job_and_bad_values_are_told_as_such(server: Server, lookalike: JenkinsLookAlike) -> None:
    add(lookalike).disabled = True
    with pytest.raises(JenkinsRejected, match="digits") as caught:
        server.start(server.job("digits"), {})
    assert "not buildable" in caught.value.why


def test_a_server_below_a_path_is_spoken_to_there() -> None:
    with JenkinsLookAlike(prefix="/ci/jenkins") as below:
        add(below, "ml/digits")
        client = Server(Endpoint(url=below.url.rstrip("/"), user=USER, token=API_TOKEN), patience=BRISK)
        assert client.who() == USER
        number = built(client, below, "ml/digits")
        assert client.place_of(client.build("ml/digits", number).url) == ("ml/digits", number)
        client.close()


def test_two_threads_have_two_clients_and_do_not_meet(lookalike: JenkinsLookAlike) -> None:
    add(lookalike, "digits", ["A"])
    done: list[Any] = []

    def work(value: str) -> None:
        client = Server(Endpoint(url=lookalike.url, user=USER, token=PASSWORD), patience=BRISK)
        done.append(client.start(client.job("digits"), {"A": value}))
        client.close()

    threads = [threading.Thread(target=work, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [1, 2, 3, 4]


# -- the endpoint --------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", [{"url": ""}, {"user": ""}, {"token": ""}, {"ca": "/no/such/file"}])
def test_an_endpoint_is_whole_or_none(missing: dict[str, str]) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        Endpoint(**({"url": "https://ci.example/", "user": USER, "token": API_TOKEN} | missing))
    assert API_TOKEN not in str(caught.value.__dict__)


def test_an_endpoint_does_not_show_its_token() -> None:
    assert API_TOKEN not in repr(Endpoint(url="https://ci.example/", user=USER, token=API_TOKEN))


@pytest.mark.parametrize("name", ["PYTHONHTTPSVERIFY", "JENKINS_API_EXTRA_HEADERS"])
def test_what_weakens_the_client_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "0")
    with pytest.raises(ConfigInvalid, match=name):
        Server(Endpoint(url="https://ci.example/", user=USER, token=API_TOKEN))
    require_strict({"PYTHONHTTPSVERIFY": "1"})


@pytest.mark.parametrize(
    ("url", "server", "place"),
    [
        ("https://ci.example/job/digits/12/", "https://ci.example/", ("digits", 12)),
        ("https://CI.example/x/job/mb/job/feat%252Fx-y/3", "https://ci.example/x", ("mb/feat%2Fx-y", 3)),
        ("https://ci.example/job/a%20b/job/%C3%BC/1/", "https://ci.example/", ("a b/ü", 1)),
        ("https://evil.example/job/digits/12/", "https://ci.example/", None),
        ("http://ci.example/job/digits/12/", "https://ci.example/", None),
        ("https://ci.example/x/job/digits/12/", "https://ci.example/", None),
        ("https://ci.example/job/digits/12/console", "https://ci.example/", None),
        ("https://ci.example/job/digits/", "https://ci.example/", None),
        ("https://github.com/octo/digits/actions/runs/1", "https://ci.example/", None),
        ("", "https://ci.example/", None),
    ],
)
def test_a_builds_address_is_read_only_where_it_is_of_this_server(
    url: str, server: str, place: tuple[str, int] | None
) -> None:
    assert build_at(url, server) == place


def test_a_path_quotes_each_part_once() -> None:
    assert job_path("mb/feat%2Fx ü") == "job/mb/job/feat%252Fx%20%C3%BC/"
