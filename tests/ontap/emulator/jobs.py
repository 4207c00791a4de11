"""What goes on behind a 202: jobs that work at once or later, end well or not, or are never heard of again.

States, and that a code is a number beside a text in `error`: the REST reference's page on jobs. `cancelled` is
known to the client library's poller, which takes it for success.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from datetime import datetime

from tests.ontap.emulator.exchange import Accepted, Reply, Request
from tests.ontap.emulator.faults import FaultScript, JobFault
from tests.ontap.emulator.records import JOBS
from tests.ontap.emulator.refusals import NOT_FOUND, Refused
from tests.ontap.emulator.values import Job

Work = Callable[[], str]
"""What a job does; gives the address of what it made. Raises `Refused`."""


class Jobs:
    """All jobs of a cluster.

    `delay`, in seconds, is how long each takes; with none it has ended at the first look. `failures_in_answer`: an
    answer that waited for a job that failed is the error itself, else it is a 202 all the same. Both may be met,
    since no document says which.
    """

    def __init__(self, lock: threading.RLock, faults: FaultScript, now: Callable[[], datetime]) -> None:
        self.delay = 0.0
        self.failures_in_answer = True
        self._lock = lock
        self._faults = faults
        self._now = now
        self._jobs: dict[str, Job] = {}

    def start(self, request: Request, svm: str, work: Work, location: str = "") -> Accepted:
        """Begin a job for a request."""
        description = f"{request.method} {request.path}"
        job = Job(description=description, svm=svm, started=self._now(), location=location)
        fault = self._faults.take_job(description)
        if fault is None or fault.kind != "lost":
            self._jobs[job.uuid] = job
        seconds = self.delay + (fault.seconds if fault else 0.0)
        if seconds:
            threading.Thread(target=self._run_later, args=(job, work, fault, seconds), daemon=True).start()
        else:
            self._run(job, work, fault)
        return Accepted(job=job, location=location)

    def get(self, identifier: str) -> Job:
        """Look a job up. Raises `Refused`."""
        if identifier not in self._jobs:
            raise Refused(NOT_FOUND, "entry doesn't exist")
        return self._jobs[identifier]

    def forget(self) -> None:
        """Know nothing of the jobs that have ended, as a cluster does after a while."""
        self._jobs = {uuid: job for uuid, job in self._jobs.items() if not job.done.is_set()}

    def all(self) -> list[Job]:
        """Give all jobs that are known."""
        return list(self._jobs.values())

    def answer(self, accepted: Accepted, request: Request) -> Reply:
        """Answer with the job, or with what came of it when it ends within `return_timeout`. Raises `Refused`."""
        job, patience = accepted.job, request.return_timeout
        body: dict[str, object] = {"job": {"uuid": job.uuid, "_links": {"self": {"href": f"{JOBS}/{job.uuid}"}}}}
        ended = patience > 0 and job.done.wait(patience)
        if not ended or (job.state != "success" and not self.failures_in_answer):
            return Reply(code=202, body=body, headers=_location(accepted.location))
        if job.state != "success":
            return Reply(code=job.status, body={"error": {"message": job.message, "code": str(job.code)}})
        created = request.method == "POST"
        return Reply(code=201 if created else 200, body=body, headers=_location(job.location if created else ""))

    def _run_later(self, job: Job, work: Work, fault: JobFault | None, seconds: float) -> None:
        job.state = "running"
        if not self._faults.over.wait(seconds):
            self._run(job, work, fault)

    def _run(self, job: Job, work: Work, fault: JobFault | None) -> None:
        with self._lock:
            if fault is None or fault.kind == "slow" or fault.worked:
                self._work(job, work)
            if fault and fault.kind == "hang":
                job.state = "running"
                return
            if fault and fault.kind == "fail":
                job.state, job.code, job.message = "failure", fault.code, fault.message
            if fault and fault.kind == "cancel":
                job.state, job.message = "cancelled", "The job was cancelled."
            job.ended = self._now()
            job.done.set()

    @staticmethod
    def _work(job: Job, work: Work) -> None:
        try:
            job.location = work() or job.location
            job.state = "success"
        except Refused as refused:
            job.state, job.message = "failure", refused.message
            job.code, job.status = refused.code
        except (OSError, subprocess.CalledProcessError) as error:
            job.state, job.message, job.code = "failure", f"internal error: {error}", 1


def _location(address: str) -> dict[str, str]:
    return {"Location": address} if address else {}
