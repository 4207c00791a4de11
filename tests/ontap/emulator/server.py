"""The HTTPS server on loopback that the real client library talks to."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import traceback
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.ontap.emulator.access import require
from tests.ontap.emulator.certificates import Pair, common_name, self_signed, server_context
from tests.ontap.emulator.cluster import Cluster
from tests.ontap.emulator.exchange import Reply, Request
from tests.ontap.emulator.faults import Fault
from tests.ontap.emulator.query import nested
from tests.ontap.emulator.refusals import BAD_VALUE, NOT_AUTHORISED, Refused
from tests.ontap.emulator.routes import operate

_MOST_BYTES = 10_000_000
_CONTENT_TYPE = "application/hal+json"


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """A request as it came in and what it was answered; without its credential."""

    method: str
    path: str
    query: dict[str, str]
    sent: str
    code: int
    answer: dict[str, Any]


class Emulator:
    """A cluster behind HTTPS, for use in a `with` statement: `own` is its certificate, `cluster` its state.

    `mistakes` are traces of the emulator's own, and fail a test. `exchanges` are all requests that were obeyed or
    refused, in order; what a fault answered in the cluster's place is not there.
    """

    host = "127.0.0.1"

    def __init__(self, root: Path, *, name: str = "cluster1", port: int = 0) -> None:
        self.cluster = Cluster(root, name=name)
        self.faults = self.cluster.faults
        self.exchanges: list[Exchange] = []
        self.mistakes: list[str] = []
        self._certificates = root / "certificates"
        self._certificates.mkdir(exist_ok=True)
        self.own = self_signed(self._certificates, name)
        self._context = server_context(self.own)
        self._server = _Server((self.host, port), _Handler)
        self._server.emulator, self._server.context = self, self._context
        self.port = self._server.server_port
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

    def renew_certificate(self, *, named: bool = False, days: int = 60) -> None:
        """Show another certificate to whoever connects from now on; a `named` one is for the server's address."""
        self.own = self_signed(self._certificates, self.cluster.name, self.host if named else "", days=days)
        self._context.load_cert_chain(self.own.certificate, self.own.key)

    def client_certificate(self, account: str) -> Pair:
        """Make a certificate that lets a client in as this account."""
        made = self_signed(self._certificates, account)
        self._context.load_verify_locations(made.certificate)
        return made

    def login(self, user: str, password: str) -> dict[str, str]:
        """Give the variables by which `mlsnap` finds the cluster and is let in."""
        return {
            "MLSNAP__ONTAP__HOST": self.host,
            "MLSNAP__ONTAP__PORT": str(self.port),
            "MLSNAP__ONTAP__SVM": next(iter(self.cluster.svms)),
            "MLSNAP__ONTAP__USER": user,
            "MLSNAP__ONTAP__FINGERPRINT": self.own.fingerprint,
            "MLSNAP_ONTAP_PASSWORD": password,
        }

    def calls(self, pattern: str = "") -> list[str]:
        """Give `METHOD /path` of each exchange in which the pattern occurs."""
        told = [f"{one.method} {one.path}" for one in self.exchanges]
        return [text for text in told if pattern in text]

    def obey(self, method: str, target: str, headers: Any, certificate: str, sent: str) -> Reply:
        """Do what a request asks and give the answer, a refusal included."""
        try:
            reply = self._obeyed(method, target, headers, certificate, sent)
        except Refused as refused:
            reply = Reply(code=refused.code.status, body=refused.body)
        except Exception:  # noqa: BLE001 - a mistake of the emulator's own, which no client's handling may hide
            self.mistakes.append(traceback.format_exc())
            reply = Reply(code=500)
        parts = urlsplit(target)
        self.exchanges.append(
            Exchange(
                method=method,
                path=unquote(parts.path),
                query=dict(parse_qsl(parts.query)),
                sent=sent,
                code=reply.code,
                answer=dict(reply.body),
            )
        )
        return reply

    def _obeyed(self, method: str, target: str, headers: Any, certificate: str, sent: str) -> Reply:
        parts = urlsplit(target)
        path = unquote(parts.path)
        with self.cluster.lock:
            account = self.cluster.accounts.who(headers.get("Authorization", ""), certificate, self.cluster.now())
            require(account, method, path)
            asked = headers.get("X-Dot-SVM-Name", "")
            if account.svm and asked not in {"", account.svm}:
                raise Refused(NOT_AUTHORISED, "not authorized for that SVM")
            request = Request(
                method=method,
                path=path,
                query=dict(parse_qsl(parts.query)),  # an empty value vanishes, of a repeated name the last stays
                body=_body(sent),
                account=account,
                svm=account.svm or asked,
            )
            outcome = operate(self.cluster, request)
        return outcome if isinstance(outcome, Reply) else self.cluster.jobs.answer(outcome, request)


