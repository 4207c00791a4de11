"""Refused after training, or because of it: no version is made, and those that there are stay as they are."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.flows.conftest import Place

WRITE = 'echo other > "$MLSNAP_MODEL_DIR/weights.txt"\n'


@pytest.fixture
def isolated(trained: Place) -> Place:
    """Give a place with a version that trains in workspaces, so that no failure is in the next one's way."""
    trained.configure('train = "sh train.sh"\n[volumes.models]\npath = "models"\nisolation = "workspace"\n')
    return trained


def _refuse(place: Place, slug: str, code: int, state: str = "failure", *wishes: str) -> str:
    """Run, and hold that the run is refused with this error, and that the commit says so in one last status."""
    sha = place.repository.head()
    with place.versions_kept():
        said = place.refused(slug, code, "run", *wishes)
    assert place.states(sha) == ["pending", state], place.statuses(sha)
    assert len(place.statuses(sha)[-1][1]) <= 140
    return said.stderr


# -- the command ---------------------------------------------------------------------------------------


def test_a_training_command_that_is_missing_or_not_executable(trained: Place) -> None:
    for command in ('["no-such-program"]', '"no-such-program"', '["./train.sh"]'):
        trained.configure(f"train = {command}\n")
        _refuse(trained, "command-missing", 10)
        assert trained.mlsnap("recover", "--json").facts["changed"] is False


def test_a_failing_training_leaves_its_files_and_the_way_back(trained: Place) -> None:
    sha = trained.train_with(f"{WRITE}echo it went wrong >&2\nexit 3\n")
    said = _refuse(trained, "training-failed", 10)
    assert "code 3" in said
    assert "code 3" in trained.statuses(sha)[-1][1]
    assert (trained.volume / "weights.txt").read_text() == "other\n"
    assert "failed run" in trained.mlsnap("status").stdout
    trained.mlsnap("recover")
    assert (trained.volume / "weights.txt").read_text() == "first\n"


def test_a_training_that_is_killed_says_so(trained: Place) -> None:
    killed: dict[str, str | bytes] = {
        "mlsnap.toml": 'train = ["sh", "train.sh"]',
        "train.sh": f"{WRITE}kill -KILL $$",
    }
    trained.repository.commit("killed", killed)
    assert "SIGKILL" in _refuse(trained, "training-failed", 10)


def test_a_training_that_takes_too_long_is_ended(trained: Place) -> None:
    trained.repository.commit(
        "a timeout",
        {
            "mlsnap.toml": '[train]\ncommand = "sh train.sh"\ntimeout = "1s"\n',
            "train.sh": f"{WRITE}exec sleep 600\n",
        },
    )
    assert "train.timeout" in _refuse(trained, "training-timeout", 10)


def test_a_training_that_changes_no_file_makes_no_version(trained: Place) -> None:
    trained.train_with('echo \'{"accuracy": 1.0}\' > "$MLSNAP_METRICS"\n')
    assert "MLSNAP_MODEL_DIR" in _refuse(trained, "model-unchanged", 11)


def test_a_writer_that_is_left_behind_is_ended_and_its_half_file_is_no_version(trained: Place) -> None:
    trained.train_with(
        f'while :; do echo more >> "$MLSNAP_MODEL_DIR/weights.txt"; sleep 0.01; done > /dev/null 2>&1 &\n{WRITE}'
    )
    assert "wait for its children" in _refuse(trained, "late-writer", 11)
    size = (trained.volume / "weights.txt").stat().st_size
    trained.mlsnap("status")
    assert (trained.volume / "weights.txt").stat().st_size == size, "it still writes"


# -- metrics -------------------------------------------------------------------------------------------

_CONTENTS = {
    "truncated": 'printf %s \'{"accuracy": 0.\' > "$MLSNAP_METRICS"',
    "no JSON": 'echo accuracy=0.9 > "$MLSNAP_METRICS"',
    "empty": ': > "$MLSNAP_METRICS"',
    "bytes": 'head -c 300 /dev/urandom > "$MLSNAP_METRICS"',
    "deeply nested": 'head -c 100000 /dev/zero | tr "\\0" "[" > "$MLSNAP_METRICS"',
}
_NO_FILES = {
    "a FIFO": 'mkfifo "$MLSNAP_METRICS"',
    "10 GiB": 'truncate -s 10G "$MLSNAP_METRICS"',
    "a link": 'ln -s /etc/hostname "$MLSNAP_METRICS"',
    "a device": 'ln -s /dev/zero "$MLSNAP_METRICS"',
    "a folder": 'mkdir "$MLSNAP_METRICS"',
}


