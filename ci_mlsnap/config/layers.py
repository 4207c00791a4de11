"""Layers: what one source sets, checked key by key. A layer cannot hold a key above its level of trust."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

import msgspec

from ci_mlsnap.config import keys
from ci_mlsnap.config.keys import Key, KeyPath
from ci_mlsnap.config.kinds import WrongValue, type_name
from ci_mlsnap.config.levels import Level, Origin, Source
from ci_mlsnap.config.lines import DEEPEST
from ci_mlsnap.config.problems import Problem
from ci_mlsnap.domain.names import is_label
from ci_mlsnap.errors import ConfigLevel

TOKEN_VARIABLES = "MLSNAP_GITHUB_TOKEN or GITHUB_TOKEN"  # noqa: S105 - names of variables, no secret


MODEL_VOLUME = "*"
"""Stands in a CI's input for the name of the model volume, which only the other sources say."""


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """A value of its final type, and where it was read."""

    value: object
    origin: Origin


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """What one source sets. `problems` are raised by `settle`, together with those of all other layers."""

    level: ClassVar[Level]
    may_hold: ClassVar[Level]
    source: Source
    settings: Mapping[KeyPath, Setting]
    problems: tuple[Problem, ...] = ()

    def __post_init__(self) -> None:
        for path in self.settings:
            key = keys.find(path)
            if key is None or key.level > self.may_hold or self.source.level != self.level:
                raise ConfigLevel(f"{keys.shown(path)} may not be set by {self.level.shown}")


class OperatorLayer(Layer, frozen=True):
    """Of whoever runs the machine or the CI job."""

    level = may_hold = Level.OPERATOR


class RepositoryLayer(Layer, frozen=True):
    """Of the repository's file at a commit that is in the repository."""

    level = may_hold = Level.REPOSITORY


class ChangeRequestLayer(Layer, frozen=True):
    """Of the file at the tested commit of a change request: proposals, few of which `settle` lets count."""

    level = Level.TESTED
    may_hold = Level.REPOSITORY


class Gathering(msgspec.Struct, kw_only=True):
    """Settings and problems of one source while it is read; `level` is the highest that its keys may have."""

    level: Level
    settings: dict[KeyPath, Setting] = msgspec.field(default_factory=dict)
    problems: list[Problem] = msgspec.field(default_factory=list)

    def table(
        self, table: Mapping[str, object], place: Origin, lines: Mapping[KeyPath, int], above: KeyPath = ()
    ) -> None:
        """Take a TOML table apart into settings; `lines` says where its keys stand."""
        for name, value in table.items():
            path = (*above, name)
            origin = Origin(source=place.source, place=place.place, line=lines.get(path, place.line))
            if keys.is_table(path) and isinstance(value, Mapping):
                self.named(path, value, origin)
                self.table(value, origin, lines, path)
            else:
                self.put(path, value, origin)

    def put(self, path: KeyPath, value: object, origin: Origin, *, as_text: bool = False) -> None:
        """Take one value. `as_text` for sources that know only texts, where `0.9` and `["a"]` mean TOML."""
        path = keys.SHORT_FORMS.get(path, path)
        key = keys.find(path)
        if key is None:
            self._unknown(path, value, origin)
        elif key.level > self.level:
            self._misplaced(key, path, origin)
        elif path in self.settings:
            self._wrong(path, origin, f"is set twice (also by {self.settings[path].origin.shown})")
        else:
            self._read(key, path, value, origin, as_text)

    def _read(self, key: Key, path: KeyPath, value: object, origin: Origin, as_text: bool) -> None:
        try:
            read = _from_text(key, str(value)) if as_text else key.kind.read(value)
        except WrongValue as wrong:
            self._wrong(path, origin, f"{wrong}; accepted: {key.kind.accepts}")
        else:
            self.settings[path] = Setting(value=read, origin=origin)

    def named(self, path: KeyPath, table: Mapping[str, object], origin: Origin) -> None:
        """Check the name of a gate or a volume."""
        if len(path) != 2 or path[0] not in ("gates", "volumes"):
            return
        if path[0] == "volumes" and not is_label(path[1]):
            self._wrong(path, origin, "is no name of a volume; accepted: lower-case letters, digits and hyphens")
        if path[0] == "gates" and not (path[1].isprintable() and 0 < len(path[1]) <= 100):
            self._wrong(path, origin, "is no name of a metric; accepted: 1 to 100 printable characters")
        if not table:
            self._wrong(path, origin, f"is empty; set at least one of {', '.join(keys.names_below(path))}")

    def _wrong(self, path: KeyPath, origin: Origin, text: str, hint: str = "") -> None:
        self.problems.append(Problem(origin=origin, key=keys.shown(path), text=text, hint=hint))

    def _unknown(self, path: KeyPath, value: object, origin: Origin) -> None:
        above = keys.known_part(path)
        first = path[: len(above) + 1]
        secret = next((inner for inner in _inner(path, value) if keys.is_credential(inner[-1])), None)
        if secret is not None:
            self._credential(secret, origin)
        elif keys.find(first):
            self._wrong(first, origin, f"has no key {path[len(first)]} below it")
        elif keys.is_table(first):
            self._wrong(first, origin, f"is {type_name(value)}, not a table; {_accepted(first)}")
        else:
            meant = keys.suggestion(first)
            self._wrong(first, origin, f"unknown key; {f'did you mean {meant}?' if meant else _accepted(above)}")

    def _credential(self, path: KeyPath, origin: Origin) -> None:
        self.problems.append(
            Problem(
                origin=origin,
                key=keys.shown(path),
                text="a credential may not stand in the configuration; only the operator gives it, "
                f"in the environment variable {TOKEN_VARIABLES}",
                hint="remove it here, replace the secret if it was committed or logged, "
                f"and set {TOKEN_VARIABLES} in the CI job",
                misplaced=True,
            )
        )

    def _misplaced(self, key: Key, path: KeyPath, origin: Origin) -> None:
        self.problems.append(
            Problem(
                origin=origin,
                key=keys.shown(path),
                text=f"may be set by {key.level.shown} only, not by {origin.source.level.shown}",
                hint=f"set {keys.shown(path)} in /etc/mlsnap.toml, as {variable(path)}, "
                f"or with `git config {git_name(path)}` outside of CI",
                misplaced=True,
            )
        )


