"""The least that a user of the cluster needs for each kind of use, as commands for its administrator.

A role's access holds for an address and all below it, unless a longer one says otherwise; `*` stands for any
volume. So `/api/cluster/jobs` is named, and not `/api/cluster`, which would show the nodes too.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

VOLUMES = "/api/storage/volumes"
SNAPSHOTS = "/api/storage/volumes/*/snapshots"
GROUPS = "/api/application/consistency-groups"

_LOOKING = {VOLUMES: "readonly", "/api/cluster/jobs": "readonly"}

ROLES: Mapping[str, Mapping[str, str]] = {
    "run": {**_LOOKING, SNAPSHOTS: "read_create"},
    "prune": {**_LOOKING, SNAPSHOTS: "all"},
    "restore": {**_LOOKING, SNAPSHOTS: "readonly", "/api/storage/file/clone": "read_create"},
    "clone": {**_LOOKING, VOLUMES: "all", SNAPSHOTS: "readonly"},
    "in-place": {**_LOOKING, VOLUMES: "read_modify", SNAPSHOTS: "readonly"},
    "group": {
        **_LOOKING,
        SNAPSHOTS: "read_create_modify",
        GROUPS: "readonly",
        f"{GROUPS}/*/snapshots": "read_create",
    },
}
"""By what it is for: which access to which address. `run` makes versions and can delete none; `group` does so for
several volumes at one instant. `clone` and `in-place` may change volumes: they are for people, not for runners."""


def commands_of(kind: str, *, svm: str) -> Sequence[str]:
    """Give the commands that make a role of this kind, and a user with it, on an SVM."""
    name, where = f"mlsnap_{kind}", shlex.quote(svm)
    role = [
        f'security login rest-role create -vserver {where} -role {name} -api "{path}" -access {access}'
        for path, access in ROLES[kind].items()
    ]
    user = (
        f"security login create -vserver {where} -user-or-group-name {name} -application http"
        f" -authentication-method password -role {name}"
    )
    return [*role, user]
