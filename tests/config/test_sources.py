"""Files: which one is read, and what is refused to be read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ci_mlsnap.config.layering import settle
from ci_mlsnap.config.read import LARGEST, find_folder, folder_files, load_layers, read_repository, read_site
from ci_mlsnap.config.settings import Defaults, Settings
from ci_mlsnap.errors import ConfigInvalid
from tests.config.conftest import only
from tests.conftest import AsUser


def of_folder(folder: Path) -> Settings:
    """Settle what stands in a folder."""
    return settle([read_repository(folder_files(folder))], defaults=Defaults(model="digits"))


def test_no_file_is_fine(tmp_path: Path) -> None:
    assert of_folder(tmp_path).model == "digits"


def test_the_file_or_the_table_of_pyproject_is_read(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n[tool.mlsnap]\nmodel = "table"\n')
    assert of_folder(tmp_path).model == "table"
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "mlsnap"\n')
    (tmp_path / "mlsnap.toml").write_text('model = "file"\n')
    assert of_folder(tmp_path).model == "file"


def test_both_are_an_error_that_names_both(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.mlsnap]\n")
    (tmp_path / "mlsnap.toml").write_text("")
    with pytest.raises(ConfigInvalid, match=r"both in mlsnap\.toml and in \[tool\.mlsnap\] of pyproject\.toml"):
        of_folder(tmp_path)


@pytest.mark.parametrize("text", ["[project\n", "tool = 3\n", 'tool = "mlsnap"\n', "[tool]\nmlsnap_x = 1\n"])
def test_a_pyproject_that_is_broken_or_of_others_does_not_matter(tmp_path: Path, text: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    assert of_folder(tmp_path).model == "digits"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[tool.mlsnap]\nmodel = \n", "pyproject.toml:2: is not valid TOML"),
        ("[tool]\nmlsnap = 3\n", "pyproject.toml: tool.mlsnap: is not a table"),
        ("[tool.mlsnap]\nmodel = 3\n", "pyproject.toml:2: model: is an integer, not a string"),
    ],
)
def test_a_pyproject_that_speaks_of_us_wrongly_is_an_error(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(ConfigInvalid) as caught:
        of_folder(tmp_path)
    assert expected in caught.value.what


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "mlsnap.toml")
    with pytest.raises(ConfigInvalid, match="is no regular file"):
        of_folder(tmp_path)


def test_a_folder_of_the_files_name_is_refused_and_nothing_stays_open(tmp_path: Path) -> None:
    (tmp_path / "mlsnap.toml").mkdir()
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(ConfigInvalid, match="is no regular file"):
        of_folder(tmp_path)
    assert set(os.listdir("/proc/self/fd")) == before


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "mlsnap.toml").open("wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(ConfigInvalid, match="is larger than 1 MiB"):
        of_folder(tmp_path)


def test_a_dangling_link_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "mlsnap.toml").symlink_to("nowhere")
    assert of_folder(tmp_path).model == "digits"


def test_a_link_to_itself_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "mlsnap.toml").symlink_to("mlsnap.toml")
    with pytest.raises(ConfigInvalid, match="cannot be read"):
        of_folder(tmp_path)


def test_a_site_file_that_cannot_be_read_stops_everything(
    open_folder: Path, as_user: AsUser, ordinary_users: tuple[int, int]
) -> None:
    site = open_folder / "mlsnap.toml"
    site.write_text('on_fork = "fail"\n')
    site.chmod(0o600)

    def read() -> str:
        try:
            read_site(site)
        except ConfigInvalid as error:
            return f"{error.what}: {error.why}"
        return "read"

    assert as_user(ordinary_users[0], read) == f"{site} cannot be read: Permission denied"


def test_a_site_file_that_everybody_may_change_is_refused(tmp_path: Path) -> None:
    site = tmp_path / "mlsnap.toml"
    site.write_text("")
    site.chmod(0o666)
    with pytest.raises(ConfigInvalid, match="may be changed by everybody") as caught:
        read_site(site)
    assert caught.value.hint == f"chmod o-w {site}"


def test_the_nearest_folder_with_settings_is_the_projects(tmp_path: Path) -> None:
    top = tmp_path / "top"
    below = top / "models" / "digits" / "src"
    below.mkdir(parents=True)
    assert find_folder(below, top) == top
    (tmp_path / "mlsnap.toml").write_text("")
    assert find_folder(below, top) == top, "a file above the work tree is none of this repository"
    (top / "mlsnap.toml").write_text("")
    (top / "models" / "pyproject.toml").write_text("[tool.mlsnap]\n")
    (top / "models" / "digits" / "pyproject.toml").write_text("[project]\n")
    assert find_folder(below, top) == top / "models"
    (top / "models" / "digits" / "mlsnap.toml").write_text("")
    assert find_folder(below, top) == top / "models" / "digits"
    assert find_folder(tmp_path / "elsewhere", top) == top


def test_a_change_request_may_move_its_settings_to_the_other_file(tmp_path: Path) -> None:
    layers = load_layers(
        repository=only('train = "a"'),
        tested=only('[tool.mlsnap]\ntrain = "b"\n', "pyproject.toml"),
        environ={},
        in_ci=True,
        site=tmp_path / "none",
    )
    found = settle(layers, defaults=Defaults(model="digits"))
    assert found.train.command == "b"
    assert found.origins["train.command"].shown == "pyproject.toml:2 (change request)"
