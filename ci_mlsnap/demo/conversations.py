"""GitHub's rules for pull requests and the comments on them, as far as mlsnap meets them."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

from ci_mlsnap.demo.commit_board import Refusal

LIMIT = 65_536
"""Characters of a comment; a longer one is refused."""


class Conversations:
    """Pull requests by repository, and their comments."""

    def __init__(self) -> None:
        self._requests: dict[tuple[str, int], dict[str, Any]] = {}
        self._comments: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._last = 1000

    # -- what people do --------------------------------------------------------------------------------

    def open_request(
        self, repository: str, number: int, head: str, *, fork: str = "", state: str = "open", locked: bool = False
    ) -> None:
        """Let a pull request with this head be there; `fork` is the repository of its head when it is another."""
        self._requests[repository.lower(), number] = {
            "id": 100_000 + number,
            "number": number,
            "state": state,
            "locked": locked,
            "head": {"sha": head, "ref": "topic", "repo": {"full_name": fork or repository}},
            "base": {"ref": "main", "repo": {"full_name": repository}},
        }

    def push(self, repository: str, number: int, head: str) -> None:
        """Let somebody push to the branch of a pull request."""
        self.request(repository, number)["head"]["sha"] = head

    def write(self, repository: str, number: int, body: str, *, login: str = "grace", kind: str = "User") -> int:
        """Let somebody write a comment; give its id."""
        return int(self.comment(repository, number, {"body": body}, login=login, kind=kind)["id"])

    def delete(self, comment: int) -> None:
        """Let somebody delete a comment."""
        self._comments = [each for each in self._comments if each["id"] != comment]

    # -- what the API answers --------------------------------------------------------------------------

    def request(self, repository: str, number: int) -> dict[str, Any]:
        """Describe a pull request, or raise `Refusal`."""
        try:
            return self._requests[repository.lower(), number]
        except KeyError:
            raise Refusal(404, "Not Found") from None

    def requests(self, repository: str) -> list[dict[str, Any]]:
        """List the open pull requests of a repository, those that were opened last first."""
        found = [request for (name, _), request in self._requests.items() if name == repository.lower()]
        return [request for request in reversed(found) if request["state"] == "open"]

    def requests_of(self, repository: str, sha: str) -> list[dict[str, Any]]:
        """List the pull requests that have a commit; for one that is only in a fork GitHub lists none."""
        return [
            request
            for (name, _), request in self._requests.items()
            if name == repository.lower()
            and request["head"]["sha"] == sha
            and request["head"]["repo"]["full_name"].lower() == name
        ]

    def comments(self, repository: str, number: int) -> list[dict[str, Any]]:
        """List the comments on a pull request, the oldest first."""
        self.request(repository, number)
        return [each for each in self._comments if each["place"] == (repository.lower(), number)]

    def comment(
        self, repository: str, number: int, body: object, *, login: str = "mlsnap[bot]", kind: str = "Bot"
    ) -> dict[str, Any]:
        """Take a comment, or raise `Refusal`."""
        if self.request(repository, number)["locked"] and kind == "Bot":
            raise Refusal(403, "Unable to create comment because issue is locked.")
        text = _checked(body)
        with self._lock:
            self._last += 1
            page = f"https://github.com/{repository}/pull/{number}#issuecomment-{self._last}"
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            made = {
                "place": (repository.lower(), number),
                "id": self._last,
                "html_url": page,
                "body": text,
                "user": {"login": login, "type": kind},
                "author_association": "NONE" if kind == "User" else "CONTRIBUTOR",
                "created_at": now,
                "updated_at": now,
                "edits": 0,
            }
            self._comments.append(made)
        return made

    def edit(self, repository: str, comment: int, body: object) -> dict[str, Any]:
        """Give a comment another text, or raise `Refusal`."""
        with self._lock:
            for each in self._comments:
                if each["id"] == comment and each["place"][0] == repository.lower():
                    each |= {"body": _checked(body), "edits": each["edits"] + 1}
                    return each
        raise Refusal(404, "Not Found")


def _checked(body: object) -> str:
    text = body.get("body") if isinstance(body, dict) else None
    if not isinstance(text, str) or not text:
        raise Refusal(422, "Validation Failed", [{"resource": "IssueComment", "code": "missing_field"}])
    if len(text) > LIMIT:
        message = f"body is too long (maximum is {LIMIT} characters)"
        raise Refusal(
            422, "Validation Failed", [{"resource": "IssueComment", "code": "custom", "message": message}]
        )
    return text
