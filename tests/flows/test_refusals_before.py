"""Refused before anything is trained: no repository, no commit, a dirty tree, settings that cannot be."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import GitRepository
from tests.flows.conftest import MakePlace, Place


def test_outside_of_a_repository_each_command_says_so(make_place: MakePlace, tmp_path: Path) -> None:
    outside, place = tmp_path / "outside", make_place()
    outside.mkdir()
    for command in (("run",), ("status",), ("recover",), ("checkout", "HEAD"), ("init",)):
        place.refused("not-a-repository", 2, *command, cwd=outside)
    assert list(outside.iterdir()) == []


def test_a_repository_without_a_commit_has_nothing_to_train(place: Place, tmp_path: Path) -> None:
    empty = GitRepository(path=tmp_path / "empty")
    empty.path.mkdir()
    empty.git("init", "--quiet")
    (empty.path / "models").mkdir()
    said = place.refused("no-commit", 2, "run", "--", "true", cwd=empty.path)
    assert "commit something" in said.stderr
    assert list((empty.path / "models").iterdir()) == []
    assert not (empty.path / ".git" / "mlsnap").exists()


def test_an_unknown_revision_moves_nothing(trained: Place) -> None:
    with trained.nothing_changed():
        for command in ("show", "path", "checkout", "restore"):
            trained.refused("no-commit", 2, command, "nosuchbranch")


def test_a_commit_without_a_version_is_told_apart_and_moves_nothing(trained: Place) -> None:
    sha = trained.commit("second")
    with trained.nothing_changed():
        for command in ("show", "path", "restore", "checkout"):
            said = trained.refused("no-version", 44, command, sha)
            assert "--nearest" in said.stderr or "mlsnap run" in said.stderr


def test_a_dirty_tree_is_refused_and_names_the_files(trained: Place) -> None:
    (trained.folder / "weights.txt").write_text("not committed\n")
    (trained.folder / "new.txt").write_text("not committed\n")
    with trained.nothing_changed():
        said = trained.refused("dirty-tree", 40)
    assert "weights.txt" in said.error[0] and "new.txt" in said.error[0]
    assert "--allow-dirty" in said.stderr


def test_uncommitted_settings_make_a_tree_dirty_too(trained: Place) -> None:
    with (trained.folder / "mlsnap.toml").open("a") as file:
        file.write("[gates.accuracy]\nmin = 0.0\n")
    with trained.nothing_changed():
        assert "mlsnap.toml" in trained.refused("dirty-tree", 40).error[0]


_WRONG_SETTINGS = {
    'train = "true"\n[train2]\n': "train2",
    '[train]\ncomand = "true"\n': "train.command",
    "train = 7\n": "train.command",
    '[train]\ncommand = "true"\ntimeout = "soon"\n': "train.timeout",
    'train = "true"\n[gates.accuracy]\nmin = "high"\n': "gates.accuracy.min",
    'train = "true"\n[volumes.models]\npath = "models"\n[volumes.others]\ndriver = "local"\n': "volumes",
    'train = "true"\n[volumes.models]\ndriver = "floppy"\n': "local",
    'train = "true\n': "mlsnap.toml",
}
"""Unknown keys, wrong types, an impossible combination, no TOML at all: and what the error must name."""


def test_settings_that_cannot_be_are_refused_by_name(trained: Place) -> None:
    for settings, told in _WRONG_SETTINGS.items():
        sha = trained.configure(settings)
        with trained.nothing_changed():
            said = trained.refused("config-invalid", 2)
        assert told in said.stderr and "mlsnap.toml" in said.stderr, settings
        assert trained.states(sha) == []


def test_a_key_at_the_wrong_level_is_refused_and_no_token_is_sent_there(trained: Place) -> None:
    asked = len(trained.server.received)
    for key, value in (
        ("forge.url", "http://127.0.0.1:1"),
        ("forge.repository", "others/repository"),
        ("on_fork", "fail"),
    ):
        trained.configure(f'{key} = "{value}"\ntrain = "sh train.sh"\n')
        with trained.nothing_changed():
            assert key in trained.refused("config-level", 2).stderr
    assert len(trained.server.received) == asked


def test_a_variable_of_the_environment_is_read_as_strictly(trained: Place) -> None:
    with trained.nothing_changed():
        said = trained.refused("config-invalid", 2, "run", env={"MLSNAP__TRAIN__TIMOUT": "1h"})
    assert "MLSNAP__TRAIN__TIMOUT" in said.stderr


def test_a_repository_that_says_nothing_of_training_is_told_what_to_write(trained: Place) -> None:
    trained.configure("")
    with trained.nothing_changed():
        assert "mlsnap run -- python train.py" in trained.refused("usage", 2).stderr


def test_a_word_that_is_no_command_gets_the_one_that_is_meant(place: Place) -> None:
    for word, meant in (("undelete", "recover"), ("list", "log"), ("chekout", "checkout")):
        assert f"mlsnap {meant}" in place.mlsnap(word, expect=2).stderr
