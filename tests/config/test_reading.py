"""Strict reading: what is accepted, and each error with its text."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_mlsnap.config.layering import settle
from ci_mlsnap.config.read import parse_repository_file
from ci_mlsnap.config.settings import (
    DataSettings,
    Defaults,
    ForgeSettings,
    Settings,
    TrainSettings,
    VolumeSettings,
)
from ci_mlsnap.domain.gates import Gate
from ci_mlsnap.errors import ConfigInvalid, ConfigLevel, ExitCode

SMALLEST = """
train = "python train.py"
volume = "models"

[gates.accuracy]
min = 0.95
max_drop = 0.01
"""

DATA = """\
volume = "models"

[volumes.raw-audio]
role = "data"
path = "/srv/audio"
pin = "record"

[volumes.images]
role = "data"
path = "/mnt/images"
store = "/mnt/history/images"

[volumes.labels]
role = "data"
path = "data/labels"
pin = "existing:daily.*"
"""

LONG = """
model = "numbers"
project = "acme/numbers"
[train]
command = ["python", "train.py"]
inputs = ["*.py", "params.toml"]
timeout = "6h"
env = ["HF_TOKEN"]
start = "empty"
[volumes.models]
path = "/mnt/ml/digits"
driver = "local"
store = "/mnt/ml/history"
view = "models"
isolation = "workspace"
[gates.loss]
max = 1
max_rise = 0.5
[gates."val/accuracy.top-1"]
min = -1
[metrics]
file = "out/scores.json"
[manifest]
files = "full"
[live]
follow = ["main", "release/1.x"]
[lease]
wait = 90
"""


def read(text: str | bytes, file: str = "mlsnap.toml") -> Settings:
    """Settle one repository file alone."""
    layer = parse_repository_file(text if isinstance(text, bytes) else text.encode(), file)
    return settle([layer], defaults=Defaults(model="digits"))


def told(text: str | bytes) -> str:
    """Give all that the error says."""
    with pytest.raises((ConfigInvalid, ConfigLevel)) as caught:
        read(text)
    return f"{caught.value.what}\n{caught.value.why}"


def test_nothing_at_all_is_enough() -> None:
    found = read("")
    assert (found.model, found.volume.name, found.volume.path) == ("digits", "models", "models")
    assert (found.train.command, found.gates, found.on_fork) == ("", (), "skip")


def test_the_smallest_file_is_read() -> None:
    found = read(SMALLEST)
    assert found.train == TrainSettings(command="python train.py")
    assert found.volume == VolumeSettings(name="models", path="models")
    assert found.gates == (Gate(metric="accuracy", min=0.95, max_drop=0.01),)


def test_the_long_file_is_read() -> None:
    found = read(LONG)
    assert (found.model, found.project) == ("numbers", "acme/numbers")
    assert found.train == TrainSettings(
        command=("python", "train.py"),
        inputs=("*.py", "params.toml"),
        timeout=21600.0,
        env=("HF_TOKEN",),
        start="empty",
    )
    assert found.volume == VolumeSettings(
        name="models",
        path="/mnt/ml/digits",
        store="/mnt/ml/history",
        view="models",
        isolation="workspace",
    )
    assert found.gates == (
        Gate(metric="loss", max=1.0, max_rise=0.5),
        Gate(metric="val/accuracy.top-1", min=-1.0),
    )
    assert (found.metrics_file, found.files_mode) == ("out/scores.json", "full")
    assert (found.follow, found.lease_wait) == (("main", "release/1.x"), 90.0)
    assert found.forge == ForgeSettings()


def test_the_table_of_a_pyproject_is_read_with_its_lines_and_nothing_else_of_the_file() -> None:
    text = '[project]\nname = "x"\n[tool.ruff]\nline-length = 3\n[tool.mlsnap]\ntrain = "make"\n'
    found = read(text, "pyproject.toml")
    assert found.train.command == "make"
    assert found.origins["train.command"].shown == "pyproject.toml:6"


def test_an_unusual_but_honest_file_is_read() -> None:
    assert read(b"\xef\xbb\xbfmodel = 'x'\r\ntrain = 'y'\r\n").model == "x"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('trian = "x"', "mlsnap.toml:1: trian: unknown key; did you mean train?"),
        ("\ntimeout = 3", "mlsnap.toml:2: timeout: unknown key; did you mean train.timeout?"),
        ("min = 3", "min: unknown key; did you mean gates.<name>.min?"),
        ("[gates.acc]\nmx = 1", "mlsnap.toml:2: gates.acc.mx: unknown key; did you mean gates.acc.max?"),
        ("[metrics]\nqqq = 1", "metrics.qqq: unknown key; accepted: file"),
        ("zzz = 1", "unknown key; accepted: model, project, on_fork, train, volume, volumes, gates"),
        ("[zzz.yyy]\nxxx = 1", "mlsnap.toml:1: zzz: unknown key"),
        ('[volumes.models]\nrol = "data"', "volumes.models.rol: unknown key; did you mean volumes.models.role?"),
        ('[volumes.x]\nrole = "dat"', 'volumes.x.role: is none of these words; accepted: one of "model", "data"'),
        (
            '[volumes.x]\nrole = "data"',
            "mlsnap.toml:2: volumes.x: has no path; set the folder that training reads",
        ),
        (
            'volumes.x = {role = "data", path = "/x", pin = "new"}',
            'volumes.x.pin: is not accepted; accepted: "snap',
        ),
        (
            'volumes.x = {role = "data", path = "/x", view = "x"}',
            "volumes.x.view: is for a model volume; training",
        ),
        (
            'volumes.x = {role = "data", path = "/x", isolation = "in-place"}',
            "volumes.x.isolation: is for a model volume; training only reads a data volume",
        ),
        (
            'volumes.x = {role = "data", path = "/x", store = "/s", pin = "record"}',
            'volumes.x.store: is where snapshots are kept, and none is made for pin = "record"',
        ),
        ('volumes.models.pin = "record"', "volumes.models.pin: is for data volumes, and this is a model's"),
        (
            'volume = "/srv/x"\nvolumes.x = {role = "data", path = "/y"}',
            "volumes.x: is the model volume's name too; name one of them anew",
        ),
        ("train = false", "train.command: is a boolean; accepted: a string for /bin/sh, or an array"),
        ("train = []", "train.command: is an empty array"),
        ('train = ["", "x"]', "train.command: has an item that is no string, or no program's name in front"),
        ('train = ["x", 1]', "train.command: has an item that is no string"),
        ('train = " "', "train.command: is empty"),
        ('train = "a\\u0000b"', "train.command: holds a NUL character"),
        ("model = 3", "model: is an integer, not a string"),
        ("model = 2020-01-01", "model: is a date or a time, not a string"),
        ("[model]\nx = 1", "model: is a table, not a string"),
        ('model = "Digits"', "model: is not accepted; accepted: lower-case letters, digits and hyphens"),
        ('model = "a/../b"', "model: is not accepted"),
        ('project = "a b"', 'project: is not accepted; accepted: "owner/name"'),
        ('train.timeout = "6 hours"', "train.timeout: is no duration; accepted: a duration such as"),
        ("train.timeout = true", "train.timeout: is no duration"),
        ('train.env = "HF_TOKEN"', "train.env: is a string, not an array"),
        ('train.env = ["A=B"]', "train.env: has an item (number 1) that is not accepted"),
        ('train.env = ["OK", "GITHUB_TOKEN"]', "train.env: has an item (number 2) that is not accepted"),
        ('train.env = ["MLSNAP_GITHUB_TOKEN"]', "none of mlsnap's or of the CI's own"),
        ('train.inputs = ["../x"]', "train.inputs: has an item (number 1)"),
        ('train.inputs = [":(top)x"]', "train.inputs: has an item (number 1)"),
        ('train.start = "parents"', 'train.start: is none of these words; accepted: one of "parent", "empty"'),
        ("volume = []", "volume: is an array, not a string"),
        ('volumes = "models"', "volumes: is a string, not a table; accepted: tables with a name"),
        ('volumes.Models.path = "x"', "volumes.Models: is no name of a volume"),
        ('volumes.a.driver = "local"', "volumes.a: has no path; set the folder that training writes to"),
        (
            "[volumes.models]",
            "volumes.models: is empty; set at least one of path, role, pin, driver, store, volume",
        ),
        (
            'volumes.models.driver = "nfs"',
            'volumes.models.driver: is none of these words; accepted: one of "local"',
        ),
        (
            'volumes.a = {path = "/a", driver = "ontap", store = "/s"}',
            "volumes.a.store: is for a volume that is not on",
        ),
        ('volumes.a = {path = "/a", volume = "v"}', "volumes.a.volume: is for a volume that is on ONTAP"),
        ('volumes.a = {path = "/a", state = "/s"}', "volumes.a.state: is for a volume that is on ONTAP"),
        (
            'volumes.a = {path = "/a", driver = "ontap", isolation = "workspace"}',
            "volumes.a.isolation: cannot be for a volume on ONTAP",
        ),
        (
            'volumes.a = {role = "data", path = "/a", driver = "ontap"}',
            "volumes.a.driver: is for model volumes; data is read through its mount",
        ),
        ('volumes.a = {path = "/a", driver = "ontap", volume = "v*"}', "volumes.a.volume: is not accepted"),
        ('volumes.models.view = "/x"', "volumes.models.view: is not accepted; accepted: a relative path inside"),
        ('volumes.models.view = "m"', "volumes.models.view: is for a shared volume"),
        (
            '[volumes.a]\npath = "x"\n[volumes.b]\ndriver = "local"',
            "mlsnap.toml:4: volumes.b: is a second model volume and has no path",
        ),
        (
            '[volumes.a]\npath = "x"\n[volumes.b]\npath = "y"\nisolation = "workspace"',
            "volumes.b.isolation: is not that of the first model volume",
        ),
        ('volume = "a"\nvolumes.b.path = "c"', "volume: is set besides volumes.b.path, which is the same"),
        ("[gates.accuracy]", "gates.accuracy: is empty; set at least one of min, max, max_drop, max_rise"),
        ("gates = 1", "gates: is an integer, not a table"),
        (
            "gates.accuracy = 1",
            "gates.accuracy: is an integer, not a table; accepted: min, max, max_drop, max_rise",
        ),
        ('gates.a.min = "0.95"', "gates.a.min: is a string, not a number"),
        ("gates.a.min = false", "gates.a.min: is a boolean, not a number"),
        ("gates.a.min = nan", "gates.a.min: is not a finite number"),
        ("gates.a.max = inf", "gates.a.max: is not a finite number"),
        ("gates.a.max = 1" + "0" * 400, "gates.a.max: is not a finite number"),
        ("gates.a.max_drop = -0.1", "gates.a.max_drop: is less than 0"),
        ("gates.a.min = 2\ngates.a.max = 1", "gates.a.min: is greater than max, so that no value is good"),
        ('gates."a\\nb".min = 2', "is no name of a metric"),
        ('metrics.file = "../x.json"', "metrics.file: is not accepted"),
        ('manifest.files = "all"', 'accepted: one of "changed", "full", "none"'),
        ("live.follow = []", "live.follow: is an empty array"),
        ('live.follow = ["release/*"]', "live.follow: has an item (number 1) that is not accepted"),
        ('live.follow = ["--upload-pack=x"]', "live.follow: has an item (number 1) that is not accepted"),
        ("lease.wait = -1", "lease.wait: is no duration"),
        ("retention.keep_last = 0", "retention.keep_last: is not within 1 and 100000"),
        ("retention.keep_tagged = 1", "retention.keep_tagged: is an integer, not a boolean"),
        ('retention.keep_best = "accuracy"', "retention.keep_best: is a string, not a table"),
        ('retention.keep_best = { metric = "f1" }', "retention.keep_best: has not exactly the two keys"),
        ('retention.keep_best = { metric = "f1", count = 0 }', "has a count that is no integer from 1 on"),
        ('retention.max_space = "120%"', "retention.max_space: is no such amount"),
        ('retention.max_space = "3 parsecs"', "retention.max_space: is no such amount"),
        ("retention.max_space = true", "retention.max_space: is a boolean"),
        ("retention.max_removed = -1", "retention.max_removed: is less than 1"),
        ("model = ", "mlsnap.toml:1: is not valid TOML"),
        ("model = 1" + "0" * 5000, "is not valid TOML"),
        ("model = " + "[" * 5000, "is not valid TOML"),
        ('a = 1\nmodel = "x"\nmodel = "y"', "mlsnap.toml:3: is not valid TOML: Cannot overwrite a value"),
        (b"model = '\xff'", "mlsnap.toml: is not UTF-8"),
    ],
)
def test_an_error_names_file_key_reason_and_what_is_accepted(text: str | bytes, expected: str) -> None:
    assert expected in told(text)


def test_an_error_has_a_slug_a_code_and_a_way_out() -> None:
    with pytest.raises(ConfigInvalid) as caught:
        read("modle = 1")
    assert caught.value.what == "mlsnap.toml:1: modle: unknown key; did you mean model?"
    assert caught.value.exit_code == ExitCode.USAGE
    assert caught.value.safe
    assert caught.value.hint


def test_all_problems_are_told_at_once_in_the_order_of_the_file() -> None:
    with pytest.raises(ConfigInvalid) as caught:
        read('model = 1\ntrain = true\n[gates.a]\nmin = "x"\n[live]\nfollw = 1\n')
    assert caught.value.what == "the configuration has 4 problems"
    lines = [line.split(": ")[0] for line in caught.value.why.splitlines()]
    assert lines == ["mlsnap.toml:1", "mlsnap.toml:2", "mlsnap.toml:4", "mlsnap.toml:6"]


def test_a_flood_of_problems_is_cut() -> None:
    text = told("\n".join(f"zz{number} = 1" for number in range(500)))
    assert "the configuration has 500 problems" in text
    assert "and 480 more" in text
    assert len(text.splitlines()) == 22


def test_one_mistake_is_told_once() -> None:
    assert "has no path" not in told('[volumes.a]\npath = 3\ndriver = "local"')


@pytest.mark.parametrize(
    "text",
    [
        'github_token = "hunter2"',
        '[forge]\ntoken = "hunter2"',
        '[forge]\nurl = "https://x"\nPASSWORD = "hunter2"',
        '[train]\napi-key = "hunter2"',
        '[other.deep.table]\nclient_secret = "hunter2"',
        'x = { y = { private_key = "hunter2" } }',
        '[token]\nvalue = "hunter2"',
    ],
)
def test_a_credential_in_a_file_is_refused_with_the_way_out_and_never_shown(text: str) -> None:
    with pytest.raises(ConfigLevel) as caught:
        read(text)
    error = caught.value
    everything = f"{error.what} {error.why} {error.safe} {error.hint} {error!r}"
    assert "MLSNAP_GITHUB_TOKEN or GITHUB_TOKEN" in everything
    assert "hunter2" not in everything


def test_a_metric_or_a_variable_with_a_secretive_name_is_no_credential() -> None:
    found = read('train.env = ["HF_TOKEN"]\n[gates.token_accuracy]\nmin = 1\n[gates.secret]\nmax = 1\n')
    assert [gate.metric for gate in found.gates] == ["secret", "token_accuracy"]


def test_values_of_strangers_are_not_quoted_and_names_are_harmless_in_one_line() -> None:
    text = told('"\\u001b[31m::error::\\u202e\\n" = "value-of-a-stranger"')
    assert "value-of-a-stranger" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert len(text.strip().splitlines()) == 1


def test_any_number_of_data_volumes_stand_beside_the_model_volume() -> None:
    found = read(DATA)
    assert (found.volume.name, found.volume.path) == ("models", "models")
    assert found.data == (
        DataSettings(name="images", path="/mnt/images", store="/mnt/history/images"),
        DataSettings(name="labels", path="data/labels", pin="existing:daily.*"),
        DataSettings(name="raw-audio", path="/srv/audio", pin="record"),
    )


def test_the_way_out_of_a_second_volume_is_told() -> None:
    with pytest.raises(ConfigInvalid) as caught:
        read('[volumes.a]\npath = "x"\n[volumes.b]\ndriver = "local"')
    assert caught.value.hint == 'if training only reads it, set volumes.b.role = "data"'


def test_the_volume_takes_its_name_from_its_folder_or_its_table() -> None:
    assert read('volume = "/srv/ml/My Digits"').volume.name == "my-digits"
    assert read('volumes.numbers.path = "/srv/ml/digits"').volume.name == "numbers"


def test_tables_nested_thousands_deep_are_an_error_like_any_other() -> None:
    assert "unknown key" in told(".".join("z" * 3000) + " = 1")


@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused_by_name(text: bytes) -> None:
    with suppress(ConfigInvalid, ConfigLevel):
        assert isinstance(read(text), Settings)
