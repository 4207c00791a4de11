"""What the REST interface tells of the cluster itself: release, SVMs, snapshot policies, jobs."""

from __future__ import annotations

from typing import Any

from tests.ontap.emulator.cluster import Cluster
from tests.ontap.emulator.exchange import Reply, Request
from tests.ontap.emulator.query import listed, single
from tests.ontap.emulator.records import JOB, POLICY, SVM, job_record


def get_cluster(cluster: Cluster, request: Request) -> Reply:
    """Tell the release; the record is small, and given whole."""
    generation, major, minor = cluster.version
    full = f"NetApp Release {generation}.{major}.{minor}: an emulated one"
    version = {"full": full, "generation": generation, "major": major, "minor": minor}
    body: dict[str, Any] = {"name": cluster.name, "uuid": cluster.uuid, "version": version}
    return Reply(body={**body, "_links": {"self": {"href": "/api/cluster"}}})


def list_jobs(cluster: Cluster, request: Request) -> Reply:
    """List the jobs that the account sees."""
    seen = [job_record(job) for job in cluster.jobs.all() if request.svm in {"", job.svm}]
    return Reply(body=listed(JOB, request.path, request.query, seen))


def get_job(cluster: Cluster, request: Request, uuid: str) -> Reply:
    """Give one job by its identifier."""
    return Reply(body=single(JOB, request.query, job_record(cluster.jobs.get(uuid))))


def list_svms(cluster: Cluster, request: Request) -> Reply:
    """List the SVMs that the account sees."""
    seen = [
        {"uuid": uuid, "name": name, "state": "running", "subtype": "default"}
        for name, uuid in cluster.svms.items()
        if request.svm in {"", name}
    ]
    return Reply(body=listed(SVM, request.path, request.query, seen))


def list_policies(cluster: Cluster, request: Request) -> Reply:
    """List the snapshot policies with how many snapshots each keeps."""
    records = [
        {
            "uuid": policy.uuid,
            "name": name,
            "enabled": True,
            "copies": [
                {"count": count, "schedule": {"name": schedule}} for schedule, count in policy.copies.items()
            ],
        }
        for name, policy in cluster.policies.items()
    ]
    return Reply(body=listed(POLICY, request.path, request.query, records))
