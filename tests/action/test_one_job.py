"""The root action in a workflow of one job, for each event that GitHub sends."""

from __future__ import annotations

import json
from collections.abc import Callable

from ci_mlsnap.ci.inputs import OUTPUTS
from tests.action.conftest import Workplace

Make = Callable[..., Workplace]


def test_a_push_is_trained_snapshotted_and_told_on_the_commit(workplace: Make) -> None:
    place = workplace()
    sha = place.repository.head()
    ran = place.act()
    assert ran.code == 0, ran.log
    assert place.snapshots() == [sha]
    assert place.states(sha) == ["pending", "success"]
    assert set(OUTPUTS) <= set(ran.outputs)
    assert ran.outputs["conclusion"] == "good"
    assert ran.outputs["snapshot-name"] == sha
    assert json.loads(ran.outputs["metrics"]) == {"accuracy": 0.9}
