"""Refused because of others: a foreign thing under the name, and runs that are under way."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.flows.conftest import MLSNAP, PATIENCE, Place

HOLD = """\
set -eu
cp weights.txt "$MLSNAP_MODEL_DIR/weights.txt"
echo started > "$STARTED"
read -r go < "$GO"
"""
WAITS_FOR_NOBODY = '[train]\ncommand = "sh train.sh"\nenv = ["STARTED", "GO"]\n[lease]\nwait = "0s"\n'


def test_a_foreign_thing_under_the_snapshots_name_is_never_touched(trained: Place) -> None:
    sha = trained.commit("second")
    foreign = trained.store / "snapshots" / sha
    foreign.mkdir()
    (foreign / "mine.txt").write_text("somebody's own")
    before = trained.repository.git("rev-parse", "HEAD^")
    with trained.nothing_changed():
        said = trained.refused("snapshot-foreign", 40)
    assert sha in said.stderr
    assert trained.states(sha) == []
    trained.snapshot(before)
    assert "1 foreign" in trained.mlsnap("status").stdout


def test_a_foreign_thing_that_comes_during_training_is_never_touched(trained: Place) -> None:
    sha = trained.train_with(
        'foreign="$(git rev-parse --git-common-dir)/mlsnap/models/snapshots/$MLSNAP_COMMIT"\n'
        'mkdir "$foreign"\necho mine > "$foreign/mine.txt"\necho second > "$MLSNAP_MODEL_DIR/weights.txt"\n'
    )
    before = trained.snapshot(trained.repository.git("rev-parse", "HEAD^"))
    trained.refused("snapshot-foreign", 40)
    assert (trained.store / "snapshots" / sha / "mine.txt").read_text() == "mine\n"
    assert trained.states(sha) == ["pending", "error"]
    assert trained.snapshots() == sorted([before.name, sha])
    trained.snapshot(before.name)
    trained.require_rest()


def test_an_earlier_version_moved_to_the_commits_name_is_foreign(trained: Place) -> None:
    first = trained.repository.head()
    sha = trained.commit("second")
    (trained.store / "snapshots" / first).rename(trained.store / "snapshots" / sha)
    with trained.nothing_changed():
        trained.refused("no-version", 44, "show", sha)


@contextmanager
def _training(place: Place, tmp_path: Path) -> Iterator[None]:
    """Hold a run in the middle of its training; it ends well at the block's end."""
    go, started, log = tmp_path / "go", tmp_path / "started", tmp_path / "log"
    os.mkfifo(go)
    env = {**place.environment, "GO": str(go), "STARTED": str(started)}
    with log.open("w") as output:
        process = subprocess.Popen((MLSNAP, "run"), cwd=place.folder, env=env, stdout=output, stderr=output)
    try:
        while not started.exists():
            assert process.poll() is None, log.read_text()
            time.sleep(0.01)
        yield
        go.write_text("go\n")
        assert process.wait(timeout=PATIENCE) == 0, log.read_text()
    finally:
        process.terminate()  # which ends what it trains
        process.wait(timeout=PATIENCE)


def test_a_second_run_of_one_commit_is_busy_and_posts_nothing(place: Place, tmp_path: Path) -> None:
    sha = place.repository.commit("hold", {"train.sh": HOLD, "mlsnap.toml": WAITS_FOR_NOBODY})
    with _training(place, tmp_path):
        said = place.refused("busy", 50)
        assert place.states(sha) == ["pending"]
        assert place.snapshots() == []
    assert "run" in said.stderr
    assert place.states(sha) == ["pending", "success"]
    place.snapshot(sha)
    place.require_rest()


def test_while_a_run_trains_in_place_whatever_would_change_the_tree_is_busy(
    trained: Place, tmp_path: Path
) -> None:
    before = trained.repository.head()
    first = trained.repository.commit("hold", {"train.sh": HOLD, "mlsnap.toml": WAITS_FOR_NOBODY})
    with _training(trained, tmp_path):
        second = trained.commit("second")
        trained.refused("busy", 50)
        trained.refused("busy", 50, "recover")
        trained.refused("busy", 50, "restore", before)
        assert trained.states(second)[-1:] == ["error"]
        assert (trained.volume / "weights.txt").read_text() == "first\n"
    assert trained.states(first) == ["pending", "success"]
    trained.snapshot(first)
    trained.require_rest()


def test_commands_that_look_work_while_a_run_is_under_way(trained: Place, tmp_path: Path) -> None:
    first = trained.repository.head()
    trained.repository.commit("hold", {"train.sh": HOLD, "mlsnap.toml": WAITS_FOR_NOBODY})
    with _training(trained, tmp_path):
        assert "in change" in trained.mlsnap("status").stdout
        assert "unfinished run" in trained.mlsnap("status").stdout
        assert first[:7] in trained.mlsnap("log").stdout
        trained.mlsnap("show", first)
        assert (Path(trained.mlsnap("path", first).stdout.strip()) / "weights.txt").read_text() == "first\n"
