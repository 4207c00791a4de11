"""Two versions, and what differs between them: metrics, files, parameters, code, data, environment."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from ci_mlsnap.domain.code import LineChange
from ci_mlsnap.domain.manifest import Entry
from ci_mlsnap.domain.metrics import Scalar, lower_is_better
from ci_mlsnap.domain.models import ModelChange, ModelFile, changes
from ci_mlsnap.domain.parameters import Parameters, looks_secret
from ci_mlsnap.domain.pins import Pin, differing, told
from ci_mlsnap.domain.record import Record
from ci_mlsnap.domain.texts import better
from ci_mlsnap.domain.versions import Version

Sort = Literal["added", "removed", "changed"]

_VALUE = re.compile(r"(?<!\S)(-{1,2}[\w.-]{1,200}(?:=|\s{1,20})|[A-Za-z_]\w{0,200}=|)((?!-)\S+)")
"""A word of a command, with the option or variable that it is the value of."""


class MetricPair(msgspec.Struct, frozen=True, kw_only=True):
    """A metric of both; None where one has it not. `better` says whether it moved the good way: None when it did
    not move or cannot be compared. `lower` says that less of it is taken to be better."""

    name: str
    before: Scalar | None
    after: Scalar | None
    better: bool | None
    lower: bool


class TextChange(msgspec.Struct, frozen=True, kw_only=True):
    """A text that differs; None where one has it not. `file` is where a parameter stands. The texts of a `hidden`
    one are left out, since it may be a secret."""

    name: str
    before: str | None
    after: str | None
    file: str = ""
    hidden: bool = False


class FileChange(msgspec.Struct, frozen=True, kw_only=True):
    """A file or link of the model; sizes in bytes. `what` changed: content, target, kind, mode or attributes."""

    path: bytes
    sort: Sort
    before: int | None
    after: int | None
    what: str = ""


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One of the versions, with what else is known of it: None for what is not.

    `parameters` are by file, and `models`, those of files that are not the same in both.
    """

    version: Version
    entries: Sequence[Entry] | None
    record: Record | None
    models: Sequence[ModelFile] = ()
    parameters: Mapping[str, Parameters] = {}


class Differences(msgspec.Struct, frozen=True, kw_only=True):
    """What differs, from `before` to `after`. `metrics` are all of both; `files` and `code` None where they cannot
    be told. `unread` are files of parameters with the reason why; `notes` say what could not be compared."""

    before: Version
    after: Version
    metrics: tuple[MetricPair, ...]
    files: tuple[FileChange, ...] | None
    models: tuple[ModelChange, ...] = ()
    parameters: tuple[TextChange, ...]
    unread: tuple[tuple[str, str], ...]
    code: tuple[LineChange, ...] | None
    data: tuple[TextChange, ...]
    environment: tuple[TextChange, ...]
    notes: tuple[str, ...]

    @property
    def same_model(self) -> bool:
        """Tell whether both are known to have the same files and metrics."""
        return self.files == () and all(pair.before == pair.after for pair in self.metrics)


def compare(
    before: Side, after: Side, *, code: Sequence[LineChange] | None, notes: Iterable[str] = ()
) -> Differences:
    """Say what differs between two versions."""
    parameters, unread = _parameters(before.parameters, after.parameters)
    one, other = before.version, after.version
    return Differences(
        before=one,
        after=other,
        metrics=metric_pairs(one.metrics, other.metrics),
        files=_files(before.entries, after.entries),
        models=changes(before.models, after.models),
        parameters=parameters,
        unread=unread,
        code=None if code is None else tuple(code),
        data=_data(one.header.pins, other.header.pins),
        environment=_environment(before, after),
        notes=(*notes, *_unknown((before, after))),
    )


def metric_pairs(before: Mapping[str, Scalar], after: Mapping[str, Scalar]) -> tuple[MetricPair, ...]:
    """Put the metrics of both beside each other, by name."""
    return tuple(
        MetricPair(
            name=name,
            before=before.get(name),
            after=after.get(name),
            better=better(name, after[name], before.get(name)) if name in after else None,
            lower=lower_is_better(name),
        )
        for name in sorted(before.keys() | after.keys())
    )


