"""The end of a process at any of its requests to the cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


class CutOff(BaseException):
    """Stands for the end of the process."""


def cut_off(monkeypatch: pytest.MonkeyPatch, *, at: int, worked: bool) -> None:
    """Let the process end at one of the next requests: before it is sent, or before its answer is heard."""
    from ci_mlsnap.storage.ontap_connection import Connection

    send, numbers = Connection.send, iter(range(1, 1000))

    def cut(self: Connection, *arguments: Any, **given: Any) -> Any:
        number = next(numbers)
        answer = send(self, *arguments, **given) if number < at or worked else None
        if number >= at:
            raise CutOff
        return answer

    monkeypatch.setattr(Connection, "send", cut)


def is_cut_off(act: Callable[[], object], *, at: int, worked: bool) -> bool:
    """Do something, and tell whether it came as far as the request at which the process ends."""
    with pytest.MonkeyPatch.context() as patched:
        cut_off(patched, at=at, worked=worked)
        try:
            act()
        except CutOff:
            return True
    return False