def from_texts(source: Source, values: Iterable[tuple[KeyPath, str, str]]) -> OperatorLayer:
    """Make the layer of a source that knows only texts: `values` are key, text, and the place to name.

    An empty text sets nothing, as CI systems pass inputs that were not given.
    """
    gathering = Gathering(level=Level.OPERATOR)
    for path, text, place in values:
        if text:
            origin = Origin(source=source, place=place)
            before = len(gathering.problems)
            if len(path) == 3 and path[1] != MODEL_VOLUME:
                gathering.named(path[:2], {path[2]: text}, origin)
            if len(gathering.problems) == before:
                gathering.put(path, text, origin, as_text=True)
    return OperatorLayer(source=source, settings=gathering.settings, problems=tuple(gathering.problems))


def variable(path: KeyPath) -> str:
    """Name the environment variable that sets a key."""
    return "MLSNAP__" + "__".join(re.sub(r"[^A-Za-z0-9_]", "_", part).upper() for part in path)


def git_name(path: KeyPath) -> str:
    """Name the variable of git's configuration that sets a key."""
    return ".".join(("mlsnap", *path[:-1], path[-1].replace("_", "-")))


def _accepted(path: KeyPath) -> str:
    named = {("gates",): "[gates.accuracy]", ("volumes",): "[volumes.models]"}
    if path in named:
        return f"accepted: tables with a name, such as {named[path]}"
    return f"accepted: {', '.join(keys.names_below(path))}"


def _from_text(key: Key, text: str) -> object:
    try:
        return key.kind.read(toml_value(text))
    except WrongValue:
        return key.kind.read(text)


def toml_value(text: str) -> object:
    """Read a text as a TOML value where it is one, dates aside; else it is the text itself."""
    try:
        read = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    value = read["value"]
    return value if len(read) == 1 and isinstance(value, str | bool | int | float | list | dict) else text


def _inner(path: KeyPath, value: object) -> Iterator[KeyPath]:
    """Give an unknown key, the tables around it, and all keys inside its value."""
    yield from (path[:depth] for depth in range(1, len(path) + 1))
    if isinstance(value, Mapping) and len(path) <= DEEPEST:
        for name, below in value.items():
            yield from _inner((*path, name), below)
