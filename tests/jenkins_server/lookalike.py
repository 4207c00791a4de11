"""A Jenkins look-alike on a real socket, spoken to by the real python-jenkins."""

from __future__ import annotations

import base64
import json
import re
import secrets
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, quote, unquote, urlsplit

from ci_mlsnap.demo.faults import Fault, FaultScript, reset
from tests.jenkins_server.state import Broken, Jenkins

USER, API_TOKEN, PASSWORD = "ada", "11" + "a1b2c3d4" * 4, "correct horse"
ELSEWHERE = "http://jenkins.invalid/"
"""The address that the administrator has set: it need not be the one that we reach the server by."""


class JenkinsLookAlike:
    """The server, for use in a `with` statement; `rights` are what the user lacks, such as `Job/Build`."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, prefix: str = "") -> None:
        self.state = Jenkins()
        self.faults = FaultScript()
        self.lacks: set[str] = set()
        self.received: list[str] = []
        self.bodies: list[str] = []
        self.crumbs: dict[str, str] = {}
        self.busy_starting = 0
        self._losing: list[tuple[str, Fault]] = []
        self._broken: dict[int, Fault] = {}
        self._acts: list[tuple[str, Callable[[], object]]] = []
        self.lock = threading.Lock()
        self.prefix = prefix
        self._server = _Server(("127.0.0.1", 0), _Exchange)
        self._server.lookalike = self
        self._server.tls = tls
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_port}{prefix}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def restart(self, *, slowly: int = 0) -> None:
        """Seen: sessions end, and crumbs with them; builds go on. While it starts it answers 503."""
        self.crumbs.clear()
        self.busy_starting = slowly

    def lose_next(self, part: str, *, worked: bool = True) -> None:
        """Break off the next request whose address has this part; `worked` says that it is obeyed first."""
        self._losing.append((part, Fault(kind="reset", worked=worked)))

    def break_at(self, number: int, fault: Fault) -> None:
        """Let the request of this number, counted from now on, meet a fault."""
        self._broken = {len(self.received) + number: fault}

    def before(self, part: str, act: Callable[[], object]) -> None:
        """Do something just before the next request whose address has this part."""
        self._acts.append((part, act))

    def fault_for(self, path: str) -> Fault | None:
        """Take what happens to a request."""
        if len(self.received) in self._broken:
            return self._broken.pop(len(self.received))
        for row in self._acts[:1]:
            if row[0] in path:
                self._acts.remove(row)
                row[1]()
        for losing in self._losing[:1]:
            if losing[0] in path:
                self._losing.remove(losing)
                return losing[1]
        return self.faults.take()

    def builds_url(self, job: str, number: int) -> str:
        path = "".join(f"job/{quote(part, safe='')}/" for part in job.split("/"))
        return f"{self.url}{path}{number}/"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.faults.over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    lookalike: JenkinsLookAlike
    tls: ssl.SSLContext | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.tls is None:
            super().finish_request(request, client_address)
            return
        try:
            with self.tls.wrap_socket(request, server_side=True) as secured:
                super().finish_request(secured, client_address)
        except OSError:
            return  # the client does not trust us, or went away

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no news."""


