"""From layers to settings: precedence, what a change request may change, and impossible combinations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TypeVar

import msgspec

from ci_mlsnap.config import keys
from ci_mlsnap.config.keys import KeyPath
from ci_mlsnap.config.layers import MODEL_VOLUME, Layer, Setting
from ci_mlsnap.config.levels import Level, Origin, Source
from ci_mlsnap.config.problems import MOST_TOLD, Problem, raise_all
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
from ci_mlsnap.domain.names import label_from
from ci_mlsnap.domain.policy import Policy

Found = Mapping[KeyPath, Setting]
Table = TypeVar("Table", TrainSettings, ForgeSettings, JenkinsSettings, OntapSettings, ReportSettings, Policy)


def settle(layers: Sequence[Layer], *, defaults: Defaults) -> Settings:
    """Make the settings of all layers, in any order: the stronger source wins, key by key.

    Raises `ConfigInvalid` with every problem of every layer, `ConfigLevel` when each of them is a key at a
    level that may not set it.
    """
    found, notes = _merged(layers)
    problems = [problem for layer in layers for problem in layer.problems]
    combined = [*_volume_problems(found), *_gate_problems(found), *_policy_problems(found)]
    combined += [*_report_problems(found), *_site_problems(found)]
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
    return _with_named_volume(found), tuple(notes)


def _with_named_volume(found: Found) -> dict[KeyPath, Setting]:
    """Give what is set for the model volume of any name to the one that there is."""
    named = {path: setting for path, setting in found.items() if path[:2] != ("volumes", MODEL_VOLUME)}
    name = _model_name(named)
    for path in sorted(found.keys() - named.keys()):
        own = ("volumes", name, path[2])
        if own not in named or named[own].origin.source.rank < found[path].origin.source.rank:
            named[own] = found[path]
    return named


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
    return not key.only_less or _is_less(new, old)


def _is_less(new: Setting, old: Setting | None) -> bool:
    """Tell whether a value allows less: a smaller number than before, or only some of the words."""
    if isinstance(new.value, tuple):
        return old is None or (isinstance(old.value, tuple) and set(new.value) < set(old.value))
    return 0 < _number(new) < (_number(old) or float("inf"))


def _number(setting: Setting | None) -> float:
    return setting.value if setting is not None and isinstance(setting.value, float) else 0.0


def _volume_problems(found: Found) -> list[Problem]:
    models, data = _by_role(found)
    short = found.get(("volume",))
    problems = [problem for name, fields in data.items() for problem in _data_problems(name, fields)]
    first: Mapping[str, Setting] = {}
    for name, fields in models.items():
        problems += _other_problems(name, fields, first) if first else _first_problems(name, fields, short)
        problems += _model_problems(name, fields, None if first else short)
        first = first or fields
    taken = _model_name(found)
    if taken in data:
        some = next(iter(data[taken].values()))
        problems.append(
            _problem(some, ("volumes", taken), "is the model volume's name too; name one of them anew")
        )
    return problems


def _by_role(found: Found) -> tuple[dict[str, dict[str, Setting]], dict[str, dict[str, Setting]]]:
    """Give the tables of model volumes, and those of data volumes."""
    tables = _named_tables(found, "volumes")
    data = {name for name, fields in tables.items() if "role" in fields and fields["role"].value == "data"}
    models = {name: fields for name, fields in tables.items() if name not in data}
    return models, {name: tables[name] for name in sorted(data)}


def _first_problems(name: str, fields: Mapping[str, Setting], short: Setting | None) -> Iterator[Problem]:
    if "path" not in fields and short is None and name != VolumeSettings().path:
        some = next(iter(fields.values()))
        yield _problem(some, ("volumes", name), "has no path; set the folder that training writes to")
    if short and "path" in fields and short.origin.source is fields["path"].origin.source:
        text = f"is set besides volumes.{name}.path, which is the same; keep one of them"
        yield _problem(short, ("volume",), text)


def _model_problems(name: str, fields: Mapping[str, Setting], short: Setting | None) -> Iterator[Problem]:
    yield from _driver_problems(name, fields)
    path = fields.get("path", short)
    if "view" in fields and _is_private(str(path.value) if path else name):
        text = "is for a shared volume; a volume inside the work tree is there without a link"
        yield _problem(fields["view"], ("volumes", name, "view"), text)
    if "pin" in fields:
        hint = f'if training only reads it, set volumes.{name}.role = "data"'
        yield _problem(fields["pin"], ("volumes", name, "pin"), "is for data volumes, and this is a model's", hint)


def _driver_problems(name: str, fields: Mapping[str, Setting]) -> Iterator[Problem]:
    """Find the keys of a model volume that its driver has no use for."""
    on_ontap = "driver" in fields and fields["driver"].value == "ontap"
    unused = {"store": "state"} if on_ontap else {"volume": "", "state": "store"}
    for key, instead in unused.items():
        if key in fields:
            text = f"is for a volume {'that is not' if on_ontap else 'that is'} on ONTAP"
            hint = f"set volumes.{name}.{instead}" if instead else f'set volumes.{name}.driver = "ontap"'
            yield _problem(fields[key], ("volumes", name, key), text, hint)
    isolation = fields.get("isolation")
    if on_ontap and isolation is not None and isolation.value != "in-place":
        text = "cannot be for a volume on ONTAP, whose snapshots hold what is in the volume itself"
        yield _problem(isolation, ("volumes", name, "isolation"), text, 'set it to "in-place"')


def _other_problems(name: str, fields: Mapping[str, Setting], first: Mapping[str, Setting]) -> Iterator[Problem]:
    """Find what is wrong with a model volume besides the first one, which says for all where training writes."""
    hint = f'if training only reads it, set volumes.{name}.role = "data"'
    if "path" not in fields:
        text = "is a second model volume and has no path; set the folder that training writes to"
        yield _problem(next(iter(fields.values())), ("volumes", name), text, hint)
    own, wanted = fields.get("isolation"), first.get("isolation")
    if own is not None and own.value != (wanted.value if wanted else None):
        text = "is not that of the first model volume, and one run trains them all in the same manner"
        yield _problem(own, ("volumes", name, "isolation"), text, "set it for the first one alone")


def _data_problems(name: str, fields: Mapping[str, Setting]) -> Iterator[Problem]:
    if "path" not in fields:
        yield _problem(fields["role"], ("volumes", name), "has no path; set the folder that training reads")
    for key in ("view", "isolation", "volume", "state"):
        if key in fields:
            text = "is for a model volume; training only reads a data volume"
            yield _problem(fields[key], ("volumes", name, key), text)
    driver = fields.get("driver")
    if driver is not None and driver.value != "local":
        text = "is for model volumes; data is read through its mount"
        yield _problem(driver, ("volumes", name, "driver"), text, 'leave it out, and pin = "existing:<glob>" fits')
    pin = fields.get("pin")
    if "store" in fields and pin is not None and pin.value != "snapshot":
        text = f'is where snapshots are kept, and none is made for pin = "{pin.value}"'
        yield _problem(fields["store"], ("volumes", name, "store"), text)


_PLACES = ("path", "store", "state", "ca", "certificate", "key", "clones", "output", "templates")


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


def _policy_problems(found: Found) -> Iterator[Problem]:
    formats, files = found.get(("policy", "formats")), found.get(("manifest", "files"))
    if formats is not None and files is not None and files.value == "none":
        text = "is held against every file, and manifest.files says that they are not looked at"
        yield _problem(formats, ("policy", "formats"), text, 'set manifest.files = "changed"')


def _report_problems(found: Found) -> Iterator[Problem]:
    """A repository's templates are in the repository; only the operator may name a folder elsewhere."""
    path = ("report", "templates")
    setting = found.get(path)
    by_operator = setting is None or setting.origin.source.level is Level.OPERATOR
    if setting is not None and not by_operator and not _is_private(str(setting.value)):
        yield _problem(setting, path, "leads out of the project's folder")


