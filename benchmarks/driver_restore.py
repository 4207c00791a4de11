"""One restore through the driver, in a process of its own; prints its seconds.

Called as `python -m benchmarks.driver_restore VOLUME STORE SHA [swap|sync]`.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Literal

from benchmarks.driver_version import MODEL
from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.storage.local import LocalDriver
from ci_mlsnap.trees.syncfs import sync_file_system


def main(volume: Path, store: Path, sha: str, way: Literal["swap", "sync"] | None = None) -> None:
    """Restore, and make it durable; the tree that was in the way is removed afterwards."""
    driver = LocalDriver(volume, store, MODEL, environ={})
    before = time.perf_counter()
    restored = driver.restore(SnapshotName.parse(sha), volume, way=way)
    sync_file_system(volume)
    print(time.perf_counter() - before)
    if restored.displaced is not None:
        driver.purge(restored.displaced)


if __name__ == "__main__":
    wished: dict[str, Literal["swap", "sync"]] = {"swap": "swap", "sync": "sync"}
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], wished[sys.argv[4]] if len(sys.argv) > 4 else None)
