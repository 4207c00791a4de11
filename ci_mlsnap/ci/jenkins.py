"""Jenkins: what its environment says of the build, and its log, which is plain text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import TextIO

from ci_mlsnap.ci.appending import append_to
from ci_mlsnap.ci.naming import EXPLICIT, count, explicit_sha, short_name
from ci_mlsnap.ci.plain import printable_lines, write_line
from ci_mlsnap.domain.event import Event
from ci_mlsnap.domain.names import is_sha
from ci_mlsnap.domain.status import is_web_url
from ci_mlsnap.errors import MlsnapError, NoCommit, Refused
from ci_mlsnap.ports import CommitFacts, Repository

NAME = "Jenkins"

OUTPUT = "MLSNAP_OUTPUT"
"""The variable that names the file for outputs: Jenkins has none of its own."""

_FORK = "the change comes from a fork, which gets no secrets"
_STAMP = "[mlsnap]"
# What git allows in a branch's name; all else would be a revision, such as `main~3`.
_BRANCH = re.compile(r"(?!-)[^\x00-\x20\x7f~^:?*\[\\]+")


class Jenkins:
    """A build on Jenkins. Fulfils `ports.Build`; there is no summary, only the log and a file of outputs."""

    name = NAME

    def __init__(self, environ: Mapping[str, str], log: TextIO, repository: Repository | None) -> None:
        self._environ = environ
        self._log = log
        self._repository = repository

    def event(self) -> Event:
        """Say what triggered the build. Raises `UsageError`, and `Refused` where the head of a merged change
        request cannot be told."""
        return self._event

    @cached_property
    def _event(self) -> Event:
        say, repository = self._say, self._repository
        branch, tag, target = self._branch(), say("TAG_NAME"), say("CHANGE_TARGET")
        url = say("RUN_DISPLAY_URL") if not say("BUILD_URL") else say("BUILD_URL")
        return Event(
            kind="pull_request" if say("CHANGE_ID") else "tag" if tag else "push",
            sha=self._sha(),
            ref=self._ref(branch, tag),
            branch="" if tag else branch,
            tag=tag,
            base_ref=target,
            base_sha=self._remote_head(target),
            pull_request=count(say("CHANGE_ID")),
            repository=repository.origin() if repository else "",
            actor=say("CHANGE_AUTHOR"),
            untrusted=_FORK if say("CHANGE_FORK") else "",
            default_branch=self._default_branch(),
            ci=NAME,
            run_url=url if is_web_url(url) else "",
            run_id=say("BUILD_TAG"),
        )

    def _say(self, name: str) -> str:
        return self._environ.get(name, "")

    def _branch(self) -> str:
        """A plain job has no BRANCH_NAME, and writes `origin/main` into GIT_BRANCH."""
        if self._say("CHANGE_ID"):
            return self._say("CHANGE_BRANCH")
        return self._say("BRANCH_NAME") or short_name(self._say("GIT_BRANCH")).removeprefix("origin/")

    def _ref(self, branch: str, tag: str) -> str:
        """Name a change request as GitHub does, so that versions of it are told alike whichever CI made them."""
        change = count(self._say("CHANGE_ID"))
        if change:
            return f"refs/pull/{change}/merge"
        return f"refs/tags/{tag}" if tag else f"refs/heads/{branch}" if branch else ""

    def _default_branch(self) -> str:
        if self._say("BRANCH_IS_PRIMARY") == "true" and not self._say("CHANGE_ID"):
            return self._say("BRANCH_NAME")
        return self._repository.default_branch() if self._repository else ""

    # -- which commit ---------------------------------------------------------------------------------

    def _sha(self) -> str:
        explicit = explicit_sha(self._environ)
        if explicit or not self._say("CHANGE_ID"):
            return explicit or self._built()
        try:
            return change_request_head(self._head(), self._change_branch_head(), explicit)
        except Refused:
            if self._say("CHANGE_FORK"):
                return ""  # Nothing is trained for it, so nothing needs a name.
            raise

    def _built(self) -> str:
        """GIT_COMMIT where it is of this repository: a library's checkout sets it too. Else HEAD."""
        stated, repository = self._say("GIT_COMMIT"), self._repository
        if repository is None:
            return stated if is_sha(stated) else ""
        return stated if repository.has(stated) else repository.head()

    def _head(self) -> CommitFacts:
        if self._repository is None:
            raise NoCommit(f"{NAME}: the change request's commit is told only in its checkout")
        return self._repository.commit("HEAD")

    def _change_branch_head(self) -> str | None:
        """The head as the fetch brought it: under the job's name for it, such as `PR-7`, else the branch's."""
        names = [self._say("BRANCH_NAME")]
        names += [] if self._say("CHANGE_FORK") else [self._say("CHANGE_BRANCH")]
        return next(filter(None, map(self._remote_head, names)), None)

    def _remote_head(self, branch: str) -> str:
        if self._repository is None or _BRANCH.fullmatch(branch) is None or "@{" in branch:
            return ""
        try:
            return self._repository.resolve(f"refs/remotes/origin/{branch}")
        except MlsnapError:
            return ""

    # -- the log --------------------------------------------------------------------------------------

    def group(self, title: str) -> None:
        """Write a line where a section begins."""
        if title:
            self._write(title)

    def error(self, text: str, *, title: str = "", file: str = "", line: int = 0) -> None:
        """Write an error, each of its lines with our stamp."""
        place = f"{file}:{line}: " if file and line > 0 else f"{file}: " if file else ""
        self._write(f"error: {place}{f'{title}: ' if title else ''}{text}")

    def fence(self) -> None:
        """The log has no commands."""

    def unfence(self) -> None:
        """There was no fence."""

    def output(self, values: Mapping[str, str]) -> None:
        """Append lines `name=value` to the file that `MLSNAP_OUTPUT` names, which the step reads as UTF-8.

        Per cent signs and line ends are written as `%25`, `%0A` and `%0D`, so that a value is one line; whoever
        turns these back, `%25` last, has it exactly. What cannot be written is said in the log.
        """
        path = self._say(OUTPUT)
        if not path:
            return
        text = "".join(f"{name}={_on_one_line(value)}\n" for name, value in values.items())
        try:
            append_to(path, text.encode(errors="replace"))
        except OSError as error:
            self._write(f"warning: {OUTPUT} cannot be written: {error.strerror}")

    def summary(self, markdown: str) -> None:
        """There is no page; the files of the report can be archived."""

    def _write(self, text: str) -> None:
        for line in printable_lines(text):
            write_line(self._log, f"{_STAMP} {line}")


