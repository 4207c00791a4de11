"""Training in a job without any secret, and the actions that are commands on versions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.action.conftest import COMMON, REPOSITORY, TOKEN, TRAIN, Workplace
from tests.action.test_one_job import LOOKS_AROUND, require_outputs

Make = Callable[..., Workplace]

THREE_JOBS = f"""\
on: push
env: {{MLSNAP__FORGE__PAUSE: 0s}}
jobs:
  begin:
    runs-on: self-hosted
    outputs:
      plan: ${{{{ steps.begin.outputs.plan }}}}
      run: ${{{{ steps.begin.outputs.run }}}}
      action: ${{{{ steps.begin.outputs.action }}}}
    steps:
      - uses: actions/checkout@v6
      - id: begin
        uses: org/mlsnap-action/actions/begin@v1
        with:
          train: sh train.sh
          volume: VOLUME
          hand-on: true
{COMMON}
  train:
    needs: begin
    if: needs.begin.outputs.action == 'train'
    runs-on: self-hosted
    steps:
      - uses: org/mlsnap-action/actions/train@v1
        with:
          plan: ${{{{ needs.begin.outputs.plan }}}}
          run: ${{{{ needs.begin.outputs.run }}}}
          install: skip
          python-path: PYTHON
  conclude:
    needs: [begin, train]
    if: always() && contains(fromJSON('["train", "announce"]'), needs.begin.outputs.action)
    runs-on: self-hosted
    steps:
      - id: mlsnap
        uses: org/mlsnap-action/actions/conclude@v1
        with:
          plan: ${{{{ needs.begin.outputs.plan }}}}
          run: ${{{{ needs.begin.outputs.run }}}}
{COMMON}
      - if: always()
        env:
          OUTPUTS: ${{{{ toJSON(steps.mlsnap.outputs) }}}}
        run: printf '%s' "$OUTPUTS" > "FOLDER/outputs.json"
  report:
    needs: conclude
    if: ${{{{ !cancelled() }}}}
    runs-on: self-hosted
    steps:
      - uses: actions/checkout@v6
      - uses: org/mlsnap-action/actions/report@v1
        with:
          roll-up: true
{COMMON}
"""

PREPARED = "          install: skip\n          python-path: PYTHON\n          volume: VOLUME\n"

COMMANDS = f"""\
on: push
jobs:
  use:
    runs-on: self-hosted
    steps:
      - uses: actions/checkout@v6
      - uses: org/mlsnap-action/actions/restore@v1
        with:
          revision: ${{{{ github.event.after }}}}
          to: FOLDER/copy
{PREPARED}
      - uses: org/mlsnap-action/actions/compare@v1
        with:
          before: FIRST
          after: ${{{{ github.event.after }}}}
{PREPARED}
      - uses: org/mlsnap-action/actions/promote@v1
        with:
          revision: ${{{{ github.event.after }}}}
          channel: production
          reason: a "release"; with $(touch FOLDER/evil)
{PREPARED}
      - uses: org/mlsnap-action/actions/prune@v1
        with:
          dry-run: true
{PREPARED}
"""


def test_training_may_be_a_job_of_its_own_that_never_has_a_secret(workplace: Make) -> None:
    place = workplace(THREE_JOBS)
    sha = place.train_with(TRAIN + LOOKS_AROUND)
    ran = place.act()
    assert ran.code == 0, ran.log
    require_outputs(ran, "good")
    assert place.snapshots() == [sha]
    assert place.states(sha) == ["pending", "success", "success"]
    assert place.server.board.statuses(REPOSITORY, sha)[0]["context"] == "mlsnap"
    assert TOKEN not in (place.folder / "environment").read_text()

    failing = place.train_with("exit 3\n")
    ran = place.act()
    assert ran.code == 1
    require_outputs(ran, "failed")
    assert place.states(failing) == ["pending", "failure", "failure"]


def test_restore_compare_promote_and_prune_are_steps_too(workplace: Make) -> None:
    place = workplace()
    first = place.repository.head()
    assert place.act().code == 0
    second = place.repository.commit("better", {"weights.txt": "two\n"})
    assert place.act().code == 0
    place.repository.git("update-ref", "refs/heads/second", second)
    place.workflow(COMMANDS.replace("FIRST", first))
    ran = place.act(payload=place.push(after=second))
    assert ran.code == 0, ran.log
    assert (place.folder / "copy" / "model.bin").read_text() == "two\n"
    channel = Path(json.loads(place.mlsnap("channels", "--json"))[0]["link"])
    assert channel.resolve().name == second
    assert place.snapshots() == sorted([first, second])
    assert not (place.folder / "evil").exists()
