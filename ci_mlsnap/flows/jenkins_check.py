"""jenkins check: what a Jenkins server has, may and lacks for mlsnap. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal

from ci_mlsnap.errors import JenkinsForbidden, JenkinsNotFound, MlsnapError
from ci_mlsnap.flows.jenkins_run import RUN_ID, SHA
from ci_mlsnap.ports import Finding

if TYPE_CHECKING:
    from ci_mlsnap.ci.jenkins_api import Server

NEEDED = {
    "workflow-job": "pipelines",
    "workflow-cps": "pipelines",
    "pipeline-groovy-lib": "shared libraries",
    "credentials-binding": "credentials for some steps alone",
    "git": "checkouts",
}
USEFUL = {
    "pipeline-model-definition": "declarative pipelines, and the linter",
    "workflow-multibranch": "a job for each branch",
    "github-branch-source": "pull requests of GitHub",
    "cloudbees-folder": "folders",
    "junit": "gates as tests on the build's page",
}


def check(server: Server, *, job: str = "", jenkinsfile: str | None = None) -> list[Finding]:
    """Look at server, login, rights and plug-ins; at a job, and at the text of a Jenkinsfile, where given.

    A fault is a finding and stops no other, except that without an answer there is no more to ask. Raises what the
    very first question raises.
    """
    found = [Finding(topic="server", state="ok", text=f"{server.url}, as {server.who()}")]
    checks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("version", lambda: _version(server)),
        ("plug-ins", lambda: _plugins(server)),
        ("rights", lambda: _rights(server, job)),
    ]
    if job:
        checks.append(("job", lambda: _job(server, job)))
    if jenkinsfile is not None:
        checks.append(("Jenkinsfile", lambda: _linted(server, jenkinsfile)))
    for topic, one in checks:
        found += _guarded(topic, one)
    return found


def _guarded(topic: str, one: Callable[[], Iterator[Finding]]) -> list[Finding]:
    try:
        return list(one())
    except MlsnapError as error:
        text = f"{error.what}: {error.why}" if error.why else error.what
        return [Finding(topic=topic, state="bad", text=text, hint=error.hint)]


def _version(server: Server) -> Iterator[Finding]:
    yield Finding(topic="version", state="ok", text=f"Jenkins {server.version()}")


def _plugins(server: Server) -> Iterator[Finding]:
    try:
        found = server.plugins()
    except JenkinsForbidden as error:
        yield Finding(
            topic="plug-ins",
            state="note",
            text=f"this user may not list them ({error.why})",
            hint=f"needed: {', '.join(NEEDED)}; an administrator sees them under Manage Jenkins, Plugins",
        )
        return
    for name, use in (NEEDED | USEFUL).items():
        if name in found:
            yield Finding(topic="plug-in", state="ok", text=f"{name} {found[name]}")
        else:
            state: Literal["bad", "note"] = "bad" if name in NEEDED else "note"
            yield Finding(topic="plug-in", state=state, text=f"{name} is missing: {use}", hint="install it")


def _rights(server: Server, job: str) -> Iterator[Finding]:
    folder = job.rpartition("/")[0]
    where = f"in {folder}" if folder else "on the server"
    try:
        may = server.may_create(folder)
    except JenkinsNotFound:
        yield Finding(topic="rights", state="note", text=f"whether jobs can be made {where} cannot be told")
        return
    if may:
        yield Finding(topic="rights", state="ok", text=f"may make jobs {where}")
    else:
        hint = "only `mlsnap jenkins install` needs it"
        yield Finding(topic="rights", state="note", text=f"may make no jobs {where}", hint=hint)


def _job(server: Server, name: str) -> Iterator[Finding]:
    job = server.job(name)
    if job.jobs is not None:
        yield Finding(topic="job", state="ok", text=f"{name} has {len(job.jobs)} jobs")
        return
    yield Finding(
        topic="job",
        state="ok" if job.buildable else "bad",
        text=f"{name} can{'' if job.buildable else 'not'} be built",
        hint="" if job.buildable else "enable it on the server",
    )
    for parameter, use in ((SHA, "name a commit"), (RUN_ID, "know a build again")):
        if parameter not in job.names:
            hint = f"without it `mlsnap jenkins run` cannot {use}; `mlsnap jenkins install` gives it"
            yield Finding(topic="job", state="note", text=f"{name} has no parameter {parameter}", hint=hint)


def _linted(server: Server, jenkinsfile: str) -> Iterator[Finding]:
    try:
        wrong = server.lint(jenkinsfile)
    except JenkinsNotFound:
        text = "not looked at: the server has no linter"
        yield Finding(topic="Jenkinsfile", state="note", text=text, hint="install pipeline-model-definition")
        return
    for text in wrong:
        yield Finding(topic="Jenkinsfile", state="bad", text=text)
    if not wrong:
        yield Finding(topic="Jenkinsfile", state="ok", text="the server finds nothing wrong with it")
