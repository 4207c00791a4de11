"""Several model volumes are one version: there as a whole or not at all, and brought back as a whole."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.flows.conftest import QUIET, MakePlace, Place

SETTINGS = """\
train = "sh train.sh"
[volumes.models]
path = "{models}"
[volumes.tokenizer]
path = "{tokenizer}"
"""
TRAIN = """\
cp weights.txt "$MLSNAP_MODEL_DIR/weights.txt"
test "$MLSNAP_MODEL_DIR" = "$MLSNAP_MODEL_DIR_MODELS"
echo "words of $(cat weights.txt)" > "$MLSNAP_MODEL_DIR_TOKENIZER/words.txt"
echo '{"accuracy": 0.5}' > "$MLSNAP_METRICS"
"""


@pytest.fixture
def place(make_place: MakePlace) -> Place:
    """Give a place with two private volumes, `models` and `tokenizer`."""
    place = make_place(settings=SETTINGS.format(models="models", tokenizer="tokenizer"), train=TRAIN)
    place.commit(**{".gitignore": "/models\n/tokenizer\n"})
    return place


@pytest.fixture
def shared(make_place: MakePlace, tmp_path: Path) -> Place:
    """Give a place with two shared volumes and a view for each."""
    settings = SETTINGS.format(models=tmp_path / "shared/digits", tokenizer=tmp_path / "shared/words")
    settings = settings.replace('digits"', 'digits"\nview = "models"').replace(
        'words"', 'words"\nview = "tokenizer"'
    )
    return make_place(shared=True, settings=settings, train=TRAIN)


def tokenizer(place: Place) -> Path:
    return place.volume.parent / "tokenizer"


def store_of_tokenizer(place: Place) -> Path:
    return place.store.parent / "tokenizer"


def words(place: Place, name: str) -> str:
    return (tokenizer(place) / ".snapshot" / name / "words.txt").read_text()


def test_one_run_makes_one_version_of_both(place: Place) -> None:
    facts = place.mlsnap("run", "--json").facts
    sha = place.repository.head()
    assert (place.snapshot(sha) / "weights.txt").read_text() == "first\n"
    assert words(place, sha) == "words of first\n"
    assert [facts["volume"]["name"], facts["others"][0]["name"]] == ["models", "tokenizer"]
    assert "2 files" in place.statuses(sha)[-1][1]
    assert "models, tokenizer" in place.mlsnap("show", "HEAD").stdout
    assert "equals" in place.mlsnap("status").stdout
    place.require_rest()


def test_both_go_back_together(place: Place) -> None:
    place.mlsnap("run", env=QUIET)
    first = place.repository.head()
    second = place.commit("second\n")
    place.mlsnap("run", env=QUIET)
    place.mlsnap("restore", first)
    assert (place.volume / "weights.txt").read_text() == "first\n"
    assert (tokenizer(place) / "words.txt").read_text() == "words of first\n"
    place.mlsnap("checkout", second)
    assert (place.volume / "weights.txt").read_text() == "second\n"
    assert (tokenizer(place) / "words.txt").read_text() == "words of second\n"


@pytest.mark.parametrize("gone", ["models", "tokenizer", "both"])
def test_what_was_deleted_is_recovered(place: Place, gone: str) -> None:
    place.mlsnap("run", env=QUIET)
    for volume in (place.volume, tokenizer(place)):
        if gone in (volume.name, "both"):
            shutil.rmtree(volume)
    place.mlsnap("recover")
    assert (place.volume / "weights.txt").read_text() == "first\n"
    assert (tokenizer(place) / "words.txt").read_text() == "words of first\n"
    assert "nothing differs" in place.mlsnap("recover").text or place.mlsnap("recover").code == 0


def test_unsaved_work_in_either_is_kept_and_comes_back_as_a_whole(place: Place) -> None:
    place.mlsnap("run", env=QUIET)
    sha = place.repository.head()
    (tokenizer(place) / "mine.txt").write_text("not to be lost")
    place.mlsnap("restore", sha)
    assert not (tokenizer(place) / "mine.txt").exists()
    place.mlsnap("restore", f"{sha}-keep-1")
    assert (tokenizer(place) / "mine.txt").read_text() == "not to be lost"
    assert (place.volume / "weights.txt").read_text() == "first\n"


def test_a_changed_second_volume_stops_training_in_place(place: Place) -> None:
    place.mlsnap("run", env=QUIET)
    (tokenizer(place) / "words.txt").write_text("changed by hand")
    place.commit("second\n")
    place.refused("live-tree-changed", 40, "run")


def test_a_run_that_writes_to_one_of_them_makes_a_version(place: Place) -> None:
    place.mlsnap("run", env=QUIET)
    sha = place.train_with('echo more > "$MLSNAP_MODEL_DIR_TOKENIZER/more.txt"\n')
    place.mlsnap("run", env=QUIET)
    assert (place.snapshot(sha) / "weights.txt").read_text() == "first\n"
    assert words(place, sha) == "words of first\n"
    place.train_with("true\n")
    place.refused("model-unchanged", 11, "run")


def test_shared_volumes_follow_with_their_views(shared: Place) -> None:
    shared.mlsnap("run", env=QUIET)
    first = shared.repository.head()
    shared.commit("second\n")
    shared.mlsnap("run", env=QUIET)
    assert (shared.volume / "weights.txt").read_text() == "second\n"
    assert (shared.volume.parent / "words/words.txt").read_text() == "words of second\n"
    shared.mlsnap("restore", first)
    assert (shared.folder / "models/weights.txt").read_text() == "first\n"
    assert (shared.folder / "tokenizer/words.txt").read_text() == "words of first\n"
    assert (shared.volume / "weights.txt").read_text() == "second\n"


def test_a_copy_elsewhere_has_a_folder_for_each(place: Place, tmp_path: Path) -> None:
    place.mlsnap("run", env=QUIET)
    place.mlsnap("restore", "HEAD", "--to", str(tmp_path / "copy"))
    assert (tmp_path / "copy/models/weights.txt").read_text() == "first\n"
    assert (tmp_path / "copy/tokenizer/words.txt").read_text() == "words of first\n"


def test_a_version_that_lost_a_volume_is_damaged_and_nothing_moves(place: Place) -> None:
    place.mlsnap("run", env=QUIET)
    first = place.repository.head()
    place.commit("second\n")
    place.mlsnap("run", env=QUIET)
    shutil.rmtree(store_of_tokenizer(place) / "snapshots" / first)
    place.refused("integrity", 60, "restore", first)
    assert (place.volume / "weights.txt").read_text() == "second\n"
    assert (tokenizer(place) / "words.txt").read_text() == "words of second\n"


def test_without_the_second_volume_in_the_settings_a_version_is_not_taken_apart(place: Place) -> None:
    place.mlsnap("run", env=QUIET)
    sha = place.repository.head()
    place.configure('train = "sh train.sh"\nvolume = "models"\n')
    said = place.refused("refused", 40, "restore", sha)
    assert "tokenizer" in said.stderr


def test_a_volume_that_is_added_later_makes_the_commit_train_again(make_place: MakePlace) -> None:
    place = make_place(settings='train = "sh train.sh"\nvolume = "models"\n')
    place.mlsnap("run", env=QUIET)
    first = place.repository.head()
    place.configure(SETTINGS.format(models="models", tokenizer="tokenizer"))
    place.train_with(TRAIN)
    place.mlsnap("run", env=QUIET)
    assert words(place, place.repository.head()) == "words of first\n"
    place.mlsnap("restore", first)  # of one volume only: the other stays as it is
    assert (tokenizer(place) / "words.txt").read_text() == "words of first\n"


def test_the_order_of_the_volumes_is_kept(place: Place) -> None:
    place.mlsnap("run", env=QUIET)
    text = (place.folder / "mlsnap.toml").read_text()
    train, models, words_ = text.split("[")
    place.configure(f"{train}[{words_}[{models}")
    place.commit("second\n")
    place.refused("volume-refused", 40, "run")


@pytest.mark.parametrize(
    "settings",
    [
        SETTINGS.format(models="models", tokenizer="models/inside"),
        SETTINGS.format(models="models", tokenizer="/srv/elsewhere"),
    ],
    ids=["one in the other", "one shared"],
)
def test_volumes_that_cannot_be_one_version_are_refused(make_place: MakePlace, settings: str) -> None:
    make_place(settings=settings).refused("config-invalid", 2, "run")


def test_what_is_left_of_a_version_that_was_lost_stays(place: Place) -> None:
    """Unlike the second volume's snapshot after a crash between the two, which never was a version's."""
    place.mlsnap("run", env=QUIET)
    sha = place.repository.head()
    shutil.rmtree(place.store / "snapshots" / sha)
    place.mlsnap("recover", expect=44)
    assert words(place, sha) == "words of first\n"


def test_both_follow_git_and_are_rolled_back_together(place: Place) -> None:
    place.mlsnap("run", env=QUIET)
    first = place.repository.head()
    place.commit("second\n")
    place.mlsnap("run", env=QUIET)
    place.mlsnap("rollback", first, "--yes")
    assert (tokenizer(place) / "words.txt").read_text() == "words of first\n"
    place.mlsnap("rollback", "--undo", "--yes")
    assert (tokenizer(place) / "words.txt").read_text() == "words of second\n"
    place.mlsnap("hooks", "install")
    place.repository.git("checkout", "--quiet", first)
    assert (place.volume / "weights.txt").read_text() == "first\n"
    assert (tokenizer(place) / "words.txt").read_text() == "words of first\n"
