"""One git command: its arguments as a list, a fixed environment, a bounded time, its refusal kept."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from ci_mlsnap.errors import GitFailed

LOCAL_SECONDS = 120.0
"""How long a command may take that only looks at the disk."""

_COMPLAINT_LIMIT = 2000

# A file-system monitor and hooks are programs that the repository's configuration names. Housekeeping in the
# background would go on after the command has ended.
_SETTINGS = (
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.quotePath=true",
    "gc.auto=0",
    "maintenance.auto=false",
    "advice.detachedHead=false",
)
_FIXED = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_LITERAL_PATHSPECS": "1",
    # A replaced object would show another tree under a commit's name.
    "GIT_NO_REPLACE_OBJECTS": "1",
    "LC_ALL": "C",
}
# What git needs to reach a remote and to find its settings. All else stays behind: secrets of mlsnap, and
# GIT_DIR, GIT_INDEX_FILE and the like, by which a hook around us would make git look at another repository.
_PASSED_NAMES = {
    *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "SUDO_UID", "KRB5CCNAME", "XDG_CONFIG_HOME"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("GIT_ASKPASS", "GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM", "GIT_EXEC_PATH"),
}
_PASSED_PREFIXES = ("LD_", "SSH_", "SSL_CERT_", "GIT_CONFIG_", "GIT_SSH", "GIT_SSL_", "GIT_HTTP_", "GIT_PROXY_")


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """How a git command ended: `text` is its output, `complaint` what it said on the error stream."""

    code: int
    text: bytes
    complaint: str

    @property
    def line(self) -> bytes:
        """The output without its last newline."""
        return self.text.removesuffix(b"\n")


class Git:
    """Runs git in one folder."""

    def __init__(self, folder: Path, environ: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self._environ = _environment(os.environ if environ is None else environ)

    def ask(self, *arguments: str, seconds: float = LOCAL_SECONDS, given: bytes = b"") -> Answer:
        """Run a command whose failure is an answer too; it reads what is `given`, if anything.

        Raises `GitFailed` only when git is not there, takes longer than `seconds`, or cannot take the arguments.
        """
        settings = (part for setting in _SETTINGS for part in ("-c", setting))
        command = ["git", "--no-pager", *settings, *arguments]
        with _started(command, self.folder, self._environ, reads=bool(given)) as process:
            try:
                text, complaint = process.communicate(given or None, timeout=seconds)
            except subprocess.TimeoutExpired:
                raise GitFailed(
                    f"git {arguments[0]} was stopped after {seconds:g} s",
                    why="it may wait for a remote, a slow disk or a lock",
                    hint=f"run `git {arguments[0]}` by hand and see what it waits for",
                ) from None
            finally:
                _stop(process)
        return Answer(code=process.returncode, text=text, complaint=_readable(complaint))

    def run(self, *arguments: str, what: str, hint: str = "", seconds: float = LOCAL_SECONDS) -> bytes:
        """Run a command that must work and give its output; raises `GitFailed`, which says `what` did not."""
        answer = self.ask(*arguments, seconds=seconds)
        if answer.code != 0:
            raise GitFailed(what, why=answer.complaint or f"git ended with exit code {answer.code}", hint=hint)
        return answer.text


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    passed = {
        name: value
        for name, value in environ.items()
        if name in _PASSED_NAMES or name.startswith(_PASSED_PREFIXES)
    }
    return passed | _FIXED


def _started(
    command: list[str], folder: Path, environ: Mapping[str, str], *, reads: bool
) -> subprocess.Popen[bytes]:
    """Start git in a session of its own, so that what it started ends with it, and nothing can prompt."""
    try:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=environ,
            stdin=subprocess.PIPE if reads else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except ValueError as error:
        raise GitFailed("git cannot be given a text with a NUL character") from error
    except OSError as error:
        missing = isinstance(error, FileNotFoundError) and folder.is_dir()
        raise GitFailed(
            "git is not installed, or not on the PATH" if missing else f"git cannot be run in {folder}",
            why=error.strerror or type(error).__name__,
            hint="install git 2.31 or newer" if missing else "check that the folder exists and may be entered",
        ) from error


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the command with all it started, where it has not ended by itself."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _readable(complaint: bytes) -> str:
    """Keep git's own words, line by line, with everything escaped that a terminal could obey."""
    lines = complaint.decode("utf-8", "backslashreplace").strip().splitlines()
    return "\n".join(_printable(line) for line in lines)[:_COMPLAINT_LIMIT]


def _printable(text: Iterable[str]) -> str:
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text).rstrip()
