"""The JSON Schema of the repository's file, made from the table of keys."""

from __future__ import annotations

from typing import Any

import msgspec

from ci_mlsnap.config.keys import KEYS, SHORT_FORMS, KeyPath, find
from ci_mlsnap.config.levels import Level

_NAMES = {"gates": "^.{1,100}$", "volumes": "^[a-z0-9][a-z0-9-]{0,62}$"}
"""What the names of tables look like where names are free."""


def schema() -> dict[str, Any]:
    """Give the schema. It knows only the keys that a repository's file may set, so an editor marks the others."""
    root: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "mlsnap.toml",
        "description": "Settings of mlsnap in a repository.",
    } | _table()
    for key in KEYS:
        if key.level <= Level.REPOSITORY:
            _below(root, key.path)[key.path[-1]] = {"description": key.text} | dict(key.kind.schema)
    for short, long in SHORT_FORMS.items():
        table = root["properties"][short[0]]
        root["properties"][short[0]] = {"anyOf": [_plain(long), table]}
    # Beside the short form of the model volume only data volumes can stand.
    data = {"type": "object", "required": ["role"], "properties": {"role": {"enum": ["data"]}}}
    beside = {"properties": {"volumes": {"type": "object", "additionalProperties": data}}}
    return root | {"anyOf": [{"not": {"required": ["volume"]}}, beside]}


def encoded() -> str:
    """Give the schema as the text of its file."""
    return msgspec.json.format(msgspec.json.encode(schema()), indent=2).decode() + "\n"


def _below(root: dict[str, Any], path: KeyPath) -> dict[str, Any]:
    """Give the properties of the table that a key is in, made where they are missing."""
    table = root
    for above, name in zip(("", *path), path[:-1], strict=False):
        if name == "*":
            table = table.setdefault("patternProperties", {}).setdefault(
                _NAMES[above], _table() | {"minProperties": 1}
            )
        else:
            table = table["properties"].setdefault(name, _table())
    properties: dict[str, Any] = table["properties"]
    return properties


def _table() -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": {}}


def _plain(path: KeyPath) -> dict[str, Any]:
    key = find(path)
    assert key is not None
    return {"description": key.text} | dict(key.kind.schema)
