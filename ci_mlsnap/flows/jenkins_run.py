"""jenkins run: start a build, wait for it, show its log, and end as it ends."""

from __future__ import annotations

import secrets
import signal
import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from ci_mlsnap.ci.jenkins_facts import Built, Job
from ci_mlsnap.domain.status import one_line
from ci_mlsnap.errors import (
    BuildAborted,
    BuildFailed,
    BuildUnstable,
    Cancelled,
    JenkinsUnknown,
    MlsnapError,
    Refused,
    Terminated,
    UsageError,
)
from ci_mlsnap.flows.jenkins_watch import Lines, Quiet, Watch, patiently

if TYPE_CHECKING:
    from ci_mlsnap.ci.jenkins_api import Server

RUN_ID = "MLSNAP_RUN_ID"
"""The parameter by which a build is known to be the one that was asked for here."""

SHA = "MLSNAP_SHA"
"""The parameter that names the commit."""

_ERRORS: Mapping[str, type[MlsnapError]] = {"UNSTABLE": BuildUnstable, "ABORTED": BuildAborted}


def run(server: Server, name: str, parameters: Mapping[str, str], watch: Watch) -> Built:
    """Start a build of a job and follow it to its end; a signal stops the build.

    Raises `UsageError` for a parameter that the job has not, `Refused`, `Cancelled`, `BuildAborted` for one that
    was taken out of the queue, and what the server raises.
    """
    job = _startable(server.job(name))
    wanted = _checked(job, parameters)
    item = _start(server, job, wanted)
    number = _wait(server, job, item, watch) if item is not None else None
    if number is None:
        number = patiently(watch, lambda: _build_of(server, name, wanted))
    if number is None:
        raise _lost(job)
    watch.say(f"build {number} of {name}: {server.build(name, number).url}")
    return _follow(server, name, number, watch)


def told(built: Built) -> str:
    """Give what mlsnap in the build says of it; empty where it said nothing."""
    lines = (one_line(line) for line in built.description.splitlines())
    return next((line for line in reversed(list(lines)) if line.startswith("mlsnap ")), "")


def error_of(built: Built, name: str) -> MlsnapError | None:
    """Give the error that a build's result stands for; None for a success."""
    if built.result == "SUCCESS":
        return None
    kind = _ERRORS.get(built.result, BuildFailed)
    hint = "its log is above" + (f", and at {built.url}" if built.url else "")
    what = f"build {built.number} of {name} ended as {built.result or 'nothing known'}"
    return kind(what, why=told(built), hint=hint)


# -- starting ----------------------------------------------------------------------------------------


def _startable(job: Job) -> Job:
    if job.jobs is not None:
        some = ", ".join(f"{job.name}/{each}" for each in job.jobs[:5])
        raise UsageError(
            f"{job.name} is a folder of jobs, and builds are of jobs",
            safe="nothing was started",
            hint=f"name one of them: {some}" if some else "it has none yet; Jenkins looks for branches by itself",
        )
    if not job.buildable:
        raise Refused(f"{job.name} is disabled", safe="nothing was started", hint="enable it on the server")
    return job


def _checked(job: Job, parameters: Mapping[str, str]) -> dict[str, str]:
    """Refuse parameters that Jenkins would drop without a word, and add our own id where the job takes one."""
    unknown = [name for name in parameters if name not in job.names]
    if unknown:
        known = ", ".join(job.names) or "none at all"
        raise UsageError(
            f"{job.name} has no parameter {unknown[0]!r}",
            why=f"it takes: {known}",
            safe="nothing was started",
            hint="correct the name, or let `mlsnap jenkins install` give the job its parameters",
        )
    own = {RUN_ID: secrets.token_hex(8)} if RUN_ID in job.names and RUN_ID not in parameters else {}
    return dict(parameters) | own


