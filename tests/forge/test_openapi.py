"""What we send, and what the look-alike answers, held against GitHub's own description of its API.

A validating proxy (Prism) stands between the client and the look-alike and names each violation in a header.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import json
import os
import queue
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, get_args
from urllib.parse import urlsplit

import msgspec
import pytest

from ci_mlsnap.demo.faults import Fault
from ci_mlsnap.demo.github import GitHubLookAlike, Received
from ci_mlsnap.domain.notices import CheckRun, Comment, Conclusion, Deployment
from ci_mlsnap.domain.status import State, status
from ci_mlsnap.forge.github import GitHub
from tests.conftest import need
from tests.forge.conftest import BRISK, REPOSITORY, SHA, STATUS, TOKEN

NODE = Path(__file__).with_name("node")
# Read before the tests' clean environment hides the user's folders: downloads are kept between runs.
HOME = Path.home()
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or HOME / ".cache") / "mlsnap-tests"
GENERATED = "node_modules/@octokit/openapi/generated"
VERSIONS = ("api.github.com", "ghes-3.17")
"""GitHub's descriptions of its own site and of a version of Enterprise Server."""
PRISM = "node_modules/@stoplight/prism-cli/dist/index.js"
PATHS = re.compile(
    r"/user|/repos/\{owner\}/\{repo\}"
    r"(|/statuses/\{sha\}|/commits/\{(ref|commit_sha)\}(|/status|/statuses|/pulls|/check-runs)|/pulls(|/\{pull_number\})"
    r"|/issues/\{issue_number\}/comments|/issues/comments/\{comment_id\}"
    r"|/deployments(|/\{deployment_id\}/statuses)|/check-runs(|/\{check_run_id\}))"
)
START_LIMIT = 90
UNHURRIED = msgspec.structs.replace(BRISK, timeout=60, deadline=90)
"""Prism takes seconds for its first answer, and a request that is sent again would meet no fault."""
OTHER = "f" * 40
ACTION = "ghs_0123456789abcdef"
STATES: tuple[State, ...] = get_args(State)
CONCLUSIONS: tuple[Conclusion, ...] = get_args(Conclusion)
DEPLOYMENT = Deployment(
    sha=SHA,
    environment="canary/eu & co",
    move="2026-11-25T19:00:00+00:00",
    description="é" * 140,
    model="digits",
    snapshot=SHA,
    url="https://ci.example/run/7",
)
CHECK = CheckRun(
    sha=SHA,
    name="digits report",
    run="7.1",
    conclusion="success",
    title="ready",
    summary="### fine",
    url="https://ci.example/run/7",
)


@pytest.fixture(scope="module")
def prism_folder() -> Path:
    """Give a folder with Prism and the paths of GitHub's description that we use; made once, then kept."""
    need(shutil.which("node") and shutil.which("npm"), "needs node and npm, for GitHub's description of its API")
    lock = (NODE / "package-lock.json").read_bytes()
    wanted = lock + PATHS.pattern.encode() + repr(VERSIONS).encode()
    folder = CACHE / f"openapi-{hashlib.sha256(wanted).hexdigest()[:16]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not (folder / "installed").exists():
            _install(folder)
    return folder


