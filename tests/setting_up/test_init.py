from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from ci_mlsnap.flows.init import init, toml_text
from ci_mlsnap.git.repository import GitRepository as Git
from ci_mlsnap.testing.ground import every_stat
from tests.conftest import GitRepository
from tests.setting_up.conftest import Place


@pytest.fixture
def bare(repository: GitRepository) -> Place:
    """Give a repository that has never heard of mlsnap."""
    return Place(repository=repository)


def _init(place: Place, volume: str) -> None:
    """Do what the command does, without a process for each of many cases."""
    init(Git.find(place.path), place.path, command="python train.py", volume=volume)


def test_init_writes_settings_and_ignores_the_volume(bare: Place) -> None:
    said = bare.mlsnap("init", "--train", "python fit.py --fast", "--volume", "weights")
    settings = tomllib.loads((bare.path / "mlsnap.toml").read_text())
    assert settings == {"train": "python fit.py --fast", "volume": "weights"}
    assert (bare.path / ".gitignore").read_text() == "/weights/\n"
    assert said.stdout.splitlines() == [
        "mlsnap.toml written",
        ".gitignore ignores /weights/ now",
        "next: commit these files, then `mlsnap doctor` and `mlsnap run`",
    ]


def test_what_init_wrote_is_what_doctor_and_a_run_take(bare: Place) -> None:
    bare.mlsnap("init", "--train", 'echo x > "$MLSNAP_MODEL_DIR/w"')
    bare.repository.commit("settings")
    assert bare.doctor().bad == []
    bare.mlsnap("run")
    assert bare.repository.git("status", "--porcelain") == ""


def test_init_twice_is_init_once(bare: Place) -> None:
    bare.mlsnap("init")
    before = every_stat(bare.path)
    said = bare.mlsnap("init", "--train", "something else")
    assert every_stat(bare.path) == before
    assert "mlsnap.toml is there already: left as it is" in said.stdout
    assert ".gitignore ignores /models/ already" in said.stdout


@pytest.mark.parametrize("kind", ["file", "dangling link", "folder"])
def test_what_is_in_the_place_of_the_settings_stays(bare: Place, kind: str) -> None:
    file = bare.path / "mlsnap.toml"
    match kind:
        case "file":
            file.write_text("# mine\n")
        case "dangling link":
            file.symlink_to("/nowhere/mlsnap.toml")
        case _:
            file.mkdir()
    before = file.lstat()
    assert "left as it is" in bare.mlsnap("init").stdout
    assert file.lstat() == before


def test_settings_in_pyproject_are_settings(bare: Place) -> None:
    """A second file with settings would be an error of its own."""
    (bare.path / "pyproject.toml").write_text("[tool.mlsnap]\n" + 'train = "sh x"\nvolume = "models"\n')
    assert "pyproject.toml is there already" in bare.mlsnap("init").stdout
    assert not (bare.path / "mlsnap.toml").exists()
    bare.repository.commit("settings")
    assert bare.doctor().bad == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b"/models/\n"),
        (b"*.pyc\n", b"*.pyc\n/models/\n"),
        (b"*.pyc", b"*.pyc\n/models/\n"),
        (b"a\r\nb\r\n", b"a\r\nb\r\n/models/\n"),
        (b"caf\xe9\n", b"caf\xe9\n/models/\n"),
        (b"x\n/models/\ny\n", b"x\n/models/\ny\n"),
        (b"/models", b"/models"),
        (b"/models/old/\n", b"/models/old/\n/models/\n"),
    ],
)
def test_the_line_is_added_once_and_all_else_stays(bare: Place, before: bytes, after: bytes) -> None:
    ignored = bare.path / ".gitignore"
    ignored.write_bytes(before)
    for _ in range(2):
        _init(bare, "models")
        assert ignored.read_bytes() == after


@pytest.mark.parametrize("name", ["./models/", "deep/er", "a b", "[x]*?", "#x", "!x", "-rf", "\\", "modèle"])
def test_git_ignores_exactly_the_volume_whatever_its_name(bare: Place, name: str) -> None:
    _init(bare, name)
    volume = bare.path / name
    volume.mkdir(parents=True)
    (volume / "weights").touch()
    (bare.path / "xq").mkdir()
    (bare.path / "xq" / "code").touch()
    said = bare.repository.git("status", "--porcelain", "--untracked-files=all")
    assert [line[3:] for line in said.splitlines()] == [".gitignore", "mlsnap.toml", "xq/code"]


def test_a_volume_elsewhere_is_not_ignored_and_one_named_by_its_whole_path_is(bare: Place, tmp_path: Path) -> None:
    bare.mlsnap("init", f"--volume={tmp_path / 'shared' / 'digits'}")
    assert not (bare.path / ".gitignore").exists()
    bare.mlsnap("init", f"--volume={bare.path / 'models'}")
    assert (bare.path / ".gitignore").read_text() == "/models/\n"


def test_a_project_in_a_folder_gets_its_own_files(bare: Place) -> None:
    (bare.path / "ranker").mkdir()
    bare.mlsnap("--project", "ranker", "init")
    assert sorted(os.listdir(bare.path / "ranker")) == [".gitignore", "mlsnap.toml"]
    assert not (bare.path / "mlsnap.toml").exists()


def test_a_volume_beside_the_project_is_ignored_where_git_sees_it(bare: Place) -> None:
    (bare.path / "ranker").mkdir()
    said = bare.mlsnap("--project", "ranker", "init", "--volume", "../models")
    assert (bare.path / ".gitignore").read_text() == "/models/\n"
    assert "../.gitignore ignores /models/ now" in said.stdout


def test_a_volume_that_git_tracks_is_told_and_left(bare: Place) -> None:
    bare.repository.commit("a model in git", {"models/weights": "w"})
    said = bare.mlsnap("init")
    assert "models is tracked by git: `git rm -r --cached` it, then commit" in said.stdout
    assert bare.repository.git("ls-files", "models") == "models/weights"


@pytest.mark.parametrize("name", [".", "..", "x/..", "a\nb", "\x1b[2J"])
def test_a_volume_that_can_be_none_is_refused_before_anything_is_written(bare: Place, name: str) -> None:
    before = every_stat(bare.path)
    said = bare.mlsnap("init", f"--volume={name}", expect=2)
    assert "mlsnap: error[usage]: " in said.stderr
    assert "\x1b" not in said.stderr
    assert every_stat(bare.path) == before


def test_outside_a_repository_nothing_is_written(bare: Place, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    said = bare.mlsnap("init", expect=2, cwd=tmp_path / "elsewhere")
    assert "error[not-a-repository]" in said.stderr
    assert os.listdir(tmp_path / "elsewhere") == []


@pytest.mark.parametrize(
    "text", ["", 'a "b" \\ c', "tab\tnew\nline\r", "\x00\x01\x1f\x7f", "modèle 🙂", "'''", '"""', "\u2028 \ufeff"]
)
def test_a_text_comes_back_from_toml_as_it_was(text: str) -> None:
    assert tomllib.loads(f"key = {toml_text(text)}") == {"key": text}