class _Exchange(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    session = ""

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._exchange()

    def do_POST(self) -> None:
        self._exchange()

    def _exchange(self) -> None:
        here = self.server.lookalike
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        here.received.append(f"{self.command} {self.path}")
        here.bodies.append(body)
        fault = here.fault_for(self.path)
        if fault is not None and not fault.worked:
            self._fail(fault)
            return
        try:
            with here.lock:
                status, headers, content = self._answer(body)
        except Broken as broken:
            status, headers, content = broken.status, {}, _page(broken)
        if fault is not None:
            self._fail(fault)
            return
        self._send(status, headers, content)

    def _fail(self, fault: Fault) -> None:
        self.close_connection = True
        if fault.kind == "reset":
            reset(self.connection)
        elif fault.kind == "answer":
            self._send(fault.code, dict(fault.headers), fault.body.encode())
        else:
            self.server.lookalike.faults.stall(self.connection, drip=fault.kind == "drip")

    def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": "text/html;charset=utf-8"} | headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Jenkins", "2.421")
        self.end_headers()
        self.wfile.write(content)

    # -- who asks ------------------------------------------------------------------------------------

    def _admit(self) -> bool:
        """Tell whether an API token was given. Seen: no login 403, a wrong one 401, both whole pages."""
        given = self.headers.get("Authorization", "")
        if not given:
            raise Broken(403, "anonymous is missing the Overall/Read permission")
        user, _, secret = base64.b64decode(given.removeprefix("Basic ")).decode().partition(":")
        if user != USER or secret not in (API_TOKEN, PASSWORD):
            raise Broken(401, "Invalid password/token for user: " + user)
        return secret == API_TOKEN

    def _require_crumb(self) -> None:
        """Seen: with a password each POST needs a crumb of the same session; with an API token none does."""
        found = re.search(r"JSESSIONID=(\w+)", self.headers.get("Cookie", ""))
        wanted = self.server.lookalike.crumbs.get(found[1]) if found else None
        if wanted is None or self.headers.get("Jenkins-Crumb") != wanted:
            raise Broken(403, "No valid crumb was included in the request")

    def _need(self, right: str) -> None:
        if right in self.server.lookalike.lacks:
            raise Broken(403, f"{USER} is missing the {right} permission")

    # -- what is asked -------------------------------------------------------------------------------

    def _answer(self, body: str) -> tuple[int, dict[str, str], bytes]:
        here = self.server.lookalike
        if here.busy_starting:
            here.busy_starting -= 1
            raise Broken(503, "Jenkins is getting ready to work")
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        by_token = self._admit()
        path = parts.path.removeprefix(here.prefix).lstrip("/")
        if path == "crumbIssuer/api/json":
            session, crumb = secrets.token_hex(8), secrets.token_hex(16)
            here.crumbs[session] = crumb
            told = {"crumbRequestField": "Jenkins-Crumb", "crumb": crumb}
            return 200, {"Set-Cookie": f"JSESSIONID={session}; Path=/; HttpOnly"}, json.dumps(told).encode()
        if self.command == "POST" and not by_token:
            self._require_crumb()
        name, tail = _job_of(path)
        found = self._about_job(name, tail, query, body) if name else self._about_server(tail, query, body)
        if isinstance(found, dict):
            return 200, {"Content-Type": "application/json;charset=utf-8"}, json.dumps(found).encode()
        status, headers, content = found
        return status, headers, content

    def _about_server(self, tail: str, query: dict[str, str], body: str) -> Any:  # noqa: C901, PLR0911 - a table
        state = self.server.lookalike.state
        item = re.fullmatch(r"queue/item/(\d+)/api/json", tail)
        if tail == "":
            return 200, {}, b"<html>the dashboard</html>"
        if tail == "me/api/json":
            return {"id": USER, "fullName": "Ada Lovelace"}
        if tail == "createItem":
            return self._create("", query, body)
        if tail == "view/all/itemCategories":
            self._need("Job/Create")
            return {"categories": []}
        if tail == "pluginManager/api/json":
            self._need("Overall/SystemRead")
            listed = [{"shortName": n, "version": v, "active": True} for n, v in state.plugins.items()]
            return {"plugins": [*listed, {"shortName": "ant", "version": "1", "active": False}]}
        if tail == "queue/api/json":
            return state.queue_json()
        if item:
            return state.item_json(int(item[1]))
        if tail == "queue/cancelItem":
            # Source (python-jenkins): the answer is 404 although the item was cancelled.
            waiting = state.items.get(int(query["id"]))
            if waiting is not None and waiting.build is None:
                waiting.cancelled = True
            raise Broken(404, "Not Found")
        if tail == "pipeline-model-converter/validateJenkinsfile":
            return _linted(state, parse_qs(body).get("jenkinsfile", [""])[0])
        raise Broken(404, "Not Found")

    def _about_job(self, name: str, tail: str, query: dict[str, str], body: str) -> Any:  # noqa: PLR0911
        state = self.server.lookalike.state
        build = re.fullmatch(r"(\d+)/(.+)", tail)
        if build:
            return self._about_build(name, int(build[1]), build[2], query, body)
        if tail == "createItem":
            return self._create(name, query, body)
        if tail == "view/all/itemCategories":
            self._need("Job/Create")
            return {"categories": []}
        if tail == "api/json":
            self._need("Job/Read")
            return state.job_json(name)
        if tail == "config.xml" and self.command == "GET":
            state.job(name)
            self._need("Job/ExtendedRead")
            return 200, {"Content-Type": "application/xml"}, state.job(name).xml.encode()
        if tail == "config.xml":
            self._need("Job/Configure")
            state.configure(name, body)
            return 200, {}, b""
        if tail in ("build", "buildWithParameters"):
            self._need("Job/Build")
            with_parameters = tail == "buildWithParameters"
            given = (
                {k: v[0] for k, v in parse_qs(body, keep_blank_values=True).items()} if with_parameters else None
            )
            number = state.start(name, given)
            return 201, {"Location": f"{ELSEWHERE}queue/item/{number}/"} if number else {}, b""
        raise Broken(404, "Not Found")

    def _about_build(self, name: str, number: int, tail: str, query: dict[str, str], body: str) -> Any:
        state = self.server.lookalike.state
        build = state.build(name, number)
        there: Any = (302, {"Location": ELSEWHERE}, b"")
        if tail == "api/json":
            return state.build_json(name, number, self.server.lookalike.builds_url(name, number))
        if tail == "logText/progressiveText":
            # Seen: offsets count bytes of the server's log; one beyond the end gives all of it again.
            build.go_on()
            start = int(query.get("start", "0"))
            log = build.log[start if start <= len(build.log) else 0 :]
            headers = {"X-Text-Size": str(len(build.log)), "Content-Type": "text/plain;charset=utf-8"}
            return 200, headers | ({} if build.result else {"X-More-Data": "true"}), log
        if self.command != "POST":
            raise Broken(405, "Method Not Allowed")
        if tail == "stop":
            self._need("Job/Cancel")
            state.stop(name, number)
            return there
        if tail == "submitDescription":
            self._need("Run/Update")
            build.description = parse_qs(body, keep_blank_values=True)["description"][0]
            return there
        if tail == "toggleLogKeep":
            # Source (Run.java): releasing a build needs the right to delete it.
            self._need("Run/Delete" if build.kept else "Run/Update")
            build.kept = not build.kept
            return there
        raise Broken(404, "Not Found")

    def _create(self, folder: str, query: dict[str, str], body: str) -> Any:
        self._need("Job/Create")
        self.server.lookalike.state.create(folder, query.get("name", ""), body)
        return 200, {}, b""


def _job_of(path: str) -> tuple[str, str]:
    """Take a job's name from a path, each part of it unquoted once, and give what follows."""
    parts, rest = [], path
    while found := re.match(r"job/([^/]+)/", rest):
        parts.append(unquote(found[1]))
        rest = rest[found.end() :]
    return "/".join(parts), rest


def _linted(state: Jenkins, jenkinsfile: str) -> dict[str, Any]:
    if "pipeline-model-definition" not in state.plugins:
        raise Broken(404, "Not Found")
    if "pipeline {" in jenkinsfile and jenkinsfile.count("{") == jenkinsfile.count("}"):
        return {"status": "ok", "data": {"result": "success"}}
    errors = [{"error": ["WorkflowScript: 1: expecting '}', found '' @ line 1, column 1."]}]
    return {"status": "ok", "data": {"result": "failure", "errors": errors}}


def _page(broken: Broken) -> bytes:
    return (
        f"<html><head><title>Error {broken.status} {broken.reason}</title></head><body>"
        f"<p>{broken.reason}</p>{'<p>names of the site</p>' * 200}</body></html>"
    ).encode()
