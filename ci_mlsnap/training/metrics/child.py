"""Parses metrics in a process of its own, with limits and nothing to steal.

It is started by its path, with `-I -S`, so it imports nothing but the standard library. It reads on its standard
input one line of JSON, the list of files (`name`, `kind`, `size`), then their bytes, and answers with one JSON
object: `scalars` and `curves`, or `refused` with the place of the file in that list, `why` and `hint`. Never a
piece of a file.
"""

from __future__ import annotations

import gc
import json
import math
import resource
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

_MEMORY = 384 << 20
"""Some twenty bytes for each of a file's: numbers need that, and only nests of empty objects need more."""
_ANSWER = 64 << 20
_METRICS_AT_MOST = 1000
_POINTS_AT_MOST = 1000
_NAME_AT_MOST = 200


class Refused(Exception):
    """Why a file is no metrics, and the way out."""


class _Found:
    """What has been read so far; a name once only."""

    def __init__(self) -> None:
        self.scalars: dict[str, float | str] = {}
        self.curves: dict[str, tuple[list[float], list[float]]] = {}

    def add(self, name: str, value: float, *, replace: bool = True) -> None:
        self._check(name)
        if name in self.scalars and not replace:
            return
        self.scalars[name] = value if math.isfinite(value) else str(value)
        if len(self.scalars) > _METRICS_AT_MOST:
            raise Refused(f"it holds more than {_METRICS_AT_MOST} metrics", "report the ones that are looked at")

    def add_curve(self, name: str, points: list[tuple[float, float]], *, replace: bool = True) -> None:
        if points:
            self.add(name, points[-1][1], replace=replace)
            thinned = _thinned(points)
            self.curves[name] = ([step for step, _ in thinned], [value for _, value in thinned])

    def _check(self, name: str) -> None:
        try:
            name.encode()
            fine = 0 < len(name) <= _NAME_AT_MOST
        except UnicodeEncodeError:
            fine = False
        if not fine:
            why = f"the name of a metric is empty, no Unicode, or longer than {_NAME_AT_MOST} characters"
            raise Refused(why, "give it a short name")

    def answer(self) -> dict[str, Any]:
        curves = [
            {"name": name, "steps": steps, "values": [it if math.isfinite(it) else str(it) for it in values]}
            for name, (steps, values) in self.curves.items()
        ]
        return {"scalars": self.scalars, "curves": curves}


def read_json(content: bytes, found: _Found) -> None:
    """Take the numbers of a JSON object: nested names joined by a dot, lists as curves, the rest left out."""
    try:
        top = json.loads(content.decode("utf-8-sig"), object_pairs_hook=_object)
    except UnicodeDecodeError:
        raise Refused("it is no UTF-8 text", "write it with json.dump") from None
    except RecursionError:
        raise Refused("it is nested too deeply", "write a flat object: name to number") from None
    except ValueError:
        raise Refused("it is no complete JSON", "write it whole, beside, then rename; json.dump is fine") from None
    if not isinstance(top, dict):
        raise Refused("its JSON is no object", 'write names and numbers: {"accuracy": 0.97}')
    before: set[str] = set()
    for name, value in _flat(top):
        if name in before:
            raise Refused("two of its names are the same once joined by dots", "rename one of them")
        before.add(name)
        if isinstance(value, list):
            _take_list(name, value, found)
        elif _is_number(value):
            found.add(name, _number(value))


def read_tsv(content: bytes, name: str, found: _Found) -> None:
    """Take the curve of a table whose first line names the columns, one of them `step`; blanks are left out."""
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise Refused("it is no UTF-8 text", "let dvclive write it") from None
    head = lines[0].split("\t") if lines else []
    columns = [place for place, title in enumerate(head) if title not in ("step", "timestamp")]
    named = [place for place in columns if head[place] == name.rpartition(".")[2]] or columns[-1:]
    if not named:
        raise Refused("its first line names no column of values", "let dvclive write it")
    points: list[tuple[float, float]] = []
    for index, line in enumerate(lines[1:]):
        cells = line.split("\t")
        value = _cell(cells, named[0])
        if value is not None:
            step = _cell(cells, head.index("step")) if "step" in head else None
            points.append((step if step is not None and math.isfinite(step) else float(index), value))
    # The file beside has the final values; a curve alone says its last one.
    found.add_curve(name, points, replace=False)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Refused("a name occurs twice in one object", "write each metric once")
    return found


def _flat(top: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    waiting: list[Iterator[tuple[str, Any]]] = [iter(top.items())]
    prefix: list[str] = []
    while waiting:
        pair = next(waiting[-1], None)
        if pair is None:
            waiting.pop()
            if prefix:
                prefix.pop()
        elif isinstance(pair[1], dict):
            prefix.append(pair[0])
            waiting.append(iter(pair[1].items()))
        else:
            yield ".".join((*prefix, pair[0])), pair[1]


def _take_list(name: str, values: list[Any], found: _Found) -> None:
    if values and all(map(_is_number, values)):
        found.add_curve(name, [(float(step), _number(value)) for step, value in enumerate(values)])
    elif values and all(isinstance(it, dict) for it in values):
        curves: dict[str, list[tuple[float, float]]] = {}
        for index, entry in enumerate(values):
            step = entry.get("step")
            at = _number(step) if _is_number(step) and math.isfinite(_number(step)) else float(index)
            for key, value in _flat(entry):
                if key != "step" and _is_number(value):
                    curves.setdefault(f"{name}.{key}", []).append((at, _number(value)))
        for key, points in curves.items():
            found.add_curve(key, points, replace=False)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        # As JSON's own 1e999.
        return math.inf if value > 0 else -math.inf


def _cell(cells: list[str], place: int) -> float | None:
    text = cells[place].strip() if place < len(cells) else ""
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        raise Refused("a value is no number", "let dvclive write it") from None


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Keep so many points, evenly, the first and the last among them."""
    if len(points) <= _POINTS_AT_MOST:
        return points
    last = len(points) - 1
    return [points[place * last // (_POINTS_AT_MOST - 1)] for place in range(_POINTS_AT_MOST)]


def _limit() -> None:
    for what, limit in (
        (resource.RLIMIT_AS, _MEMORY),
        (resource.RLIMIT_FSIZE, _ANSWER),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 16),
    ):
        _, most = resource.getrlimit(what)
        lowest = limit if most == resource.RLIM_INFINITY else min(limit, most)
        resource.setrlimit(what, (lowest, lowest))


def _read(files: list[dict[str, Any]]) -> dict[str, Any]:
    found = _Found()
    for place, file in enumerate(files):
        content = sys.stdin.buffer.read(file["size"])
        try:
            if file["kind"] == "json":
                read_json(content, found)
            else:
                read_tsv(content, file["name"], found)
        except Refused as refused:
            why, hint = refused.args
            return {"refused": place, "why": why, "hint": hint}
        except MemoryError:
            return {"refused": place, "why": "it takes too much memory to read", "hint": "write less of it"}
    return found.answer()


def main() -> NoReturn:
    """Answer once, and end."""
    _limit()
    # There is no rubbish in what is read, and looking for it takes longer than reading.
    gc.disable()
    answer = json.dumps(_read(json.loads(sys.stdin.buffer.readline())))
    sys.stdout.write(answer)
    sys.stdout.flush()
    sys.exit(0)


if __name__ == "__main__":
    main()
