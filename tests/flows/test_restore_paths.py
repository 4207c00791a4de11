"""restore REVISION PATH…: some files and folders of a version, in the live tree or in a new folder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci_mlsnap.demo.github import GitHubLookAlike
from ci_mlsnap.testing.ground import every_stat, look
from tests.conftest import GitRepository
from tests.flows.conftest import QUIET, REPOSITORY, MakePlace, Place
from tests.promise.checking import everything_of

TRAIN = """\
set -eu
mkdir -p "$MLSNAP_MODEL_DIR/epoch/1"
cp weights.txt "$MLSNAP_MODEL_DIR/weights.txt"
cp weights.txt "$MLSNAP_MODEL_DIR/epoch/1/log.txt"
cp weights.txt "$MLSNAP_MODEL_DIR/epoch/state.txt"
echo same > "$MLSNAP_MODEL_DIR/same.txt"
touch -d @1700000000 "$MLSNAP_MODEL_DIR/same.txt" "$MLSNAP_MODEL_DIR/epoch/1/log.txt"
"""
"""Files of one time in all versions: only their content tells which one they are of."""


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Make a place with two versions, the tags `v1` and `v2`; the live tree is the second."""
    top = tmp_path_factory.mktemp("master") / "checkout"
    top.mkdir()
    with GitHubLookAlike(tokens={}, repositories=[REPOSITORY]) as server:
        place = _place(top, server)
        place.repository.git("init", "--quiet")
        settings = 'project = "octo/digits"\ntrain = "sh train.sh"\nvolume = "models"\n'
        for number, weights in enumerate(("first\n", "other\n"), start=1):
            files: dict[str, str | bytes] = {"mlsnap.toml": settings, "train.sh": TRAIN, "weights.txt": weights}
            place.repository.commit(weights, {**files, ".gitignore": "/models\n"})
            place.repository.git("tag", f"v{number}")
            place.mlsnap("run")
        yield place


@pytest.fixture
def two(master: Place, tmp_path: Path) -> Place:
    """Give a copy of the place with two versions."""
    top = tmp_path / "checkout"
    subprocess.run(("cp", "-a", master.folder, top), check=True)
    copied = _place(top, master.server)
    copied.mlsnap("recover")  # what is known of a live tree is known of its path
    return copied


def _place(top: Path, server: GitHubLookAlike) -> Place:
    return Place(
        repository=GitRepository(path=top),
        server=server,
        environment=dict(os.environ),
        volume=top / "models",
        store=top / ".git" / "mlsnap" / "models",
        folder=top,
    )


def _live(place: Place) -> dict[str, object]:
    facts: dict[str, object] = place.mlsnap("status", "--json").facts["live"]
    return facts


def _text(place: Place, name: str) -> str:
    return (place.volume / name).read_text()


def _keeps(place: Place) -> list[str]:
    return [name for name in place.snapshots() if "-keep-" in name]


def test_only_the_named_file_is_brought_back_and_status_tells(two: Place) -> None:
    said = two.mlsnap("restore", "v1", "models/weights.txt")
    assert "weights.txt" in said.stdout and "1 entry brought back" in said.stdout
    assert [_text(two, name) for name in ("weights.txt", "epoch/1/log.txt")] == ["first\n", "other\n"]
    assert _live(two)["equal"] is False
    assert "with files of other versions: 1 changed" in two.mlsnap("status").stdout
    assert _keeps(two) == []
    two.require_rest()


@pytest.mark.parametrize(
    ("cwd", "path"),
    [
        (".", "models/epoch/1"),
        (".", "epoch/1"),
        (".", "./models/epoch/1/"),
        ("models", "epoch/1"),
        ("models/epoch", "1"),
    ],
)
def test_a_path_is_meant_as_it_stands_there_or_from_the_volumes_root(two: Place, cwd: str, path: str) -> None:
    two.mlsnap("restore", "v1", path, cwd=two.folder / cwd)
    assert [_text(two, name) for name in ("weights.txt", "epoch/1/log.txt")] == ["other\n", "first\n"]
    two.mlsnap("restore", "v2", str(two.volume / "epoch/1"))
    assert _text(two, "epoch/1/log.txt") == "other\n"


@pytest.mark.parametrize("path", ["models/../weights.txt", "../x", "epoch/..", "/etc/passwd", "models", "."])
def test_what_is_no_path_in_the_volume_is_refused(two: Place, path: str) -> None:
    with two.nothing_changed():
        cwd = two.volume if path == "." else None
        two.refused("usage", 2, "restore", "v1", path, cwd=cwd)
        two.refused("usage", 2, "restore", "v1", "--to", "copy", path, cwd=cwd)


def test_a_path_that_the_version_has_not_is_told(two: Place) -> None:
    with two.nothing_changed():
        two.refused("no-version", 44, "restore", "v1", "weights.txt", "nothing.txt")


def test_a_deleted_file_comes_back_and_the_tree_is_the_version_again(two: Place) -> None:
    before = look(two.volume)
    (two.volume / "epoch/1/log.txt").unlink()
    two.mlsnap("restore", "HEAD", "models/epoch/1/log.txt")
    assert look(two.volume) == before
    assert _live(two)["equal"] is True
    two.mlsnap("run", "--retrain", env=QUIET)