def _site_problems(found: Found) -> list[Problem]:
    """A path of the site file belongs to no project's folder, so that it cannot be relative."""
    paths: list[KeyPath] = [("volume",), ("forge", "ca"), ("jenkins", "ca")]
    paths += [*(("ontap", key) for key in ("ca", "certificate", "key", "clones"))]
    paths += [path for path in found if path[0] in ("volumes", "report")]
    return [
        _problem(setting, path, "is a relative path; in the site file only absolute ones have a meaning")
        for path in paths
        if (setting := found.get(path)) is not None
        and setting.origin.source is Source.SITE
        and (path == ("volume",) or path[-1] in _PLACES)
        and not str(setting.value).startswith("/")
    ]


def _problem(setting: Setting, path: KeyPath, text: str, hint: str = "") -> Problem:
    return Problem(origin=setting.origin, key=keys.shown(path), text=text, hint=hint)


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
    plain["ontap"] = _table(found, "ontap", {}, OntapSettings)
    plain["report"] = _table(found, "report", {}, ReportSettings)
    plain["jenkins"] = _table(found, "jenkins", {}, JenkinsSettings)
    plain["volume"] = _volume(found)
    plain["retention"] = _table(found, "retention", {}, Policy)
    plain["others"] = tuple(_other(name, fields) for name, fields in list(_by_role(found)[0].items())[1:])
    plain["data"] = tuple(_data(name, fields) for name, fields in _by_role(found)[1].items())
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
    ("policy", "formats"): "formats",
    ("live", "follow"): "follow",
    ("snapshot", "lock"): "snapshot_lock",
    ("lease", "wait"): "lease_wait",
    ("hooks", "copy_mb"): "hook_copy_mb",
}
"""Keys that are a field of `Settings` itself; those of tables of their own have the same name there."""


def _table(found: Found, name: str, defaults: Mapping[str, object], kind: type[Table]) -> Table:
    values = {path[1]: setting.value for path, setting in found.items() if path[0] == name}
    return msgspec.convert(dict(defaults) | values, kind)


def _volume(found: Found) -> VolumeSettings:
    models, _data = _by_role(found)
    fields = next(iter(models.values()), {})
    values = {name: setting.value for name, setting in fields.items() if name != "role"}
    short = found.get(("volume",))
    if short and ("path" not in fields or short.origin.source.rank > fields["path"].origin.source.rank):
        values["path"] = short.value
    return msgspec.convert({"name": _model_name(found)} | values, VolumeSettings)


def _other(name: str, fields: Mapping[str, Setting]) -> VolumeSettings:
    values = {key: setting.value for key, setting in fields.items() if key != "role"}
    return msgspec.convert({"name": name} | values, VolumeSettings)


def _model_name(found: Found) -> str:
    """Give the model volume's name: its table's, else its folder's."""
    models, _data = _by_role(found)
    short = found.get(("volume",))
    path = str(short.value) if short else VolumeSettings().path
    return next(iter(models), label_from(PurePosixPath(path).name))


def _data(name: str, fields: Mapping[str, Setting]) -> DataSettings:
    values = {key: setting.value for key, setting in fields.items() if key != "role"}
    return msgspec.convert({"name": name} | values, DataSettings)


def _origins(found: Found) -> dict[str, Origin]:
    unset = (key.path for key in keys.KEYS if "*" not in key.path and key.path not in found)
    origins = {keys.shown(path): setting.origin for path, setting in found.items()}
    return origins | {keys.shown(path): Origin(source=Source.DEFAULT) for path in unset}
