"""The real client library as tests use it: resources without types, since their fields appear as they are set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from netapp_ontap.error import NetAppRestError
from netapp_ontap.host_connection import HostConnection
from netapp_ontap.resources.cluster import Cluster as _Cluster
from netapp_ontap.resources.consistency_group import ConsistencyGroup as _ConsistencyGroup
from netapp_ontap.resources.consistency_group_snapshot import ConsistencyGroupSnapshot as _GroupSnapshot
from netapp_ontap.resources.file_clone import FileClone as _FileClone
from netapp_ontap.resources.job import Job as _Job
from netapp_ontap.resources.snapshot import Snapshot as _Snapshot
from netapp_ontap.resources.snapshot_policy import SnapshotPolicy as _SnapshotPolicy
from netapp_ontap.resources.svm import Svm as _Svm
from netapp_ontap.resources.volume import Volume as _Volume

RestCluster: Any = _Cluster
RestConsistencyGroup: Any = _ConsistencyGroup
RestGroupSnapshot: Any = _GroupSnapshot
RestFileClone: Any = _FileClone
RestJob: Any = _Job
RestSnapshot: Any = _Snapshot
RestSnapshotPolicy: Any = _SnapshotPolicy
RestSvm: Any = _Svm
RestVolume: Any = _Volume


def connected(host: str, port: int, certificate: Path, **login: Any) -> HostConnection:
    """Connect to a cluster by its certificate, which names no host, and by nothing that the environment says."""
    made = HostConnection(host, port=port, verify=str(certificate), poll_interval=1, **login)  # type: ignore[arg-type]
    made.session.trust_env = False
    adapter: Any = made.session.get_adapter(made.origin)
    adapter.poolmanager.connection_pool_kw["assert_hostname"] = False
    return made


def refused(error: NetAppRestError) -> tuple[int | None, str]:
    """Say the HTTP code of an answer and the error's code in its body."""
    body: dict[str, Any] = error.response_body or {}
    return error.status_code, str(body.get("error", {}).get("code", ""))
