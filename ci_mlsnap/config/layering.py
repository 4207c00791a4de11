"""From layers to settings: precedence, what a change request may change, and impossible combinations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import TypeVar

import msgspec

from ci_mlsnap.config import keys
from ci_mlsnap.config.keys import KeyPath
from ci_mlsnap.config.layers import Layer, Setting
from ci_mlsnap.config.levels import Level, Origin, Source
from ci_mlsnap.config.problems import MOST_TOLD, Problem, raise_all
from ci_mlsnap.config.settings import Defaults, ForgeSettings, Settings, TrainSettings, VolumeSettings
from ci_mlsnap.domain.gates import Gate
from ci_mlsnap.domain.names import label_from

Found = Mapping[KeyPath, Setting]
Table = TypeVar("Table", TrainSettings, ForgeSettings)


def settle(layers: Sequence[Layer], *, defaults: Defaults) -> Settings:
    """Make the settings of all layers, in any order: the stronger source wins, key by key.

    Raises `ConfigInvalid` with every problem of every layer, `ConfigLevel` when each of them is a key at a
    level that may not set it.
    """
    found, notes = _merged(layers)
    problems = [problem for layer in layers for problem in layer.problems]
    combined = [*_volume_problems(found), *_gate_problems(found), *_site_problems(found)]
    # A value that could not be read is missing in `found`; what follows from that alone is not told.
    problems += [new for new in combined if not any(old.key.startswith(new.key) for old in problems)]
    raise_all(problems)
    return _settings(found, defaults, notes)


def _merged(layers: Sequence[Layer]) -> tuple[dict[KeyPath, Setting], tuple[str, ...]]:
    found: dict[KeyPath, Setting] = {}
    notes: list[str] = []
    for layer in sorted(layers, key=lambda layer: layer.source.rank):
        if layer.level is Level.TESTED:
            found |= _counting(layer.settings, found, notes)
        else:
            found |= layer.settings
    return found, tuple(notes)


def _counting(tested: Found, base: Found, notes: list[str]) -> dict[KeyPath, Setting]:
    """Give what a change request's own file may change, and note what has to wait for the merge."""
    counting: dict[KeyPath, Setting] = {}
    for path in sorted(tested.keys() | base.keys()):
        new, old = tested.get(path), base.get(path)
        if new is not None and old is not None and new.value == old.value:
            continue
        if new is not None and _may_change(path, new, old):
            counting[path] = new
        else:
            act = "changes" if new and old else "adds" if new else "removes"
            notes.append(f"this change request {act} {keys.shown(path)}: that counts after the merge")
    if len(notes) > MOST_TOLD:
        notes[MOST_TOLD:] = [f"and {len(notes) - MOST_TOLD} more settings that count after the merge"]
    return counting


def _may_change(path: KeyPath, new: Setting, old: Setting | None) -> bool:
    key = keys.find(path)
    if key is None or key.level > Level.TESTED:
        return False
    return not key.only_less or 0 < _number(new) < (_number(old) or float("inf"))


def _number(setting: Setting | None) -> float:
    return setting.value if setting is not None and isinstance(setting.value, float) else 0.0


def _volume_problems(found: Found) -> list[Problem]:
    tables = _named_tables(found, "volumes")
    short = found.get(("volume",))
    if len(tables) > 1:
        first, second = list(tables)[:2]
        text = f"is a second volume besides {first}; this version of mlsnap knows one model volume"
        return [_problem(next(iter(tables[second].values())), ("volumes", second), text)]
    problems = []
    for name, fields in tables.items():
        path = fields.get("path", short)
        if path is None and name != VolumeSettings().path:
            some = next(iter(fields.values()))
            problems.append(
                _problem(some, ("volumes", name), "has no path; set the folder that training writes to")
            )
        if short and "path" in fields and short.origin.source is fields["path"].origin.source:
            text = f"is set besides volumes.{name}.path, which is the same; keep one of them"
            problems.append(_problem(short, ("volume",), text))
        if "view" in fields and _is_private(str(path.value) if path else name):
            text = "is for a shared volume; a volume inside the work tree is there without a link"
            problems.append(_problem(fields["view"], ("volumes", name, "view"), text))
    return problems


