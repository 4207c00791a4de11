"""Requests to GitHub's API as values: built here, sent by `github`, shown by `dry_run`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from urllib.parse import quote

import msgspec

from ci_mlsnap.domain.names import is_sha
from ci_mlsnap.domain.notices import COMMENT_LIMIT, CheckRun, Deployment
from ci_mlsnap.domain.status import CommitStatus
from ci_mlsnap.errors import ForgeRejected

_REPOSITORY = re.compile(r"(?!\.+/)[A-Za-z0-9._-]{1,100}/(?!\.+$)[A-Za-z0-9._-]{1,100}")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request to GitHub's API. `path` counts from the API's URL."""

    method: str
    path: str
    body: Mapping[str, object] = msgspec.field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.path}" + (f" {json.dumps(self.body)}" if self.body else "")


def posting(repository: str, status: CommitStatus) -> Request:
    """Build the request that sends a status. Raises `ForgeRejected` for what is no repository or no SHA."""
    _require_sha(status.sha)
    body = {"state": status.state, "description": status.description, "context": status.context}
    if status.target_url:
        body["target_url"] = status.target_url
    return Request(method="POST", path=f"{_place(repository)}/statuses/{status.sha}", body=body)


def looking(repository: str) -> Request:
    """Build the request that describes a repository. Raises `ForgeRejected` for what is none."""
    return Request(method="GET", path=_place(repository))


def reading(repository: str, sha: str) -> Request:
    """Build the request for a commit's newest statuses. Raises `ForgeRejected` for no repository or no SHA."""
    _require_sha(sha)
    return Request(method="GET", path=f"{_place(repository)}/commits/{sha}/statuses?per_page=100")


def summing(repository: str, sha: str, page: int) -> Request:
    """Build the request for the newest status of each context of a commit. Raises `ForgeRejected`."""
    _require_sha(sha)
    return Request(method="GET", path=f"{_place(repository)}/commits/{sha}/status?page={page}&per_page=100")


# -- comments ----------------------------------------------------------------------------------------


def finding_requests(repository: str, sha: str) -> Request:
    """Build the request for the pull requests that have a commit. Raises `ForgeRejected`."""
    _require_sha(sha)
    return Request(method="GET", path=f"{_place(repository)}/commits/{sha}/pulls?per_page=100")


def reading_request(repository: str, number: int) -> Request:
    """Build the request that describes a pull request. Raises `ForgeRejected`."""
    return Request(method="GET", path=f"{_place(repository)}/pulls/{number:d}")


def listing_requests(repository: str) -> Request:
    """Build the request for the open pull requests that were changed last. Raises `ForgeRejected`."""
    query = "direction=desc&per_page=100&sort=updated&state=open"
    return Request(method="GET", path=f"{_place(repository)}/pulls?{query}")


def listing_comments(repository: str, number: int, page: int) -> Request:
    """Build the request for a page of the comments of a pull request. Raises `ForgeRejected`."""
    path = f"{_place(repository)}/issues/{number:d}/comments?page={page}&per_page=100"
    return Request(method="GET", path=path)


def commenting(repository: str, number: int, body: str) -> Request:
    """Build the request that makes a comment. Raises `ForgeRejected`."""
    return Request(
        method="POST", path=f"{_place(repository)}/issues/{number:d}/comments", body={"body": _fitting(body)}
    )


def editing(repository: str, comment: int, body: str) -> Request:
    """Build the request that gives a comment another text. Raises `ForgeRejected`."""
    return Request(
        method="PATCH", path=f"{_place(repository)}/issues/comments/{comment:d}", body={"body": _fitting(body)}
    )


# -- deployments and checks --------------------------------------------------------------------------


def listing_deployments(repository: str, deployment: Deployment) -> Request:
    """Build the request for the newest deployments of a commit to an environment. Raises `ForgeRejected`."""
    _require_sha(deployment.sha)
    query = f"environment={quote(deployment.environment, safe='')}&per_page=100&sha={deployment.sha}"
    return Request(method="GET", path=f"{_place(repository)}/deployments?{query}")


def deploying(repository: str, deployment: Deployment) -> Request:
    """Build the request for a deployment that asks for no context and merges nothing. Raises `ForgeRejected`."""
    _require_sha(deployment.sha)
    body = {
        "ref": deployment.sha,
        "environment": deployment.environment,
        "description": deployment.description,
        "required_contexts": [],
        "auto_merge": False,
        "production_environment": deployment.environment == "production",
        "payload": {"mlsnap": deployment.move, "model": deployment.model, "snapshot": deployment.snapshot},
    }
    return Request(method="POST", path=f"{_place(repository)}/deployments", body=body)


def listing_deployment_statuses(repository: str, number: int) -> Request:
    """Build the request for the statuses of a deployment. Raises `ForgeRejected`."""
    return Request(method="GET", path=f"{_place(repository)}/deployments/{number:d}/statuses?per_page=100")


def deployed(repository: str, number: int, deployment: Deployment) -> Request:
    """Build the request that says that a deployment succeeded, which ends those before it."""
    body: dict[str, object] = {"state": "success", "description": deployment.description, "auto_inactive": True}
    if deployment.url:
        body["log_url"] = deployment.url
    return Request(method="POST", path=f"{_place(repository)}/deployments/{number:d}/statuses", body=body)


def listing_checks(repository: str, check: CheckRun) -> Request:
    """Build the request for the check runs of a name on a commit. Raises `ForgeRejected`."""
    _require_sha(check.sha)
    query = f"check_name={quote(check.name, safe='')}&filter=all&per_page=100"
    return Request(method="GET", path=f"{_place(repository)}/commits/{check.sha}/check-runs?{query}")


def checking(repository: str, check: CheckRun) -> Request:
    """Build the request that makes a check run. Raises `ForgeRejected`."""
    _require_sha(check.sha)
    body = {**_check_body(check), "head_sha": check.sha}
    return Request(method="POST", path=f"{_place(repository)}/check-runs", body=body)


def checking_again(repository: str, number: int, check: CheckRun) -> Request:
    """Build the request that gives a check run another result. Raises `ForgeRejected`."""
    return Request(method="PATCH", path=f"{_place(repository)}/check-runs/{number:d}", body=_check_body(check))


def _check_body(check: CheckRun) -> dict[str, object]:
    body: dict[str, object] = {
        "name": check.name,
        "external_id": check.run,
        "status": "completed",
        "conclusion": check.conclusion,
        "output": {"title": check.title, "summary": check.summary},
    }
    return body | ({"details_url": check.url} if check.url else {})


def naming_oneself() -> Request:
    """Build the request that tells whose the token is."""
    return Request(method="GET", path="/user")


def _fitting(body: str) -> str:
    if len(body) > COMMENT_LIMIT:
        raise ForgeRejected(f"a comment of {len(body)} characters is too long for GitHub")
    return body.encode(errors="replace").decode()


def _require_sha(sha: str) -> None:
    if not is_sha(sha):
        raise ForgeRejected(f"{ascii(sha)[:80]} is no full commit SHA", why="a status belongs to one exact commit")


def _place(repository: str) -> str:
    if _REPOSITORY.fullmatch(repository) is None:
        raise ForgeRejected(
            f"{ascii(repository)[:120]} is no repository on GitHub",
            why="its name there is OWNER/NAME",
            hint="set `forge.repository`, or the remote `origin`, to the repository on GitHub",
        )
    return f"/repos/{repository}"