def _install(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(NODE / name, folder)
    command = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    # npm's own settings, such as its registry, are the user's.
    home = {**os.environ, "HOME": str(HOME)}
    done = subprocess.run(command, cwd=folder, env=home, capture_output=True, text=True, check=False, timeout=900)
    need(done.returncode == 0, f"needs the packages of tests/forge/node: {done.stderr.strip()[-300:]}")
    for version in VERSIONS:
        whole = json.loads((folder / GENERATED / f"{version}.deref.json").read_bytes())
        part = {name: paths for name, paths in whole["paths"].items() if PATHS.fullmatch(name)}
        text = json.dumps({"openapi": whole["openapi"], "info": whole["info"], "paths": part})
        (folder / f"{version}.json").write_text(text)
    shutil.rmtree(folder / GENERATED)  # 400 MB, of which we need a thousandth
    (folder / "installed").touch()


@pytest.fixture(scope="module")
def upstream() -> Iterator[GitHubLookAlike]:
    """Give the look-alike that the proxy leads to."""
    with GitHubLookAlike(tokens={TOKEN: "write", ACTION: "write"}) as server:
        yield server


@pytest.fixture(scope="module")
def proxy(prism_folder: Path, upstream: GitHubLookAlike) -> Iterator[str]:
    """Give the URL of a running Prism before the look-alike, for GitHub's own site."""
    with running_prism(prism_folder, "proxy", f"{VERSIONS[0]}.json", upstream.url) as url:
        yield url


@contextmanager
def running_prism(folder: Path, *arguments: str) -> Iterator[str]:
    """Run Prism; give its URL."""
    command = ("node", PRISM, *arguments, "--host", "127.0.0.1", "--port", "0")
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as prism:
        assert prism.stdout is not None
        output = prism.stdout
        urls: queue.SimpleQueue[str] = queue.SimpleQueue()
        # Read to the end: a full pipe would stop Prism.
        reader = threading.Thread(target=lambda: _pick_urls(output, urls), daemon=True)
        reader.start()
        try:
            url = urls.get(timeout=START_LIMIT)
            assert url.startswith("http"), f"Prism ended: {url}"
            yield url
        finally:
            prism.kill()
            reader.join()


@pytest.fixture(scope="module")
def documented(prism_folder: Path) -> str:
    """Give GitHub's example of a repository, whose reader may not push."""
    whole = json.loads((prism_folder / f"{VERSIONS[0]}.json").read_text())
    answer = whole["paths"]["/repos/{owner}/{repo}"]["get"]["responses"]["200"]["content"]["application/json"]
    return json.dumps(answer["examples"]["default-response"]["value"])


def _pick_urls(output: IO[str], urls: queue.SimpleQueue[str]) -> None:
    """Put the URL that Prism listens on, and at the end all that it said."""
    said: list[str] = []
    for line in output:
        said.append(line)
        if found := re.search(r"listening on (http://[\w.:]+)", line):
            urls.put(found[1])
    urls.put("".join(said))


def violations(proxy: str, method: str, path: str, body: str = "") -> tuple[int, list[dict[str, Any]]]:
    """Send a request through the proxy; give the code, and what was against the description."""
    connection = http.client.HTTPConnection(urlsplit(proxy).netloc, timeout=30)
    try:
        headers = {"Authorization": f"token {TOKEN}", **({"Content-Type": "application/json"} if body else {})}
        connection.request(method, path, body or None, headers)
        answer = connection.getresponse()
        answer.read()
        found: list[dict[str, Any]] = json.loads(answer.headers.get("sl-violations") or "[]")
        return answer.status, found
    finally:
        connection.close()


def mocked(url: str, method: str, path: str, body: str) -> tuple[int, list[object]]:
    """Send a request to a mock; give the code, and what is wrong with the request."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    try:
        headers = {"Authorization": f"token {TOKEN}", **({"Content-Type": "application/json"} if body else {})}
        connection.request(method, path, body.encode() or None, headers)
        answer = connection.getresponse()
        facts = json.loads(answer.read())
        found = facts.get("validation", []) if isinstance(facts, dict) else []
        # GitHub's examples, which the mock answers with, lack what its description requires.
        return answer.status, [each for each in found if each["location"][0] == "request"]
    finally:
        connection.close()


def test_the_client_works_through_the_validating_proxy(proxy: str, upstream: GitHubLookAlike) -> None:
    with GitHub(token=TOKEN, api_url=proxy, patience=UNHURRIED) as github:
        github.post_status(REPOSITORY, STATUS)
    assert upstream.board.statuses(REPOSITORY, SHA)[0]["description"] == STATUS.description


def every_request() -> Iterator[Received]:
    """Give each kind of request that the client sends, as a look-alike received it."""
    tokens = {TOKEN: "write", ACTION: "write"}
    with GitHubLookAlike(tokens=dict.fromkeys(tokens, "write")) as server:
        server.conversations.open_request(REPOSITORY, 7, SHA)
        server.conversations.open_request(REPOSITORY, 8, OTHER, fork="mallory/digits")
        for token in tokens:
            with GitHub(token=token, api_url=server.url, patience=BRISK) as forge:
                forge.may_post(REPOSITORY)
                for state in STATES:
                    forge.post_status(REPOSITORY, status(SHA, "mlsnap/digits", state, "🧪 " * 100, "https://x/"))
                forge.statuses_of(REPOSITORY, SHA)
                forge.newest_statuses(REPOSITORY, SHA)
                for text in ("first", "second", "🧪" * 60_000):
                    forge.tell(REPOSITORY, Comment(sha=SHA, marker="<!-- x -->", body=f"<!-- x -->\n{text}"))
                forge.tell(
                    REPOSITORY, Comment(sha="f" * 40, from_fork=True, marker="<!-- y -->", body="<!-- y -->")
                )
                forge.tell(REPOSITORY, Comment(sha=SHA, number=7, marker="<!-- x -->", body="<!-- x -->"))
                for _ in range(2):
                    forge.tell(REPOSITORY, DEPLOYMENT)
        with GitHub(token=ACTION, api_url=server.url, patience=BRISK) as forge:
            for conclusion in CONCLUSIONS:
                forge.tell(REPOSITORY, msgspec.structs.replace(CHECK, conclusion=conclusion))
        yield from server.received


@pytest.mark.parametrize("version", VERSIONS)
def test_every_request_that_we_send_is_as_github_describes_it(prism_folder: Path, version: str) -> None:
    """By its own site, and by the oldest Enterprise Server that it still describes."""
    sent = list(every_request())
    kinds = {(it.method, re.sub(r"[0-9a-f]{40}|(?<=/)[0-9]+", "N", it.path.partition("?")[0])) for it in sent}
    assert len(kinds) == 18, sorted(kinds)
    with running_prism(prism_folder, "mock", "--errors", f"{version}.json") as url:
        for it in {(it.method, it.path, it.body): it for it in sent}.values():
            code, found = mocked(url, it.method, it.path, it.body)
            # 404 and 405 say that there is no such path or method, 422 that the body is wrong.
            assert code not in (400, 401, 404, 405, 415, 422), (it.method, it.path)
            assert found == [], (it.method, it.path)
        wrong = '{"state": "neutral"}'
        assert mocked(url, "POST", f"/repos/{REPOSITORY}/statuses/{SHA}", wrong)[0] == 422, "it does look"
        assert mocked(url, "POST", f"/repos/{REPOSITORY}/no-such-path", wrong)[0] == 404


def test_the_documented_repository_is_understood(proxy: str, upstream: GitHubLookAlike, documented: str) -> None:
    upstream.faults.next(Fault(code=200, body=documented))
    with GitHub(token=TOKEN, api_url=proxy, patience=UNHURRIED) as github:
        assert "may not write" in github.may_post("octocat/Hello-World")


@pytest.mark.parametrize("view", ["status", "statuses"])
def test_the_look_alike_answers_as_github_describes_it(proxy: str, view: str) -> None:
    body = json.dumps({"state": "success", "context": "mlsnap/digits"})
    assert violations(proxy, "POST", f"/repos/{REPOSITORY}/statuses/{SHA}", body) == (201, [])
    code, found = violations(proxy, "GET", f"/repos/{REPOSITORY}/commits/{SHA}/{view}")
    # Of a repository the look-alike tells a few facts, and GitHub a hundred.
    assert (code, [each for each in found if "repository" not in each["location"]]) == (200, [])


@pytest.mark.parametrize("body", ['{"state": "neutral"}', '{"description": "no state"}', '{"state": 1}'])
def test_the_proxy_does_see_a_violation(proxy: str, body: str) -> None:
    _, found = violations(proxy, "POST", f"/repos/{REPOSITORY}/statuses/{SHA}", body)
    assert any(each["location"][0] == "request" for each in found)
