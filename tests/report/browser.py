"""A headless Chromium, spoken to over a pipe, and a server that sends a content policy with each page."""

from __future__ import annotations

import fcntl
import functools
import json
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.conftest import need

PATIENCE = 60.0
POLICIES = {
    # What Jenkins sends with artifacts unless its administrator weakens it.
    "Jenkins": "sandbox; default-src 'none'; img-src 'self'; style-src 'self';",
    # GitHub Pages itself sends none; this is what a careful site puts in front of it.
    "Pages": "default-src 'none'; img-src 'self'; style-src 'self'; base-uri 'none'; form-action 'none'",
}


class _Handler(SimpleHTTPRequestHandler):
    policy = ""

    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", self.policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def served(folder: Path, policy: str) -> Iterator[str]:
    """Serve a folder on loopback with a content policy; gives its URL."""
    kind = type("Handler", (_Handler,), {"policy": policy})
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(kind, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _started(program: str, profile: Path, read_end: int, write_end: int) -> int:
    """Start the browser, which reads from descriptor 3 and writes to 4."""
    ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (read_end, write_end)]
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    flags += ("--remote-debugging-pipe", f"--user-data-dir={profile}", "--hide-scrollbars", "about:blank")
    quiet = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in range(3)]
    moved = [(os.POSIX_SPAWN_DUP2, end, number) for number, end in enumerate(ends, 3)]
    environment = {**os.environ, "HOME": str(profile)}
    try:
        return os.posix_spawn(program, [program, *flags], environment, file_actions=[*quiet, *moved])
    finally:
        for end in ends:
            os.close(end)


class Browser:
    """One tab. `complaints` are what the browser said of the pages since it was last asked."""

    def __init__(self, profile: Path) -> None:
        program = shutil.which("chromium") or shutil.which("chromium-browser")
        need(program, "needs chromium")
        theirs, self._from_us = os.pipe()
        self._to_us, theirs_to_write = os.pipe()
        self._number, self._waiting = 0, b""
        self._complaints: list[str] = []
        self._pid = _started(str(program), profile, theirs, theirs_to_write)
        os.close(theirs)
        os.close(theirs_to_write)
        self._alarm = threading.Timer(PATIENCE, os.kill, (self._pid, signal.SIGKILL))
        self._alarm.start()
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Log", "Network", "Runtime"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._alarm.cancel()
        self._alarm.join()
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._from_us)
        os.close(self._to_us)

    def look(self, width: int, *, dark: bool) -> None:
        """See the next pages at this width, in light or dark colours."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, url: str) -> list[str]:
        """Open a page, wait until all of it is there, and give what the browser complained of."""
        self._complaints.clear()
        self.call("Page.navigate", url=url)
        self._until("Page.loadEventFired")
        self.call("Page.getLayoutMetrics")  # whatever is reported of the page is reported by now
        return list(self._complaints)

    def arrive(self) -> None:
        """Wait until the page is there that a click led to."""
        self._until("Page.loadEventFired")

    def width(self) -> float:
        """Give how wide the page is, in the pixels of its style sheet."""
        return float(self.call("Page.getLayoutMetrics")["cssContentSize"]["width"])

    def evaluate(self, expression: str) -> Any:
        """Ask the page something. Works whatever its policy is, since the page itself asks nothing."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def picture(self, width: int, height: int) -> bytes:
        """Give a picture of the page's upper part, as PNG in base64."""
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        shot = self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True, optimizeForSpeed=False)
        return str(shot["data"]).encode()

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Call a method of the tab."""
        return self._call(method, self._session, **parameters)

    def _call(self, method: str, session: str = "", **parameters: object) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        message |= {"sessionId": session} if session else {}
        os.write(self._from_us, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            pass
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def _until(self, event: str) -> None:
        while self._next().get("method") != event:
            pass

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._waiting:
            data = os.read(self._to_us, 1 << 20)
            assert data, "chromium ended"
            self._waiting += data
        text, _, self._waiting = self._waiting.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, event: str, said: dict[str, Any]) -> None:
        if event == "Log.entryAdded":
            self._complaints.append(f"{said['entry']['source']}: {said['entry']['text']}")
        elif event == "Runtime.consoleAPICalled":
            self._complaints.append(f"console: {said['args']}")
        elif event == "Network.loadingFailed" and not said.get("canceled"):
            self._complaints.append(f"network: {said['errorText']} {said.get('blockedReason', '')}")
        elif event == "Network.responseReceived" and said["response"]["status"] >= 400:
            self._complaints.append(f"network: {said['response']['status']} {said['response']['url']}")
