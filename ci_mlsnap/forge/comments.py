"""One comment on a pull request, found again by its marker, edited in place, and never made twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from ci_mlsnap.domain.notices import Comment
from ci_mlsnap.forge import request as requests
from ci_mlsnap.forge.once import Asking, once
from ci_mlsnap.forge.request import Request

_PAGES = 30
"""Pages of a hundred comments that are looked through: GitHub lets nobody write more than 2,500."""
_MOST_REQUESTS = 5
"""Pull requests with one head that get the comment."""
_TRUSTED = ("OWNER", "MEMBER", "COLLABORATOR")


class Asker(Asking, Protocol):
    """What is needed of a client."""

    is_bot: bool

    def items(self, request: Request) -> list[Mapping[str, Any]]: ...

    def facts(self, request: Request, *, repeats: bool = True) -> Mapping[str, Any]: ...

    def listed(self, request: Request, key: str) -> list[Mapping[str, Any]]: ...

    def own_name(self) -> str: ...


def put(client: Asker, repository: str, comment: Comment) -> str:
    """Make the comment be there with this text, wherever it belongs; give the last one's page, empty for none."""
    url = ""
    for number in _numbers(client, repository, comment):
        url = _put_on(client, repository, number, comment)
    return url


def _put_on(client: Asker, repository: str, number: int, comment: Comment) -> str:
    def edited() -> str | None:
        return _edited(client, repository, number, comment)

    def made() -> str:
        request = requests.commenting(repository, number, comment.body)
        return _page(client.facts(request, repeats=False))

    return (edited() or "") if comment.only_edits else once(client, edited, made)


def _numbers(client: Asker, repository: str, comment: Comment) -> list[int]:
    """Name the open pull requests that have the commit as their head: of a commit that somebody pushed over
    meanwhile the newer one's run speaks, and what ends later must not cover that.
    """
    if comment.number:
        return list(_heads([client.facts(requests.reading_request(repository, comment.number))], comment.sha))
    found = client.items(requests.finding_requests(repository, comment.sha))
    numbers = list(_heads(found, comment.sha))
    if not numbers and comment.from_fork:  # for a fork's commit GitHub lists none
        numbers = list(_heads(client.items(requests.listing_requests(repository)), comment.sha))
    return numbers[:_MOST_REQUESTS]


def _heads(found: list[Mapping[str, Any]], sha: str) -> Iterator[int]:
    for each in found:
        head, number = each.get("head"), each.get("number")
        is_head = isinstance(head, Mapping) and head.get("sha") == sha
        if each.get("state") == "open" and is_head and isinstance(number, int):
            yield number


def _edited(client: Asker, repository: str, number: int, comment: Comment) -> str | None:
    """Bring the comment that is there up to date; None where none is there, or it is gone by now."""
    from github import GithubException

    there = _newest(client, repository, number, comment.marker)
    if there is None:
        return None
    if _text(there) == comment.body.strip():
        return _page(there)
    try:
        return _page(client.facts(requests.editing(repository, int(there["id"]), comment.body)))
    except GithubException as refused:
        if refused.status == 404:  # deleted since it was listed
            return None
        raise


def _newest(client: Asker, repository: str, number: int, marker: str) -> Mapping[str, Any] | None:
    newest = None
    for page in range(1, _PAGES + 1):
        found = client.items(requests.listing_comments(repository, number, page))
        for each in found:
            if _text(each).split("\n", 1)[0].strip() == marker and isinstance(each.get("id"), int):
                newest = each if _is_own(client, each) else newest
        if len(found) < 100:
            break
    return newest


def _is_own(client: Asker, comment: Mapping[str, Any]) -> bool:
    """Tell whether we wrote a comment: anybody may begin one with our marker, and edit it later.

    A token of an Action or App may not ask who it is; it is a bot, and people are none.
    """
    user = comment.get("user")
    author = user if isinstance(user, Mapping) else {}
    if client.is_bot:
        return author.get("type") == "Bot"
    name = client.own_name()
    return author.get("login") == name if name else comment.get("author_association") in _TRUSTED


def _text(comment: Mapping[str, Any]) -> str:
    return str(comment.get("body") or "").replace("\r\n", "\n").strip()


def _page(comment: Mapping[str, Any]) -> str:
    return str(comment.get("html_url") or "")
