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
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import pytest

from ci_mlsnap.demo.faults import Fault
from ci_mlsnap.demo.github import GitHubLookAlike
from ci_mlsnap.domain.status import status
from ci_mlsnap.forge.github import GitHub
from tests.conftest import need
from tests.forge.conftest import BRISK, REPOSITORY, SHA, STATUS, TOKEN

NODE = Path(__file__).with_name("node")
# Read before the tests' clean environment hides the user's folders: downloads are kept between runs.
HOME = Path.home()
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or HOME / ".cache") / "mlsnap-tests"
DESCRIPTION = "node_modules/@octokit/openapi/generated/api.github.com.deref.json"
PRISM = "node_modules/@stoplight/prism-cli/dist/index.js"
PATHS = re.compile(r"/repos/\{owner\}/\{repo\}(/statuses/\{sha\}|/commits/\{ref\}(/status|/statuses)?)?")
START_LIMIT = 90


@pytest.fixture(scope="module")
def prism_folder() -> Path:
    """Give a folder with Prism and the paths of GitHub's description that we use; made once, then kept."""
    need(shutil.which("node") and shutil.which("npm"), "needs node and npm, for GitHub's description of its API")
    lock = (NODE / "package-lock.json").read_bytes()
    folder = CACHE / f"openapi-{hashlib.sha256(lock).hexdigest()[:16]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not (folder / "github.json").exists():
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
    whole = json.loads((folder / DESCRIPTION).read_bytes())
    part = {name: paths for name, paths in whole["paths"].items() if PATHS.fullmatch(name)}
    shutil.rmtree((folder / DESCRIPTION).parent)  # 400 MB, of which we need a thousandth
    text = json.dumps({"openapi": whole["openapi"], "info": whole["info"], "paths": part})
    (folder / "github.json.part").write_text(text)
    (folder / "github.json.part").rename(folder / "github.json")


@pytest.fixture(scope="module")
def upstream() -> Iterator[GitHubLookAlike]:
    """Give the look-alike that the proxy leads to."""
    with GitHubLookAlike(tokens={TOKEN: "write"}) as server:
        yield server


@pytest.fixture(scope="module")
def proxy(prism_folder: Path, upstream: GitHubLookAlike) -> Iterator[str]:
    """Give the URL of a running Prism before the look-alike."""
    command = ("node", PRISM, "proxy", "github.json", upstream.url, "--host", "127.0.0.1", "--port", "0")
    with subprocess.Popen(
        command, cwd=prism_folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
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
    whole = json.loads((prism_folder / "github.json").read_text())
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


def test_the_client_works_through_the_validating_proxy(proxy: str, upstream: GitHubLookAlike) -> None:
    with GitHub(token=TOKEN, api_url=proxy, patience=BRISK) as github:
        github.post_status(REPOSITORY, STATUS)
    assert upstream.board.statuses(REPOSITORY, SHA)[0]["description"] == STATUS.description


def test_every_request_that_we_send_is_as_github_describes_it(
    proxy: str, upstream: GitHubLookAlike, lookalike: GitHubLookAlike, forge: GitHub, documented: str
) -> None:
    forge.may_post(REPOSITORY)
    forge.post_status(REPOSITORY, STATUS)
    for state in ("pending", "failure", "error"):
        forge.post_status(REPOSITORY, status(SHA, "mlsnap/digits", state, "🧪 " * 100))
    assert [sent.method for sent in lookalike.received] == ["GET", "POST", "POST", "POST", "POST"]
    for sent in lookalike.received:
        if sent.method == "GET":
            upstream.faults.next(Fault(code=200, body=documented))
        code, found = violations(proxy, sent.method, sent.path, sent.body)
        # GitHub's example itself lacks what its description requires: only the request's side is asked here.
        mine = [each for each in found if each["location"][0] == "request"]
        assert (code, mine) == (200 if sent.method == "GET" else 201, [])


def test_the_documented_repository_is_understood(proxy: str, upstream: GitHubLookAlike, documented: str) -> None:
    upstream.faults.next(Fault(code=200, body=documented))
    with GitHub(token=TOKEN, api_url=proxy, patience=BRISK) as github:
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
