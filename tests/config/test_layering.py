"""Precedence, sources that know only texts, and origins."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci_mlsnap.config.levels import Source
from ci_mlsnap.config.settings import resolved
from ci_mlsnap.errors import ConfigInvalid, ConfigLevel
from tests.config.conftest import SettingsFrom


def test_the_stronger_source_wins_key_by_key(settings_from: SettingsFrom) -> None:
    strongest_first = {
        "site": 'model = "site"',
        "flags": {"model": "flag"},
        "inputs": {"model": "input"},
        "environ": {"MLSNAP__MODEL": "environment"},
        "git_config": {"mlsnap.model": "git"},
    }
    for expected in ("site", "flag", "input", "environment", "git"):
        assert settings_from('model = "file"', **strongest_first).model == expected  # type: ignore[arg-type]
        strongest_first.pop(next(iter(strongest_first)))
    assert settings_from('model = "file"').model == "file"
    assert settings_from().model == "digits"


def test_one_gate_may_be_put_together_from_several_sources(settings_from: SettingsFrom) -> None:
    found = settings_from(
        "gates.accuracy.min = 0.9\ngates.accuracy.max_drop = 0.1",
        environ={"MLSNAP__GATES__ACCURACY__MIN": "0.95"},
        site="gates.accuracy.max = 1",
    )
    (gate,) = found.gates
    assert (gate.min, gate.max, gate.max_drop) == (0.95, 1.0, 0.1)


def test_combinations_are_judged_after_all_sources(settings_from: SettingsFrom) -> None:
    with pytest.raises(ConfigInvalid, match=r"MLSNAP__GATES__A__MIN: gates\.a\.min: is greater than max"):
        settings_from("gates.a.max = 1", environ={"MLSNAP__GATES__A__MIN": "2"})


@pytest.mark.parametrize(
    ("name", "text", "key", "expected"),
    [
        ("MODEL", "123", "model", "123"),
        ("MODEL", '"quoted"', "model", "quoted"),
        ("LEASE__WAIT", "90", "lease_wait", 90.0),
        ("LEASE__WAIT", "2m", "lease_wait", 120.0),
        ("LIVE__FOLLOW", '["main", "dev"]', "follow", ("main", "dev")),
        ("LIVE__FOLLOW", '[\n"main",\n]', "follow", ("main",)),
        ("ON_FORK", "fail", "on_fork", "fail"),
    ],
)
def test_a_text_is_toml_where_it_fits_and_else_itself(
    settings_from: SettingsFrom, name: str, text: str, key: str, expected: object
) -> None:
    assert getattr(settings_from(environ={f"MLSNAP__{name}": text}), key) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("python train.py", "python train.py"),
        ('["python", "train.py"]', ("python", "train.py")),
        ('"my program" --x', '"my program" --x'),
        ("42", "42"),
        ("true", "true"),
        ('x\nmodel = "evil"', 'x\nmodel = "evil"'),
        ('1\nmodel = "evil"', '1\nmodel = "evil"'),
        ("{ a = 1 }", "{ a = 1 }"),
    ],
)
def test_a_command_of_the_environment_means_what_was_written(
    settings_from: SettingsFrom, text: str, expected: object
) -> None:
    found = settings_from(environ={"MLSNAP__TRAIN": text})
    assert found.train.command == expected
    assert found.model == "digits"


def test_names_find_their_case_and_hyphens(settings_from: SettingsFrom) -> None:
    found = settings_from(
        'volumes.my-models.path = "x"',
        environ={
            "MLSNAP__VOLUMES__MY_MODELS__ISOLATION": "workspace",
            "MLSNAP__GATES__ACCURACY__MIN": "1",
            "MLSNAP__GATES__valF1__MIN": "2",
        },
        git_config={"mlsnap.on-fork": "fail", "mlsnap.gates.val.top1.max-drop": "3", "user.name": "x"},
    )
    assert (found.volume.name, found.volume.isolation, found.on_fork) == ("my-models", "workspace", "fail")
    assert [gate.metric for gate in found.gates] == ["accuracy", "val.top1", "valF1"]


def test_an_empty_text_and_a_missing_flag_set_nothing(settings_from: SettingsFrom) -> None:
    found = settings_from(
        'model = "file"', environ={"MLSNAP__MODEL": ""}, inputs={"model": ""}, flags={"model": None}
    )
    assert found.model == "file"


def test_variables_of_others_are_left_alone(settings_from: SettingsFrom) -> None:
    found = settings_from(environ={"MLSNAP_GITHUB_TOKEN": "x", "MLSNAP_RESUME": "1", "MODEL": "y"})
    assert found == settings_from()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("MLSNAP__MODLE", "MLSNAP__MODLE: modle: unknown key; did you mean model?"),
        ("MLSNAP__FOO__BAR", "MLSNAP__FOO__BAR: foo: unknown key; accepted: model"),
        ("MLSNAP__MODEL__X", "MLSNAP__MODEL__X: model: has no key x below it"),
        ("MLSNAP__GATES__A__MIN", "gates.a.min: is a string, not a number"),
        ("MLSNAP__GATES____MIN", "is no name of a metric"),
        ("MLSNAP__VOLUMES__A.B__PATH", "is no name of a volume"),
        ("MLSNAP__", "unknown key"),
    ],
)
def test_a_wrong_variable_is_named(settings_from: SettingsFrom, name: str, expected: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        settings_from(environ={name: "x"})
    assert expected in caught.value.what


def test_a_credential_in_a_setting_of_the_environment_is_refused(settings_from: SettingsFrom) -> None:
    with pytest.raises(ConfigLevel) as caught:
        settings_from(environ={"MLSNAP__FORGE__TOKEN": "hunter2"})
    assert "hunter2" not in f"{caught.value.what} {caught.value.hint}"


def test_the_same_key_in_two_spellings_of_one_source_is_refused(settings_from: SettingsFrom) -> None:
    with pytest.raises(ConfigInvalid, match=r"train\.command: is set twice \(also by MLSNAP__TRAIN\)"):
        settings_from(environ={"MLSNAP__TRAIN": "x", "MLSNAP__TRAIN__COMMAND": "y"})


def test_git_config_does_not_count_in_ci(settings_from: SettingsFrom) -> None:
    assert settings_from(git_config={"mlsnap.forge.url": "https://evil.example"}, in_ci=True) == settings_from()


def test_problems_of_all_sources_are_told_together(settings_from: SettingsFrom) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        settings_from(
            "modle = 1", environ={"MLSNAP__LEASE__WAIT": "long"}, flags={"train.timeout": True}, site="x = 1"
        )
    assert caught.value.what == "the configuration has 4 problems"


def test_the_short_and_the_long_form_of_a_path_compete(settings_from: SettingsFrom) -> None:
    long = 'volumes.numbers.path = "/srv/long"'
    assert settings_from(long, environ={"MLSNAP__VOLUME": "/srv/short"}).volume.path == "/srv/short"
    assert settings_from(long, environ={"MLSNAP__VOLUME": "/srv/short"}).volume.name == "numbers"
    found = settings_from('volume = "/srv/short"', environ={"MLSNAP__VOLUMES__NUMBERS__PATH": "/srv/long"})
    assert (found.volume.path, found.volume.name) == ("/srv/long", "numbers")
    found = settings_from('volume = "out"', environ={"MLSNAP__VOLUMES__OUT__STORE": "/srv/store"})
    assert (found.volume.path, found.volume.store) == ("out", "/srv/store")


@pytest.mark.parametrize("line", ['volume = "x"', 'volumes.models.store = "x"', 'forge.ca = "ca.pem"'])
def test_a_relative_path_has_no_meaning_in_the_site_file(settings_from: SettingsFrom, line: str) -> None:
    with pytest.raises(ConfigInvalid, match="is a relative path; in the site file only absolute ones"):
        settings_from(site=line)


def test_every_key_tells_its_origin(settings_from: SettingsFrom) -> None:
    found = settings_from(
        '\ntrain = "x"\n[gates.a]\nmin = 1\n',
        tested='train = "y"\n[gates.a]\nmin = 1\n',
        environ={"MLSNAP__MODEL": "x"},
        git_config={"mlsnap.on-fork": "fail"},
        flags={"lease.wait": 3},
        inputs={"manifest.files": "full"},
    )
    assert found.origins["gates.a.min"].shown == "mlsnap.toml:4"
    assert found.origins["train.command"].shown == "mlsnap.toml:1 (change request)"
    assert found.origins["model"].shown == "MLSNAP__MODEL"
    assert found.origins["on_fork"].shown == "git config mlsnap.on-fork"
    assert found.origins["lease.wait"].shown == "--lease.wait"
    assert found.origins["manifest.files"].shown == "input manifest.files"
    assert found.origins["forge.url"].shown == "default"
    assert found.origins["forge.url"].source is Source.DEFAULT


def test_paths_count_from_the_projects_folder() -> None:
    assert resolved("models", Path("/work/tree")) == Path("/work/tree/models")
    assert resolved("/srv/models", Path("/work/tree")) == Path("/srv/models")


@pytest.mark.parametrize(
    ("url", "fine"),
    [
        ("https://github.example.com/api/v3", True),
        ("http://127.0.0.1:8080", True),
        ("http://[::1]:8080", True),
        ("http://localhost:1", True),
        ("http://github.example.com", False),
        ("http://127.0.0.1.example.com", False),
        ("https://user:pass@github.example.com", False),
        ("https://", False),
        ("https://x/?token=y", False),
        ("https://x/\n", False),
        ("https://[", False),
        ("ftp://x", False),
        ("github.example.com", False),
    ],
)
def test_a_token_goes_over_tls_or_stays_on_this_machine(settings_from: SettingsFrom, url: str, fine: bool) -> None:
    if fine:
        assert settings_from(flags={"forge.url": url}).forge.url == url
    else:
        with pytest.raises(ConfigInvalid, match=r"forge\.url: is not accepted"):
            settings_from(flags={"forge.url": url})
