"""What a server on the way can do to a request: refuse, break off, hang, drip, answer for another."""

from __future__ import annotations

import socket
import struct
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What happens instead of the answer to one request; `worked` says that the request was obeyed first.

    `answer` sends `code`, `headers` and `body`; `reset` breaks the connection; `hang` sends nothing and
    `drip` a byte now and then, until the server stops.
    """

    kind: Literal["answer", "reset", "hang", "drip"] = "answer"
    worked: bool = False
    code: int = 502
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = '{"message": "Server Error"}'


LOST_ANSWER = Fault(kind="reset", worked=True)
"""GitHub did it, and nobody was told."""

WEB_PAGE = Fault(code=200, headers={"Content-Type": "text/html"}, body="<html>Please log in to the network</html>")
"""What a portal or proxy answers in GitHub's place."""


class FaultScript:
    """The faults that the next requests meet, in order; after them all goes well again."""

    def __init__(self) -> None:
        self._faults: deque[Fault] = deque()
        self.over = threading.Event()

    def next(self, *faults: Fault, times: int = 1) -> None:
        """Let the next requests meet `faults`, so many times over."""
        self._faults.extend(faults * times)

    def take(self) -> Fault | None:
        """Take the fault for the request at hand."""
        try:
            return self._faults.popleft()
        except IndexError:
            return None

    def clear(self) -> None:
        """Let all go well."""
        self._faults.clear()

    def stall(self, connection: socket.socket, *, drip: bool) -> None:
        """Keep a client waiting until it goes away or the server stops."""
        try:
            if drip:
                connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 100000\r\n\r\n")
            while not self.over.wait(0.05):
                if drip:
                    connection.sendall(b" ")
        except OSError:
            pass


def reset(connection: socket.socket) -> None:
    """Break a connection off, so that the client sees a reset and no orderly end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
