"""What must simply work: ways to run, and shared volumes."""

from __future__ import annotations

import os
import re
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.flows.conftest import QUIET, MakePlace, Place
from tests.promise.checking import content_of

# -- ways to run ---------------------------------------------------------------------------------------


def test_training_again_makes_attempts_that_are_numbered(trained: Place) -> None:
    before = trained.snapshots()
    assert "nothing was trained" in trained.mlsnap("run").stderr
    assert trained.snapshots() == before
    trained.train_with('date +%N > "$MLSNAP_MODEL_DIR/moment"\n')
    sha = trained.repository.head()
    for _ in range(3):
        trained.mlsnap("run", "--retrain")
    assert trained.snapshots() == sorted([*before, sha, f"{sha}.2", f"{sha}.3"])
    moments = [(trained.snapshot(name) / "moment").read_text() for name in (sha, f"{sha}.2", f"{sha}.3")]
    assert len(set(moments)) == 3
    assert trained.mlsnap("path", sha).stdout.strip().endswith(f"{sha}.3")
    trained.mlsnap("restore", f"{sha[:10]}.2")
    assert (trained.volume / "moment").read_text() == moments[1]
    trained.mlsnap("restore", f"{sha[:10]}.1")
    assert (trained.volume / "moment").read_text() == moments[0]


def test_a_dirty_tree_is_trained_when_asked_for_and_posts_no_status(trained: Place) -> None:
    sha, before = trained.repository.head(), trained.snapshots()
    statuses = trained.statuses(sha)
    (trained.folder / "weights.txt").write_text("not committed\n")
    trained.mlsnap("run", "--allow-dirty")
    (made,) = set(trained.snapshots()) - set(before)
    assert re.fullmatch(f"{sha}-dirty-[0-9a-f]{{8}}", made)
    assert (trained.snapshot(made) / "weights.txt").read_text() == "not committed\n"
    assert trained.statuses(sha) == statuses
    assert trained.mlsnap("path").stdout.strip().endswith(sha), "a dirty tree answers for its commit"
    trained.repository.git("checkout", "--quiet", "weights.txt")
    trained.mlsnap("checkout", "main")
    assert (trained.volume / "weights.txt").read_text() == "first\n"
    trained.mlsnap("restore", made)
    assert (trained.volume / "weights.txt").read_text() == "not committed\n"


def test_a_command_keeps_its_spaces_and_quotes(place: Place) -> None:
    script = 'import os, sys; open(os.environ["MLSNAP_MODEL_DIR"] + "/arguments", "w").write(repr(sys.argv[1:]))'
    wanted = ["two words", "it's", '"quoted"', "$HOME", "*", "", "--json", "a\nb"]
    place.mlsnap("run", "--", sys.executable, "-c", script, *wanted)
    assert (place.volume / "arguments").read_text() == repr(wanted)


def test_a_command_as_one_text_goes_through_a_shell(place: Place) -> None:
    text = """for name in "a b" "c"; do echo "$name" >> models/names; done && echo done > models/end"""
    place.volume.mkdir()
    place.configure(f"train = '{text}'\n")
    place.mlsnap("run", env=QUIET)
    assert (place.volume / "names").read_text() == "a b\nc\n"


def test_output_of_training_comes_through_unchanged(place: Place) -> None:
    place.train_with("printf 'out\\r\\033[1mbold\\n'; printf 'caf\\351\\n'; echo err >&2; echo x > models/x\n")
    said = place.mlsnap("run")
    assert "out\r\033[1mbold\ncaf\udce9\nerr\n" in said.stdout
    facts = place.mlsnap("run", "--retrain", "--json").facts
    assert facts["outcome"] == "good"


def test_nothing_is_needed_but_a_folder_named_models(place: Place) -> None:
    (place.folder / "mlsnap.toml").unlink()
    sha = place.commit()
    place.mlsnap("run", "--", "sh", "train.sh")
    place.snapshot(sha)


def test_without_a_token_all_works_and_it_says_what_was_not_posted(place: Place) -> None:
    sha = place.repository.head()
    said = place.mlsnap("run", env={"MLSNAP_GITHUB_TOKEN": ""})
    assert "no status posted" in said.stderr
    place.snapshot(sha)
    assert place.states(sha) == []
    place.mlsnap("run")
    assert place.states(sha) == ["success"]


def test_a_dry_run_changes_nothing(trained: Place) -> None:
    trained.commit("second")
    asked = len(trained.server.received)
    with trained.nothing_changed():
        shown = trained.mlsnap("run", "--dry-run", env={"MLSNAP_GITHUB_TOKEN": ""}).stdout
    assert trained.repository.head() in shown
    assert len(trained.server.received) == asked


def test_deleted_and_damaged_files_come_back(trained: Place) -> None:
    before = content_of(trained.volume)
    for harm in (
        partial(os.unlink, trained.volume / "weights.txt"),
        partial(os.truncate, trained.volume / "weights.txt", 3),
        partial(os.rename, trained.volume, trained.folder.parent / "gone"),
        partial(_damage_secretly, trained.volume / "weights.txt"),
    ):
        harm()
        trained.mlsnap("recover")
        assert content_of(trained.volume) == before
    assert "nothing to recover" in trained.mlsnap("recover").stdout
    trained.require_rest()