def _on_one_line(value: str) -> str:
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def change_request_head(head: CommitFacts, change_branch_head: str | None, explicit: str) -> str:
    """Tell the head of a change request from what the job checked out.

    Jenkins may merge the target in the workspace: that commit is in no other place, and differs in each build.
    `change_branch_head` is the head as the fetch brought it, where it did. Raises `Refused` rather than guess.
    """
    if explicit:
        return explicit
    if change_branch_head and change_branch_head in (head.sha, *(head.parents if len(head.parents) > 1 else ())):
        return change_branch_head
    if not change_branch_head and len(head.parents) <= 1:
        return head.sha
    raise Refused(
        f"{NAME}: it cannot be told which commit is the head of this change request",
        why=f"{head.sha[:12]} was checked out, "
        + ("a merge of unknown commits" if len(head.parents) > 1 else "which is not the head that was fetched"),
        safe="nothing was started",
        hint=f"give the commit in {EXPLICIT}, or let the job build the head itself, not merged with the target",
    )


def detect(environ: Mapping[str, str], log: TextIO, repository: Repository | None) -> Jenkins | None:
    """Tell whether this is a build on Jenkins, whose URL the administrator need not have set."""
    is_build = environ.get("JOB_NAME") and environ.get("BUILD_NUMBER")
    is_jenkins = (
        environ.get("JENKINS_URL")
        or environ.get("JENKINS_HOME")
        or environ.get("BUILD_TAG", "").startswith("jenkins-")
    )
    return Jenkins(environ, log, repository) if is_build and is_jenkins else None
