"""The remote `origin`: its name on the forge, and fetching one commit from it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from ci_mlsnap.errors import GitFailed
from ci_mlsnap.git.run import Git

FETCH_SECONDS = 120.0

_SCP = re.compile(r"(?:[^@/:\[\]]+@)?[A-Za-z0-9.-]+:(?!/)(.+)")
_OWNER_AND_NAME = re.compile(r"(?!\.+/)[A-Za-z0-9._-]{1,100}/(?!\.+$)[A-Za-z0-9._-]{1,100}")
_SCHEMES = ("https", "http", "ssh", "git", "git+ssh")


def repository_host(url: str) -> str:
    """Read the host of such a URL, in lower case; else the empty text. For ssh it may be an alias of ssh's own."""
    if not url.isprintable():
        return ""
    if "://" not in url:
        found = _SCP.fullmatch(url)
        return url.partition(":")[0].rpartition("@")[2].lower() if found else ""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return (parts.hostname or "") if parts.scheme in _SCHEMES else ""


def repository_name(url: str) -> str:
    """Read `owner/name` from a URL such as GitHub's (https, ssh, or `git@host:owner/name`); else the empty text.

    Nothing else of the URL is kept, least of all a login.
    """
    path = _path(url).strip("/").removesuffix(".git")
    return path if _OWNER_AND_NAME.fullmatch(path) else ""


def _path(url: str) -> str:
    if not url.isprintable():
        return ""
    if "://" not in url:
        found = _SCP.fullmatch(url)
        return found[1] if found else ""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return parts.path if parts.scheme in _SCHEMES and parts.hostname else ""


def fetch_commit(git: Git, sha: str, *, shallow: bool, seconds: float) -> None:
    """Try to fetch one commit; whether it came is for the caller to see.

    A complete clone stays complete: only what is missing is fetched. A shallow one gets the commit alone.
    """
    depth = ("--depth=1",) if shallow else ()
    options = ("--quiet", "--no-tags", "--no-write-fetch-head", "--recurse-submodules=no", *depth)
    try:
        git.ask("fetch", *options, "--end-of-options", "origin", sha, seconds=seconds)
    except GitFailed:
        return
