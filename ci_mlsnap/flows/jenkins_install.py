"""jenkins install: a folder, a pipeline or a multibranch job that is as wanted; doing it again changes nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

import msgspec

from ci_mlsnap.ci.jenkins_config import difference, merged, read, write
from ci_mlsnap.ci.jenkins_facts import job_path
from ci_mlsnap.errors import JenkinsRejected, JenkinsUnknown, UsageError
from ci_mlsnap.flows.jenkins_run import RUN_ID, SHA
from ci_mlsnap.report.rendering import render_xml

if TYPE_CHECKING:
    from ci_mlsnap.ci.jenkins_api import Server

Kind = Literal["pipeline", "multibranch", "folder"]

_GITHUB = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+")
_PARAMETERS = {
    SHA: "The commit to train, as a full SHA; empty for the one that was checked out.",
    RUN_ID: "By which whoever starts a build from outside knows it again.",
}


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it is to be. `repository` is `OWNER/NAME` on GitHub, or the URL of any; `credentials` the id of a
    credential on the server."""

    name: str
    kind: Kind = "pipeline"
    repository: str = ""
    credentials: str = ""
    branch: str = "main"
    jenkinsfile: str = "Jenkinsfile"


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """What has to be done: `xml` is the whole config.xml, `changes` are the lines that differ."""

    name: str
    exists: bool
    xml: str
    changes: tuple[str, ...]

    @property
    def act(self) -> Literal["create", "change", "nothing"]:
        """What that is in a word."""
        return "create" if not self.exists else "change" if self.changes else "nothing"


def plan(server: Server, wanted: Wanted) -> Installation:
    """Look what is there, and say what has to be done. Changes nothing.

    Raises `UsageError`, `Refused` where there is a job of another kind, and what the server raises.
    """
    _require_usable(wanted)
    ours = read(_rendered(wanted))
    there = server.config(wanted.name)
    before = read(there) if there is not None else None
    after = merged(before, ours) if before is not None else ours
    changes = tuple(difference(before, after))
    return Installation(name=wanted.name, exists=before is not None, xml=write(after), changes=changes)


def install(server: Server, wanted: Wanted) -> Installation:
    """Make the job, or change it where it is not as wanted, look that it is so then, and say what was done."""
    planned = plan(server, wanted)
    if planned.act == "nothing":
        return planned
    unsure: JenkinsUnknown | None = None
    try:
        server.configure(wanted.name, planned.xml) if planned.exists else server.create(wanted.name, planned.xml)
    except JenkinsUnknown as error:
        unsure = error
    left = plan(server, wanted)
    if left.act != "nothing":
        raise unsure or _not_taken(server, left)
    return planned


def _not_taken(server: Server, left: Installation) -> JenkinsRejected:
    lacking = [line[1:].strip() for line in left.changes if line.startswith("+") and not line.startswith("+++")]
    return JenkinsRejected(
        f"{server.host} has not all of {left.name} as it was sent",
        why=f"it lacks {', '.join(lacking)}"[:200],
        hint="a plug-in may be missing, or the request never reached Jenkins: `mlsnap jenkins check`",
    )


def _require_usable(wanted: Wanted) -> None:
    job_path(wanted.name)
    hostile = [text for text in msgspec.structs.astuple(wanted) if not str(text).isprintable()]
    if hostile:
        raise UsageError(
            f"{ascii(hostile[0])[:80]} has characters that no config.xml can hold",
            safe="nothing was sent",
            hint="leave out control characters",
        )
    if wanted.kind == "folder":
        return
    if not wanted.repository:
        raise UsageError(
            "no repository is given, and this folder has no remote `origin`",
            safe="nothing was sent",
            hint="--repository OWNER/NAME, or --repository URL",
        )
    if re.match(r"https?://[^/]*@", wanted.repository):
        raise UsageError(
            "the repository's URL has a login in it, which everybody could read in the job",
            safe="nothing was sent",
            hint="leave it out, and name a credential of the server with --credentials",
        )


def _rendered(wanted: Wanted) -> str:
    github = _GITHUB.fullmatch(wanted.repository) is not None
    owner, _, name = wanted.repository.partition("/")
    values = {
        "description": "Made by `mlsnap jenkins install`, which changes no more than what it made.",
        "url": f"https://github.com/{wanted.repository}.git" if github else wanted.repository,
        "github": {"api": "https://api.github.com", "owner": owner, "name": name} if github else None,
        "credentials": wanted.credentials,
        "branch": wanted.branch if "/" in wanted.branch else f"*/{wanted.branch}",
        "jenkinsfile": wanted.jenkinsfile,
        "parameters": _PARAMETERS,
    }
    return render_xml(f"jenkins-{wanted.kind}.xml.j2", values)
