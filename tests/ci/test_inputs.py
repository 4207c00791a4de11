"""Inputs of a CI step: what they set, who wins over them, and what is said of a wrong one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import pytest

from ci_mlsnap.ci.inputs import INPUTS, given_options, given_settings
from ci_mlsnap.cli.program import program, run_program
from ci_mlsnap.cli.table import COMMANDS
from ci_mlsnap.config import keys
from ci_mlsnap.config.layering import settle
from ci_mlsnap.config.read import load_layers, parse_inputs
from ci_mlsnap.config.settings import Defaults, Settings
from ci_mlsnap.errors import ConfigInvalid, UsageError
from tests.conftest import GitRepository


def settings(inputs: dict[str, str], *, file: str = "", site: str = "", folder: Path) -> Settings:
    """Settle what these inputs give beside a repository's file and a site file."""
    environ = {one.handed_over_as: inputs.get(one.name, "") for one in INPUTS if one.key}
    place = folder / "site.toml"
    place.write_text(site)
    layers = load_layers(
        repository=lambda name: file.encode() if name == "mlsnap.toml" else None,
        environ={},
        in_ci=True,
        inputs=given_settings(environ),
        site=place,
    )
    return settle(layers, defaults=Defaults(model="digits"))


@pytest.mark.parametrize("one", INPUTS, ids=lambda one: one.name)
def test_every_input_stands_for_one_thing_that_there_is(one: object) -> None:
    found = next(it for it in INPUTS if it is one)
    assert sum(map(bool, (found.key, found.option, found.variable))) == 1
    assert found.text.endswith(".")
    assert set(found.commands) <= set(COMMANDS)
    if found.key:
        assert keys.find(tuple(found.key.split("."))) is not None
    for name in found.commands if found.option else ():
        command = program.get_command(click.Context(program), name)
        assert command is not None
        params = {flag: it.name for it in (*command.params, *program.params) for flag in it.opts}
        spelled = found.option if found.option.startswith("-") else found.parameter or found.option.lower()
        assert spelled in params, f"{name} has no {found.option}"
        given = given_options({found.handed_over_as: "true"})[name]
        assert given == {params[spelled]: True if found.flag else "true"}


def test_no_name_is_there_twice() -> None:
    assert len({one.name for one in INPUTS}) == len(INPUTS) == len({one.handed_over_as for one in INPUTS})


def test_inputs_win_over_the_file_and_the_site_file_over_both(tmp_path: Path) -> None:
    given = {"train": "make", "volume": "/srv/ml/digits"}
    found = settings(given, file='train = "x"\nvolume = "y"\n', site='model = "fixed"\n', folder=tmp_path)
    assert (found.train.command, found.volume.path, found.model) == ("make", "/srv/ml/digits", "fixed")
    assert found.origins["train.command"].shown == "input train"


def test_an_empty_input_is_as_if_not_given(tmp_path: Path) -> None:
    found = settings({"train": "", "volume": ""}, file='train = "x"\n', folder=tmp_path)
    assert (found.train.command, found.volume.path) == ("x", "models")


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("", "digits"),
        ("[volumes.digits-models]\npath = '/srv/ml/digits'\n", "digits-models"),
        ("[volumes.images]\npath = '/srv/images'\nrole = 'data'\n", "digits"),
    ],
)
def test_an_input_for_the_volume_is_for_the_model_volume_whatever_its_name(
    tmp_path: Path, file: str, name: str
) -> None:
    given = {"volume": "/srv/ml/digits", "view": "models", "store": "/srv/store"}
    found = settings(given, file=file, folder=tmp_path)
    assert (found.volume.name, found.volume.view, found.volume.store) == (name, "models", "/srv/store")
    assert found.others == ()
    assert found.origins[f"volumes.{name}.view"].shown == "input view"


def test_the_site_file_wins_over_an_input_for_the_volume(tmp_path: Path) -> None:
    site = "[volumes.digits]\nstore = '/fixed'\n"
    found = settings({"volume": "/srv/ml/digits", "store": "/mine"}, site=site, folder=tmp_path)
    assert found.volume.store == "/fixed"


def test_an_error_names_the_input(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="input timeout: "):
        settings({"timeout": "soon"}, folder=tmp_path)
    with pytest.raises(ConfigInvalid, match="input driver: "):
        settings({"volume": "digits", "driver": "tape"}, folder=tmp_path)


def test_conclude_takes_no_input_of_planning() -> None:
    environ = {"MLSNAP_INPUT_VIEW": "models", "MLSNAP_INPUT_ONTAP_HOST": "svm1.example.com"}
    layer = parse_inputs(given_settings(environ, "conclude"))
    assert set(layer.settings) == {("ontap", "host")}


def test_flags_are_true_or_false_and_nothing_else() -> None:
    given = given_options({"MLSNAP_INPUT_RETRAIN": "true", "MLSNAP_INPUT_DRY_RUN": "False"})
    assert given["begin"] == {"retrain": True, "dry_run": False} == given["run"]
    assert given["prune"] == {"dry_run": False}
    with pytest.raises(UsageError, match="input retrain: 'yes; rm -rf /' is neither true nor false"):
        given_options({"MLSNAP_INPUT_RETRAIN": "yes; rm -rf /"})


def test_an_input_that_there_is_not_is_refused_unless_it_is_empty() -> None:
    with pytest.raises(UsageError, match="there is no input volumes"):
        given_options({"MLSNAP_INPUT_VOLUMES": "x"})
    assert given_options({"MLSNAP_INPUT_VOLUMES": ""}) == {}


def test_an_input_is_an_option_and_the_command_line_goes_before_it(
    make_repository: Callable[..., GitRepository],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    repository = make_repository()
    (repository.path / "inner").mkdir()
    repository.commit(files={"inner/mlsnap.toml": 'train = "true"\n', "a": "b"})
    monkeypatch.setenv("MLSNAP_INPUT_PROJECT", str(repository.path / "inner"))
    monkeypatch.setenv("MLSNAP_INPUT_DRY_RUN", "true")
    assert run_program(["run", "--ephemeral"]) == 0
    assert "inner" in capsys.readouterr().out
    monkeypatch.setenv("MLSNAP_INPUT_PROJECT", str(repository.path / "nowhere"))
    assert run_program(["run", "--ephemeral"]) == 2
    assert run_program(["--project", str(repository.path / "inner"), "run", "--ephemeral"]) == 0
