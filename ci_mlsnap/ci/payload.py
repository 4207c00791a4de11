"""The file in which GitHub Actions describes an event: read with limits, and asked by path."""

from __future__ import annotations

import json
import os
import stat
from typing import Any

from ci_mlsnap.errors import UsageError

PAYLOAD_LIMIT = 32 << 20
"""In bytes. GitHub sends at most 25 MB."""

_TEXT_LIMIT = 1024


class Payload:
    """A JSON object of a stranger's making. What is not there, or of another type, is empty."""

    def __init__(self, content: Any) -> None:
        self._content = content

    def at(self, *path: str) -> Payload:
        """What stands at a path of keys."""
        return Payload(self._found(path))

    def first(self) -> Payload:
        """The first item of a list."""
        return Payload(self._content[0] if isinstance(self._content, list) and self._content else None)

    def text(self, *path: str) -> str:
        """A text, at most 1024 characters of it; half a surrogate pair, which no file can hold, becomes `?`."""
        content = self._found(path)
        return content[:_TEXT_LIMIT].encode(errors="replace").decode() if isinstance(content, str) else ""

    def number(self, *path: str) -> int:
        """A whole number from 1 upwards; else 0."""
        content = self._found(path)
        usable = isinstance(content, int) and not isinstance(content, bool) and 0 < content < 1 << 53
        return content if usable else 0

    def true(self, *path: str) -> bool:
        """Tell whether a value is true, the JSON literal."""
        return self._found(path) is True

    def _found(self, path: tuple[str, ...]) -> Any:
        content = self._content
        for key in path:
            content = content.get(key) if isinstance(content, dict) else None
        return content


def read_payload(path: str) -> Payload:
    """Read the event's file. Raises `UsageError` when it is missing, too large, or no JSON object."""
    if not path:
        raise _unusable("GITHUB_EVENT_PATH is not set")
    try:
        content = json.loads(_read(path))
    except OSError as error:
        raise _unusable(error.strerror or type(error).__name__) from error
    except (ValueError, RecursionError) as error:
        raise _unusable("it is not JSON") from error
    if not isinstance(content, dict):
        raise _unusable("it is no JSON object")
    return Payload(content)


def _read(path: str) -> bytes:
    # A FIFO under this name would be waited for without end.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _unusable("it is no regular file")
        content = file.read(PAYLOAD_LIMIT + 1)
    if len(content) > PAYLOAD_LIMIT:
        raise _unusable(f"it has more than {PAYLOAD_LIMIT} bytes")
    return content


def _unusable(why: str) -> UsageError:
    return UsageError(
        "GitHub Actions: the event's file cannot be used",
        why=why,
        safe="nothing was started",
        hint="run mlsnap in a step of the job, where GITHUB_EVENT_PATH is readable",
    )
