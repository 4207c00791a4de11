"""Which records a listing gives and how much of each: filters, order, pages, `fields`.

Read in the overview of ONTAP's REST interface ("Records, filters and fields"), whose wording is not repeated here.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tests.ontap.emulator.refusals import BAD_VALUE, UNKNOWN_ARGUMENT, Refused

Record = dict[str, Any]

_CONTROLS = {"fields", "max_records", "return_records", "return_timeout", "order_by", "start.name", "start.index"}
_MOST = 10_000


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What records of one kind have: all fields by their full names, those always given, those given on request.

    `self_link` builds the address of a record.
    """

    fields: frozenset[str]
    always: frozenset[str]
    expensive: frozenset[str]
    self_link: Callable[[Record], str]


def listed(kind: Kind, path: str, query: Mapping[str, str], records: Iterable[Record]) -> Record:
    """Give one page of the records that fit the query, with the address of the next. Raises `Refused`."""
    filters = {name: value for name, value in query.items() if name not in _CONTROLS}
    for name in filters:
        _known(kind, name, UNKNOWN_ARGUMENT, f'Unexpected argument "{name}".')
    for part in filter(None, query.get("order_by", "").split(",")):
        _known(kind, part.split()[0], BAD_VALUE, f'The value "{part}" is invalid for field "order_by".')
    fitting = [record for record in records if all(_fits(record, *one) for one in filters.items())]
    page, following = _page(query, _ordered(fitting, query.get("order_by", "")))
    wanted = _wanted(kind, query, whole=False)
    answer: Record = {"records": [selected(kind, record, wanted) for record in page], "num_records": len(page)}
    if query.get("return_records") == "false":
        del answer["records"]
    answer["_links"] = {"self": {"href": _address(path, query)}}
    if following:
        answer["_links"]["next"] = {"href": _address(path, {**query, **following})}
    return answer


def single(kind: Kind, query: Mapping[str, str], record: Record) -> Record:
    """Give one record that was asked for by its identifier. Raises `Refused`."""
    return selected(kind, record, _wanted(kind, query, whole=True))


def selected(kind: Kind, record: Record, wanted: Callable[[str], bool]) -> Record:
    """Give a record with nothing but what is wanted of it."""
    flat = {name: value for name, value in flattened(record) if name in kind.always or wanted(name)}
    return {**nested(flat), "_links": {"self": {"href": kind.self_link(record)}}}


def _wanted(kind: Kind, query: Mapping[str, str], *, whole: bool) -> Callable[[str], bool]:
    names = [name for name in query.get("fields", "").split(",") if name]
    for name in names:
        if name not in {"*", "**"}:
            _known(kind, name, BAD_VALUE, f'The value "{name}" is invalid for field "fields".')
    cheap = "*" in names or (whole and not names)

    def wanted(name: str) -> bool:
        asked = any(name == one or name.startswith(f"{one}.") for one in names)
        return "**" in names or asked or (cheap and not any(_within(name, one) for one in kind.expensive))

    return wanted


def measures(query: Mapping[str, str]) -> bool:
    """Tell whether a query asks for what takes a look at the files."""
    return any("space" in text or "**" in text for text in (query.get("fields", ""), *query))


def _within(name: str, above: str) -> bool:
    return name == above or name.startswith(f"{above}.")


def _known(kind: Kind, name: str, code: Any, message: str) -> None:
    if not any(_within(one, name) for one in kind.fields):
        raise Refused(code, message, name)


def flattened(record: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Give a record's values by their full, dotted names."""
    for name, value in record.items():
        if isinstance(value, dict):
            yield from flattened(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def nested(flat: Mapping[str, Any]) -> Record:
    """Take dotted names apart, in a body too: clients send both forms."""
    made: Record = {}
    for name, value in flat.items():
        *above, last = name.split(".")
        place = made
        for part in above:
            place = place.setdefault(part, {})
        inner = nested(value) if isinstance(value, dict) else value
        if isinstance(inner, dict) and isinstance(place.get(last), dict):
            place[last].update(inner)
        else:
            place[last] = inner
    return made


def _fits(record: Record, name: str, text: str) -> bool:
    values = [value for known, value in flattened(record) if known == name]
    if name in {"svm", "volume"} and not values:  # a client's short form
        values = [value for known, value in flattened(record) if known == f"{name}.name"]
    found = values[0] if values else None
    if text.startswith("!"):
        return not any(_one_fits(found, one) for one in text[1:].split("|"))
    return any(_one_fits(found, one) for one in text.split("|"))


def _one_fits(found: object, text: str) -> bool:
    if found is None or text == "null":
        return found is None and text == "null"
    if isinstance(found, bool):
        return text.lower() == str(found).lower()
    if isinstance(found, list):
        return any(_one_fits(one, text) for one in found)
    for sign, holds in _COMPARED.items():
        if text.startswith(sign):
            return holds(_comparable(found), _comparable(_like(found, text[len(sign) :])))
    if text.startswith('"') and text.endswith('"') and len(text) > 1:
        return str(found) == text[1:-1]
    return fnmatch.fnmatchcase(str(found), text.replace("[", "[[]").replace("?", "[?]"))


_COMPARED: Mapping[str, Callable[[Any, Any], bool]] = {
    "<=": lambda one, other: bool(one <= other),
    ">=": lambda one, other: bool(one >= other),
    "<": lambda one, other: bool(one < other),
    ">": lambda one, other: bool(one > other),
}


def _like(found: object, text: str) -> object:
    try:
        return int(text) if isinstance(found, int) else text
    except ValueError:
        raise Refused(BAD_VALUE, f'The value "{text}" is no number.') from None


def _comparable(value: object) -> tuple[int, object]:
    return (0, value) if isinstance(value, int | float) else (1, str(value))


def _ordered(records: list[Record], order: str) -> list[Record]:
    """Sort by the fields named, the last one first, since sorting keeps the order of equals."""
    ordered = sorted(records, key=lambda record: str(record.get("name", record.get("uuid", ""))))
    for part in reversed(order.split(",") if order else []):
        name, _, direction = part.strip().partition(" ")
        ordered.sort(key=lambda record: _sort_key(record, name), reverse=direction == "desc")
    return ordered


def _sort_key(record: Record, name: str) -> tuple[int, object]:
    return _comparable(dict(flattened(record)).get(name, ""))


def _page(query: Mapping[str, str], records: list[Record]) -> tuple[list[Record], dict[str, str]]:
    """Cut a page out. In the order of names it goes on behind the last name, whatever came or went meanwhile."""
    try:
        most, start = int(query.get("max_records", _MOST)), int(query.get("start.index", 0))
    except ValueError:
        raise Refused(BAD_VALUE, "A number was expected.", "max_records") from None
    if last := query.get("start.name", ""):
        records = [record for record in records if str(record.get("name", "")) > last]
    page = records[start : start + most]
    if start + most >= len(records):
        return page, {}
    if "order_by" in query or "name" not in page[-1]:
        return page, {"start.index": str(start + most)}
    return page, {"start.name": str(page[-1]["name"])}


def _address(path: str, query: Mapping[str, str]) -> str:
    return f"{path}?{urlencode(query)}" if query else path
