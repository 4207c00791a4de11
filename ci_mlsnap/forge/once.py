"""What must not be made twice: after an unclear answer it is looked for before it is asked for again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

_T = TypeVar("_T")


class Asking(Protocol):
    """What is needed of a client: how often something is tried, and a pause between two tries."""

    tries: int

    def pause(self) -> None: ...


def once(client: Asking, find: Callable[[], _T | None], make: Callable[[], _T]) -> _T:
    """Give what `find` finds, else what `make` makes; raises what `make` raised last.

    A lost answer or an error of the server may come after the work was done. What was just written is not
    always to be read at once, so there is a pause before each further look.
    """
    for left in reversed(range(client.tries)):
        found = find()
        if found is not None:
            return found
        try:
            return make()
        except Exception as fault:
            if left == 0 or not is_unclear(fault):
                raise
            client.pause()
    raise AssertionError("unreachable")


def is_unclear(fault: Exception) -> bool:
    """Tell whether what was asked for may have been done all the same."""
    from github import GithubException
    from requests import exceptions

    if isinstance(fault, GithubException):
        return fault.status >= 500
    return isinstance(fault, exceptions.ConnectionError | exceptions.Timeout | exceptions.ChunkedEncodingError)