def _body(sent: str) -> dict[str, Any]:
    if not sent:
        return {}
    try:
        read = json.loads(sent)
    except ValueError:
        raise Refused(BAD_VALUE, "The body is no JSON.") from None
    if read is None:
        return {}
    if not isinstance(read, dict):
        raise Refused(BAD_VALUE, "The body is no object.")
    return nested(read)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    emulator: Emulator
    context: ssl.SSLContext

    def finish_request(self, request: Any, client_address: Any) -> None:
        # The handshake belongs to the connection's thread: a client that never ends it must stop no other.
        request.settimeout(20)
        with self.context.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away or did not trust us: that is what tests make them do."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # header and body in one packet, else the client waits for a delayed acknowledgement
    server: _Server

    def do_GET(self) -> None:
        """Do one exchange; the names of the methods are those that http.server looks for."""
        emulator = self.server.emulator
        length = min(int(self.headers.get("Content-Length") or 0), _MOST_BYTES)
        sent = self.rfile.read(length).decode("utf-8", "replace")
        fault = emulator.faults.take(f"{self.command} {unquote(urlsplit(self.path).path)}")
        if fault is None:
            self._send(self._obey(sent))
        else:
            self._meet(fault, sent)

    do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the requests are in `exchanges`."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Tell the time by the cluster's clock."""
        return super().date_time_string(timestamp or self.server.emulator.cluster.now().timestamp())

    def _obey(self, sent: str) -> Reply:
        name = common_name(self.connection) if isinstance(self.connection, ssl.SSLSocket) else ""
        return self.server.emulator.obey(self.command, self.path, self.headers, name, sent)

    def _meet(self, fault: Fault, sent: str) -> None:
        """Let a request meet a fault."""
        if fault.meanwhile:
            fault.meanwhile()
        self.server.emulator.faults.over.wait(fault.seconds)
        truly = fault.kind in {"truncate", "delay", "act", "close"}
        reply = self._obey(sent) if truly or fault.worked else Reply()
        if fault.kind in {"delay", "act", "close"}:
            self._send(reply)
            self.close_connection = fault.kind == "close"
        elif fault.kind == "answer":
            self._write(fault.code, fault.body.encode(), dict(fault.headers))
        else:
            self._break(fault, reply)

    def _break(self, fault: Fault, reply: Reply) -> None:
        self.close_connection = True
        if fault.kind == "hang":
            self.server.emulator.faults.over.wait()
        elif fault.kind == "truncate":
            raw = json.dumps(reply.body).encode()
            self._write(reply.code, raw[: len(raw) // 2], dict(reply.headers), length=len(raw))
            self.wfile.flush()
        else:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def _send(self, reply: Reply) -> None:
        self._write(reply.code, json.dumps(reply.body).encode(), dict(reply.headers))

    def _write(self, code: int, raw: bytes, headers: dict[str, str], *, length: int | None = None) -> None:
        self.send_response(code)
        given = {"Content-Type": _CONTENT_TYPE, "Content-Length": str(len(raw) if length is None else length)}
        for name, value in {**given, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)
