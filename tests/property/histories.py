"""How long histories are looked for, and where they are played."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings

from tests.conftest import IN_CI

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
"""Look for as long as a night has hours."""

IN_MEMORY = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None
"""Thousands of histories wait for no disk: what a power cut leaves of a file is not the question here."""


def looked_for(quick: int) -> settings:
    """Give the settings of a machine: so many histories in the usual suite, 10,000 longer ones at night.

    In CI the usual suite tries the same ones each time. A failure prints what plays it again.
    """
    return settings(
        max_examples=10_000 if NIGHTLY else quick,
        stateful_step_count=50 if NIGHTLY else 25,
        derandomize=IN_CI and not NIGHTLY,
        deadline=None,
        print_blob=True,
        # A history cannot be made much smaller in less than a quarter of an hour: each of its steps is for real.
        phases=(Phase.explicit, Phase.reuse, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
