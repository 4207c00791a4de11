"""A GitHub look-alike on loopback: keeps statuses and comments by GitHub's rules, and fails when told to.

`python -m ci_mlsnap.demo.github --token-env NAME` prints its URL and serves until SIGTERM.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from ci_mlsnap.demo.commit_board import CommitBoard, Refusal, any_commit
from ci_mlsnap.demo.conversations import Conversations
from ci_mlsnap.demo.deliveries import Deliveries
from ci_mlsnap.demo.faults import Fault, FaultScript, reset
from ci_mlsnap.demo.routes import Access, Routes

_MAX_BODY = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Received:
    """A request as it came in. The token is kept out of `headers`: a log of it is no place for it."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: str


class GitHubLookAlike:
    """The server, for use in a `with` statement; `url` is the API's address.

    `tokens` says what each token may do: "write" posts, "read" only looks, "none" sees no repository. One that
    begins with `ghs_` is an Action's, whose comments are a bot's.
    `prefix` is `/api/v3` on GitHub Enterprise Server, `tls` a context with a certificate for 127.0.0.1.
    """

    def __init__(
        self,
        *,
        tokens: Mapping[str, Access],
        repositories: Iterable[str] = ("octo/digits",),
        knows: Callable[[str], bool] = any_commit,
        prefix: str = "",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.board = CommitBoard(repositories, knows)
        self.conversations = Conversations()
        self.deliveries = Deliveries(self.board)
        self._routes = Routes(self.board, self.conversations, self.deliveries)
        self.faults = FaultScript()
        self.received: list[Received] = []
        self.connections = 0
        self.tokens = dict(tokens)
        self.prefix = prefix
        self._server = _Server(("127.0.0.1", port), _Exchange)
        self._server.lookalike = self
        self._server.tls = tls
        scheme = "https" if tls else "http"
        self.url = self.board.url = f"{scheme}://127.0.0.1:{self._server.server_port}{prefix}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.faults.over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, method: str, target: str, authorization: str, body: str) -> tuple[int, object]:
        """Obey a request and give the answer's code and body. Raises `Refusal`."""
        access, token = self._access(authorization)
        if not target.startswith(self.prefix):
            raise Refusal(404, "Not Found")
        target, bot = target.removeprefix(self.prefix), token.startswith("ghs_")
        return self._routes.answer(method, target, access=access, bot=bot, body=body)

    def _access(self, authorization: str) -> tuple[Access, str]:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() not in ("token", "bearer") or token not in self.tokens:
            raise Refusal(401, "Bad credentials" if authorization else "Requires authentication")
        return self.tokens[token], token


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    lookalike: GitHubLookAlike
    tls: ssl.SSLContext | None

    def get_request(self) -> tuple[Any, Any]:
        accepted = super().get_request()
        self.lookalike.connections += 1
        return accepted

    def finish_request(self, request: Any, client_address: Any) -> None:
        # The handshake belongs to the connection's thread: a client that never ends it must stop no other.
        if self.tls is None:
            super().finish_request(request, client_address)
            return
        request.settimeout(10)
        with self.tls.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away or did not trust us: that is what tests make them do."""


class _Exchange(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # header and body in one packet, else the client waits for a delayed acknowledgement
    server: _Server

    def do_GET(self) -> None:
        """Do one exchange; the names of the methods are those that http.server looks for."""
        self._exchange()

    do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the requests are in `received`."""

    def _exchange(self) -> None:
        lookalike = self.server.lookalike
        length = min(int(self.headers.get("Content-Length") or 0), _MAX_BODY)
        body = self.rfile.read(length).decode("utf-8", "replace")
        headers = {name: value for name, value in self.headers.items() if name.lower() != "authorization"}
        lookalike.received.append(Received(method=self.command, path=self.path, headers=headers, body=body))
        fault = lookalike.faults.take()
        if fault is None:
            self._send(*self._obeyed(body))
        else:
            if fault.worked:
                self._obeyed(body)
            self._fail(fault)

    def _obeyed(self, body: str) -> tuple[int, object]:
        try:
            return self.server.lookalike.answer(
                self.command, self.path, self.headers.get("Authorization", ""), body
            )
        except Refusal as refusal:
            return refusal.code, refusal.body

    def _fail(self, fault: Fault) -> None:
        if fault.kind == "answer":
            self._send(fault.code, fault.body, fault.headers)
            return
        self.close_connection = True
        if fault.kind == "reset":
            reset(self.connection)
        else:
            self.server.lookalike.faults.stall(self.connection, drip=fault.kind == "drip")

    def _send(self, code: int, body: object, extra: Mapping[str, str] | None = None) -> None:
        raw = (body if isinstance(body, str) else json.dumps(body)).encode()
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "X-RateLimit-Limit": "5000",
            "X-RateLimit-Remaining": "4999",
            "X-RateLimit-Reset": str(int(time.time()) + 3600),
            "Content-Length": str(len(raw)),
        }
        self.send_response(code)
        for name, value in {**headers, **(extra or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM, SIGINT or the end of `--seconds`; the first line of output is the API's URL."""
    parser = argparse.ArgumentParser(prog="python -m ci_mlsnap.demo.github", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--token-env", required=True, help="the variable that holds the only token taken")
    parser.add_argument("--repository", action="append", help="OWNER/NAME; may be repeated")
    parser.add_argument("--seconds", type=float, default=3600, help="serve no longer than this")
    wanted = parser.parse_args(arguments)
    token = os.environ.get(wanted.token_env, "")
    if not token:
        parser.error(f"{wanted.token_env} is not set")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    repositories = wanted.repository or ["octo/digits"]
    with GitHubLookAlike(tokens={token: "write"}, repositories=repositories, port=wanted.port) as lookalike:
        print(lookalike.url, flush=True)
        stop.wait(wanted.seconds)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
