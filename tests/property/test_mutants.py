"""The histories find mistakes: a handful of them each time, all in a campaign."""

from __future__ import annotations

import os

import pytest

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


@pytest.mark.parametrize(
    "mutant", [one for one in MUTANTS if ALL or one.name in QUICKLY_FOUND], ids=lambda mutant: mutant.name
)
def test_a_mistake_is_found(mutant: Mutant) -> None:
    assert finding(mutant)


def test_there_are_as_many_mistakes_as_promised() -> None:
    names = [mutant.name for mutant in MUTANTS]
    assert len(names) == len(set(names)) >= 20
    assert set(names) >= QUICKLY_FOUND
