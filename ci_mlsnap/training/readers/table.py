"""Tables of text: dvclive's, Lightning's and Keras' CSV loggers, and whatever else names its columns."""

from __future__ import annotations

import codecs
import csv
import io
import math
from collections.abc import Iterator

from ci_mlsnap.training.readers.found import Curves, Found, Refused

_AXES = ("step", "epoch", "iteration")
"""Columns that say where a row belongs, the first that is there."""
_NO_METRICS = (*_AXES, "timestamp", "time", "")
_BLANK = frozenset(("", "na", "n/a", "none", "null"))
"""How the loggers say that a column has no value in a row. `nan` is a value."""
_HEAD_AT_MOST = 64 << 10


def read_table(content: bytes, name: str, found: Found) -> None:
    """Take a curve for each column of numbers; blanks are left out, columns with other text too.

    `name` is that of the one metric, where the file's name says it: the column so called is taken, else the last.
    Raises `Refused`.
    """
    rows = _rows(content)
    head = [title.strip() for title in next(rows, [])]
    columns = _columns(head, name)
    if not columns:
        raise _no_values()
    axis = next((head.index(title) for title in _AXES if title in head), None)
    curves, texts = _taken(rows, columns, axis)
    for place in texts:
        curves.drop(columns[place])
    if len(texts) == len(columns) or not (curves or name):
        raise _no_values()
    curves.give(found)


def _taken(rows: Iterator[list[str]], columns: dict[int, str], axis: int | None) -> tuple[Curves, set[int]]:
    """Give the points of all columns, and the places of those that hold something else than numbers."""
    curves, texts = Curves(), set[int]()
    for index, row in enumerate(rows):
        step = math.nan if axis is None else _cell(row, axis)
        for place, title in columns.items():
            if place not in texts and place < len(row) and row[place].strip().lower() not in _BLANK:
                try:
                    value = float(row[place])
                except ValueError:
                    texts.add(place)
                    continue
                curves.add(title, step if math.isfinite(step) else float(index), value)
    return curves, texts


def is_table(content: bytes) -> bool:
    """Tell whether a text looks like a table and not like JSON: its first line has several columns."""
    start = content[:_HEAD_AT_MOST].removeprefix(codecs.BOM_UTF8).lstrip()
    head = start.partition(b"\n")[0]
    return start[:1] not in (b"{", b"[") and any(mark in head for mark in (b"\t", b",", b";"))


def _rows(content: bytes) -> Iterator[list[str]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Refused("it is no UTF-8 text", "let the logger of the framework write it") from None
    head = text.partition("\n")[0]
    separator = next((mark for mark in "\t,;" if mark in head), ",")
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    except csv.Error:
        raise Refused("it is no table", "let the logger of the framework write it") from None


def _columns(head: list[str], name: str) -> dict[int, str]:
    """Give the metrics' columns by place."""
    columns = {place: title for place, title in enumerate(head) if title not in _NO_METRICS}
    if name:
        last = name.rpartition(".")[2]
        place = head.index(last) if last in head else max(columns, default=-1)
        return {place: name} if place >= 0 else {}
    if len(set(columns.values())) != len(columns):
        raise Refused("two of its columns have the same name", "rename one of them")
    return {} if any(map(_is_number, columns.values())) else columns


def _cell(row: list[str], place: int) -> float:
    try:
        return float(row[place])
    except (IndexError, ValueError):
        return math.nan


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _no_values() -> Refused:
    return Refused("its first line names no column of numbers", "let the logger of the framework write it")
