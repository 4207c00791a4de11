"""GitHub Actions: its log, where lines are commands, and the files for outputs and the summary."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from functools import cached_property
from typing import TextIO

from ci_mlsnap.ci.actions_event import NAME, read_event
from ci_mlsnap.ci.appending import Fitting, append_to
from ci_mlsnap.ci.naming import explicit_sha
from ci_mlsnap.ci.payload import read_payload
from ci_mlsnap.ci.plain import printable_lines, write_line
from ci_mlsnap.ci.runner_files import RunnerFiles
from ci_mlsnap.domain.event import Event
from ci_mlsnap.errors import MlsnapError, UsageError
from ci_mlsnap.ports import Repository

SUMMARY_LIMIT = 1 << 20
"""In bytes, of all that one step writes: GitHub drops a larger summary as a whole."""

_NOTICE = "\n\n*The summary was cut here: GitHub shows at most 1 MiB of it.*\n"
_OUTPUT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


class Actions:
    """The build on a runner of GitHub Actions. Fulfils `ports.Build`."""

    name = NAME

    def __init__(self, environ: Mapping[str, str], log: TextIO, repository: Repository | None) -> None:
        self._environ = environ
        self._log = log
        self._repository = repository
        self._in_group = False
        self._fence = ""
        self._files = RunnerFiles(environ)

    def event(self) -> Event:
        """Say what triggered the build. Raises `UsageError`, and `Refused` for `pull_request_target`."""
        return self._event

    @cached_property
    def _event(self) -> Event:
        payload = read_payload(self._environ.get("GITHUB_EVENT_PATH", ""))
        return read_event(self._environ, payload, explicit=explicit_sha(self._environ), peel=self._peel)

    def _peel(self, sha: str) -> str:
        try:
            return self._repository.resolve(sha) if self._repository else sha
        except MlsnapError:
            return sha  # It is not here yet, and will be fetched.

    # -- the log --------------------------------------------------------------------------------------

    def group(self, title: str) -> None:
        """Open a section of the log and close the one before; an empty title only closes."""
        lines = ["::endgroup::"] if self._in_group else []
        self._in_group = bool(title)
        self._command(*lines, *([f"::group::{_data(title)}"] if title else []))

    def error(self, text: str, *, title: str = "", file: str = "", line: int = 0) -> None:
        """Show an error on the run's page, at a line of a file where one is given, under a title."""
        place = [f"file={_property(file)}"] if file else []
        place += [f"line={line:d}"] if file and line > 0 else []
        place += [f"title={_property(title)}"] if title else []
        self._command(f"::error {','.join(place)}::{_data(text)}")

    def fence(self) -> None:
        """Keep the runner from obeying what follows, in the log or in the step's files, until `unfence`."""
        if not self._fence:
            self._files.note()
            self._fence = secrets.token_hex(16)
            write_line(self._log, f"::stop-commands::{self._fence}")

    def unfence(self) -> None:
        """Let the runner obey again, also when what was written last did not end its line."""
        if self._fence:
            write_line(self._log, f"\n::{self._fence}::")
            self._fence = ""
            for name in self._files.undo():
                text = f"training wrote to {name}, by which only steps speak to the runner; it was taken out"
                write_line(self._log, f"::warning::{text}")

    def _command(self, *lines: str) -> None:
        """Write commands, which a fence would make mere text: it is lifted for them."""
        fenced = bool(self._fence)
        self.unfence()
        for line in lines:
            write_line(self._log, line)
        if fenced:
            self.fence()

    # -- the files ------------------------------------------------------------------------------------

    def output(self, values: Mapping[str, str]) -> None:
        """Set outputs of this step. What cannot be written is said in the log. Raises `UsageError` for a name that
        is none."""
        self._append("GITHUB_OUTPUT", "".join(_heredoc(name, value) for name, value in values.items()))

    def summary(self, markdown: str) -> None:
        """Add to the step's summary, which is cut where it gets larger than GitHub shows."""
        self._append("GITHUB_STEP_SUMMARY", markdown.rstrip("\n") + "\n", limit=SUMMARY_LIMIT)

    def _append(self, variable: str, text: str, *, limit: int = 0) -> None:
        path = self._environ.get(variable, "")
        if not path:
            return
        fitting: Fitting | None = (lambda content, there: _fitting(content, limit - there)) if limit else None
        try:
            append_to(path, text.encode(errors="replace"), fitting)
        except OSError as error:
            self._command(f"::warning::{_data(f'{variable} cannot be written: {error.strerror}')}")


def detect(environ: Mapping[str, str], log: TextIO, repository: Repository | None) -> Actions | None:
    """Tell whether this is a step of GitHub Actions. Raises `UsageError` when it is one without an event."""
    if environ.get("GITHUB_ACTIONS") != "true":
        return None
    if not environ.get("GITHUB_EVENT_NAME"):
        raise UsageError(
            f"{NAME}: GITHUB_EVENT_NAME is not set",
            safe="nothing was started",
            hint="run mlsnap in a step of the job; in a container pass the GITHUB_ variables on",
        )
    return Actions(environ, log, repository)


def _data(text: str) -> str:
    lines = "\n".join(printable_lines(text))
    return lines.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _heredoc(name: str, value: str) -> str:
    """Write an output so that no value can end it: its delimiter is not to be guessed."""
    if _OUTPUT_NAME.fullmatch(name) is None:
        raise UsageError(f"{ascii(name)[:80]} cannot be the name of an output")
    delimiter = f"mlsnap-{secrets.token_hex(16)}"
    return f"{name}<<{delimiter}\n{value}\n{delimiter}\n"


def _fitting(content: bytes, room: int) -> bytes:
    """Cut a summary at the end of a line, so that it fits together with the notice that says so."""
    if len(content) <= room:
        return content
    notice = _NOTICE.encode()
    kept = content[: max(0, room - len(notice))]
    kept = kept[: kept.rfind(b"\n") + 1] or kept.decode(errors="ignore").encode()
    return kept + notice if len(kept) + len(notice) <= room else b""