def _start(server: Server, job: Job, wanted: Mapping[str, str]) -> int | None:
    """Give the item of the queue; None when the answer was lost and the build is there all the same."""
    try:
        return server.start(job, wanted)
    except JenkinsUnknown:
        if RUN_ID not in wanted:
            raise
        waiting = _item_of(server, wanted)
        if waiting is None and _build_of(server, job.name, wanted) is None:
            raise
        return waiting


def _item_of(server: Server, wanted: Mapping[str, str]) -> int | None:
    return next((item for item, given in server.waiting() if given.get(RUN_ID) == wanted[RUN_ID]), None)


def _build_of(server: Server, name: str, wanted: Mapping[str, str]) -> int | None:
    """Find our build among a job's newest; None where it is not, or has no id by which to know it."""
    if RUN_ID not in wanted:
        return None
    newest = (server.build(name, number) for number in server.job(name).builds)
    return next((each.number for each in newest if each.parameters.get(RUN_ID) == wanted[RUN_ID]), None)


# -- the queue ---------------------------------------------------------------------------------------


def _wait(server: Server, job: Job, item: int, watch: Watch) -> int | None:
    """Wait until the build begins, and give its number; None when the queue does not know it any more."""
    said, quiet = "", Quiet(watch)
    while True:
        found = patiently(watch, lambda: server.queued(item))
        if found.build is not None or found.gone:
            return found.build
        if found.cancelled:
            raise BuildAborted(
                f"the build of {job.name} was taken out of the queue", hint="run it again, or ask who did that"
            )
        if found.why and found.why != said:
            said = found.why
            quiet.over()
            watch.say(f"in the queue: {said}")
        quiet.tell(f"in the queue: {said or 'nothing says why'}")
        if watch.stop.wait(watch.rhythm.look):
            _leave_queue(server, job, item, watch)


def _leave_queue(server: Server, job: Job, item: int, watch: Watch) -> None:
    """Take the item out of the queue, and stop the build that it may have become meanwhile."""
    server.cancel(item)
    number = server.queued(item).build
    if number is not None:
        _stop_build(server, job.name, number, watch)
    raise _cancelled(watch, f"the build of {job.name} was taken out of the queue")


def _lost(job: Job) -> JenkinsUnknown:
    return JenkinsUnknown(
        f"the queue does not know the build of {job.name} any more",
        why="" if RUN_ID in job.names else f"the job takes no {RUN_ID}, by which to find it among the builds",
        hint="look at the job's builds; `mlsnap jenkins install` gives it that parameter",
    )


# -- the build ---------------------------------------------------------------------------------------


def _follow(server: Server, name: str, number: int, watch: Watch) -> Built:
    """Show the log as it grows, until the build has ended."""
    lines, start, quiet = Lines(watch.show), 0, Quiet(watch)
    while True:
        part = patiently(watch, partial(server.log, name, number, start))
        lines.add(part.content)
        start = part.end
        if part.content:
            quiet.over()
        quiet.tell(f"build {number} of {name} goes on")
        built = None if part.more else patiently(watch, lambda: server.build(name, number))
        if built is not None and not built.building:
            lines.end()
            return built
        if watch.stop.wait(watch.rhythm.look):
            lines.end()
            _stop_build(server, name, number, watch)


def _stop_build(server: Server, name: str, number: int, watch: Watch) -> None:
    """Have the build stopped, wait a little for that, and end as stopped."""
    watch.say(f"stopping build {number} of {name}")
    server.stop(name, number)
    end = time.monotonic() + watch.rhythm.stopping
    while server.build(name, number).building:
        if time.monotonic() > end:
            raise _cancelled(watch, f"build {number} of {name} was told to stop, and has not yet")
        time.sleep(min(1.0, watch.rhythm.look))
    raise _cancelled(watch, f"build {number} of {name} was stopped")


def _cancelled(watch: Watch, what: str) -> Cancelled:
    kind = Cancelled if watch.stop.received == signal.SIGINT else Terminated
    return kind(what, hint="run it again when you like")
