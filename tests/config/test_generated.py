"""The reference and the JSON Schema say what the code does, and are the files that are in `docs/`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from ci_mlsnap.config.keys import KEYS, Key, find, shown
from ci_mlsnap.config.layering import settle
from ci_mlsnap.config.layers import git_name
from ci_mlsnap.config.levels import Level
from ci_mlsnap.config.read import parse_repository_file
from ci_mlsnap.config.reference import reference, written
from ci_mlsnap.config.schema import encoded, schema
from ci_mlsnap.config.settings import Defaults
from ci_mlsnap.errors import ConfigInvalid, ConfigLevel
from tests.config.conftest import SettingsFrom
from tests.config.test_reading import DATA, LONG, SMALLEST

DOCS = Path(__file__).parents[2] / "docs"


def fits(value: object, rule: dict[str, Any]) -> bool:
    """Hold a value against the part of JSON Schema that ours uses; an unknown keyword fails the test."""
    known = {"$schema", "title", "description", "type", "enum", "pattern", "minLength", "minimum", "anyOf", "not"}
    known |= {"items", "minItems", "properties", "patternProperties", "additionalProperties", "required"}
    assert rule.keys() <= known | {"minProperties"}, rule.keys()
    types: dict[str, tuple[type, ...]] = {
        "string": (str,),
        "number": (int, float),
        "integer": (int,),
        "array": (list,),
        "object": (dict,),
    }
    if rule.get("type") == "boolean":
        return isinstance(value, bool)
    if "type" in rule and (not isinstance(value, types[rule["type"]]) or isinstance(value, bool)):
        return False
    return all(
        [
            "enum" not in rule or value in rule["enum"],
            "anyOf" not in rule or any(fits(value, option) for option in rule["anyOf"]),
            "not" not in rule or not fits(value, rule["not"]),
            not isinstance(value, str) or _text_fits(value, rule),
            not isinstance(value, int | float) or value >= rule.get("minimum", value),
            not isinstance(value, list) or _array_fits(value, rule),
            not isinstance(value, dict) or _table_fits(value, rule),
        ]
    )


def _text_fits(value: str, rule: dict[str, Any]) -> bool:
    return re.search(rule.get("pattern", ""), value) is not None and len(value) >= rule.get("minLength", 0)


def _array_fits(value: list[object], rule: dict[str, Any]) -> bool:
    return len(value) >= rule.get("minItems", 0) and all(fits(item, rule.get("items", {})) for item in value)


def _table_fits(value: dict[str, object], rule: dict[str, Any]) -> bool:
    named, patterns = rule.get("properties", {}), rule.get("patternProperties", {})
    for name, below in value.items():
        rules = [named[name]] if name in named else []
        rules += [inner for pattern, inner in patterns.items() if re.search(pattern, name)]
        others = rule.get("additionalProperties", True)
        if not rules and isinstance(others, dict):
            rules = [others]
        if not all(fits(below, inner) for inner in rules):
            return False
        if not rules and others is False:
            return False
    enough = len(value) >= rule.get("minProperties", 0)
    return enough and all(name in value for name in rule.get("required", []))


def is_read(text: str) -> bool:
    """Tell whether the reader accepts a repository's file."""
    try:
        settle([parse_repository_file(text.encode(), "mlsnap.toml")], defaults=Defaults(model="m"))
    except (ConfigInvalid, ConfigLevel):
        return False
    return True


@pytest.mark.parametrize("text", ["", SMALLEST, LONG, DATA, "train = ['a', 'b']", "lease.wait = 1.5"])
def test_the_schema_accepts_what_the_reader_accepts(text: str) -> None:
    assert is_read(text)
    assert fits(tomllib.loads(text), schema())


