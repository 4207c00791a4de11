"""The commit as it is named by people and payloads: checked before anything is done with it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ci_mlsnap.domain.names import is_sha
from ci_mlsnap.errors import UsageError

EXPLICIT = "MLSNAP_SHA"
"""The variable that names the commit, whatever the event says."""

_DELETED = re.compile(r"0{40}|0{64}")


def explicit_sha(environ: Mapping[str, str]) -> str:
    """The commit that the operator named; empty when none is. Raises `UsageError` for anything but a full SHA."""
    text = environ.get(EXPLICIT, "").strip()
    return named(text, EXPLICIT) if text else ""


def named(text: str, place: str) -> str:
    """Check that a text is a full SHA, in lower case. `place` says where it stands. Raises `UsageError`."""
    sha = text.lower()
    if not is_sha(sha) or is_deleted(sha):
        raise UsageError(
            f"{place} names no commit: {ascii(text)[:80]}",
            why="a commit is named by all 40 or 64 hexadecimal digits of its SHA",
            safe="nothing was started",
            hint=f"set {EXPLICIT} to the full SHA, as `git rev-parse HEAD` prints it",
        )
    return sha


def is_deleted(text: str) -> bool:
    """Tell whether a SHA is all zeros, which stands for a ref that is gone."""
    return _DELETED.fullmatch(text) is not None


def short_name(ref: str) -> str:
    """Write a branch or tag as people do: `refs/heads/main` is `main`."""
    return ref.removeprefix("refs/heads/").removeprefix("refs/tags/")


def count(text: str) -> int:
    """Read a number that a CI counts with; 0 when it is none."""
    return int(text) if re.fullmatch(r"[0-9]{1,15}", text) else 0
