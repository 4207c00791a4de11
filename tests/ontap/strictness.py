"""Holds the emulator's answers against the client library's models, which were made from ONTAP's description."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tests.ontap.emulator.server import Exchange
from tests.ontap.library import (
    RestCluster,
    RestConsistencyGroup,
    RestGroupSnapshot,
    RestJob,
    RestSnapshot,
    RestSnapshotPolicy,
    RestSvm,
    RestVolume,
)

_RESOURCES = [
    (re.compile(pattern), kind)
    for pattern, kind in (
        ("/api/cluster", RestCluster),
        ("/api/cluster/jobs(/[^/]+)?", RestJob),
        ("/api/svm/svms", RestSvm),
        ("/api/storage/snapshot-policies", RestSnapshotPolicy),
        ("/api/storage/volumes(/[^/]+)?", RestVolume),
        ("/api/storage/volumes/[^/]+/snapshots/?([^/]+)?", RestSnapshot),
        ("/api/application/consistency-groups(/[^/]+)?", RestConsistencyGroup),
        ("/api/application/consistency-groups/[^/]+/snapshots(/[^/]+)?", RestGroupSnapshot),
    )
]

_AT_MOST = 20
"""How many records of one answer are looked at: they are all made alike."""


def require_true_to_models(exchanges: Iterable[Exchange]) -> None:
    """Fail for a record that the library would not read strictly: unknown names, wrong types, words or moments."""
    for exchange in exchanges:
        kind = next((kind for pattern, kind in _RESOURCES if pattern.fullmatch(exchange.path)), None)
        if exchange.method != "GET" or exchange.code != 200 or kind is None:
            continue
        records = exchange.answer.get("records", [exchange.answer])
        for record in records[:_AT_MOST]:
            if record.get("state") != "cancelled":  # its poller knows that state of a job, its model does not
                kind.from_dict(record, strict=True)