def _files(before: Sequence[Entry] | None, after: Sequence[Entry] | None) -> tuple[FileChange, ...] | None:
    if before is None or after is None:
        return None
    one, other = ({entry.path: entry for entry in side if entry.kind != "dir"} for side in (before, after))
    pairs = ((path, one.get(path), other.get(path)) for path in sorted(one.keys() | other.keys()))
    return tuple(change for pair in pairs if (change := _file(*pair)) is not None)


def _file(path: bytes, before: Entry | None, after: Entry | None) -> FileChange | None:
    what = _what(before, after) if before and after else ""
    if before and after and not what:
        return None
    return FileChange(
        path=path,
        sort="changed" if before and after else "removed" if before else "added",
        before=before.size if before else None,
        after=after.size if after else None,
        what=what,
    )


def _what(before: Entry, after: Entry) -> str:
    """Say what differs of a file, apart from its time; empty when nothing does."""
    for what, one, other in (
        ("kind", before.kind, after.kind),
        ("content", before.sha256, after.sha256),
        ("target", before.target, after.target),
        ("mode", before.mode, after.mode),
        ("attributes", before.xattrs, after.xattrs),
    ):
        if one != other:
            return what
    return ""


def _parameters(
    before: Mapping[str, Parameters], after: Mapping[str, Parameters]
) -> tuple[tuple[TextChange, ...], tuple[tuple[str, str], ...]]:
    changes: list[TextChange] = []
    unread: list[tuple[str, str]] = []
    for file in sorted(before.keys() | after.keys()):
        one, other = (side.get(file, Parameters()) for side in (before, after))
        if problem := one.problem or other.problem:
            unread.append((file, problem))
        else:
            changes += _texts(one.values, other.values, file=file)
    return tuple(changes), tuple(unread)


def _texts(before: Mapping[str, str], after: Mapping[str, str], *, file: str = "") -> Iterable[TextChange]:
    for name in dict.fromkeys((*before, *after)):
        one, other = before.get(name), after.get(name)
        if one != other:
            hidden = bool(file) and any(looks_secret(name, text) for text in (one, other) if text is not None)
            if hidden:
                one, other = (None if text is None else "" for text in (one, other))
            yield TextChange(name=name, before=one, after=other, file=file, hidden=hidden)


def _data(before: Sequence[Pin], after: Sequence[Pin]) -> tuple[TextChange, ...]:
    one, other = ({pin.volume: pin for pin in pins} for pins in (before, after))
    return tuple(
        TextChange(
            name=volume,
            before=_pin(one[volume]) if volume in one else None,
            after=_pin(other[volume]) if volume in other else None,
        )
        for volume in differing(before, after)
    )


def _pin(pin: Pin) -> str:
    return told(pin).removeprefix(f"{pin.volume}: ")


def _environment(before: Side, after: Side) -> tuple[TextChange, ...]:
    if before.record is None or after.record is None:
        return tuple(_texts({"tool": before.version.header.tool}, {"tool": after.version.header.tool}))
    return tuple(_texts(environment_of(before.record), environment_of(after.record)))


def environment_of(record: Record) -> dict[str, str]:
    """Give what is known of where and how a version was trained, by name; what is not known is left out."""
    facts = {
        "command": shown_command(record.argv),
        "host": record.host,
        "image": record.image,
        "packages": record.packages_digest[:12],
        "variables": " ".join(sorted(record.passed_variables)),
        "tool": record.tool,
    }
    return {name: text for name, text in facts.items() if text}


def shown_command(argv: Sequence[str] | str) -> str:
    """Write a command as it may be shown: values of options and variables that look like a secret are left out."""

    def hidden(found: re.Match[str]) -> str:
        name = found[1].strip("-= \t\n")
        return f"{found[1]}(hidden)" if looks_secret(name, found[2]) else found[0]

    return _VALUE.sub(hidden, argv if isinstance(argv, str) else " ".join(argv))


def _unknown(sides: Sequence[Side]) -> Iterable[str]:
    """Say what of the environment and the files cannot be compared."""
    for missing, why in (
        ([it for it in sides if it.record is None], "no record of {}: host, image, packages and command"),
        ([it for it in sides if it.entries is None], "the contents of {} were not inventoried: files"),
    ):
        names = " and ".join(dict.fromkeys(it.version.name.short for it in missing))
        if names:
            yield f"{why.format(names)} are not compared"
