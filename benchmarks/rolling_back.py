"""Roll-backs in one process: how long from the exchange of the trees to the answer; prints the seconds as JSON.

Called as `python -m benchmarks.rolling_back CHECKOUT ROUNDS REVISION REVISION`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from itertools import cycle, islice
from pathlib import Path
from unittest.mock import patch

from ci_mlsnap.cli.printing import Lines
from ci_mlsnap.flows.restore import restore
from ci_mlsnap.services import Site, open_project
from ci_mlsnap.storage import restoring
from ci_mlsnap.trees.exchange import exchange


def main(checkout: str, rounds: int, *revisions: str) -> None:
    """Go to the revisions in turn; the first time is not measured."""
    site = Site(progress_for=Lines, project=checkout, environ=os.environ, log=sys.stderr)
    begun: list[float] = []
    answered: list[float] = []

    def noted(one: Path, other: Path) -> None:
        begun.append(time.perf_counter())
        exchange(one, other)

    with patch.object(restoring, "exchange", noted):
        for revision in islice(cycle(revisions), rounds + 1):
            restore(open_project(site), revision)
            answered.append(time.perf_counter())
    print(json.dumps([end - start for start, end in zip(begun, answered, strict=True)][1:]))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
