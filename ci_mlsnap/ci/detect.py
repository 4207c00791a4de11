"""Which CI this is."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TextIO

from ci_mlsnap.ci import actions, jenkins
from ci_mlsnap.ci.checkout import Checkout
from ci_mlsnap.ports import Build, Repository

_DETECTORS = (actions.detect, jenkins.detect)
"""Asked in this order. None means "not this CI"; an error, "this CI, but it cannot be used"."""


def detect(
    environ: Mapping[str, str], *, stdout: TextIO | None = None, repository: Repository | None = None
) -> Build:
    """Find the CI by its environment; a bare checkout where there is none, whose `name` is empty.

    `stdout` is where the CI reads commands and text, `sys.stdout` when not given. The repository is asked only
    for an event, and only where the environment does not name the commit. Raises `UsageError`, which begins with
    the CI's name.
    """
    log = stdout or sys.stdout
    for detector in _DETECTORS:
        build = detector(environ, log, repository)
        if build is not None:
            return build
    return Checkout(environ, repository)
