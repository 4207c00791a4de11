"""A Jenkins server, for one thread: what may be asked of it, and what it answers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests

from ci_mlsnap.ci import jenkins_answers as answers
from ci_mlsnap.ci.jenkins_client import Client, Patience
from ci_mlsnap.ci.jenkins_facts import Built, Endpoint, Job, LogPart, Queued, build_at, job_path, require_strict
from ci_mlsnap.ci.jenkins_faults import diagnose, status_of
from ci_mlsnap.errors import JenkinsForbidden, JenkinsNotFound, JenkinsUnreachable, MlsnapError

_T = TypeVar("_T")
_XML = {"Content-Type": "text/xml; charset=utf-8"}


class Server:
    """A Jenkins server. Every method raises `JenkinsUnreachable` and `JenkinsForbidden`; those that ask for a job
    or build `JenkinsNotFound`; those that change something `JenkinsRejected`, and `JenkinsUnknown` when the answer
    was lost. Only looks are tried again."""

    def __init__(self, endpoint: Endpoint, *, patience: Patience | None = None) -> None:
        require_strict(os.environ)
        self._patience = patience or Patience()
        self._secret = endpoint.token
        self._client = Client(endpoint, self._patience)
        self.url = endpoint.url.rstrip("/") + "/"
        self.host = urlsplit(self.url).netloc

    def close(self) -> None:
        """Close the connections."""
        self._client._session.close()  # noqa: SLF001 - python-jenkins has no way to

    # -- the server ----------------------------------------------------------------------------------

    def who(self) -> str:
        """Say whom the server takes us for."""
        found: dict[str, Any] = self._reading("user", self._client.get_whoami)
        return str(found.get("id") or found.get("fullName") or "")

    def version(self) -> str:
        """Give the server's version."""
        self.who()  # python-jenkins asks for the version without a login, unless it has logged in before
        return str(self._reading("version", self._client.get_version))

    def plugins(self) -> dict[str, str]:
        """Give the versions of the plug-ins that are active, by their names."""
        return answers.plugins(self._look("list of plug-ins", "pluginManager/api/json", answers.PLUGINS_TREE))

    def may_create(self, folder: str) -> bool:
        """Tell whether we may make a job in this folder; an empty name is the server itself.

        Raises `JenkinsNotFound` also where an administrator has taken its view of all jobs away.
        """
        # It is what the form for a new item asks, and needs the same right.
        path = (job_path(folder) if folder else "") + "view/all/itemCategories?depth=1"
        try:
            self._reading(f"folder {folder!r}", lambda: self._send("GET", path))
        except JenkinsForbidden:
            return False
        return True

    def lint(self, jenkinsfile: str) -> list[str]:
        """Give what the server finds wrong with a declarative Jenkinsfile."""
        found = self._reading("linter", lambda: self._client.check_jenkinsfile_syntax(jenkinsfile), crumb=True)
        return answers.lint_texts(found)

    # -- jobs ----------------------------------------------------------------------------------------

    def job(self, name: str) -> Job:
        """Describe a job or folder."""
        return answers.job(name, self._look(f"job {name}", job_path(name) + "api/json", answers.JOB_TREE))

    def config(self, name: str) -> str | None:
        """Give a job's config.xml; None when there is no such job."""
        path = job_path(name) + "config.xml"
        try:
            return self._reading(f"job {name}", lambda: answers.as_xml(self._send("GET", path)))
        except JenkinsNotFound:
            return None

    def create(self, name: str, xml: str) -> None:
        """Make a job. A folder that is missing is `JenkinsNotFound`."""
        folder, _, short = name.rpartition("/")
        job_path(name)
        path = (job_path(folder) if folder else "") + "createItem"
        self._acting(
            f"folder {folder!r} for job {name}",
            lambda: self._send("POST", path, params={"name": short}, data=xml.encode(), headers=_XML),
        )

    def configure(self, name: str, xml: str) -> None:
        """Replace a job's config.xml."""
        path = job_path(name) + "config.xml"
        self._acting(f"job {name}", lambda: self._send("POST", path, data=xml.encode(), headers=_XML))

    # -- builds --------------------------------------------------------------------------------------

    def start(self, job: Job, parameters: Mapping[str, str]) -> int:
        """Ask for a build, and give the number of its item in the queue. An item that waits already and is the
        same is the one that is given: only a parameter of its own makes a build ours."""
        takes = job.parameters is not None
        path = job_path(job.name) + ("buildWithParameters" if takes else "build")
        # In the body, not in the URL as python-jenkins has them: URLs stand in logs, and have a length.
        data = dict(parameters) if takes else None
        return self._acting(
            f"a build of {job.name}", lambda: answers.queue_number(self._send("POST", path, data=data))
        )

    def waiting(self) -> list[tuple[int, Mapping[str, str]]]:
        """Give the items of the queue with their parameters."""
        return answers.waiting(self._look("queue", "queue/api/json", answers.QUEUE_TREE))

    def queued(self, number: int) -> Queued:
        """Say what became of an item of the queue; some minutes after it has left, nobody remembers it."""
        what = f"item {number} of the queue"
        try:
            return answers.queued(self._reading(what, lambda: self._client.get_queue_item(number)))
        except JenkinsNotFound:
            return Queued(gone=True)

    def cancel(self, number: int) -> None:
        """Take an item out of the queue; one that has left is fine."""
        path = "queue/cancelItem"
        try:
            self._acting("an item of the queue", lambda: self._send("POST", path, params={"id": str(number)}))
        except JenkinsNotFound:
            return  # some versions answer so although they did it, some when it was gone

    def build(self, job: str, number: int) -> Built:
        """Describe a build."""
        path = f"{job_path(job)}{number}/api/json"
        return answers.built(number, self._look(f"build {number} of {job}", path, answers.BUILD_TREE))

    def stop(self, job: str, number: int) -> None:
        """Ask a build to stop; one that has ended is fine."""
        path = f"{job_path(job)}{number}/stop"
        self._acting(f"build {number} of {job}", lambda: self._send("POST", path))

    def log(self, job: str, number: int, start: int) -> LogPart:
        """Give what a build's log has from `start` on, counted in bytes by the server."""
        path = f"{job_path(job)}{number}/logText/progressiveText"
        return self._reading(
            f"log of build {number} of {job}",
            lambda: answers.as_log(self._send("GET", path, params={"start": str(start)})),
        )

    def describe(self, job: str, number: int, text: str) -> None:
        """Set a build's description."""
        path = f"{job_path(job)}{number}/submitDescription"
        self._acting(f"build {number} of {job}", lambda: self._send("POST", path, data={"description": text}))
        if self.build(job, number).description.splitlines() != text.splitlines():
            raise self._unsure(f"build {number} of {job}")

    def keep(self, job: str, number: int, *, kept: bool) -> bool:
        """Have a build kept for ever, or no longer; tell whether that changed anything."""
        if self.build(job, number).kept is kept:
            return False
        # It is a switch: pressed twice it changes nothing, so it is never pressed again without a look.
        path = f"{job_path(job)}{number}/toggleLogKeep"
        self._acting(f"build {number} of {job}", lambda: self._send("POST", path))
        if self.build(job, number).kept is not kept:
            raise self._unsure(f"build {number} of {job}")
        return True

    def _unsure(self, what: str) -> MlsnapError:
        """The error of an answer that said yes, where a look says no: a login page on the way answers so too."""
        return diagnose(answers.Garbage(), server=self.host, what=what, secret=self._secret, acting=True)

    def place_of(self, url: str) -> tuple[str, int] | None:
        """Give a build's job and number from its address; None unless it is a build of this server."""
        return build_at(url, self.url)

    # -- requests ------------------------------------------------------------------------------------

    def _send(self, method: str, path: str, **parts: Any) -> requests.Response:
        answer: requests.Response = self._client.jenkins_request(
            requests.Request(method, self.url + path, **parts), add_crumb=method == "POST"
        )
        return answer

    def _look(self, what: str, path: str, tree: str) -> dict[str, Any]:
        return self._reading(what, lambda: answers.as_json(self._send("GET", path, params={"tree": tree})))

    def _reading(self, what: str, ask: Callable[[], _T], *, crumb: bool = False) -> _T:
        """Look, and look again when there was no answer. `crumb` is for a look that is a POST."""
        for tried in range(1, self._patience.tries + 1):
            try:
                return self._attempt(what, ask, acting=False, crumb=crumb)
            except JenkinsUnreachable:
                if tried == self._patience.tries:
                    raise
                time.sleep(self._patience.pause * tried)
        raise AssertionError("unreachable")

    def _acting(self, what: str, ask: Callable[[], _T]) -> _T:
        """Do something once."""
        return self._attempt(what, ask, acting=True, crumb=True)

    def _attempt(self, what: str, ask: Callable[[], _T], *, acting: bool, crumb: bool) -> _T:
        try:
            return self._with_crumb(ask) if crumb else ask()
        except Exception as fault:  # noqa: BLE001 - the library's edge: it lets through what it met
            found = diagnose(fault, server=self.host, what=what, secret=self._secret, acting=acting)
        raise found  # out of the handler, so that no trace quotes the library's text, which has whole pages

    def _with_crumb(self, ask: Callable[[], _T]) -> _T:
        """Ask; and when the server refuses, once more with a new crumb: what it refuses it has not done.

        A crumb belongs to a session, and ends with it: at a restart, or when the cookie is lost.
        """
        try:
            return ask()
        except Exception as fault:
            if status_of(fault) != 403:
                raise
        self._client.crumb = None
        return ask()
