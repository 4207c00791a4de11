"""On btrfs, where a volume is a subvolume: versions are made and brought back without a look at their files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ci_mlsnap.trees import subvolume
from tests.conftest import LoopMount
from tests.flows.conftest import QUIET, MakePlace, Place

GROWING = """\
set -eu
mkdir -p "$MLSNAP_MODEL_DIR/parts"
for part in $(seq "$(cat parts.txt)"); do
    mkdir -p "$MLSNAP_MODEL_DIR/parts/$part"
    echo "$part" > "$MLSNAP_MODEL_DIR/parts/$part/weights"
done
cp weights.txt "$MLSNAP_MODEL_DIR/weights.txt"
"""

COUNTING = """\
import sys
counts = {"os.listdir": 0, "os.scandir": 0}
sys.addaudithook(lambda event, _: event in counts and counts.__setitem__(event, counts[event] + 1))
from ci_mlsnap.cli import main
code = main()
print(sum(counts.values()), file=sys.stderr)
sys.exit(code)
"""
"""mlsnap, which says last how many folders it listed: a walk lists each."""


@pytest.fixture
def tmp_path(loop_mount: LoopMount) -> Path:
    """Give a folder on btrfs, below which `make_place` works."""
    return loop_mount("btrfs", 300)


@pytest.fixture
def grown(make_place: MakePlace, request: pytest.FixtureRequest) -> Place:
    """Give a place with two versions of `request.param` folders each; the second is live."""
    place = make_place(train=GROWING)
    place.commit(**{"parts.txt": f"{request.param}\n"})
    place.mlsnap("run", env=QUIET)
    place.commit("second\n")
    place.mlsnap("run", env=QUIET)
    return place


def listed_folders(place: Place, *arguments: str) -> int:
    done = subprocess.run(
        (sys.executable, "-c", COUNTING, *arguments),
        cwd=place.folder,
        env={**place.environment, **QUIET},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stderr.splitlines()[-1])


def test_a_version_is_a_read_only_subvolume_and_the_record_names_the_way(place: Place) -> None:
    facts = place.mlsnap("run", "--json", env=QUIET).facts
    tree = subvolume.look(place.snapshot(place.repository.head()))
    assert tree is not None and tree.read_only
    assert facts["volume"]["way"] == "btrfs"
    assert subvolume.look(place.volume) is not None
    place.require_rest()


@pytest.mark.parametrize("shared", [False, True])
def test_a_second_version_reads_no_file_that_is_as_it_was(make_place: MakePlace, shared: bool) -> None:
    keep = 'set -eu\n[ -e "$MLSNAP_MODEL_DIR/big" ] || head -c 1000000 /dev/zero > "$MLSNAP_MODEL_DIR/big"\n'
    place = make_place(shared=shared, train=keep + 'cp weights.txt "$MLSNAP_MODEL_DIR/"\nsleep 0.3\n')
    place.mlsnap("run", env=QUIET)
    first = place.repository.head()
    place.commit("second\n")
    place.mlsnap("run", env=QUIET)
    one, other = (place.snapshot(sha) / "big" for sha in (first, place.repository.head()))
    assert one.stat().st_ino == other.stat().st_ino
    assert other.stat().st_atime_ns <= one.stat().st_atime_ns  # reading sets it, on this mount


def test_going_back_lists_as_many_folders_for_a_large_tree_as_for_a_small_one(make_place: MakePlace) -> None:
    counts = []
    for parts in (2, 60):
        place = make_place(f"checkout{parts}", train=GROWING)
        place.commit(**{"parts.txt": f"{parts}\n"})
        place.mlsnap("run", env=QUIET)
        place.commit("second\n")
        place.mlsnap("run", env=QUIET)
        counts.append(listed_folders(place, "restore", "HEAD~1"))
        assert (place.volume / "weights.txt").read_text() == "first\n"
        assert len(list((place.volume / "parts").iterdir())) == parts
    assert counts[0] == counts[1]


@pytest.mark.parametrize("grown", [3], indirect=True)
def test_unsaved_work_is_found_and_kept_when_going_back(grown: Place) -> None:
    (grown.volume / "mine.txt").write_text("not in any version")
    said = grown.mlsnap("restore", "HEAD~1", env=QUIET)
    kept = f"{grown.repository.git('rev-parse', 'HEAD~1')}-keep-1"
    assert kept in grown.snapshots() and "-keep-1" in said.stdout
    assert (grown.snapshot(kept) / "mine.txt").read_text() == "not in any version"


@pytest.mark.parametrize("grown", [3], indirect=True)
def test_what_is_still_written_to_a_displaced_tree_is_kept_before_it_goes(grown: Place) -> None:
    grown.mlsnap("restore", "HEAD~1", env=QUIET)
    (trash,) = (grown.store / "snapshots").glob(".trash-*")
    (trash / "late.txt").write_text("by somebody who had the folder open")
    grown.mlsnap("recover", env=QUIET)
    kept = [name for name in grown.snapshots() if "-keep-" in name]
    assert len(kept) == 1
    assert (grown.snapshot(kept[0]) / "late.txt").exists()


def test_a_run_that_only_reads_the_model_makes_no_version(place: Place) -> None:
    place.mlsnap("run", env=QUIET)
    place.train_with('set -eu\ncat "$MLSNAP_MODEL_DIR/weights.txt" > /dev/null\n')
    place.refused("model-unchanged", 11)


def test_a_subvolume_in_the_volume_is_refused_since_its_files_would_be_missing(place: Place) -> None:
    place.mlsnap("run", env=QUIET)
    before = place.snapshots()
    subvolume.create(place.volume / "cache")
    place.train_with('set -eu\necho other > "$MLSNAP_MODEL_DIR/weights.txt"\n')
    said = place.refused("tree-unsupported", 11)
    assert "subvolume" in said.stderr
    assert place.snapshots() == before


def test_contents_that_are_not_inventoried_are_frozen_and_brought_back_all_the_same(
    make_place: MakePlace, tmp_path: Path
) -> None:
    settings = 'train = "sh train.sh"\nvolume = "models"\n[manifest]\nfiles = "none"\n'
    place = make_place(settings=settings)
    place.mlsnap("run", env=QUIET)
    place.commit("second\n")
    place.mlsnap("run", env=QUIET)
    place.mlsnap("restore", "HEAD~1", env=QUIET)
    assert (place.volume / "weights.txt").read_text() == "first\n"
    place.mlsnap("restore", "HEAD", env=QUIET)
    assert (place.volume / "weights.txt").read_text() == "second\n"
