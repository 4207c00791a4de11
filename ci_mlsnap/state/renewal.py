"""Keep a lease while something long is done, and notice when it is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Self

from ci_mlsnap.errors import LeaseLost, MlsnapError


class Renewal:
    """Call `at_once`, then `renew` every `interval` seconds in the background, while the block runs.

    A storage that fails for a moment is asked again at the next turn. Once `renew` raises `LeaseLost`, `lost` is
    true and nothing is renewed any more: whoever is inside must stop and publish nothing.
    """

    def __init__(
        self, renew: Callable[[], object], at_once: Callable[[], object] | None = None, *, interval: float
    ) -> None:
        self._renew = renew
        self._at_once = at_once or renew
        self._interval = interval
        self._end = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease renewal", daemon=True)

    @property
    def lost(self) -> bool:
        """Tell whether the lease is known to be lost."""
        return self._lost.is_set()

    def __enter__(self) -> Self:
        """Make sure of the lease, then go on in the background. Raises `LeaseLost`, `StorageFailed`."""
        self._at_once()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop renewing; the lease stays."""
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(self._interval):
            try:
                self._renew()
            except LeaseLost:
                self._lost.set()
                return
            except MlsnapError:
                continue