def _is_private(path: str) -> bool:
    parts = PurePosixPath(path)
    return not parts.is_absolute() and ".." not in parts.parts


def _gate_problems(found: Found) -> list[Problem]:
    problems = []
    for metric, bounds in _named_tables(found, "gates").items():
        least, most = bounds.get("min"), bounds.get("max")
        if least and most and _number(least) > _number(most):
            text = "is greater than max, so that no value is good"
            problems.append(_problem(least, ("gates", metric, "min"), text))
    return problems


def _site_problems(found: Found) -> list[Problem]:
    """A path of the site file belongs to no project's folder, so that it cannot be relative."""
    paths = [("volume",), ("forge", "ca")] + [path for path in found if path[0] == "volumes"]
    return [
        _problem(setting, path, "is a relative path; in the site file only absolute ones have a meaning")
        for path in paths
        if (setting := found.get(path)) is not None
        and setting.origin.source is Source.SITE
        and path[-1] in ("volume", "path", "store", "ca")
        and not str(setting.value).startswith("/")
    ]


def _problem(setting: Setting, path: KeyPath, text: str) -> Problem:
    return Problem(origin=setting.origin, key=keys.shown(path), text=text)


def _named_tables(found: Found, table: str) -> dict[str, dict[str, Setting]]:
    """Give the tables with a name below `gates` or `volumes`, in the order in which they were found."""
    named: dict[str, dict[str, Setting]] = {}
    for path, setting in found.items():
        if path[0] == table:
            named.setdefault(path[1], {})[path[2]] = setting
    return named


def _settings(found: Found, defaults: Defaults, notes: tuple[str, ...]) -> Settings:
    plain: dict[str, object] = {"model": defaults.model, "project": defaults.project, "notes": notes}
    forge: dict[str, object] = {"url": defaults.forge_url, "repository": defaults.forge_repository}
    plain |= {field: found[path].value for path, field in _FIELDS.items() if path in found}
    plain["train"] = _table(found, "train", {}, TrainSettings)
    plain["forge"] = _table(found, "forge", forge, ForgeSettings)
    plain["volume"] = _volume(found)
    plain["gates"] = tuple(
        msgspec.convert({"metric": metric} | {name: bound.value for name, bound in bounds.items()}, Gate)
        for metric, bounds in sorted(_named_tables(found, "gates").items())
    )
    plain["origins"] = _origins(found)
    return msgspec.convert(plain, Settings)


_FIELDS: dict[KeyPath, str] = {
    ("model",): "model",
    ("project",): "project",
    ("on_fork",): "on_fork",
    ("metrics", "file"): "metrics_file",
    ("manifest", "files"): "files_mode",
    ("live", "follow"): "follow",
    ("lease", "wait"): "lease_wait",
}
"""Keys that are a field of `Settings` itself; those of tables of their own have the same name there."""


def _table(found: Found, name: str, defaults: Mapping[str, object], kind: type[Table]) -> Table:
    values = {path[1]: setting.value for path, setting in found.items() if path[0] == name}
    return msgspec.convert(dict(defaults) | values, kind)


def _volume(found: Found) -> VolumeSettings:
    tables = _named_tables(found, "volumes")
    fields = next(iter(tables.values()), {})
    values = {name: setting.value for name, setting in fields.items()}
    short = found.get(("volume",))
    if short and ("path" not in fields or short.origin.source.rank > fields["path"].origin.source.rank):
        values["path"] = short.value
    path = str(values.get("path", VolumeSettings().path))
    name = next(iter(tables), label_from(PurePosixPath(path).name))
    return msgspec.convert({"name": name} | values, VolumeSettings)


def _origins(found: Found) -> dict[str, Origin]:
    unset = (key.path for key in keys.KEYS if "*" not in key.path and key.path not in found)
    origins = {keys.shown(path): setting.origin for path, setting in found.items()}
    return origins | {keys.shown(path): Origin(source=Source.DEFAULT) for path in unset}
