"""What every storage driver promises, as tests."""

from __future__ import annotations

from ci_mlsnap.testing.keeping import Damage, Keeping, Reading
from ci_mlsnap.testing.making import Freezing, Publishing, Volume
from ci_mlsnap.testing.parts import RestoringParts
from ci_mlsnap.testing.pruning import Pruning
from ci_mlsnap.testing.returning import LeftOver, Restoring

__all__ = ["DriverContract"]


class DriverContract(
    Volume, Freezing, Publishing, Reading, Damage, Restoring, RestoringParts, Keeping, Pruning, LeftOver
):
    """The tests of a driver. Subclass it, and give a fixture `driver`: a fresh `DriverUnderTest` each time."""