@pytest.mark.parametrize(
    "text",
    [
        "modle = 1",
        "model = 1",
        'model = "X"',
        "train = false",
        "train = []",
        "train = ''",
        "train.start = 'x'",
        "train.timeout = '6 h'",
        "train.env = []",
        "train.env = ['GITHUB_TOKEN']",
        "train.inputs = ['/x']",
        "volume = ''",
        "volumes = 'x'",
        "volumes.X.path = 'x'",
        "volumes.models = {}",
        "volume = 'x'\nvolumes.models.path = 'x'",
        "volumes.images.role = 'date'",
        "volumes.images = { role = 'data', path = '/x', pin = 'latest' }",
        "volumes.images = { role = 'data', path = '/x', pin = 'existing:' }",
        "volumes.images = { role = 'data', path = '/x', pin = 'existing:a/b' }",
        "volumes.models.driver = 'x'",
        "volumes.models.view = '../x'",
        "gates.x = {}",
        "gates.x = 1",
        "gates.x.min = '1'",
        "gates.x.max = true",
        "gates.x.max_drop = -1",
        "metrics.file = '/x'",
        "manifest.files = 'x'",
        "live.follow = 'main'",
        "live.follow = ['a*']",
        "lease.wait = -1",
        "on_fork = 'skip'",
        "forge.url = 'https://x'",
        "forge.token = 'x'",
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(text: str) -> None:
    assert not is_read(text)
    assert not fits(tomllib.loads(text), schema())


@pytest.mark.parametrize("key", KEYS, ids=lambda key: shown(key.path))
def test_every_example_is_of_its_own_key_and_works_in_each_place(settings_from: SettingsFrom, key: Key) -> None:
    name, value = key.example.split(" = ", 1)
    path = tuple(name.split("."))
    assert find(path) is key
    shared = "volume = '/srv/x'"
    alone = key.path == ("volume",) or path[-1] == "path" or path[:2] == ("volumes", "digits")
    text = f"{'' if alone else shared}\n{key.example}\n"
    if path[:2] == ("volumes", "images"):  # a data volume is one only with all of these
        rest = {"path": "'/mnt/images'", "role": "'data'"}
        text += "".join(f"volumes.images.{one} = {of}\n" for one, of in rest.items() if one != path[-1])
    if path[:2] == ("volumes", "digits"):  # and these keys are for volumes on ONTAP
        text += "volumes.digits.path = '/mnt/ml/digits'\nvolumes.digits.driver = 'ontap'\n"
    expected = settings_from(site=text) if key.level is Level.OPERATOR else settings_from(text)
    assert name in expected.origins
    section = reference().split(f"### `{written(key)}`")[1].split("###")[0]
    spelled = re.search(r"`(MLSNAP__\w+)`", section)
    assert spelled is not None
    base = text.replace(key.example, "")
    for found in (
        settings_from(base, environ={spelled[1]: value}),
        settings_from(base, git_config={git_name(path): value}),
        settings_from(base, inputs={name: value}),
    ):
        assert (found.train, found.volume, found.data, found.gates, found.forge, found.retention, found.ontap) == (
            expected.train,
            expected.volume,
            expected.data,
            expected.gates,
            expected.forge,
            expected.retention,
            expected.ontap,
        )
        assert (found.model, found.follow, found.on_fork) == (expected.model, expected.follow, expected.on_fork)


def test_the_schema_knows_every_key_of_a_repository_and_none_of_the_operator() -> None:
    named = set(schema()["properties"])
    assert named == {key.path[0] for key in KEYS if key.level < Level.OPERATOR}


def test_the_pages_in_docs_are_those_of_the_code() -> None:
    hint = "run: make docs"
    assert (DOCS / "configuration.md").read_text(encoding="utf-8") == reference(), hint
    assert (DOCS / "mlsnap.schema.json").read_text(encoding="utf-8") == encoded(), hint
    json.loads(encoded())


def test_the_pages_are_written_where_asked(tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "ci_mlsnap.config.reference", str(tmp_path / "new")],
        cwd=DOCS.parent,
        check=False,
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "new" / "configuration.md").read_text(encoding="utf-8") == reference()
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == ["configuration.md", "mlsnap.schema.json"]
