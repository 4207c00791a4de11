"""Which operation answers which address."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from tests.ontap.emulator import cluster_facts, file_clone, groups, snapshots, volumes
from tests.ontap.emulator.cluster import Cluster
from tests.ontap.emulator.exchange import Accepted, Reply, Request
from tests.ontap.emulator.refusals import NOT_FOUND, Code, Refused

Operation: TypeAlias = Callable[..., Reply | Accepted]

_GROUPS_SINCE = (9, 10, 1)
_WRONG_METHOD = Code(5, 405)  # unsure of the number

_ROUTES: tuple[tuple[str, dict[str, Operation]], ...] = (
    ("/api/cluster", {"GET": cluster_facts.get_cluster}),
    ("/api/cluster/jobs", {"GET": cluster_facts.list_jobs}),
    ("/api/cluster/jobs/{}", {"GET": cluster_facts.get_job}),
    ("/api/svm/svms", {"GET": cluster_facts.list_svms}),
    ("/api/storage/snapshot-policies", {"GET": cluster_facts.list_policies}),
    ("/api/storage/volumes", {"GET": volumes.list_volumes, "POST": volumes.create_volume}),
    (
        "/api/storage/volumes/{}",
        {"GET": volumes.get_volume, "PATCH": volumes.change_volume, "DELETE": volumes.delete_volume},
    ),
    (
        "/api/storage/volumes/{}/snapshots",
        {"GET": snapshots.list_snapshots, "POST": snapshots.create_snapshot},
    ),
    (
        "/api/storage/volumes/{}/snapshots/{}",
        {"GET": snapshots.get_snapshot, "PATCH": snapshots.change_snapshot, "DELETE": snapshots.delete_snapshot},
    ),
    ("/api/storage/file/clone", {"POST": file_clone.clone}),
    ("/api/application/consistency-groups", {"GET": groups.list_groups}),
    ("/api/application/consistency-groups/{}", {"GET": groups.get_group, "PATCH": groups.restore_group}),
    (
        "/api/application/consistency-groups/{}/snapshots",
        {"GET": groups.list_group_snapshots, "POST": groups.create_group_snapshot},
    ),
    (
        "/api/application/consistency-groups/{}/snapshots/{}",
        {
            "GET": groups.get_group_snapshot,
            "PATCH": groups.commit_group_snapshot,
            "DELETE": groups.delete_group_snapshot,
        },
    ),
)
_PATTERNS = [(re.compile(re.escape(path).replace(r"\{\}", "([^/]+)") + "/?"), verbs) for path, verbs in _ROUTES]


def operate(cluster: Cluster, request: Request) -> Reply | Accepted:
    """Obey a request. Raises `Refused`."""
    if request.path.startswith("/api/application/consistency-groups") and cluster.version < _GROUPS_SINCE:
        raise Refused(NOT_FOUND, "API not found")
    for pattern, verbs in _PATTERNS:
        if found := pattern.fullmatch(request.path):
            if request.method not in verbs:
                raise Refused(_WRONG_METHOD, "The method is not allowed here.")
            return verbs[request.method](cluster, request, *found.groups())
    raise Refused(NOT_FOUND, "API not found")
