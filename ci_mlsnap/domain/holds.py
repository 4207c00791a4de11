"""Who holds a snapshot, as holds name it."""

from __future__ import annotations

OF_RUN = "run "
"""How the name of a hold begins that ends with its run; what follows is the run's id."""


def is_lasting(owner: str) -> bool:
    """Tell whether a hold stays until somebody takes it back: a person's, a channel's, a rollback's."""
    return not owner.startswith(OF_RUN)
