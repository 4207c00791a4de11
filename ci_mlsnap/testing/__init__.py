"""The published contract of storage drivers, and a driver that keeps its books in memory.

A driver's test is a subclass of `DriverContract` with a fixture `driver` that gives a fresh `DriverUnderTest`:

    class TestMyDriver(DriverContract):
        @pytest.fixture
        def driver(self, tmp_path: Path) -> DriverUnderTest: ...

`DataContract` is the same for a driver that was opened for data.
"""

from ci_mlsnap.testing.contract import DriverContract
from ci_mlsnap.testing.ground import DataUnderTest, DriverUnderTest
from ci_mlsnap.testing.memory import MemoryDriver, MemoryStorage
from ci_mlsnap.testing.pinning import DataContract

__all__ = ["DataContract", "DataUnderTest", "DriverContract", "DriverUnderTest", "MemoryDriver", "MemoryStorage"]
