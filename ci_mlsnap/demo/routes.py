"""Which request to the look-alike means what: GitHub's paths, and who may ask for them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from ci_mlsnap.demo.commit_board import CommitBoard, Refusal
from ci_mlsnap.demo.conversations import Conversations
from ci_mlsnap.demo.deliveries import Deliveries

Access = Literal["write", "read", "none"]
FORBIDDEN = "Resource not accessible by integration"


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request: who asks, what the path names, the query, and the decoded body."""

    access: Access
    bot: bool
    parts: tuple[str, ...]
    query: Mapping[str, list[str]] = field(default_factory=dict)
    body: object = None

    @property
    def repository(self) -> str:
        """The repository that the path names."""
        return self.parts[0]

    def text(self, name: str) -> str:
        """Read a text of the query."""
        return self.query.get(name, [""])[0]

    def number(self, name: str, default: int) -> int:
        """Read a number of the query."""
        text = self.text(name)
        return max(1, int(text)) if text.isdecimal() else default

    def page(self, items: list[Any]) -> list[Any]:
        """Give the page of a list that was asked for."""
        size = min(self.number("per_page", 30), 100)
        start = (self.number("page", 1) - 1) * size
        return items[start : start + size]


class Routes:
    """The API: commits with statuses, pull requests with comments, deployments and check runs."""

    def __init__(self, board: CommitBoard, conversations: Conversations, deliveries: Deliveries) -> None:
        self.board = board
        self.conversations = conversations
        self.deliveries = deliveries

    def answer(self, method: str, target: str, *, access: Access, bot: bool, body: str) -> tuple[int, object]:
        """Obey a request and give the answer's code and body. Raises `Refusal`."""
        parts = urlsplit(target)
        if (method, parts.path) == ("GET", "/user"):
            return 200, _person(bot)
        for verb, pattern, act in _TABLE:
            found = pattern.fullmatch(parts.path)
            if found is not None and verb == method and access != "none":
                call = Call(
                    access=access, bot=bot, parts=found.groups(), query=parse_qs(parts.query), body=_json(body)
                )
                self.board.repository(call.repository, may_push=False)  # refuses one that is not there
                if method != "GET" and access != "write":
                    raise Refusal(403, FORBIDDEN)
                return (201 if method == "POST" else 200), act(self, call)
        raise Refusal(404, "Not Found")


def _repository(api: Routes, call: Call) -> object:
    return api.board.repository(call.repository, may_push=call.access == "write")


def _commit(api: Routes, call: Call) -> object:
    return api.board.commit(call.repository, call.parts[1])


def _statuses(api: Routes, call: Call) -> object:
    return call.page(api.board.statuses(call.repository, call.parts[1]))


def _combined(api: Routes, call: Call) -> object:
    whole = api.board.combined(call.repository, call.parts[1])
    statuses = whole["statuses"]
    assert isinstance(statuses, list)
    return {**whole, "statuses": call.page(statuses)}


def _post_status(api: Routes, call: Call) -> object:
    return api.board.post(call.repository, call.parts[1], call.body)


def _requests(api: Routes, call: Call) -> object:
    return call.page(api.conversations.requests(call.repository))


def _request(api: Routes, call: Call) -> object:
    return api.conversations.request(call.repository, int(call.parts[1]))


def _requests_of(api: Routes, call: Call) -> object:
    api.board.commit(call.repository, call.parts[1])
    return call.page(api.conversations.requests_of(call.repository, call.parts[1]))


def _comments(api: Routes, call: Call) -> object:
    return call.page(api.conversations.comments(call.repository, int(call.parts[1])))


def _comment(api: Routes, call: Call) -> object:
    number = int(call.parts[1])
    if call.bot:
        return api.conversations.comment(call.repository, number, call.body)
    return api.conversations.comment(call.repository, number, call.body, login=_LOGIN, kind="User")


def _edit(api: Routes, call: Call) -> object:
    return api.conversations.edit(call.repository, int(call.parts[1]), call.body)


def _deployments(api: Routes, call: Call) -> object:
    found = api.deliveries.deployments(call.repository, call.text("sha"), call.text("environment"))
    return call.page(found)


def _deploy(api: Routes, call: Call) -> object:
    return api.deliveries.deploy(call.repository, call.body)


def _deployment_statuses(api: Routes, call: Call) -> object:
    return call.page(api.deliveries.statuses(call.repository, int(call.parts[1])))


def _deployed(api: Routes, call: Call) -> object:
    return api.deliveries.post_status(call.repository, int(call.parts[1]), call.body)


def _checks(api: Routes, call: Call) -> object:
    return api.deliveries.checks(call.repository, call.parts[1], call.text("check_name"))


def _check(api: Routes, call: Call) -> object:
    if not call.bot:
        raise Refusal(403, "You must authenticate via a GitHub App.")
    return api.deliveries.check(call.repository, call.body)


def _edit_check(api: Routes, call: Call) -> object:
    return api.deliveries.edit_check(call.repository, int(call.parts[1]), call.body)


_LOGIN = "ada"


def _person(bot: bool) -> object:
    if bot:
        raise Refusal(403, FORBIDDEN)
    return {"login": _LOGIN, "id": 7, "type": "User"}


def _json(body: str) -> object:
    try:
        return json.loads(body)
    except ValueError:
        return None


_HERE = r"/repos/([^/]+/[^/]+)"
_SHA = r"([^/]+)"
_TABLE: tuple[tuple[str, re.Pattern[str], Callable[[Routes, Call], object]], ...] = tuple(
    (method, re.compile(_HERE + path), act)
    for method, path, act in (
        ("GET", "", _repository),
        ("GET", f"/commits/{_SHA}", _commit),
        ("GET", f"/commits/{_SHA}/statuses", _statuses),
        ("GET", f"/commits/{_SHA}/status", _combined),
        ("GET", f"/commits/{_SHA}/pulls", _requests_of),
        ("GET", f"/statuses/{_SHA}", _statuses),
        ("POST", f"/statuses/{_SHA}", _post_status),
        ("GET", "/pulls", _requests),
        ("GET", "/pulls/([0-9]+)", _request),
        ("GET", "/issues/([0-9]+)/comments", _comments),
        ("POST", "/issues/([0-9]+)/comments", _comment),
        ("PATCH", "/issues/comments/([0-9]+)", _edit),
        ("GET", "/deployments", _deployments),
        ("POST", "/deployments", _deploy),
        ("GET", "/deployments/([0-9]+)/statuses", _deployment_statuses),
        ("POST", "/deployments/([0-9]+)/statuses", _deployed),
        ("GET", f"/commits/{_SHA}/check-runs", _checks),
        ("POST", "/check-runs", _check),
        ("PATCH", "/check-runs/([0-9]+)", _edit_check),
    )
)
