"""MLflow's file store: a file for each metric of a run, a line for each value."""

from __future__ import annotations

import math
import re

from ci_mlsnap.training.readers.found import Curves, Refused

_START = re.compile(rb"^start_time: ([0-9]{1,18})\s*$", re.MULTILINE)


def start_of(meta: bytes) -> int:
    """Give when a run began, in milliseconds since the epoch, from its `meta.yaml`; 0 where that does not say.

    It is YAML as MLflow writes it, a line for each name, of which one line is needed.
    """
    found = _START.search(meta)
    return int(found[1]) if found else 0


def read_metric(content: bytes, name: str, curves: Curves) -> None:
    """Take the curve of one metric: lines of time, value and step, maybe more. Raises `Refused`."""
    whole, _, _rest = content.rpartition(b"\n")  # a line that is being written has no end yet
    for index, line in enumerate(whole.splitlines()):
        cells = line.split()
        try:
            value = float(cells[1])
            step = float(cells[2]) if len(cells) > 2 else float(index)
        except (IndexError, ValueError, UnicodeDecodeError):
            raise Refused("a line is no time, value and step", "let MLflow write it") from None
        curves.add(name, step if math.isfinite(step) else float(index), value)
