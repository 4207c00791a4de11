"""A deployment for each move of a channel, found again by its payload, with the status success."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ci_mlsnap.domain.notices import Deployment
from ci_mlsnap.forge import request as requests
from ci_mlsnap.forge.comments import Asker
from ci_mlsnap.forge.once import once


def put(client: Asker, repository: str, deployment: Deployment) -> str:
    """Let the deployment be there and be the live one of its environment; give its address in the API."""
    fresh: list[int] = []

    def made() -> Mapping[str, Any]:
        facts = client.facts(requests.deploying(repository, deployment), repeats=False)
        fresh.append(int(facts["id"]))
        return facts

    found = once(client, lambda: _find(client, repository, deployment), made)
    number = int(found["id"])
    if number in fresh or not _has_succeeded(client, repository, number):
        # Said twice it is as said once: only the newest status counts.
        client.facts(requests.deployed(repository, number, deployment))
    return str(found.get("url") or "")


def _find(client: Asker, repository: str, deployment: Deployment) -> Mapping[str, Any] | None:
    found = client.items(requests.listing_deployments(repository, deployment))
    return next((each for each in found if _move_of(each) == deployment.move), None)


def _move_of(deployment: Mapping[str, Any]) -> object:
    """Read which move a deployment is of: GitHub gives the payload as an object, or as its text."""
    payload = deployment.get("payload")
    try:
        payload = json.loads(payload) if isinstance(payload, str) else payload
    except ValueError:
        return None
    return payload.get("mlsnap") if isinstance(payload, Mapping) else None


def _has_succeeded(client: Asker, repository: str, number: int) -> bool:
    """Tell whether a deployment was live before: by now a later one may be, which it must not end."""
    found = client.items(requests.listing_deployment_statuses(repository, number))
    return any(each.get("state") == "success" for each in found)
