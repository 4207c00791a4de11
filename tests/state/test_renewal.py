from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from ci_mlsnap.errors import LeaseLost, StorageFailed
from ci_mlsnap.state.renewal import Renewal


class Turns:
    """A `renew` that does what is written down for each turn, and says when all of it was done."""

    def __init__(self, *script: Exception | None) -> None:
        self.script = list(script)
        self.done = threading.Event()
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1
        turn = self.script.pop(0) if self.script else None
        if not self.script:
            self.done.set()
        if turn is not None:
            raise turn


def test_a_storage_that_fails_for_a_moment_loses_no_lease() -> None:
    renew = Turns(None, StorageFailed("away"), StorageFailed("away"), None)
    with Renewal(renew, interval=0.001) as renewal:
        assert renew.done.wait(30)
    assert not renewal.lost


def test_nothing_is_renewed_after_the_loss() -> None:
    renew = Turns(None, LeaseLost("another has it"))
    with Renewal(renew, interval=0.001) as renewal:
        assert renew.done.wait(30)
        renewal._thread.join(30)
        assert renewal.lost
    assert renew.calls == 2


def test_nothing_is_renewed_after_the_block() -> None:
    renew = Turns(None, None)
    with Renewal(renew, interval=0.001) as renewal:
        assert renew.done.wait(30)
    assert not renewal._thread.is_alive()


@pytest.mark.parametrize("error", [LeaseLost("lost"), StorageFailed("away")])
def test_a_block_does_not_begin_without_a_first_renewal(error: Exception) -> None:
    begun: list[Callable[[], None]] = []
    with pytest.raises(type(error)), Renewal(Turns(error), interval=1.0):
        begun.append(lambda: None)
    assert begun == []