@pytest.mark.parametrize("metrics", [_CONTENTS, _NO_FILES], ids=["by what they hold", "by what they are"])
def test_metrics_that_cannot_be_used_make_no_version(isolated: Place, metrics: dict[str, str]) -> None:
    for writes in metrics.values():
        isolated.train_with(f"{WRITE}{writes}\n")
        assert "metrics.json" in _refuse(isolated, "metrics-invalid", 11), writes


def test_a_metric_that_is_no_number_misses_its_gate(trained: Place) -> None:
    made = trained.snapshots()
    trained.configure('train = "sh train.sh"\n[gates.accuracy]\nmin = 0.5\n')
    for value in ("NaN", "Infinity", "-Infinity", "null", '"high"'):
        sha = trained.train_with(f'{WRITE}echo \'{{"accuracy": {value}}}\' > "$MLSNAP_METRICS"\n')
        said = trained.refused("gate-missed", 12)
        assert "accuracy" in said.error[0]
        assert trained.states(sha) == ["pending", "failure"]
        made.append(sha)
        assert trained.snapshots() == sorted(made)
    for name in made:
        trained.snapshot(name)
    trained.require_rest()


def test_a_fall_below_the_baseline_is_kept_for_study_and_is_no_baseline_itself(trained: Place) -> None:
    settings = 'train = "sh train.sh"\n[gates.accuracy]\nmax_drop = 0.01\n'
    worse = f'{WRITE}echo \'{{"accuracy": 0.8}}\' > "$MLSNAP_METRICS"\n'
    trained.repository.commit("worse", {"mlsnap.toml": settings, "train.sh": worse})
    trained.refused("gate-missed", 12)
    trained.repository.commit("as bad", {"weights.txt": "as bad"})
    said = trained.refused("gate-missed", 12)
    assert "0.9" in said.error[0]
    assert trained.mlsnap("show", "HEAD", "--json").facts["header"]["verdict"]["good"] is False


# -- the tree ------------------------------------------------------------------------------------------

_THINGS = {
    "a FIFO": 'mkfifo "$MLSNAP_MODEL_DIR/thing"',
    "a socket": f'{sys.executable} -c \'import os, socket; os.chdir(os.environ["MLSNAP_MODEL_DIR"]); '
    'socket.socket(socket.AF_UNIX).bind("thing")\'',
}


def test_what_no_snapshot_can_carry_is_refused_by_name(isolated: Place) -> None:
    for makes in _THINGS.values():
        isolated.train_with(f"{WRITE}{makes}\n")
        assert "thing" in _refuse(isolated, "tree-unsupported", 11), makes


def test_a_device_in_the_tree_is_refused(trained: Place, needs_root: None) -> None:
    trained.train_with(f'{WRITE}mknod "$MLSNAP_MODEL_DIR/thing" c 1 3\n')
    # Training that is kept from our secrets may make none.
    assert "character device" in _refuse(trained, "tree-unsupported", 11, "failure", "--trust-training")


_LINKS = {
    "absolute": "ln -s /etc/passwd out",
    "upwards": "ln -s ../train.sh out",
    "through another link": "mkdir deep; ln -s .. deep/up; ln -s deep/up/../train.sh out",
    "to our own record": "ln -s .mlsnap/volume.json out",
}


def test_a_link_out_of_the_tree_is_refused(isolated: Place) -> None:
    for makes in _LINKS.values():
        isolated.train_with(f'{WRITE}cd "$MLSNAP_MODEL_DIR"\n{makes}\n')
        said = _refuse(isolated, "link-escapes", 11)
        assert "out" in said and "root:" not in said, makes


def test_after_a_refusal_the_next_commit_is_trained_again(trained: Place) -> None:
    trained.train_with(f'{WRITE}mkfifo "$MLSNAP_MODEL_DIR/thing"\n')
    _refuse(trained, "tree-unsupported", 11)
    trained.mlsnap("recover")
    assert not os.path.lexists(trained.volume / "thing")
    sha = trained.train_with(WRITE)
    trained.mlsnap("run")
    assert Path(trained.snapshot(sha) / "weights.txt").read_text() == "other\n"
