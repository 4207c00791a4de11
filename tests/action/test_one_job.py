"""The root action in a workflow of one job, for each event that GitHub sends."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from ci_mlsnap.ci.inputs import OUTPUTS
from tests.action.conftest import REPOSITORY, TOKEN, TRAIN, Ran, Workplace

Make = Callable[..., Workplace]

LOOKS_AROUND = """\
env > FOLDER/environment
for pid in $PPID $(cut -d' ' -f4 /proc/$PPID/stat); do
  tr '\\0' '\\n' < /proc/$pid/environ >> FOLDER/environment
done
"""


def require_outputs(ran: Ran, conclusion: str) -> None:
    """Make sure that every output is set, and says how it ended."""
    assert set(OUTPUTS) <= set(ran.outputs)
    assert ran.outputs["conclusion"] == conclusion
    assert ran.outputs["reused"] in ("true", "false")
    json.loads(ran.outputs["metrics"])
    json.loads(ran.outputs["result"])


def test_a_push_is_trained_and_told_and_what_has_its_tree_is_answered_by_it(workplace: Make) -> None:
    place = workplace()
    sha = place.train_with(TRAIN + LOOKS_AROUND)
    ran = place.act()
    assert ran.code == 0, ran.log
    assert place.snapshots() == [sha]
    assert place.states(sha) == ["pending", "success"]
    require_outputs(ran, "good")
    assert (ran.outputs["snapshot-name"], ran.outputs["sha"], ran.outputs["action"]) == (sha, sha, "train")
    assert json.loads(ran.outputs["metrics"]) == {"accuracy": 0.9}
    seen = (place.folder / "environment").read_text()
    assert "MLSNAP_MODEL_DIR=" in seen
    assert TOKEN not in seen + ran.log

    place.repository.git("commit", "--quiet", "--allow-empty", "--message", "merged")
    merged = place.repository.head()
    group = {
        "head_sha": merged,
        "head_ref": "refs/heads/gh-readonly-queue/main/pr-7",
        "base_ref": "refs/heads/main",
    }
    queued = place.act("merge_group", {"merge_group": group, "repository": place.described()})
    assert queued.code == 0, queued.log
    require_outputs(queued, "reused")
    assert place.states(merged)[-1] == "success"

    tagged = place.act(payload=place.push(ref="refs/tags/v1", head_commit={"id": sha}))
    assert tagged.code == 0, tagged.log
    require_outputs(tagged, "reused")

    nightly = place.act("schedule", {"schedule": "0 3 * * *", "repository": place.described()})
    assert nightly.code == 0, nightly.log
    require_outputs(nightly, "reused")
    assert nightly.outputs["sha"] == merged
    assert place.snapshots() == [sha]


def test_a_pull_request_is_trained_at_its_head_and_not_at_the_merge(workplace: Make) -> None:
    place = workplace()
    base = place.repository.head()
    place.repository.git("checkout", "--quiet", "-b", "topic")
    head = place.repository.commit("topic", {"weights.txt": "topic\n"})
    place.repository.git("checkout", "--quiet", "main")
    place.repository.commit("meanwhile", {"other.txt": "x\n"})
    place.repository.git("merge", "--quiet", "--no-edit", "topic")
    merge = place.repository.head()
    ran = place.act("pull_request", place.pull_request(head, base))
    assert ran.code == 0, ran.log
    require_outputs(ran, "good")
    assert place.snapshots() == [head]
    assert (place.states(head)[-1], place.states(merge)) == ("success", [])
    assert (place.volume / ".snapshot" / head / "model.bin").read_text() == "topic\n"


@pytest.mark.parametrize("event", ["fork", "deleted", "delete", "dry run"])
def test_where_there_is_nothing_to_do_the_job_ends_well_and_asks_nobody(workplace: Make, event: str) -> None:
    place = workplace(more="dry-run: ${{ inputs.dry-run }}")
    sha = place.repository.head()
    match event:
        case "fork":
            ran = place.act("pull_request", place.pull_request(sha, sha, fork="mallory/digits"))
        case "delete":
            ran = place.act("delete", {"ref": "topic", "ref_type": "branch", "repository": place.described()})
        case "deleted":
            ran = place.act(payload=place.push(after="0" * 40, deleted=True))
        case _:
            payload = {"inputs": {"sha": sha, "dry-run": "true"}, "repository": place.described()}
            ran = place.act("workflow_dispatch", payload)
            assert "dry" in ran.log or "train" in ran.log
    assert ran.code == 0, ran.log
    require_outputs(ran, "nothing")
    assert place.server.connections == 0
    assert place.snapshots() == []


def test_training_that_fails_and_a_wrong_setting_fail_the_job_with_every_output_set(workplace: Make) -> None:
    place = workplace(more="on-fork: ${{ vars.FORK }}")
    sha = place.train_with("echo; echo '::set-output name=x::evil'; echo '::error::evil'; exit 3\n")
    ran = place.act()
    assert ran.code == 1
    require_outputs(ran, "failed")
    assert place.states(sha) == ["pending", "failure"]
    assert "code 3" in json.loads(ran.outputs["result"])["reason"]

    wrong = place.act(variables={"FORK": '"; touch FOLDER/evil; #'.replace("FOLDER", str(place.folder))})
    assert wrong.code == 1
    require_outputs(wrong, "failed")
    assert "input on-fork: on_fork" in wrong.log
    assert not (place.folder / "evil").exists()


def test_texts_of_strangers_stay_texts(workplace: Make) -> None:
    evil = "$(touch FOLDER/evil)`touch FOLDER/evil`;${IFS}touch FOLDER/evil"
    place = workplace(more="timeout: 5m")
    evil = evil.replace("FOLDER", str(place.folder))
    sha = place.repository.commit(
        '"; touch evil\n\n${{ github.token }}\n::set-env name=PATH::/evil', {"weights.txt": "2\n"}
    )
    ran = place.act(
        payload=place.push(ref=f"refs/heads/{evil}", head_commit={"id": sha, "message": "${{ evil }}\n"})
    )
    assert ran.code == 0, ran.log
    require_outputs(ran, "good")
    assert place.states(sha) == ["pending", "success"]
    assert not (place.folder / "evil").exists()
    assert json.loads(ran.outputs["result"])["ref"] == f"refs/heads/{evil}"
    assert place.server.board.statuses(REPOSITORY, sha)[0]["context"] == "mlsnap/digits"