def test_a_mixed_tree_is_not_trained_in_and_a_whole_restore_ends_it(two: Place) -> None:
    before = look(two.volume)
    # As long, and as old, in both versions: only the mark tells.
    two.commit("again\n")
    two.mlsnap("run", env=QUIET)
    again = look(two.volume)
    two.mlsnap("restore", "v2", "epoch/1/log.txt")
    assert (two.volume / "epoch/1/log.txt").stat().st_mtime == 1700000000
    assert _live(two) | {"since": 0} == {
        "version": two.repository.head(),
        "condition": "mixed",
        "equal": False,
        "added": 0,
        "changed": 0,
        "removed": 0,
        "since": 0,
    }
    two.refused("live-tree-changed", 40, "run", "--retrain")
    two.mlsnap("restore", "HEAD")
    assert look(two.volume) == again
    assert _live(two)["equal"] is True
    two.mlsnap("restore", "v2")
    assert look(two.volume) == before


def test_what_is_the_same_in_both_versions_changes_nothing(two: Place) -> None:
    before = every_stat(two.volume)
    said = two.mlsnap("restore", "--json", "v1", "same.txt").facts
    assert said["changed"] is False
    assert every_stat(two.volume) == before
    assert _live(two)["equal"] is True


def test_unsaved_work_is_kept_where_it_would_be_replaced_and_only_there(two: Place) -> None:
    (two.volume / "weights.txt").write_text("my work")
    (two.volume / "epoch/mine.txt").write_text("mine")
    two.mlsnap("restore", "v1", "same.txt")
    assert _keeps(two) == []
    kept = two.mlsnap("restore", "--json", "v1", "weights.txt").facts["kept"]
    assert (two.snapshot(kept) / "weights.txt").read_text() == "my work"
    assert _text(two, "epoch/mine.txt") == "mine"
    kept = two.mlsnap("restore", "--json", "v1", "epoch").facts["kept"]
    assert (two.snapshot(kept) / "epoch/mine.txt").read_text() == "mine"
    assert not (two.volume / "epoch/mine.txt").exists()
    assert two.mlsnap("restore", "--json", "v1", "epoch").facts["changed"] is False
    assert len(_keeps(two)) == 2


def test_nothing_is_written_through_a_link(two: Place, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "1").mkdir(parents=True)
    (outside / "1/log.txt").write_text("somebody's")
    shutil.rmtree(two.volume / "epoch")
    (two.volume / "epoch").symlink_to(outside)
    for wanted in ("models/epoch/1/log.txt", "epoch/1"):
        two.refused("live-tree-changed", 40, "restore", "v1", wanted)
    assert (outside / "1/log.txt").read_text() == "somebody's"
    two.mlsnap("recover")
    two.mlsnap("restore", "v1", "epoch/1")
    assert _text(two, "epoch/1/log.txt") == "first\n"


def test_a_restore_of_parts_that_is_cut_off_is_ended_by_recover(two: Place) -> None:
    before = look(two.volume)
    assert _killed_at_the_first_file(two) == -signal.SIGKILL
    assert _live(two)["condition"] == "in-change"
    two.refused("live-tree-changed", 40, "restore", "v1", "weights.txt")
    two.mlsnap("recover")
    assert look(two.volume) == before
    assert _live(two)["equal"] is True


def _killed_at_the_first_file(place: Place) -> int:
    """Run a restore of parts that is killed when it replaces the first file."""
    script = (
        "import os, signal, sys\n"
        "from ci_mlsnap.storage.sync import Writing\n"
        "Writing.make = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "from ci_mlsnap.cli import main\n"
        "sys.argv = ['mlsnap', 'restore', 'v1', 'weights.txt', 'epoch']\n"
        "main()\n"
    )
    done = subprocess.run(
        (sys.executable, "-c", script), cwd=place.folder, env=place.environment, capture_output=True, check=False
    )
    return done.returncode


def test_parts_are_copied_to_a_new_folder_under_their_names(two: Place, tmp_path: Path) -> None:
    before = everything_of(two.store / "snapshots", two.volume)
    copy = tmp_path / "copy"
    two.mlsnap("restore", "v1", "epoch/1", "models/weights.txt", "--to", str(copy))
    found = sorted(str(path.relative_to(copy)) for path in copy.rglob("*") if ".mlsnap" not in path.parts)
    assert found == ["epoch", "epoch/1", "epoch/1/log.txt", "weights.txt"]
    assert (copy / "weights.txt").read_text() == "first\n"
    assert everything_of(two.store / "snapshots", two.volume) == before
    two.refused("usage", 2, "restore", "v1", "epoch/1", "--to", str(copy))


def test_a_name_of_any_bytes_comes_back(make_place: MakePlace) -> None:
    place = make_place(train='printf first > "$(printf "%s/caf\\351\\n" "$MLSNAP_MODEL_DIR")"\n')
    place.mlsnap("run", env=QUIET)
    name = next(entry for entry in os.listdir(os.fsencode(place.volume)) if entry.startswith(b"caf"))
    os.unlink(os.fsencode(place.volume) + b"/" + name)
    place.mlsnap("restore", "HEAD", b"models/" + name)
    assert _live(place)["equal"] is True


def test_a_shared_volume_is_not_changed_in_parts_unless_all_are_meant(make_place: MakePlace) -> None:
    place = make_place(shared=True, train=TRAIN)
    first = place.repository.head()
    place.mlsnap("run", env=QUIET)
    place.commit("other\n")
    place.mlsnap("run", env=QUIET)
    view = (place.folder / "models").readlink()
    with place.nothing_changed():
        assert "--to" in place.refused("refused", 40, "restore", first, "models/weights.txt").stderr
    place.mlsnap("restore", first, "models/weights.txt", "--shared")
    assert _text(place, "weights.txt") == "first\n"
    assert (place.folder / "models").readlink() == view
