"""TensorBoard's event files: the scalars among their summaries.

Of the messages only these fields are looked at (number, name):
Event 2 step, 5 summary · Summary 1 value · Value 1 tag, 2 simple_value, 8 tensor, 9 metadata ·
Metadata 1 plugin_data · PluginData 1 plugin_name · Tensor 1 dtype, 4 tensor_content, 5 float_val, 6 double_val.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator

from ci_mlsnap.training.readers import protobuf
from ci_mlsnap.training.readers.found import Curves
from ci_mlsnap.training.readers.protobuf import Value, fields, part
from ci_mlsnap.training.readers.record_file import records

_SCALARS = "scalars"
_FORMS = {1: "<f", 2: "<d", 3: "<i", 9: "<q", 19: "<e"}
"""The kinds of tensor that can be one number, as `struct` writes them: float, double, int32, int64, half."""
_LISTS = {5: 1, 6: 2}
"""The fields that a tensor may have its number in, other than as raw bytes, and their kind."""


def read_events(content: bytes, prefix: str, scalar_tags: set[str], curves: Curves) -> None:
    """Take each scalar of an event file as a point of the curve `<prefix><tag>`.

    `scalar_tags` are those that an earlier file of the folder said to be scalars: writers say it once.
    Raises `Refused`.
    """
    for record in records(content):
        step, summaries = 0, []
        for number, value in fields(record):
            if number == 2:
                step = protobuf.whole(value)
            elif number == 5:
                summaries.append(part(value))
        for summary in summaries:
            for tag, found in _scalars(summary, scalar_tags):
                curves.add(prefix + tag, float(step), found)


def _scalars(summary: bytes, scalar_tags: set[str]) -> Iterator[tuple[str, float]]:
    for number, value in fields(summary):
        if number == 1:
            tag, found = _scalar(part(value), scalar_tags)
            if found is not None:
                yield tag, found


def _scalar(value: bytes, scalar_tags: set[str]) -> tuple[str, float | None]:
    tag, simple, tensor = "", None, None
    for number, inner in fields(value):
        if number == 1:
            tag = protobuf.text(inner)
        elif number == 2:
            simple = protobuf.one("<f", inner)
        elif number == 8:
            tensor = part(inner)
        elif number == 9 and _plugin(part(inner)) == _SCALARS:
            scalar_tags.add(tag)
    if simple is not None:
        return tag, simple
    return tag, _number(tensor) if tensor is not None and tag in scalar_tags else None


def _plugin(metadata: bytes) -> str:
    for number, data in fields(metadata):
        if number == 1:
            return next((protobuf.text(name) for inner, name in fields(part(data)) if inner == 1), "")
    return ""


def _number(tensor: bytes) -> float | None:
    """Give the number of a tensor that is one number; None for any other."""
    kind, found = 0, list[tuple[int, Value]]()
    for number, value in fields(tensor):
        if number == 1:
            kind = protobuf.whole(value)
        elif number == 4 or _LISTS.get(number) is not None:
            found.append((number, value))
    form = _FORMS.get(kind)
    if form is None or len(found) != 1:
        return None
    number, value = found[0]
    if _LISTS.get(number, kind) != kind or len(part(value)) != struct.calcsize(form):
        return None
    return protobuf.one(form, value)


def as_written(value: float) -> float:
    """Give the shortest decimal that is the same number in 32 bits: 0.9 for 0.8999999761581421.

    Training meant 0.9, and a gate of 0.9 is then met. Whole numbers stay, and so does what has more bits.
    """
    if math.isfinite(value) and not value.is_integer():
        for digits in range(6, 10):
            short = float(f"{value:.{digits}g}")
            if struct.unpack("<f", struct.pack("<f", short))[0] == value:
                return short
    return value