def _damage_secretly(file: Path) -> None:
    """Change a file's content and leave its size and time."""
    facts = file.stat()
    file.write_bytes(b"x" * facts.st_size)
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def test_unsaved_work_is_kept_when_a_version_comes_back(trained: Place) -> None:
    (trained.volume / "weights.txt").write_text("days of work\n")
    said = trained.mlsnap("recover", "--json").facts
    assert (trained.volume / "weights.txt").read_text() == "first\n"
    assert (trained.snapshot(said["kept"]) / "weights.txt").read_text() == "days of work\n"
    trained.mlsnap("restore", said["kept"], "--to", str(trained.folder.parent / "work"))
    assert (trained.folder.parent / "work" / "weights.txt").read_text() == "days of work\n"


def test_a_folder_that_a_script_makes_anew_stays_the_volume(trained: Place) -> None:
    sha = trained.train_with("rm -rf models; mkdir models; echo second > models/weights.txt\n")
    trained.mlsnap("run", env=QUIET)
    trained.mlsnap("status")
    trained.mlsnap("recover")
    assert (trained.store / "snapshots" / sha / "weights.txt").read_text() == "second\n"
    trained.commit("third", **{"train.sh": 'cp weights.txt "$MLSNAP_MODEL_DIR/weights.txt"\n'})
    trained.mlsnap("run", env=QUIET)
    trained.mlsnap("checkout", sha)
    assert (trained.volume / "weights.txt").read_text() == "second\n"


def test_an_isolated_private_volume_leaves_the_live_tree_alone_until_all_is_well(trained: Place) -> None:
    settings = 'train = "sh train.sh"\n[volumes.models]\npath = "models"\nisolation = "workspace"\n'
    trained.repository.commit(
        "isolated", {"mlsnap.toml": settings, "train.sh": "echo x > models/weights.txt; exit 1\n"}
    )
    with trained.versions_kept():
        trained.refused("training-failed", 10)
    assert (trained.volume / "weights.txt").read_text() == "first\n"
    sha = trained.train_with("echo second > models/weights.txt\n")
    trained.mlsnap("run", env=QUIET)
    assert (trained.volume / "weights.txt").read_text() == "second\n"
    trained.snapshot(sha)


# -- shared volumes ------------------------------------------------------------------------------------


@pytest.fixture
def shared(make_place: MakePlace) -> Place:
    """Give a place whose volume is beside the checkout, with a view, and whose first commit is trained."""
    place = make_place(shared=True)
    place.mlsnap("run", env=QUIET)
    return place


def test_a_view_shows_the_version_and_moves_without_the_live_tree(shared: Place) -> None:
    first, view = shared.repository.head(), shared.folder / "models"
    assert os.path.samefile(view, shared.volume / ".snapshot" / first)
    second = shared.commit("second")
    shared.mlsnap("run", env=QUIET)
    assert (view / "weights.txt").read_text() == "second"
    assert (shared.volume / "weights.txt").read_text() == "second", "a good run by hand moves the live tree"
    shared.mlsnap("checkout", first)
    assert os.path.samefile(view, shared.volume / ".snapshot" / first)
    assert (shared.volume / "weights.txt").read_text() == "second", "a checkout moved a shared live tree"
    shared.mlsnap("restore", "--shared", first)
    assert (shared.volume / "weights.txt").read_text() == "first\n"
    shared.snapshot(second)


def test_a_view_is_clean_for_git_and_a_lost_one_comes_back(shared: Place) -> None:
    view = shared.folder / "models"
    assert shared.repository.git("status", "--porcelain") == ""
    view.unlink()
    shared.mlsnap("recover")
    assert (view / "weights.txt").read_text() == "first\n"
    assert "nothing to recover" in shared.mlsnap("recover").stdout


def test_a_script_that_writes_to_the_view_trains_in_a_workspace(shared: Place) -> None:
    first, view = shared.repository.head(), shared.folder / "models"
    sha = shared.train_with("cat models/weights.txt; echo second > models/weights.txt; exit 1\n")
    with shared.versions_kept():
        shared.refused("training-failed", 10)
    assert (view / "weights.txt").read_text() == (shared.volume / "weights.txt").read_text() == "first\n"
    sha = shared.train_with("cat models/weights.txt; echo second > models/weights.txt\n")
    assert "first" in shared.mlsnap("run").stdout, "the workspace starts with the parent's files"
    assert (shared.snapshot(sha) / "weights.txt").read_text() == "second\n"
    assert (shared.snapshot(first) / "weights.txt").read_text() == "first\n"


def test_a_version_that_misses_its_gate_moves_neither_view_nor_live_tree(shared: Place) -> None:
    first, view = shared.repository.head(), shared.folder / "models"
    gate = f"{(shared.folder / 'mlsnap.toml').read_text()}[gates.accuracy]\nmin = 0.99\n"
    sha = shared.repository.commit("worse", {"mlsnap.toml": gate, "weights.txt": "worse"})
    shared.refused("gate-missed", 12)
    assert (shared.snapshot(sha) / "weights.txt").read_text() == "worse"
    assert os.path.samefile(view, shared.volume / ".snapshot" / first)
    assert (shared.volume / "weights.txt").read_text() == "first\n"


def test_a_reader_of_a_view_never_waits_for_a_run_or_sees_its_files(shared: Place) -> None:
    first = shared.repository.head()
    shared.train_with(
        f'test "$(cat "{shared.volume}/weights.txt")" = first && test -d "{shared.volume}/.snapshot/{first}"\n'
        'echo half > "$MLSNAP_MODEL_DIR/weights.txt"\n'
        f'test "$(cat "{shared.volume}/weights.txt")" = first\n'
    )
    shared.mlsnap("run", env=QUIET)
