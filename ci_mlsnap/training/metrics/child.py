"""Parses metrics in a process of its own, with limits and nothing to steal.

It is started by its path, with `-I -S`, and imports the standard library and the readers beside it. It reads on
its standard input one line of JSON, the list of files (`name`, `kind`, `group`, `size`), then their bytes, and
answers with one JSON object: `scalars`, `curves` and the `group` that they are of, or `refused` with the place of
the file in that list, `why` and `hint`. Never a piece of a file.
"""

from __future__ import annotations

import gc
import json
import resource
import sys
from pathlib import Path
from typing import Any, NoReturn

_MEMORY = 384 << 20
"""Some twenty bytes for each of a file's: numbers need that, and only nests of empty objects need more."""
_ANSWER = 64 << 20


def main() -> NoReturn:
    """Answer once, and end."""
    _limit()
    # There is no rubbish in what is read, and looking for it takes longer than reading.
    gc.disable()
    package = str(Path(__file__).resolve().parents[3])
    sys.path.append(package)
    from ci_mlsnap.training.readers.answering import answer

    sys.path.remove(package)  # what else is installed there is none of ours
    files: list[dict[str, Any]] = json.loads(sys.stdin.buffer.readline())
    sys.stdout.write(json.dumps(answer(files, sys.stdin.buffer)))
    sys.stdout.flush()
    sys.exit(0)


def _limit() -> None:
    for what, limit in (
        (resource.RLIMIT_AS, _MEMORY),
        (resource.RLIMIT_FSIZE, _ANSWER),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 16),
    ):
        _, most = resource.getrlimit(what)
        lowest = limit if most == resource.RLIM_INFINITY else min(limit, most)
        resource.setrlimit(what, (lowest, lowest))


if __name__ == "__main__":
    main()
