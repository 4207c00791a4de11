"""GitHub's rules for commit statuses, as far as mlsnap meets them: what is taken, and what is then shown."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

STATES = ("error", "failure", "pending", "success")
LIMIT = 1000
"""Statuses of one commit and context; the next one is refused."""
_DOCS = "https://docs.github.com/rest/commits/statuses#create-a-commit-status"


class Refusal(Exception):
    """An answer other than success, with GitHub's body for it."""

    def __init__(self, code: int, message: str, errors: Iterable[Mapping[str, str]] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.body: dict[str, object] = {"message": message, "documentation_url": _DOCS, "status": str(code)}
        if details := list(errors):
            self.body["errors"] = details


def any_commit(_sha: str) -> bool:
    """Take every commit as known."""
    return True


class CommitBoard:
    """The repositories, their commits and the statuses on these. `url` is the API's, for links in answers.

    `knows` tells which commits exist, beside those that `add_commit` names; by default any.
    """

    def __init__(self, repositories: Iterable[str], knows: Callable[[str], bool] = any_commit) -> None:
        self.url = ""
        self._names = {name.lower(): name for name in repositories}
        self._knows = knows
        self._commits: set[str] = set()
        self._statuses: list[dict[str, object]] = []
        self._keys: list[tuple[str, str]] = []
        self._lock = threading.Lock()

    def add_commit(self, sha: str) -> None:
        """Let a commit exist."""
        self._commits.add(sha)

    def repository(self, name: str, *, may_push: bool) -> dict[str, object]:
        """Describe a repository."""
        full_name = self._named(name)
        return {
            "id": sum(full_name.encode()),
            "name": full_name.partition("/")[2],
            "full_name": full_name,
            "private": False,
            "archived": False,
            "default_branch": "main",
            "url": f"{self.url}/repos/{full_name}",
            "permissions": {"admin": False, "push": may_push, "pull": True},
        }

    def commit(self, repository: str, sha: str) -> dict[str, object]:
        """Describe a commit."""
        url = f"{self.url}/repos/{self._named(repository)}/commits/{self._known(sha)}"
        return {"sha": sha, "url": url, "commit": {"message": ""}, "parents": []}

    def post(self, repository: str, sha: str, body: object) -> dict[str, object]:
        """Take a status, or raise `Refusal`."""
        full_name, sha = self._named(repository), self._known(sha)
        facts = _checked(body)
        key = (f"{full_name}@{sha}".lower(), facts["context"].lower())
        with self._lock:
            if self._keys.count(key) >= LIMIT:
                text = "This SHA and context has reached the maximum number of statuses."
                raise _invalid(code="custom", message=text)
            number = len(self._statuses) + 1
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            status: dict[str, object] = {
                "id": number,
                "node_id": f"SC_{number}",
                "url": f"{self.url}/repos/{full_name}/statuses/{sha}",
                "avatar_url": None,
                "target_url": None,
                **facts,
                "creator": None,
                "created_at": now,
                "updated_at": now,
            }
            self._statuses.append(status)
            self._keys.append(key)
        return status

    def statuses(self, repository: str, sha: str) -> list[dict[str, object]]:
        """List all statuses of a commit, the newest first."""
        commit = f"{self._named(repository)}@{self._known(sha)}".lower()
        with self._lock:
            pairs = zip(self._keys, self._statuses, strict=True)
            return [status for key, status in pairs if key[0] == commit][::-1]

    def combined(self, repository: str, sha: str) -> dict[str, object]:
        """Sum up: the newest status of each context counts, and the worst of these is the commit's."""
        latest: dict[str, dict[str, object]] = {}
        for status in self.statuses(repository, sha):
            latest.setdefault(str(status["context"]).lower(), status)
        url = f"{self.url}/repos/{self._named(repository)}/commits/{sha}"
        return {
            "url": f"{url}/status",
            "commit_url": url,
            "state": _worst({str(status["state"]) for status in latest.values()}),
            "statuses": list(latest.values()),
            "sha": sha,
            "total_count": len(latest),
            "repository": self.repository(repository, may_push=False),
        }

    def _named(self, repository: str) -> str:
        if repository.lower() not in self._names:
            raise Refusal(404, "Not Found")
        return self._names[repository.lower()]

    def _known(self, sha: str) -> str:
        full = re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", sha) is not None
        if not full or not (sha in self._commits or self._knows(sha)):
            raise Refusal(422, f"No commit found for SHA: {sha}")
        return sha


def _worst(states: set[str]) -> str:
    if states & {"error", "failure"}:
        return "failure"
    return "success" if states == {"success"} else "pending"


def _checked(body: object) -> dict[str, str]:
    if not isinstance(body, dict):
        raise Refusal(400, "Problems parsing JSON")
    sent = {name: body.get(name) for name in ("state", "description", "context", "target_url")}
    texts = {name: value for name, value in sent.items() if isinstance(value, str)}
    if texts.get("state") not in STATES:
        raise _invalid(field="state", message="state is not included in the list")
    if len(texts.get("description", "")) > 140:
        raise _invalid(field="description", message="description is too long (maximum is 140 characters)")
    if len(texts.get("context", "")) > 255:
        raise _invalid(field="context", message="context is too long (maximum is 255 characters)")
    target = texts.get("target_url", "")
    if target and urlsplit(target).scheme not in ("http", "https"):
        raise _invalid(field="target_url", message="target_url must use http(s) scheme")
    return {"description": "", **texts, "context": texts.get("context") or "default"}


def _invalid(**detail: str) -> Refusal:
    return Refusal(422, "Validation Failed", [{"resource": "Status", "code": "custom", **detail}])
