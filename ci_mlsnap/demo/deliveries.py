"""GitHub's rules for deployments and check runs, as far as mlsnap meets them."""

from __future__ import annotations

import threading
from typing import Any

from ci_mlsnap.demo.commit_board import CommitBoard, Refusal


class Deliveries:
    """The deployments and check runs of the repositories on a board of commits."""

    def __init__(self, board: CommitBoard) -> None:
        self.board = board
        self.all_deployments: list[dict[str, Any]] = []
        self.all_checks: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._last = 5000

    def deployments(self, repository: str, sha: str, environment: str) -> list[dict[str, Any]]:
        """List the deployments of a commit to an environment, the newest first."""
        wanted = {"repository": repository.lower(), "sha": sha, "environment": environment}
        return [it for it in reversed(self.all_deployments) if all(it[key] == wanted[key] for key in wanted)]

    def deploy(self, repository: str, body: object) -> dict[str, Any]:
        """Take a deployment, or raise `Refusal`: unless told otherwise, GitHub wants all contexts green."""
        facts = _object(body, "ref")
        self.board.commit(repository, facts["ref"])
        if facts.get("auto_merge", True) or facts.get("required_contexts") != []:
            raise Refusal(409, "Conflict: Commit status checks failed for the ref.")
        _limit(facts, "description", 140)
        made = {
            "id": self._number(),
            "url": f"{self.board.url}/repos/{repository}/deployments/{self._last}",
            "repository": repository.lower(),
            "sha": facts["ref"],
            "environment": facts.get("environment", "production"),
            "payload": facts.get("payload", {}),
            "description": facts.get("description", ""),
            "statuses": [],
        }
        self.all_deployments.append(made)
        return made

    def statuses(self, repository: str, number: int) -> list[dict[str, Any]]:
        """List the statuses of a deployment, the newest first."""
        return list(reversed(self._deployment(repository, number)["statuses"]))

    def post_status(self, repository: str, number: int, body: object) -> dict[str, Any]:
        """Take the status of a deployment. A success ends the other deployments of the environment."""
        facts = _object(body, "state")
        _limit(facts, "description", 140)
        mine = self._deployment(repository, number)
        if facts["state"] == "success" and facts.get("auto_inactive", True):
            for other in self.all_deployments:
                if other is not mine and other["environment"] == mine["environment"] and other["statuses"]:
                    other["statuses"].append({"id": self._number(), "state": "inactive"})
        made = {"id": self._number(), **facts}
        mine["statuses"].append(made)
        return made

    def checks(self, repository: str, sha: str, name: str) -> dict[str, Any]:
        """List the check runs of a name on a commit."""
        self.board.commit(repository, sha)
        found = [it for it in self.all_checks if (it["head_sha"], it["name"]) == (sha, name)]
        return {"total_count": len(found), "check_runs": found[::-1]}

    def check(self, repository: str, body: object) -> dict[str, Any]:
        """Take a check run, or raise `Refusal`."""
        facts = _object(body, "head_sha", "name")
        self.board.commit(repository, facts["head_sha"])
        _limit(facts.get("output", {}), "summary", 65_535)
        number = self._number()
        page = f"https://github.com/{repository}/runs/{number}"
        made = {**facts, "id": number, "html_url": page, "edits": 0}
        self.all_checks.append(made)
        return made

    def edit_check(self, repository: str, number: int, body: object) -> dict[str, Any]:
        """Give a check run another result."""
        facts = _object(body)
        for each in self.all_checks:
            if each["id"] == number:
                each |= {**facts, "edits": each["edits"] + 1}
                return each
        raise Refusal(404, "Not Found")

    def _deployment(self, repository: str, number: int) -> dict[str, Any]:
        found = (it for it in self.all_deployments if (it["repository"], it["id"]) == (repository.lower(), number))
        try:
            return next(found)
        except StopIteration:
            raise Refusal(404, "Not Found") from None

    def _number(self) -> int:
        with self._lock:
            self._last += 1
            return self._last


def _object(body: object, *required: str) -> dict[str, Any]:
    if not isinstance(body, dict) or not all(isinstance(body.get(key), str) for key in required):
        raise Refusal(422, "Validation Failed")
    return body


def _limit(facts: dict[str, Any], field: str, most: int) -> None:
    if len(str(facts.get(field) or "")) > most:
        detail = {"field": field, "code": "custom", "message": f"{field} is too long"}
        raise Refusal(422, "Validation Failed", [detail])
