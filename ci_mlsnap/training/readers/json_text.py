"""JSON: plain metrics, and what Hugging Face's Trainer and scikit-learn's searches put into it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from ci_mlsnap.training.readers.found import Curves, Found, Refused

Object = dict[str, Any]


def read_json(content: bytes, found: Found) -> None:
    """Take the numbers of a JSON object. Raises `Refused`."""
    top = _parsed(content)
    if isinstance(top.get("log_history"), list) and "global_step" in top:
        _take_trainer_state(top, found)
    elif isinstance(top.get("params"), list) and _best_place(top) is not None:
        _take_search(top, found)
    else:
        _take_plain(top, found)


def _parsed(content: bytes) -> Object:
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
    return top


def _take_trainer_state(top: Object, found: Found) -> None:
    """Trainer's `trainer_state.json`: curves from its log by `step`, and the best value it saw."""
    curves = Curves()
    for index, entry in enumerate(top["log_history"]):
        if isinstance(entry, dict):
            step = _step_of(entry, index)
            for name, value in entry.items():
                if name not in ("step", "epoch") and _is_number(value):
                    curves.add(name, step, _number(value))
    curves.give(found)
    if _is_number(top.get("best_metric")):
        found.add("best_metric", _number(top["best_metric"]), replace=False)


def _take_search(top: Object, found: Found) -> None:
    """A search's `cv_results_`, a list for each column: of these the row of the best candidate."""
    best = _best_place(top)
    for name, column in top.items():
        if name.startswith(("param", "rank_")) or not isinstance(column, list):
            continue
        if best is not None and best < len(column) and _is_number(column[best]):
            found.add(name, _number(column[best]))


def _best_place(top: Object) -> int | None:
    """Give the place of the candidate that is ranked first by the first score; None where nothing is ranked."""
    for name, column in top.items():
        if name.startswith("rank_test_") and isinstance(column, list) and column and all(map(_is_number, column)):
            return column.index(min(column))
    return None


def _take_plain(top: Object, found: Found) -> None:
    """Nested names are joined by a dot, lists are curves, texts, booleans and nulls are left out."""
    before: set[str] = set()
    for name, value in _flat(top):
        if name in before:
            raise Refused("two of its names are the same once joined by dots", "rename one of them")
        before.add(name)
        if isinstance(value, list):
            _take_list(name, value, found)
        elif _is_number(value):
            found.add(name, _number(value))


def _take_list(name: str, values: list[Any], found: Found) -> None:
    if values and all(map(_is_number, values)):
        found.add_curve(name, [(float(step), _number(value)) for step, value in enumerate(values)])
    elif values and all(isinstance(it, dict) for it in values):
        curves: dict[str, list[tuple[float, float]]] = {}
        for index, entry in enumerate(values):
            for key, value in _flat(entry):
                if key != "step" and _is_number(value):
                    # `{"step": 1, "value": 0.9}` is a point of the list's own curve.
                    full = name if key == "value" else f"{name}.{key}"
                    curves.setdefault(full, []).append((_step_of(entry, index), _number(value)))
        for full, points in curves.items():
            found.add_curve(full, points, replace=False)


def _step_of(entry: Object, index: int) -> float:
    step = entry.get("step")
    number = _number(step) if _is_number(step) else math.nan
    return number if math.isfinite(number) else float(index)


def _flat(top: Object) -> Iterator[tuple[str, Any]]:
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


def _object(pairs: list[tuple[str, Any]]) -> Object:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Refused("a name occurs twice in one object", "write each metric once")
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        # As JSON's own 1e999.
        return math.inf if value > 0 else -math.inf
