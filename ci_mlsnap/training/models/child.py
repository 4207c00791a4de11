"""Reads model files in a process of its own, with limits and nothing to steal.

It is started by its path, with `-I -S`, and imports the standard library and the readers beside it. Its standard
input is a socket: there it is sent descriptors of open files, one after the other, and answers each with a length
of four bytes and one JSON object. A file that takes too long ends it, by the kernel's alarm.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import NoReturn

_MEMORY = 768 << 20


def main(seconds: float) -> NoReturn:
    """Answer until nobody asks any more."""
    _limit()
    # A nest of very many objects is looked through once and left to the end of the process.
    gc.disable()
    package = str(Path(__file__).resolve().parents[3])
    sys.path.append(package)
    from ci_mlsnap.training.models.formats import look
    from ci_mlsnap.training.models.source import Source

    sys.path.remove(package)  # what else is installed there is none of ours
    asking = socket.socket(fileno=0)
    while True:
        _, descriptors, _, _ = socket.recv_fds(asking, 1, 1)
        if not descriptors:
            sys.exit(0)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        with os.fdopen(descriptors[0], "rb") as file:
            answer = json.dumps(look(Source(file)).answer()).encode()
        signal.setitimer(signal.ITIMER_REAL, 0)
        asking.sendall(len(answer).to_bytes(4, "big") + answer)


def _limit() -> None:
    for what, limit in (
        (resource.RLIMIT_AS, _MEMORY),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 32),
    ):
        _, most = resource.getrlimit(what)
        lowest = limit if most == resource.RLIM_INFINITY else min(limit, most)
        resource.setrlimit(what, (lowest, lowest))


if __name__ == "__main__":
    main(float(sys.argv[1]))
