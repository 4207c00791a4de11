"""The histories find mistakes: some of them each day, a handful in CI, all in a campaign."""

from __future__ import annotations

import os
import random

import pytest

from tests.conftest import CAMPAIGN_SEED, IN_CI
from tests.property.mutants import MUTANTS, Mutant, finding

QUICKLY_FOUND = {
    "the read back is skipped",
    "holds are not written down",
    "a restore does not look at what it restores",
    "a sync does not look at what it restores",
    "leases are not given back",
    "an older push moves the tree back",
}
ALL = os.environ.get("MLSNAP_CAMPAIGN") == "full"
TODAY = QUICKLY_FOUND if IN_CI else set(random.Random(CAMPAIGN_SEED).sample(sorted(QUICKLY_FOUND), 3))


@pytest.mark.parametrize(
    "mutant", [one for one in MUTANTS if ALL or one.name in TODAY], ids=lambda mutant: mutant.name
)
def test_a_mistake_is_found(mutant: Mutant) -> None:
    assert finding(mutant)


def test_there_are_as_many_mistakes_as_promised() -> None:
    names = [mutant.name for mutant in MUTANTS]
    assert len(names) == len(set(names)) >= 20
    assert set(names) >= QUICKLY_FOUND
