"""A Jenkins server as values: where it is and who we are to it, its jobs, queue, builds and logs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import msgspec

from ci_mlsnap.errors import ConfigInvalid, UsageError

USER = "MLSNAP_JENKINS_USER"
TOKEN = "MLSNAP_JENKINS_TOKEN"  # noqa: S105  the variable's name

_WEAKENING = {
    "PYTHONHTTPSVERIFY": "with 0 it lets python-jenkins take any certificate",
    "JENKINS_API_EXTRA_HEADERS": "python-jenkins writes such headers into the log",
}
_NAME_PART = re.compile(r"(?!\.{1,2}$)[^\x00-\x1f\x7f/]+")


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A server's address with the one credential that is for it; `token` is an API token, or a password.

    `ca` is a file of authorities. The secret is in no text that this value gives of itself.
    """

    url: str
    user: str
    token: str = field(repr=False)
    ca: str = ""

    def __post_init__(self) -> None:
        if not self.url:
            raise ConfigInvalid(
                "jenkins.url is not set, so there is no server to speak to",
                safe="nothing was sent",
                hint="set MLSNAP__JENKINS__URL, or jenkins.url in /etc/mlsnap.toml",
            )
        if not self.user or not self.token:
            raise ConfigInvalid(
                f"there is no login for {self.url}",
                safe="nothing was sent",
                hint=f"set {USER}, and {TOKEN} to an API token of this user",
            )
        if self.ca and not Path(self.ca).is_file():
            raise ConfigInvalid(f"jenkins.ca: {self.ca} is no file", hint="correct jenkins.ca")


def require_strict(environ: Mapping[str, str]) -> None:
    """Refuse variables by which python-jenkins does less than it should. Raises `ConfigInvalid`."""
    for name, why in _WEAKENING.items():
        value = environ.get(name, "")
        if value == "0" if name == "PYTHONHTTPSVERIFY" else value:
            raise ConfigInvalid(
                f"{name} is set in the environment",
                why=why,
                safe="nothing was sent",
                hint=f"unset {name}; an authority of your own belongs in jenkins.ca",
            )


# -- names -------------------------------------------------------------------------------------------


def job_path(name: str) -> str:
    """Give the path of a job below the server's address, from its full name: `ml/feat%2Fx` has two parts.

    Raises `UsageError` for what can be no name, such as one with `..`.
    """
    parts = name.split("/")
    if not all(_NAME_PART.fullmatch(part) for part in parts):
        raise UsageError(
            f"{ascii(name)[:120]} is no name of a job",
            safe="nothing was sent",
            hint="write its full name with the folders before it, as Jenkins shows it: ml/digits",
        )
    return "".join(f"job/{quote(part, safe='')}/" for part in parts)


def build_at(url: str, server: str) -> tuple[str, int] | None:
    """Give a build's job and number from its address; None unless it is a build of this server."""
    here, base = urlsplit(url), urlsplit(server)
    below = here.path.removeprefix(base.path.rstrip("/"))
    found = re.fullmatch(r"((?:/job/[^/]+)+)/([1-9][0-9]{0,8})/?", below)
    if found is None or (here.scheme, here.netloc.lower()) != (base.scheme, base.netloc.lower()):
        return None
    return "/".join(unquote(part) for part in found[1].split("/job/")[1:]), int(found[2])


# -- what the server says ----------------------------------------------------------------------------


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """A parameter that a job takes."""

    name: str
    kind: str = ""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job or folder. `parameters` is None for one that takes none; `jobs` are those inside a folder."""

    name: str
    kind: str
    parameters: tuple[Parameter, ...] | None = None
    buildable: bool = False
    builds: tuple[int, ...] = ()
    jobs: tuple[str, ...] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its parameters."""
        return tuple(parameter.name for parameter in self.parameters or ())


class Queued(msgspec.Struct, frozen=True, kw_only=True):
    """An item of the queue: `why` it waits, `build` once it has started; gone means that nobody remembers it."""

    why: str = ""
    build: int | None = None
    cancelled: bool = False
    gone: bool = False


class Built(msgspec.Struct, frozen=True, kw_only=True):
    """A build. `result` is empty until there is one; `parameters` are those it was started with."""

    number: int
    url: str
    building: bool
    result: str = ""
    kept: bool = False
    description: str = ""
    parameters: Mapping[str, str] = {}


class LogPart(msgspec.Struct, frozen=True, kw_only=True):
    """What a log has from an offset on; `end` is the offset that follows, and `more` tells that there will be."""

    content: bytes
    end: int
    more: bool
